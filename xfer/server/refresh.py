"""One look at a secondary zone's primaries: SOA checks, and a transfer where there is news.

A check asks the primaries best first (`xfer.server.primaries`), after a NOTIFY its sender first.
The first that has a newer serial is transferred from; when that fails, the next is tried.

    NOTIFY with a newer serial  → IXFR, without an SOA query before it
    newer serial                → IXFR, where that is not known to fail there
    IXFR fails                  → AXFR from the same primary, at once
    no version yet, or forced   → AXFR, without an SOA query

A forced transfer takes whatever serial the primary has, and so does a zone that has expired (RFC
1034 §4.3.5); otherwise a lower serial is reported, not followed. Where the news of one primary
cannot be had, the attempt has failed, though another one has what is served: RETRY follows, not
REFRESH. One attempt per zone at a time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
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
from xfer.server.hints import Hint
from xfer.server.parsing import Parsers
from xfer.server.publish import Candidate, Publisher
from xfer.server.pull import PullLimits, PullProgress, PullResult, pull_zone
from xfer.server.quotas import Slots
from xfer.server.soa import SoaAnswer, SoaTries, soa_query
from xfer.server.status import FailureReport, Outcome, Phase
from xfer.server.target import Dial, Target, dial_tcp
from xfer.server.zones import Zone
from xfer.transfer.outbound import newer
from xfer.zone.check import Policy

log = structlog.get_logger()

SLOT_PATIENCE = 3600.0  # a zone waits for a slot as long as others need; its progress says so
DEAD = 3  # checks in a row that a primary has not answered, of whatever zones
BRIEFLY = SoaTries(timeouts=(1.0,), tcp=None)  # for one that is dead: it holds up no other check


class Writes(Protocol):
    """Opens a hold on blocks written ahead (`xfer.journal.Journal`)."""

    def write_ahead(self) -> WriteAhead: ...


@attrs.frozen
class _News:
    """What came of asking one primary. serial: its own; expire: its EXPIRE option."""

    serial: int
    expire: int | None


@attrs.define(eq=False)
class Refresher:
    """pace: waits until one more scheduled SOA check of that peer may go; policy, limits: replaced
    by a reload."""

    journal: Writes
    publisher: Publisher
    executor: Executor
    clock: Clock
    rng: random.Random
    slots: Slots
    policy: Policy
    limits: PullLimits
    dial: Dial = dial_tcp
    ask: Callable[..., Awaitable[SoaAnswer]] = soa_query
    parsers: Parsers | None = None
    pace: Callable[[Peer], Awaitable[None]] | None = None
    _silent: Counter[str] = attrs.Factory(Counter)

    async def attempt(
        self,
        zone: Zone,
        *,
        force: bool = False,
        only: Peer | None = None,
        hint: Hint | None = None,
    ) -> Outcome:
        """Check and, where needed, transfer. hint: the NOTIFY that asked for it.

        The zone's `error`, `failures`, `checked_at` and its primaries' status are current
        afterwards; never raises TransferError.
        """
        asked: Sequence[Peer] = (only,) if only is not None else primaries.in_order(zone, hint)
        first: TransferError | None = None
        missed: TransferError | None = None
        reached: tuple[Peer, _News] | None = None
        for number, peer in enumerate(asked):
            expired = self._expired(zone)
            news = False
            try:
                if force or zone.snapshot is None:
                    whole = await self._transfer(zone, peer, hint, None, True)
                    assert isinstance(whole, Outcome), "a whole zone is never no news"
                    return whole
                held = zone.held is not None
                if number == 0 and not (expired or held) and self._straight(zone, peer, hint):
                    got = await self._transfer(zone, peer, hint, zone.serial, False)
                    if isinstance(got, Outcome):
                        return got
                    reached = reached or (peer, got)
                    continue
                answer = await self._check(zone, peer, hint is None and number > 0)
                served = zone.snapshot.serial
                ahead = newer(answer.serial, served)
                news = ahead or (expired and answer.serial != served)
                if not news or held:
                    news = False
                    reached = reached or (peer, _News(answer.serial, answer.expire))
                    continue
                start = served if ahead else None
                got = await self._transfer(zone, peer, hint, start, expired)
                if isinstance(got, Outcome):
                    return got
                reached = reached or (peer, got)
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

    def _expired(self, zone: Zone) -> bool:
        return zone.serving(self.clock.monotonic()) is None

    def _straight(self, zone: Zone, peer: Peer, hint: Hint | None) -> bool:
        """Whether to ask for changes at once: a lone SOA, if there are none, costs no more than an
        SOA query. A whole zone is too much to ask for on the word of a NOTIFY."""
        return (
            hint is not None
            and hint.serial is not None
            and zone.serial is not None
            and newer(hint.serial, zone.serial)
            and primaries.may_ixfr(zone, peer, self.clock.wall())
        )

    async def _check(self, zone: Zone, peer: Peer, paced: bool) -> SoaAnswer:
        """paced: the check is scheduled and not the first of its attempt, whose token is taken."""
        if paced and self.pace is not None:
            await self.pace(peer)
        dead = self._silent[peer.name] >= DEAD
        try:
            answer = await self.ask(
                Target.of(peer),
                zone.origin,
                clock=self.clock,
                rng=self.rng,
                dial=self.dial,
                tries=BRIEFLY if dead else None,
            )
        except TransferError as error:
            if error.failure is Failure.TRANSPORT:
                self._silent[peer.name] += 1
            raise
        self._silent.pop(peer.name, None)
        known = zone.primary(peer)
        now = primaries.answered(
            known, answer.serial, zone.serial, answer.seconds, self.clock.wall()
        )
        zone.primaries[peer.name] = now
        if now.behind and (known.serial != now.serial or not known.behind):
            log.warning(
                "primary behind",
                zone=zone.name,
                peer=str(peer),
                serial_from=zone.serial,
                serial_to=answer.serial,
            )
        return answer

    async def _transfer(
        self, zone: Zone, peer: Peer, hint: Hint | None, start: int | None, any_serial: bool
    ) -> Outcome | _News:
        """Transfer and publish; what it has where that is nothing new.

        start: the serial to ask for changes from, None for a whole zone; any_serial: whatever
        serial it brings is taken.
        """
        zone.transfer_from = peer
        zone.transfer_started = self.clock.wall()
        zone.transfer_kind = ""
        zone.progress = None
        phases.enter_phase(zone, Phase.QUEUED)
        serial_from = zone.serial
        if start is not None and not primaries.may_ixfr(zone, peer, self.clock.wall()):
            start = None
        urgent = hint is not None or zone.hint is not None
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
                result, published = await self._changes(zone, peer, start, any_serial)
                if result is None:
                    start = None
                    result, published = await self._whole(zone, peer, any_serial)
        finally:
            zone.transfer_from = None
            zone.progress = None
        zone.primaries[peer.name] = primaries.transferred(
            zone.primary(peer),
            result.serial,
            start is not None,
            result.kind,
            published,
            self.clock.wall(),
        )
        self._silent.pop(peer.name, None)
        if result.kind == "soa":
            return _News(result.serial, result.expire)
        self._succeeded(zone)
        return self._done(zone, peer, result, serial_from, published)

    async def _changes(
        self, zone: Zone, peer: Peer, start: int | None, any_serial: bool
    ) -> tuple[PullResult | None, bool]:
        """IXFR from `start`; None where an AXFR from the same primary is to take its place."""
        if start is None:
            return None, False
        connected = False

        def receiving() -> None:
            nonlocal connected
            connected = True

        try:
            return await self._pull_and_publish(zone, peer, start, any_serial, receiving)
        except TransferError as error:
            error.peer = error.peer or str(peer)
            if not error.try_axfr and (not connected or not error.try_next):
                raise
            if error.failure is Failure.AUTH and not error.try_axfr:
                raise
            report = self._report(error)
            known = primaries.ixfr_failed(zone.primary(peer), start, error, report)
            zone.primaries[peer.name] = known
            self._log_failure(zone, peer, error, "ixfr")
            return None, False

    async def _whole(self, zone: Zone, peer: Peer, any_serial: bool) -> tuple[PullResult, bool]:
        return await self._pull_and_publish(zone, peer, None, any_serial, lambda: None)

    async def _pull_and_publish(
        self,
        zone: Zone,
        peer: Peer,
        start: int | None,
        any_serial: bool,
        receiving: Callable[[], None],
    ) -> tuple[PullResult, bool]:
        zone.transfer_kind = "axfr" if start is None else "ixfr"
        with ExitStack() as stack:
            ahead = stack.enter_context(self.journal.write_ahead())
            result = await self._pull(zone, peer, ahead, start, receiving)
            if result.kind == "soa":
                return result, False
            return result, await self._publish(zone, peer, result, ahead, any_serial)

    async def _pull(
        self,
        zone: Zone,
        peer: Peer,
        ahead: WriteAhead,
        start: int | None,
        sent: Callable[[], None],
    ) -> PullResult:
        phases.enter_phase(zone, Phase.CONNECTING)

        def receiving() -> None:
            sent()
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
        served = zone.snapshot
        if zone.removed:
            raise TransferError(
                Failure.POLICY, "a configured zone", "one that a reload has removed", try_next=False
            )
        if served is not None and served.root == result.snapshot.root:
            zone.keep_alive(self.clock.monotonic(), result.expire, True)
            return False
        serial = result.snapshot.serial
        same = served is not None and serial == served.serial
        any_serial = any_serial or self._expired(zone)
        if served is not None and not any_serial and not newer(serial, served.serial):
            if same:
                self._diverged(zone, peer, serial)
            raise TransferError(
                Failure.CONTENT,
                f"a serial above {served.serial}, as the SOA check said",
                f"serial {serial}",
                peer=str(peer),
                hint="force-axfr takes it nevertheless",
            )
        kind = result.kind
        candidate = Candidate(
            result.snapshot,
            result.findings,
            f"{kind} from {peer.endpoint}",
            kind,
            result.expire,
            changes=result.changes,
        )
        version = await self.publisher.publish(zone, candidate, ahead)
        if same and (version.added is None or version.added + (version.removed or 0)):
            self._diverged(zone, peer, serial)
        return True

    def _diverged(self, zone: Zone, peer: Peer, serial: int) -> None:
        """It has other content than is served, under the same serial (REQUIREMENTS C12)."""
        zone.primaries[peer.name] = attrs.evolve(zone.primary(peer), diverged=serial)
        log.warning(
            "primaries differ",
            zone=zone.name,
            peer=str(peer),
            serial_to=serial,
            source=zone.version.source if zone.version is not None else "",
        )

    def _done(
        self,
        zone: Zone,
        peer: Peer,
        result: PullResult,
        serial_from: int | None,
        published: bool,
    ) -> Outcome:
        serial = result.snapshot.serial
        log.info(
            "transfer",
            zone=zone.name,
            peer=str(peer),
            direction="in",
            kind=result.kind,
            serial_from=serial_from,
            serial_to=serial,
            records=result.records,
            messages=result.messages,
            bytes=result.octets,
            seconds=round(result.seconds, 6),
            published=published,
        )
        return Outcome(
            ok=True,
            done=True,
            message=(
                f"serial {serial} from {peer.name} is served"
                if published
                else f"{peer.name} has what is served already (serial {serial})"
            ),
            zone=zone.name,
            peer=peer.name,
            kind=result.kind,
            serial_from=serial_from,
            serial_to=serial,
            records=result.records,
            messages=result.messages,
            bytes=result.octets,
            seconds=result.seconds,
            findings=tuple(str(finding) for finding in result.findings),
        )

    def _unchanged(self, zone: Zone, peer: Peer, news: _News) -> Outcome:
        zone.keep_alive(self.clock.monotonic(), news.expire, False)
        self._succeeded(zone)
        word = "current" if zone.held is None else "held"
        return Outcome(
            ok=True,
            done=True,
            message=f"serial {zone.serial} is {word}: {peer.name} has {news.serial}",
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
        zone.primaries[peer.name] = primaries.failed(zone.primary(peer), self._report(error))
        self._log_failure(zone, peer, error, zone.transfer_kind or "axfr")

    def _log_failure(self, zone: Zone, peer: Peer, error: TransferError, kind: str) -> None:
        log.warning(
            "transfer failed",
            zone=zone.name,
            peer=str(peer),
            direction="in",
            kind=kind,
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
