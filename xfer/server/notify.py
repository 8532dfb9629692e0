"""NOTIFY to the secondaries of a zone (RFC 1996 §3): who is told when, and what came of it.

    new version ─→ sending ─ NOERROR, newest serial ─→ delivered
                   ↑  ↑ └ NOERROR, older serial: the next one at once
                   │  └── wait for the next step of the ladder ←─ no answer, or another rcode
                   └───── new version: at once, from the first step on ─── given up, after a limit

At most one NOTIFY for a zone and secondary is on its way; under fast edits the next one, with the
newest serial, follows the answer to the last. Delivered means NOERROR and nothing else, but who
transfers the newest version need not be told of it any more. What was delivered is saved, so that
the rest is sent again after a restart, and a secondary that is new in the config is told at once.
Nothing is kept here, and no task runs, for a secondary that has been told.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.peers import Peer
from xfer.server.alarms import Alarm, Alarms
from xfer.server.lanes import Lanes
from xfer.server.notify_exchange import Exchange, NotifyTries
from xfer.server.target import Target
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

log = structlog.get_logger()

JITTER = 0.1  # share of a wait by which a retry may come early or late, so that zones spread


@attrs.frozen
class NotifyPolicy:
    """The limits of NOTIFYs, out of [limits].

    tries: of one round; ladder: seconds between rounds, the last one again and again; give_up:
    seconds after which no round follows; total, each: rounds at once, in all and to one secondary.
    """

    tries: NotifyTries = attrs.Factory(NotifyTries)
    ladder: tuple[float, ...] = (10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
    give_up: float = 86400.0
    total: int = 256
    each: int = 64


@attrs.define(eq=False)
class _Telling:
    """A secondary that is still to be told. rounds: that failed; since: monotonic, the ladder's
    start; queued: waits for a place; ended: set at the end of a round."""

    zone: Zone
    peer: Peer
    lane: str
    since: float
    rounds: int = 0
    alarm: Alarm | None = None
    queued: bool = False
    running: bool = False
    dropped: bool = False
    ended: trio.Event | None = None


class Notifier:
    """Sends NOTIFYs in the background.

    save: told when what is known of a secondary should be stored; delivered: told when one has
    answered NOERROR.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        clock: Clock,
        rng: random.Random,
        policy: NotifyPolicy,
        alarms: Alarms,
        save: Callable[[Zone, Peer], None],
        delivered: Callable[[Zone, Peer], None],
    ) -> None:
        self._nursery = nursery
        self._clock = clock
        self._rng = rng
        self._policy = policy
        self._alarms = alarms
        self._save = save
        self._delivered = delivered
        self._lanes: Lanes[_Telling] = Lanes(policy.total, policy.each, self._start)
        self._tellings: dict[tuple[bytes, str], _Telling] = {}

    @property
    def policy(self) -> NotifyPolicy:
        """The limits in force; what runs goes on with those it began with."""
        return self._policy

    @policy.setter
    def policy(self, policy: NotifyPolicy) -> None:
        self._policy = policy
        self._lanes.resize(policy.total, policy.each)

    @property
    def pending(self) -> int:
        """How many secondaries of all zones are still to be told."""
        return len(self._tellings)

    def notify(self, zone: Zone) -> None:
        """Tell every secondary of the served version: now, where there is room."""
        for peer in zone.config.secondaries:
            self._tell(zone, peer)

    def resume(self, zone: Zone) -> None:
        """Tell the secondaries that are not known to have heard of the served version: after a
        start, a reload, or a change of the zone's peers. Forgets those that are none any more."""
        wanted = {peer.name: peer for peer in zone.config.secondaries}
        for name in [name for name in zone.secondaries if name not in wanted]:
            del zone.secondaries[name]
        self._drop(lambda known: known.zone is zone and known.peer.name not in wanted)
        for peer in wanted.values():
            status = zone.secondary_status(peer)
            known = self._tellings.get((zone.origin, peer.name))
            if known is not None and known.zone is zone and known.peer == peer:
                continue
            told = (status.delivered_serial, status.fetched_serial, status.seen_serial)
            if known is not None or zone.serial not in told:
                rounds = status.tries if status.given_up_at is None else 0
                self._tell(zone, peer, late=True, rounds=rounds)

    def forget(self, zone: Zone) -> None:
        """Stop telling of a zone that was removed."""
        self._drop(lambda known: known.zone is zone)

    def fetched(self, zone: Zone, peer: Peer) -> None:
        """The secondary has transferred the served version: no need to tell it any more."""
        known = self._tellings.get((zone.origin, peer.name))
        if known is not None and not known.running and known.zone is zone:
            self._end(known)
            zone.secondaries[peer.name] = attrs.evolve(
                zone.secondary_status(peer), pending=None, tries=0, next_at=None
            )

    async def notify_one(self, zone: Zone, peer: Peer) -> str:
        """Tell one secondary now; returns what came of it as a word or sentence, "NOERROR" for
        delivered. Where it does not answer, further tries go on in the background."""
        if zone.snapshot is None:
            return "no version"
        known = self._tellings.get((zone.origin, peer.name))
        if known is None or not known.running:
            known = self._tell(zone, peer)
        if known.ended is None:
            known.ended = trio.Event()
        await known.ended.wait()
        return zone.secondary_status(peer).notify_result

    # -- the ladder

    def _tell(self, zone: Zone, peer: Peer, late: bool = False, rounds: int = 0) -> _Telling:
        key = (zone.origin, peer.name)
        now = self._clock.monotonic()
        known = self._tellings.get(key)
        if known is not None and (known.zone is not zone or known.peer != peer):
            self._end(known)
            known = None
        if known is None:
            known = self._tellings[key] = _Telling(zone, peer, peer.endpoint, now)
        known.since, known.rounds = now, rounds
        self._alarms.drop(known.alarm)
        known.alarm = None
        if not known.running and zone.snapshot is not None:
            known.queued = True  # an entry that waits in the lane already finds nothing to do
            self._lanes.add(known.lane, known, late)
        if known.alarm is None and not known.dropped:  # else it has failed already
            zone.secondaries[peer.name] = attrs.evolve(
                zone.secondary_status(peer),
                pending=zone.serial,
                tries=rounds,
                next_at=None,
                given_up_at=None,
            )
        return known

    def _again(self, known: _Telling) -> None:
        known.alarm = None
        known.queued = True
        self._lanes.add(known.lane, known, late=True)

    def _start(self, known: _Telling, late: bool) -> bool:
        if known.dropped or known.running or not known.queued:
            return False
        known.queued = False
        if known.zone.serving(self._clock.monotonic()) is None:
            self._failed(known, "not sent: the zone has expired here")
            return False
        known.running = True
        # Sent before any other work gets its turn: a secondary waits for this.
        self._nursery.start_soon(self._run, known, self._begun(known), late)
        return True

    def _begun(self, known: _Telling) -> Exchange:
        zone = known.zone

        def current() -> Snapshot:
            assert zone.snapshot is not None
            return zone.snapshot

        exchange = Exchange(
            Target.of(known.peer),
            current,
            clock=self._clock,
            rng=self._rng,
            tries=self._policy.tries,
        )
        exchange.begin()
        return exchange

    async def _run(self, known: _Telling, exchange: Exchange, late: bool) -> None:
        """One round, and the next at once where a newer version has come meanwhile."""
        alive = False
        try:
            while True:
                with_answer, serial, result = await _round(exchange)
                alive = alive or with_answer
                newest = known.zone.serial
                if known.dropped or newest is None or newest == serial:
                    break
                self._tried(known, serial, result)
                exchange = self._begun(known)
        finally:
            exchange.close()
        known.running = False
        self._lanes.done(known.lane, late, alive)
        if known.dropped:
            return
        self._tried(known, serial, result)
        if result == "NOERROR":
            self._end(known)
        else:
            self._failed(known, result)

    def _tried(self, known: _Telling, serial: int, result: str) -> None:
        """Record what came of one NOTIFY."""
        zone, peer = known.zone, known.peer
        wall = self._clock.wall()
        status = attrs.evolve(
            zone.secondary_status(peer),
            notified_serial=serial,
            notified_at=wall,
            notify_result=result,
        )
        delivered = result == "NOERROR"
        if delivered:
            newest = zone.serial
            status = attrs.evolve(
                status,
                delivered_serial=serial,
                pending=None if serial == newest else newest,
                tries=0,
            )
        zone.secondaries[peer.name] = status
        self._save(zone, peer)
        # Of many tries that fail in the same way, the first and the last are worth a warning.
        event = log.info if delivered else log.warning if known.rounds == 0 else log.debug
        event(
            "notify",
            zone=zone.name,
            peer=str(peer),
            direction="out",
            kind="notify",
            serial_to=serial,
            result=result,
        )
        if delivered:
            self._delivered(zone, peer)

    def _failed(self, known: _Telling, result: str) -> None:
        """Plan the next round, or give up."""
        policy, zone, peer = self._policy, known.zone, known.peer
        now, wall = self._clock.monotonic(), self._clock.wall()
        wait = policy.ladder[min(known.rounds, len(policy.ladder) - 1)]
        wait *= 1 + JITTER * (2 * self._rng.random() - 1)
        known.rounds += 1
        status = attrs.evolve(
            zone.secondary_status(peer),
            pending=zone.serial,
            tries=known.rounds,
            notify_result=result,
        )
        if now + wait - known.since > policy.give_up:
            self._end(known)
            zone.secondaries[peer.name] = attrs.evolve(status, next_at=None, given_up_at=wall)
            log.warning(
                "notify given up",
                zone=zone.name,
                peer=str(peer),
                serial_to=zone.serial,
                tries=known.rounds,
                result=result,
            )
        else:
            zone.secondaries[peer.name] = attrs.evolve(status, next_at=wall + wait)
            known.alarm = self._alarms.at(now + wait, lambda: self._again(known))
        self._save(zone, peer)
        _wake(known)

    def _end(self, known: _Telling) -> None:
        known.dropped = True
        _wake(known)
        self._alarms.drop(known.alarm)
        known.alarm = None
        key = (known.zone.origin, known.peer.name)
        if self._tellings.get(key) is known:
            del self._tellings[key]

    def _drop(self, which: Callable[[_Telling], bool]) -> None:
        for known in [known for known in self._tellings.values() if which(known)]:
            self._end(known)


def _wake(known: _Telling) -> None:
    if known.ended is not None:
        known.ended.set()
        known.ended = None


async def _round(exchange: Exchange) -> tuple[bool, int, str]:
    """Whether anything was answered, the serial told, and what came of it in words."""
    try:
        answer = await exchange.run()
        return True, answer.serial, answer.rcode
    except TransferError as error:
        return error.failure is not Failure.TRANSPORT, exchange.serial, str(error)
    except Exception as error:
        # A mistake of ours with one secondary must not take the daemon down.
        sentence = f"expected no error inside xfer, got {type(error).__name__}: {error}"
        log.error("internal error", error=sentence, exc_info=error)
        return False, exchange.serial, sentence
