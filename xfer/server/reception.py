"""From verified messages to a checked snapshot: the part of a pull without I/O.

`Reception` is driven from worker threads, one call at a time: it feeds the inbound machine and
applies its updates to a zone builder, a message at a time, so that no call into the kernel is
longer than a message and nothing is kept but packed blocks. Differences (IXFR) are collected, and
applied at the end to the version that they start from. `framing.py` makes the messages.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from xfer.errors import ChangeRefused, Failure, TransferError, ZoneError, ZoneRejected
from xfer.transfer.envelope import AXFR_MAY_WORK, Inbound, State, rcode_of
from xfer.transfer.updates import Abandon, Add, Begin, Delete, Finish, Kind, Update
from xfer.zone.apply import Applier
from xfer.zone.block import Block
from xfer.zone.build import Builder
from xfer.zone.changeset import Changeset
from xfer.zone.check import Finding, Policy
from xfer.zone.deltas import Deltas
from xfer.zone.snapshot import Snapshot

FAILURES_OF_IXFR = (Failure.PROTOCOL, Failure.CONTENT, Failure.POLICY)
"""Classes of failure after which an AXFR may bring what an IXFR could not: more differences than
the limits allow may still be a zone that they do."""


@attrs.frozen
class Received:
    """A complete transfer: every check passed, nothing published yet.

    kind: "axfr", "ixfr", or "soa" where there is nothing new; snapshot: None where there was none
    to start from; changes: of an IXFR; differences: as they came, where they were only looked at.
    """

    snapshot: Snapshot | None
    findings: tuple[Finding, ...]
    kind: str = "axfr"
    changes: Changeset | None = None
    differences: tuple[Add | Delete, ...] = ()


@attrs.frozen
class Base:
    """What an IXFR starts from. serial: of our version; snapshot: None to look at what comes, and
    apply nothing; max_records, max_octets: of the differences, 0 for no limit."""

    serial: int
    snapshot: Snapshot | None
    policy: Policy
    max_records: int = 0
    max_octets: int = 0

    def deltas(self, origin: bytes) -> Deltas | None:
        """A collector for the differences, None to keep them as they come."""
        if self.snapshot is None:
            return None
        return Deltas(origin, self.serial, max_records=self.max_records, max_octets=self.max_octets)


class Reception:
    """One transfer on its way in.

    machine: says what the messages mean; new_builder: makes the zone builder when a whole zone
    comes; base: None where we asked for one.
    """

    def __init__(
        self, machine: Inbound, new_builder: Callable[[], Builder], base: Base | None = None
    ) -> None:
        self.machine = machine
        self._new_builder = new_builder
        self._base = base
        self._builder: Builder | None = None
        self._deltas: Deltas | None = None
        self._differences: list[Add | Delete] = []
        self._applied: list[Block] = []

    @property
    def complete(self) -> bool:
        """Whether all has come that is needed."""
        return self.machine.state in (State.COMPLETE, State.CURRENT)

    @property
    def differing(self) -> int:
        """Records that `finish` has to delete or add; -1 where it builds a whole zone."""
        if self._builder is not None:
            return -1
        return self._deltas.records if self._deltas is not None else 0

    def take(self, messages: list[bytes], more: str = "") -> list[Block]:
        """Process messages, in order; more: what has come after them, in words, "" for nothing.

        Returns the blocks that are finished and may be written ahead. Raises TransferError; what
        was begun is then dropped.
        """
        ready: list[Block] = []
        try:
            for message in messages:
                if self.machine.state is State.CURRENT:
                    break  # who knows no IXFR goes on with the zone that we have
                if self.complete:
                    raise _after_the_end(f"one more message of {len(message)} octets")
                for update in self.machine.feed(message):
                    self._apply(update)
            if self.machine.state is State.COMPLETE and more:
                raise _after_the_end(more)
            if self._builder is not None:
                ready = self._builder.take_ready()
        except (TransferError, ZoneError) as error:
            raise self._abandoned(error) from error
        return ready

    def refuse(self, message: bytes, error: TransferError) -> TransferError:
        """Give up because of a message that was not verified; returns the error to raise."""
        if error.failure is Failure.DENIED and rcode_of(message) in AXFR_MAY_WORK:
            error.try_axfr = self.machine.axfr_may_work
        return self._abandoned(error)

    def abandon(self, failure: Failure, expected: str, got: str, hint: str = "") -> TransferError:
        """Give up for a reason outside the protocol; returns the error to raise."""
        # Who does not know IXFR may close the connection, or say nothing.
        try_axfr = failure is Failure.TRANSPORT and self.machine.axfr_may_work
        error = TransferError(failure, expected, got, hint=hint, try_axfr=try_axfr)
        self._apply(self.machine.abandon(str(error)))
        return error

    def finish(self) -> Received:
        """Check the zone as a whole.

        One long loop of short steps, for a worker thread. Raises TransferError (CONTENT).
        """
        try:
            self.machine.finish()
            builder = self._builder
            if builder is None:
                return self._changed()
            while builder.step():
                pass
            return Received(builder.snapshot(), tuple(builder.findings()))
        except (TransferError, ZoneError) as error:
            raise self._abandoned(error) from error

    def take_ready(self) -> list[Block]:
        """Blocks finished since the last look."""
        if self._builder is not None:
            return self._builder.take_ready()
        applied, self._applied = self._applied, []
        base = self._base.snapshot if self._base is not None and applied else None
        had = {block.digest for block in base.blocks} if base is not None else set()
        return [block for block in applied if block.digest not in had]

    def _changed(self) -> Received:
        """What the differences make of the version that we have."""
        base = self._base
        assert base is not None
        if self.machine.state is State.CURRENT:
            return Received(base.snapshot, (), "soa")
        if self._deltas is None or base.snapshot is None:
            return Received(None, (), "ixfr", None, tuple(self._differences))
        applier = Applier(base.snapshot, self._deltas, base.policy)
        while applier.step():
            pass
        snapshot = applier.snapshot()
        self._applied = snapshot.blocks
        return Received(snapshot, tuple(applier.findings()), "ixfr", applier.changeset())

    def _apply(self, update: Update) -> None:
        match update:
            case Begin(Kind.AXFR):
                self._builder = self._new_builder()
            case Begin(Kind.IXFR):
                assert self._base is not None, "only who asked with IXFR is answered so"
                self._deltas = self._base.deltas(self.machine.origin)
            case Add(batch):
                if self._builder is not None:
                    self._builder.add(batch)
                elif self._deltas is not None:
                    self._deltas.add(batch)
                else:
                    self._differences.append(update)
            case Delete(batch):
                if self._deltas is not None:
                    self._deltas.delete(batch)
                else:
                    self._differences.append(update)
            case Finish():
                pass
            case Abandon():
                self._builder = None
                self._deltas = None
                self._differences = []

    def _abandoned(self, error: TransferError | ZoneError) -> TransferError:
        if isinstance(error, ZoneRejected):
            error = TransferError(Failure.CONTENT, error.expected, f"{error.got} ({error.rule})")
        elif isinstance(error, ChangeRefused):
            error = TransferError(Failure.CONTENT, error.expected, error.got)
        elif isinstance(error, ZoneError):
            error = TransferError(Failure.CONTENT, "a zone that can be served", str(error))
        if error.failure in FAILURES_OF_IXFR and self.machine.axfr_may_work:
            error.try_axfr = True
        self._apply(self.machine.abandon(str(error)))
        return error


def _after_the_end(got: str) -> TransferError:
    return TransferError(Failure.PROTOCOL, "nothing after the message with the closing SOA", got)
