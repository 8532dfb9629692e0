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

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import attrs
import structlog

from xfer.errors import Failure, TransferError
from xfer.peers import Peer
from xfer.server import primaries
from xfer.server.hints import Hint
from xfer.server.pull import PullResult
from xfer.server.soa import SoaAnswer, SoaTries, soa_query
from xfer.server.soa_probe import Came, Query, SoaProber
from xfer.server.status import Outcome
from xfer.server.target import Target
from xfer.server.transfers import Transfers
from xfer.server.zones import Zone
from xfer.wire.serial import newer

log = structlog.get_logger()

DEAD = 3  # checks in a row that a primary has not answered, of whatever zones
USUALLY = SoaTries()
BRIEFLY = SoaTries(timeouts=(1.0,), tcp=None)  # for one that is dead: it holds up no other check


@attrs.frozen
class Told:
    """What a primary said over UDP: its SOA, why there is none, or None for a truncated answer."""

    peer: Peer
    said: SoaAnswer | TransferError | None


@attrs.frozen
class _News:
    """What came of asking one primary. serial: its own; expire: its EXPIRE option."""

    serial: int
    expire: int | None


@attrs.define(eq=False)
class Refresher(Transfers):
    """ask: for the SOA; prober: asks without a task, None to have a task ask each time; pace: waits
    until one more scheduled SOA check of that peer may go."""

    ask: Callable[..., Awaitable[SoaAnswer]] = soa_query
    prober: SoaProber | None = None
    pace: Callable[[Peer], Awaitable[None]] | None = None
    _silent: Counter[str] = attrs.Factory(Counter)
    _targets: dict[str, tuple[Peer, Target]] = attrs.Factory(dict)

    async def attempt(
        self,
        zone: Zone,
        *,
        force: bool = False,
        only: Peer | None = None,
        hint: Hint | None = None,
        told: Told | None = None,
    ) -> Outcome:
        """Check and, where needed, transfer.

        hint: the NOTIFY that asked for it; told: what a primary has just said over UDP.

        The zone's `error`, `failures`, `checked_at` and its primaries' status are current
        afterwards; never raises TransferError.
        """
        asked: Sequence[Peer] = (only,) if only is not None else primaries.in_order(zone, hint)
        first: TransferError | None = None
        missed: TransferError | None = None
        reached: tuple[Peer, _News] | None = None
        for number, peer in enumerate(asked):
            expired = self.expired(zone)
            news = False
            zone.transfer_kind = ""
            try:
                if force or zone.content is None:
                    whole = await self._transfer(zone, peer, hint, None, True)
                    assert isinstance(whole, Outcome), "a whole zone is never no news"
                    return whole
                held = zone.held is not None
                if number == 0 and not (expired or held) and self._straight(zone, peer, hint):
                    got = await self._transfer(zone, peer, hint, zone.content_serial, False)
                    if isinstance(got, Outcome):
                        return got
                    reached = reached or (peer, got)
                    continue
                answer = await self._check(zone, peer, hint is None and number > 0, told)
                served = zone.content.serial
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
        if only is not None and len(zone.config.primaries) > 1 and zone.content is not None:
            return self._failure(zone, first)  # which says nothing about the other primaries
        return self._all_failed(zone, first)

    def _straight(self, zone: Zone, peer: Peer, hint: Hint | None) -> bool:
        """Whether to ask for changes at once: a lone SOA, if there are none, costs no more than an
        SOA query. A whole zone is too much to ask for on the word of a NOTIFY."""
        return (
            hint is not None
            and hint.serial is not None
            and zone.content_serial is not None
            and newer(hint.serial, zone.content_serial)
            and primaries.may_ixfr(zone, peer, self.clock.wall())
        )

    def look(self, zone: Zone, came: Came, lost: Callable[[], None]) -> Query | None:
        """Ask the zone's primary, where it is the only one and there is nothing to it but to
        compare serials. None otherwise; `came` is called with what came, see `SoaProber.send`."""
        if (
            self.prober is None
            or len(zone.config.primaries) != 1
            or zone.held is not None
            or self.expired(zone)
        ):
            return None
        (peer,) = zone.config.primaries
        timeouts = self._tries(peer).timeouts
        try:
            return self.prober.send(self._target(peer), zone.origin, timeouts, came, lost)
        except TransferError:
            return None  # whoever asks by other means finds out why

    def settled(self, zone: Zone, peer: Peer, answer: SoaAnswer) -> bool:
        """Note the answer to a look, where it brings no news; whether it is so."""
        serial = zone.content_serial
        if serial is None or zone.removed or self.expired(zone) or newer(answer.serial, serial):
            return False
        self._answered(zone, peer, answer)
        zone.keep_alive(self.clock.monotonic(), answer.expire, False)
        self._succeeded(zone)
        return True

    def _tries(self, peer: Peer) -> SoaTries:
        return BRIEFLY if self._silent.get(peer.name, 0) >= DEAD else USUALLY

    def _target(self, peer: Peer) -> Target:
        known = self._targets.get(peer.name)
        if known is None or known[0] is not peer:
            known = self._targets[peer.name] = (peer, Target.of(peer))
        return known[1]

    async def _check(
        self, zone: Zone, peer: Peer, paced: bool, told: Told | None = None
    ) -> SoaAnswer:
        """paced: the check is scheduled and not the first of its attempt, whose token is taken."""
        if paced and self.pace is not None:
            await self.pace(peer)
        try:
            answer = await self._asked(zone, peer, told)
        except TransferError as error:
            if error.failure is Failure.TRANSPORT:
                self._silent[peer.name] += 1
            raise
        self._answered(zone, peer, answer)
        return answer

    async def _asked(self, zone: Zone, peer: Peer, told: Told | None) -> SoaAnswer:
        tries = self._tries(peer)
        said = told.said if told is not None and told.peer is peer else None
        if isinstance(said, SoaAnswer):
            return said
        if said is not None and (said.failure is not Failure.TRANSPORT or tries.tcp is None):
            raise said
        again = told is not None and told.peer is peer
        try:
            return await self.ask(
                self._target(peer),
                zone.origin,
                clock=self.clock,
                rng=self.rng,
                dial=self.dial,
                tries=tries,
                over_tcp=again,
            )
        except TransferError as error:
            if said is not None and error.failure is Failure.TRANSPORT:
                raise said from error
            raise

    def _answered(self, zone: Zone, peer: Peer, answer: SoaAnswer) -> None:
        self._silent.pop(peer.name, None)
        known = zone.primary(peer)
        now = primaries.answered(
            known, answer.serial, zone.content_serial, answer.seconds, self.clock.wall()
        )
        zone.primaries[peer.name] = now
        if now.behind and (known.serial != now.serial or not known.behind):
            log.warning(
                "primary behind",
                zone=zone.name,
                peer=str(peer),
                serial_from=zone.content_serial,
                serial_to=answer.serial,
            )

    async def _transfer(
        self, zone: Zone, peer: Peer, hint: Hint | None, start: int | None, any_serial: bool
    ) -> Outcome | _News:
        """Transfer and publish; what the primary has where that is nothing new."""
        serial_from = zone.content_serial
        urgent = hint is not None or zone.hint is not None
        result, published = await self.transfer(zone, peer, start, any_serial, urgent)
        self._silent.pop(peer.name, None)
        if result.kind == "soa":
            return _News(result.serial, result.expire)
        self._succeeded(zone)
        return self._done(zone, peer, result, serial_from, published)

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
            **({"zonemd": result.snapshot.zonemd} if result.snapshot.zonemd else {}),
        )
        return Outcome(
            ok=True,
            done=True,
            message=(
                f"serial {serial} from {peer.name} {zone.served_as()}"
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
        word, what = "current" if zone.held is None else "held", ""
        if zone.held is None and zone.made_here:
            word = "served, which was made here and is not what the primaries have"
        elif zone.held is None and not self._confirmed(zone):
            word, what = "served still", ", which is not above it and not followed"
        return Outcome(
            ok=True,
            done=True,
            message=f"serial {zone.content_serial} is {word}: {peer.name} has {news.serial}{what}",
            zone=zone.name,
            peer=peer.name,
            serial_from=zone.content_serial,
            serial_to=zone.content_serial,
        )

    def _confirmed(self, zone: Zone) -> bool:
        """Whether a primary is known to have what is served."""
        serials = (zone.primary(peer).serial for peer in zone.config.primaries)
        return zone.content_serial in serials

    def _succeeded(self, zone: Zone) -> None:
        zone.checked_at = self.clock.wall()
        zone.failures = 0
        zone.error = None

    def _failed(self, zone: Zone, peer: Peer, error: TransferError) -> None:
        kind = zone.transfer_kind or "soa"
        error.peer = error.peer or str(peer)
        zone.primaries[peer.name] = primaries.failed(zone.primary(peer), self.report(error))
        self.log_failure(zone, peer, error, kind)

    def _all_failed(self, zone: Zone, error: TransferError) -> Outcome:
        zone.failures += 1
        zone.error = self.report(error)
        return self._failure(zone, error)

    def _failure(self, zone: Zone, error: TransferError) -> Outcome:
        return Outcome(
            ok=False,
            done=True,
            message=str(error),
            zone=zone.name,
            serial_from=zone.content_serial,
            failure=self.report(error),
        )
