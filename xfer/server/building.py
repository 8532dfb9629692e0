"""What a transfer's updates make of a zone: a new one, or changes to the one that we have.

Nothing is kept but packed blocks and less than a chunk of records. Differences (IXFR) are
collected, and applied at the end to the version that they start from.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from xfer.errors import ChangeRefused, Failure, TransferError, ZoneError, ZoneRejected
from xfer.transfer.updates import Abandon, Add, Begin, Delete, Finish, Kind, Update
from xfer.zone.apply import Applier
from xfer.zone.block import Block
from xfer.zone.build import Builder
from xfer.zone.changeset import Changeset
from xfer.zone.check import Finding, Policy
from xfer.zone.deltas import Deltas
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonemd import brings_zonemd, has_zonemd


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


class Building:
    """The zone of one transfer.

    new_builder: makes the zone builder when a whole zone comes; base: None where we asked for one.
    """

    def __init__(
        self, origin: bytes, new_builder: Callable[[], Builder], base: Base | None = None
    ) -> None:
        self._origin = origin
        self._new_builder = new_builder
        self._base = base
        self._builder: Builder | None = None
        self._deltas: Deltas | None = None
        self._differences: list[Add | Delete] = []
        self._applied: list[Block] = []

    @property
    def differing(self) -> int:
        """Records that `finish` has to delete, add, or digest for a ZONEMD; -1 where it builds a
        whole zone."""
        if self._builder is not None:
            return -1
        deltas, base = self._deltas, self._base
        if deltas is None or base is None or base.snapshot is None:
            return 0
        few = deltas.records < base.snapshot.count
        digested = few and (has_zonemd(base.snapshot) or brings_zonemd(deltas))
        return deltas.records + base.snapshot.count * digested

    def apply(self, update: Update) -> None:
        """Take the next update. Raises TransferError (CONTENT, POLICY)."""
        try:
            self._apply(update)
        except ZoneError as error:
            raise content_error(error) from error

    def take_ready(self) -> list[Block]:
        """Blocks finished since the last look, which may be written ahead."""
        if self._builder is not None:
            return self._builder.take_ready()
        applied, self._applied = self._applied, []
        base = self._base.snapshot if self._base is not None and applied else None
        had = {block.digest for block in base.blocks} if base is not None else set()
        return [block for block in applied if block.digest not in had]

    def finish(self) -> Received:
        """After the last update, check the zone as a whole.

        One long loop of short steps, for a worker thread. Raises TransferError (CONTENT).
        """
        try:
            builder = self._builder
            if builder is None:
                return self._changed()
            while builder.step():
                pass
            return Received(builder.snapshot(), tuple(builder.findings()))
        except ZoneError as error:
            raise content_error(error) from error

    def nothing_new(self) -> Received:
        """The version that we have, which the peer has as well."""
        assert self._base is not None, "only who has a version asks for changes"
        return Received(self._base.snapshot, (), "soa")

    def _changed(self) -> Received:
        """What the differences make of the version that we have."""
        base = self._base
        assert base is not None, "whoever asked for a whole zone has a builder"
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
                self._deltas = self._base.deltas(self._origin)
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


def content_error(error: ZoneError) -> TransferError:
    """What the zone layer found wrong, as a failure of the transfer."""
    if isinstance(error, ZoneRejected):
        return TransferError(Failure.CONTENT, error.expected, f"{error.got} ({error.rule})")
    if isinstance(error, ChangeRefused):
        return TransferError(Failure.CONTENT, error.expected, error.got)
    return TransferError(Failure.CONTENT, "a zone that can be served", str(error))
