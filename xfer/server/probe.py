"""Asking secondaries for their SOA, to know who has what: NOERROR to NOTIFY is but a promise.

    told, or fetched ─→ waiting ─ quiet for a moment ─→ asking ─ has the serial, or newer ─→ done
                         ↑                               │
                         └── next step of the ladder ←───┴ an older serial, or no answer

Probes are for people: they wait their turn, at a bounded rate, and one that fails is not logged as
trouble. Many secondaries refuse queries: where one gave no answer, a new version does not start the
ladder anew, and after its end the secondary is left alone for as long as the last step.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import attrs
import structlog
import trio

from xfer.clock import Clock
from xfer.errors import Failure, TransferError
from xfer.peers import Peer
from xfer.server.alarms import Alarm, Alarms
from xfer.server.lanes import Lanes
from xfer.server.soa import SoaAnswer, SoaTries, soa_query
from xfer.server.target import Target
from xfer.server.zones import Zone
from xfer.wire.serial import newer

log = structlog.get_logger()

UNENDING = 10  # quiet times after which a secondary is asked although edits go on
BURST = 1.0  # seconds of the rate that may be used at once after a pause
TRIES = SoaTries(timeouts=(1.0, 2.0), tcp=5.0)


class Ask(Protocol):
    """`xfer.server.soa.soa_query`; tests put another in its place."""

    async def __call__(
        self,
        target: Target,
        origin: bytes,
        *,
        clock: Clock,
        rng: random.Random,
        tries: SoaTries | None = None,
    ) -> SoaAnswer: ...


@attrs.frozen
class ProbePolicy:
    """The limits of probes, out of [limits].

    ladder: seconds of quiet before the first probe, then between probes while the secondary lacks
    the serial; empty: no probes. total: at once, a quarter of them to one secondary; rate: started
    a second at most.
    """

    ladder: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 120.0, 600.0)
    total: int = 32
    rate: float = 100.0

    @property
    def each(self) -> int:
        return max(1, self.total // 4)


@attrs.define(eq=False)
class _Watch:
    """A secondary whose serial is awaited. due: monotonic, of the next probe; latest: when it is
    asked although new versions go on coming; step: of the ladder; again: a new version came while
    it was being asked."""

    zone: Zone
    peer: Peer
    due: float
    latest: float
    step: int = 0
    alarm: Alarm | None = None
    waiting: bool = False  # for its turn
    running: bool = False
    again: bool = False
    dropped: bool = False


class Prober:
    """Asks in the background; save: told when what is known of a secondary should be stored."""

    def __init__(
        self,
        nursery: trio.Nursery,
        clock: Clock,
        rng: random.Random,
        policy: ProbePolicy,
        alarms: Alarms,
        save: Callable[[Zone, Peer], None],
        ask: Ask = soa_query,
    ) -> None:
        self._nursery = nursery
        self._clock = clock
        self._rng = rng
        self._policy = policy
        self._alarms = alarms
        self._save = save
        self._ask = ask
        self._lanes: Lanes[_Watch] = Lanes(policy.total, policy.each, self._start)
        self._watches: dict[tuple[bytes, str], _Watch] = {}
        self._free_at = 0.0  # monotonic time from which the rate allows another probe

    @property
    def policy(self) -> ProbePolicy:
        """The limits in force."""
        return self._policy

    @policy.setter
    def policy(self, policy: ProbePolicy) -> None:
        self._policy = policy
        self._lanes.resize(policy.total, policy.each)

    @property
    def pending(self) -> int:
        """How many secondaries of all zones are watched."""
        return len(self._watches)

    def look(self, zone: Zone, peer: Peer, anew: bool = False) -> None:
        """The secondary has been told of a version, or has transferred it: see whether it has it,
        once it has been quiet for a moment. anew: it may answer now though it did not before."""
        ladder = self._policy.ladder
        status = zone.secondary_status(peer)
        silent = bool(status.probe_error) and not anew
        if not ladder or (silent and self._left_alone(zone, peer, status.probed_at)):
            return
        now = self._clock.monotonic()
        key = (zone.origin, peer.name)
        known = self._watches.get(key)
        if known is not None and (known.zone is not zone or known.peer != peer):
            self._end(known)
            known = None
        if known is None:
            known = self._watches[key] = _Watch(zone, peer, now, now + UNENDING * ladder[0])
        if known.running:
            known.again = True
        elif not known.waiting and not (known.step and silent):
            if known.step:
                known.step, known.latest = 0, now + UNENDING * ladder[0]
            self._plan(known, min(now + ladder[0], known.latest))

    def forget(self, zone: Zone) -> None:
        """Ask no more about a zone that was removed."""
        for known in [known for known in self._watches.values() if known.zone is zone]:
            self._end(known)

    def _left_alone(self, zone: Zone, peer: Peer, probed_at: float | None) -> bool:
        """Whether a ladder has ended without an answer not long ago."""
        if probed_at is None or (zone.origin, peer.name) in self._watches:
            return False
        return 0 <= self._clock.wall() - probed_at < self._policy.ladder[-1]

    def _plan(self, known: _Watch, due: float) -> None:
        known.due = due
        # Moved to a later time, the alarm is left to find that out itself: edits come fast.
        if known.alarm is None or known.alarm.due > due:
            self._alarms.drop(known.alarm)
            known.alarm = self._alarms.at(due, lambda: self._due(known))

    def _due(self, known: _Watch) -> None:
        known.alarm = None
        now = self._clock.monotonic()
        if known.due > now:
            self._plan(known, known.due)
            return
        known.waiting = True
        turn = max(self._free_at, now - BURST)
        self._free_at = turn + 1 / self._policy.rate
        if turn > now:
            known.alarm = self._alarms.at(turn, lambda: self._queue(known))
        else:
            self._queue(known)

    def _queue(self, known: _Watch) -> None:
        known.alarm = None
        self._lanes.add(known.peer.endpoint, known, late=known.step > 0)

    def _start(self, known: _Watch, late: bool) -> bool:
        if known.dropped:
            return False
        known.waiting = False
        known.running = True
        self._nursery.start_soon(self._run, known, late)
        return True

    async def _run(self, known: _Watch, late: bool) -> None:
        zone, peer = known.zone, known.peer
        serial: int | None = None
        failure: Failure | None = None
        problem = ""
        try:
            answer = await self._ask(
                Target.of(peer), zone.origin, clock=self._clock, rng=self._rng, tries=TRIES
            )
            serial = answer.serial
        except TransferError as error:
            failure, problem = error.failure, f"does not answer SOA queries ({error})"
        except Exception as error:
            # A mistake of ours with one secondary must not take the daemon down.
            failure, problem = Failure.POLICY, f"{type(error).__name__}: {error}"
            log.error("internal error", zone=zone.name, error=problem, exc_info=error)
        known.running = False
        self._lanes.done(peer.endpoint, late, failure is not Failure.TRANSPORT)
        if known.dropped:
            return
        self._record(zone, peer, serial, problem)
        self._next(known, serial)

    def _record(self, zone: Zone, peer: Peer, serial: int | None, problem: str) -> None:
        wall = self._clock.wall()
        status = attrs.evolve(zone.secondary_status(peer), probed_at=wall, probe_error=problem)
        if serial is not None:
            status = attrs.evolve(status, seen_serial=serial, seen_at=wall)
        zone.secondaries[peer.name] = status
        self._save(zone, peer)
        log.debug("probe", zone=zone.name, peer=str(peer), serial_to=serial, error=problem)

    def _next(self, known: _Watch, serial: int | None) -> None:
        """Done, or when to ask again."""
        now, ladder, ours = self._clock.monotonic(), self._policy.ladder, known.zone.serial
        if serial is not None and (ours is None or not newer(ours, serial)):
            self._end(known)
            return
        known.step = 0 if known.again and serial is not None else known.step + 1
        known.again = False
        known.latest = now + UNENDING * ladder[0] if ladder else now
        if known.step >= len(ladder):
            self._end(known)
        else:
            self._plan(known, now + ladder[known.step])

    def _end(self, known: _Watch) -> None:
        known.dropped = True
        self._alarms.drop(known.alarm)
        known.alarm = None
        key = (known.zone.origin, known.peer.name)
        if self._watches.get(key) is known:
            del self._watches[key]
