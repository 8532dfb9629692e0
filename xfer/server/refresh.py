"""One look at a secondary zone's primaries: SOA checks, and a transfer where there is news.

A check asks the primaries in their order. The first that has a newer serial is transferred from;
when that fails, the next is tried. A zone without a version is transferred without asking first. A
forced transfer takes whatever serial the primary has, and so does a zone that has expired (RFC 1034
§4.3.5). Where the news of one primary cannot be had, the attempt has failed, though another one has
what is served: RETRY follows, not REFRESH. One attempt per zone at a time.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Protocol

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.journal.store import WriteAhead
from xfer.peers import Peer
from xfer.server import phases
from xfer.server.executor import Executor
from xfer.server.parsing import Parsers
from xfer.server.publish import Candidate, Publisher
from xfer.server.pull import PullLimits, PullProgress, PullResult, pull_zone
from xfer.server.quotas import Slots
from xfer.server.soa import SoaAnswer, soa_query
from xfer.server.status import FailureReport, Outcome, Phase
from xfer.server.target import Dial, Target, dial_tcp
from xfer.server.zones import Zone
from xfer.transfer.outbound import newer
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()

SLOT_PATIENCE = 3600.0  # a zone waits for a slot as long as others need; its progress says so


class Writes(Protocol):
    """Opens a hold on blocks written ahead (`xfer.journal.Journal`)."""

    def write_ahead(self, base: Snapshot | None = None) -> WriteAhead: ...


@attrs.define(eq=False)
class Refresher:
    """checks: how many zones may ask for an SOA at once; policy, limits: replaced by a reload."""

    journal: Writes
    publisher: Publisher
    executor: Executor
    clock: Clock
    rng: random.Random
    slots: Slots
    policy: Policy
    limits: PullLimits
    checks: trio.CapacityLimiter
    dial: Dial = dial_tcp
    ask: Callable[..., Awaitable[SoaAnswer]] = soa_query
    parsers: Parsers | None = None

    async def attempt(
        self, zone: Zone, *, force: bool = False, only: Peer | None = None
    ) -> Outcome:
        """Check and, where needed, transfer. The zone's `error`, `failures`, `checked_at` and its
        primaries' status are current afterwards; never raises TransferError."""
        primaries: Sequence[Peer] = (only,) if only is not None else zone.config.primaries
        first: TransferError | None = None
        missed: TransferError | None = None
        reached: tuple[Peer, SoaAnswer] | None = None
        expired = zone.serving(self.clock.monotonic()) is None
        for peer in primaries:
            news = False
            try:
                if not force and zone.snapshot is not None:
                    answer = await self._check(zone, peer)
                    served = zone.snapshot.serial
                    news = newer(answer.serial, served) or (expired and answer.serial != served)
                    if not news:
                        reached = reached or (peer, answer)
                        continue
                return await self._transfer(zone, peer, force or expired)
            except TransferError as error:
                self._failed(zone, peer, error)
                first = first or error
                if news:
                    missed = missed or error
                if not error.try_next:
                    break
        if reached is not None:
            unchanged = self._unchanged(zone, *reached)
            return unchanged if missed is None else self._all_failed(zone, missed)
        assert first is not None, "config requires a primary for a secondary zone"
        return self._all_failed(zone, first)

    async def _check(self, zone: Zone, peer: Peer) -> SoaAnswer:
        async with self.checks:
            answer = await self.ask(
                Target.of(peer), zone.origin, clock=self.clock, rng=self.rng, dial=self.dial
            )
        zone.primaries[peer.name] = attrs.evolve(
            zone.primary(peer), serial=answer.serial, checked_at=self.clock.wall(), error=None
        )
        return answer

    async def _transfer(self, zone: Zone, peer: Peer, force: bool) -> Outcome:
        zone.transfer_from = peer
        zone.transfer_started = self.clock.wall()
        zone.progress = None
        phases.enter_phase(zone, Phase.QUEUED)
        serial_from = zone.serial
        try:
            async with self.slots.slot(str(peer.address), SLOT_PATIENCE) as got:
                if not got:
                    raise TransferError(
                        Failure.POLICY,
                        f"a transfer slot within {SLOT_PATIENCE:g} s",
                        "none",
                        hint="transfers_in and transfers_in_per_peer in [limits] set how many",
                        try_next=False,
                    )
                with ExitStack() as stack:
                    ahead = stack.enter_context(self.journal.write_ahead(zone.snapshot))
                    result = await self._pull(zone, peer, ahead)
                    published = await self._publish(zone, peer, result, ahead, force)
        finally:
            zone.transfer_from = None
            zone.progress = None
        now = self.clock.wall()
        zone.primaries[peer.name] = attrs.evolve(
            zone.primary(peer),
            serial=result.snapshot.serial,
            checked_at=now,
            transferred_at=now if published else zone.primary(peer).transferred_at,
            error=None,
        )
        self._succeeded(zone)
        name = peer.name
        serial = result.snapshot.serial
        outcome = Outcome(
            ok=True,
            done=True,
            message=(
                f"serial {serial} from {name} is served"
                if published
                else f"{name} has what is served already (serial {serial})"
            ),
            zone=zone.name,
            peer=name,
            kind="axfr",
            serial_from=serial_from,
            serial_to=serial,
            records=result.records,
            messages=result.messages,
            bytes=result.octets,
            seconds=result.seconds,
            findings=tuple(str(finding) for finding in result.findings),
        )
        log.info(
            "transfer",
            zone=zone.name,
            peer=str(peer),
            direction="in",
            kind="axfr",
            serial_from=serial_from,
            serial_to=serial,
            records=result.records,
            messages=result.messages,
            bytes=result.octets,
            seconds=round(result.seconds, 6),
            published=published,
        )
        return outcome

    async def _pull(self, zone: Zone, peer: Peer, ahead: WriteAhead) -> PullResult:
        phases.enter_phase(zone, Phase.CONNECTING)

        def receiving() -> None:
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
            previous=zone.snapshot,
            write_ahead=ahead.write,
            progress=note,
            receiving=receiving,
            checking=lambda: phases.enter_phase(zone, Phase.CHECKING),
            parsers=self.parsers,
            dial=self.dial,
        )

    async def _publish(
        self, zone: Zone, peer: Peer, result: PullResult, ahead: WriteAhead, force: bool
    ) -> bool:
        """Publish what came; False where it is what is served already."""
        served = zone.snapshot
        if zone.removed:
            raise TransferError(
                Failure.POLICY, "a configured zone", "one that a reload has removed", try_next=False
            )
        if served is not None and served.root == result.snapshot.root:
            zone.keep_alive(self.clock.monotonic(), result.expire, True)
            return False
        if served is not None and not force and not newer(result.snapshot.serial, served.serial):
            raise TransferError(
                Failure.CONTENT,
                f"a serial above {served.serial}, as the SOA check said",
                f"serial {result.snapshot.serial}",
                peer=str(peer),
                hint="force-axfr takes it nevertheless",
            )
        candidate = Candidate(
            result.snapshot, result.findings, f"axfr from {peer.endpoint}", "axfr", result.expire
        )
        await self.publisher.publish(zone, candidate, ahead)
        return True

    def _unchanged(self, zone: Zone, peer: Peer, answer: SoaAnswer) -> Outcome:
        zone.keep_alive(self.clock.monotonic(), answer.expire, False)
        self._succeeded(zone)
        return Outcome(
            ok=True,
            done=True,
            message=f"serial {zone.serial} is current: {peer.name} has {answer.serial}",
            zone=zone.name,
            peer=peer.name,
            serial_from=zone.serial,
            serial_to=zone.serial,
        )

    def _succeeded(self, zone: Zone) -> None:
        zone.checked_at = self.clock.wall()
        zone.failures = 0
        zone.error = None

    def _failed(self, zone: Zone, peer: Peer, error: TransferError) -> None:
        error.peer = error.peer or str(peer)
        zone.primaries[peer.name] = attrs.evolve(zone.primary(peer), error=self._report(error))
        log.warning(
            "transfer failed",
            zone=zone.name,
            peer=str(peer),
            direction="in",
            kind="axfr",
            serial_from=zone.serial,
            failure=error.failure.value,
            error=str(error),
        )

    def _all_failed(self, zone: Zone, error: TransferError) -> Outcome:
        zone.failures += 1
        zone.error = self._report(error)
        return Outcome(
            ok=False,
            done=True,
            message=str(error),
            zone=zone.name,
            serial_from=zone.serial,
            failure=zone.error,
        )

    def _report(self, error: TransferError) -> FailureReport:
        return FailureReport(error.failure.value, str(error), self.clock.wall(), error.hint)
