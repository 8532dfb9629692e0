"""One transfer from one primary of a secondary zone, and into the publishing function.

IXFR where a serial to start from is given. Where it fails, AXFR follows from the same primary at
once, on the same slot (REQUIREMENTS C6); what it cannot do is remembered once the AXFR has shown
that nothing else is wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

import attrs
import structlog

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.journal.store import WriteAhead
from xfer.peers import Peer
from xfer.server import phases, primaries
from xfer.server.executor import Executor
from xfer.server.pipeline import Parsers
from xfer.server.publish import Candidate, Publisher
from xfer.server.pull import PullLimits, PullProgress, PullResult, pull_zone
from xfer.server.quotas import Slots
from xfer.server.serials import bound_to_serial, last_given, next_serial, with_serial
from xfer.server.status import FailureReport, Phase
from xfer.server.target import Dial, Target, dial_tcp
from xfer.server.zones import RAISED, Zone
from xfer.wire.serial import newer
from xfer.zone.check import Policy

log = structlog.get_logger()

SLOT_PATIENCE = 3600.0  # a zone waits for a slot as long as others need; its progress says so


class Writes(Protocol):
    """Opens a hold on blocks written ahead (`xfer.journal.Journal`)."""

    def write_ahead(self) -> WriteAhead: ...


@attrs.define(eq=False)
class Transfers:
    """policy, limits: replaced by a reload; raising: zones whose next transfer is published under a
    serial above the one that stands here, where its own is not."""

    journal: Writes
    publisher: Publisher
    executor: Executor
    clock: Clock
    rng: random.Random
    slots: Slots
    policy: Policy
    limits: PullLimits
    dial: Dial = dial_tcp
    parsers: Parsers | None = None
    raising: dict[Zone, int] = attrs.Factory(dict)

    async def transfer(
        self, zone: Zone, peer: Peer, start: int | None, any_serial: bool, urgent: bool
    ) -> tuple[PullResult, bool]:
        """Transfer and publish; what came, and whether it was published.

        start: the serial to ask for changes from, None for a whole zone; any_serial: whatever
        serial it brings is taken; urgent: a NOTIFY asked for it. Raises TransferError.
        """
        zone.transfer_from = peer
        zone.transfer_started = self.clock.wall()
        zone.progress = None
        phases.enter_phase(zone, Phase.QUEUED)
        if start is not None and not primaries.may_ixfr(zone, peer, self.clock.wall()):
            start = None
        try:
            async with self.slots.slot(str(peer.address), SLOT_PATIENCE, urgent, zone) as got:
                if not got:
                    raise TransferError(
                        Failure.POLICY,
                        f"a transfer slot within {SLOT_PATIENCE:g} s",
                        "none",
                        hint="transfers_in and transfers_in_per_peer in [limits] set how many",
                        try_next=False,
                    )
                came, error = None, None
                if start is not None:
                    came, error = await self._changes(zone, peer, start, any_serial)
                if came is None:
                    came = await self._pull_and_publish(zone, peer, None, any_serial, None)
                result, published = came
        finally:
            zone.transfer_from = None
            zone.progress = None
        known = zone.primary(peer)
        if start is not None and error is not None:
            known = primaries.ixfr_failed(known, start, error, self.report(error))
        zone.primaries[peer.name] = primaries.transferred(
            known,
            result.serial,
            start is not None and error is None,
            result.kind,
            published,
            self.clock.wall(),
        )
        return result, published

    def expired(self, zone: Zone) -> bool:
        """Whether it serves nothing, whatever it holds."""
        return zone.holding(self.clock.monotonic()) is None

    def report(self, error: TransferError) -> FailureReport:
        """The error as it is recorded."""
        return FailureReport(error.failure.value, str(error), self.clock.wall(), error.hint)

    def log_failure(self, zone: Zone, peer: Peer, error: TransferError, kind: str) -> None:
        """One line for what failed. kind: "axfr", "ixfr" or "soa"."""
        log.warning(
            "transfer failed",
            zone=zone.name,
            peer=str(peer),
            direction="in",
            kind=kind,
            serial_from=zone.content_serial,
            failure=error.failure.value,
            error=str(error),
        )

    async def _changes(
        self, zone: Zone, peer: Peer, start: int, any_serial: bool
    ) -> tuple[tuple[PullResult, bool], None] | tuple[None, TransferError]:
        """IXFR from `start`, or the error where an AXFR is to take its place."""
        asked = False

        def receiving() -> None:
            nonlocal asked
            asked = True

        try:
            return await self._pull_and_publish(zone, peer, start, any_serial, receiving), None
        except TransferError as error:
            error.peer = error.peer or str(peer)
            # Where it cannot be reached, or the fault is ours, AXFR fails alike.
            alike = not asked or not error.try_next or error.failure is Failure.AUTH
            if alike and not error.try_axfr:
                raise
            self.log_failure(zone, peer, error, "ixfr")
            return None, error

    async def _pull_and_publish(
        self,
        zone: Zone,
        peer: Peer,
        start: int | None,
        any_serial: bool,
        asked: Callable[[], None] | None,
    ) -> tuple[PullResult, bool]:
        """asked: called when the request was sent."""
        zone.transfer_kind = "axfr" if start is None else "ixfr"
        with ExitStack() as stack:
            ahead = stack.enter_context(self.journal.write_ahead())
            result = await self._pull(zone, peer, ahead, start, asked)
            if result.kind == "soa":
                return result, False
            if zone in self.raising:
                result = self._raised(zone, result)
            return result, await self._publish(zone, peer, result, ahead, any_serial)

    def _raised(self, zone: Zone, result: PullResult) -> PullResult:
        """What came, under a serial that all who have what is served follow."""
        served = zone.content
        if served is None:
            return result
        last = last_given(served.serial, [self.raising[zone]])  # it may serve another one by now
        if newer(result.serial, last):
            return result
        bound = bound_to_serial(result.snapshot)
        if bound:
            raise TransferError(
                Failure.CONTENT,
                f"a serial above {last}",
                f"serial {result.serial}, and the {bound} forbids us to give it another",
                hint="raise it on the primary",
            )
        if with_serial(result.snapshot, served.serial).root == served.root:
            return attrs.evolve(result, content=served)
        serial = next_serial(zone.config.serial, last, self.clock.wall())
        return attrs.evolve(result, content=with_serial(result.snapshot, serial), changes=None)

    async def _pull(
        self,
        zone: Zone,
        peer: Peer,
        ahead: WriteAhead,
        start: int | None,
        asked: Callable[[], None] | None,
    ) -> PullResult:
        phases.enter_phase(zone, Phase.CONNECTING)

        def receiving() -> None:
            if asked is not None:
                asked()
            phases.enter_phase(zone, Phase.RECEIVING)

        def note(progress: PullProgress) -> None:
            zone.progress = progress

        return await pull_zone(
            Target.of(peer),
            zone.origin,
            policy=self.policy,
            clock=self.clock,
            rng=self.rng,
            executor=self.executor,
            limits=self.limits,
            previous=zone.content,
            ixfr_from=start,
            write_ahead=ahead.write,
            progress=note,
            receiving=receiving,
            checking=lambda: phases.enter_phase(zone, Phase.CHECKING),
            parsers=self.parsers,
            dial=self.dial,
        )

    async def _publish(
        self, zone: Zone, peer: Peer, result: PullResult, ahead: WriteAhead, any_serial: bool
    ) -> bool:
        """Publish what came; False where it is what is served already."""
        served = zone.content
        if zone.removed:
            raise TransferError(
                Failure.POLICY, "a configured zone", "one that a reload has removed", try_next=False
            )
        if not zone.secondary:
            raise TransferError(
                Failure.POLICY,
                "a secondary zone",
                "one that a reload has made a primary zone",
                try_next=False,
            )
        if served is not None and served.root == result.snapshot.root:
            zone.keep_alive(self.clock.monotonic(), result.expire, True)
            served.zonemd = result.snapshot.zonemd
            return False
        serial = result.snapshot.serial
        same = served is not None and serial == served.serial
        made_here = zone.made_here
        any_serial = any_serial or self.expired(zone)
        if served is not None and not any_serial and not newer(serial, served.serial):
            if same:
                self._diverged(zone, peer, serial, made_here)
            raise TransferError(
                Failure.CONTENT,
                f"a serial above {served.serial}, as the SOA check said",
                f"serial {serial}",
                peer=str(peer),
                hint="force-axfr takes it nevertheless",
            )
        kind, source = result.kind, f"{result.kind} from {peer.endpoint}"
        if serial != result.serial:
            kind, source = RAISED, f"{source}, its serial {result.serial} raised"
        candidate = Candidate(
            result.snapshot,
            result.findings,
            source,
            kind,
            result.expire,
            changes=result.changes,
        )
        version = await self.publisher.publish(zone, candidate, ahead)
        if same and (version.added is None or version.added + (version.removed or 0)):
            self._diverged(zone, peer, serial, made_here)
        return True

    def _diverged(self, zone: Zone, peer: Peer, serial: int, made_here: bool) -> None:
        """It has other content than was served, under the same serial (REQUIREMENTS C12);
        made_here: which no primary gave."""
        zone.primaries[peer.name] = attrs.evolve(
            zone.primary(peer), diverged=serial, diverged_here=made_here
        )
        log.warning(
            "other content under one serial" if made_here else "primaries differ",
            zone=zone.name,
            peer=str(peer),
            serial_to=serial,
            source=zone.content_version.source if zone.content_version is not None else "",
        )
