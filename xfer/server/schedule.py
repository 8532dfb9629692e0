"""When which zone is looked at next: one heap for all zones, and no task for an idle one.

An entry is (time, number, zone, whether it is the expiry). It holds while its time is the zone's
`due`, or `armed`; else it is stale, and dropped when it comes up, so moving a zone costs one push.
Where half of the heap is stale it is made anew.

A check that is due goes when it has a token and a place (`pace`). What follows up a NOTIFY, and an
expiry, happens at its time. An expiry that has moved on meanwhile is armed again, so that each zone
has one entry for it however often its checks succeed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import ceil

import attrs
import trio

from xfer.clock import Clock
from xfer.server.pace import Pace, Paces
from xfer.server.zones import Zone

TICK = 0.005  # seconds; what waits for a token is looked at that often
AT_ONCE = 32  # entries looked at between two looks at the event loop
EXPIRES = "expires"  # as an action
STALE = 1000  # stale entries that are never worth making the heap anew


@attrs.define(eq=False)
class Schedule:
    """start: called in the event loop with each zone that is due, and the primary whose place it
    has, or None; must not block; True where it gives the place back later (`ended`). expire: called
    with each zone at its expiry."""

    clock: Clock
    start: Callable[[Zone, str | None], bool]
    expire: Callable[[Zone], None]
    pace: Pace = attrs.Factory(lambda: Pace(Paces()))
    _heap: list[tuple[float, int, Zone, bool]] = attrs.Factory(list)
    _number: int = 0
    _stale: int = 0
    _wake: trio.Event = attrs.Factory(trio.Event)

    def at(self, zone: Zone, due: float, action: str) -> None:
        """Look at the zone at monotonic time `due`; replaces what was planned. action: in words."""
        self.cancel(zone)
        zone.next_action = action
        self._plan(zone, due)

    def cancel(self, zone: Zone) -> None:
        """Forget what was planned for the zone."""
        if zone.due is not None:
            self._stale += 1
        zone.due = None
        zone.paid = 0
        zone.next_action = ""

    def arm(self, zone: Zone) -> None:
        """The zone's expiry may have changed: have it looked at in time."""
        if zone.expires is None or zone.expired:
            return
        if zone.armed is None or zone.expires < zone.armed:
            self._stale += zone.armed is not None
            zone.armed = zone.expires
            self._push(zone, zone.expires, True)

    def forget(self, zone: Zone) -> None:
        """The zone has left, or is no secondary zone any more."""
        self.cancel(zone)
        self._stale += zone.armed is not None
        zone.armed = None

    def upcoming(self, count: int) -> list[tuple[float, Zone, str]]:
        """What is planned next: (time, zone, action), in order of time."""
        entries = [(due, -1, zone, False) for due, zone in self.pace.parked()]
        entries += heapq.nsmallest(count, (entry for entry in self._heap if _holds(entry)))
        entries.sort(key=lambda entry: entry[:2])
        return [
            (due, zone, EXPIRES if expiry else zone.next_action)
            for due, _, zone, expiry in entries[:count]
        ]

    def next_due(self) -> float | None:
        """When the first entry is due; None where nothing is planned."""
        heap = self._heap
        while heap and not _holds(heap[0]):
            heapq.heappop(heap)
            self._stale = max(0, self._stale - 1)
        return heap[0][0] if heap else None

    def run_due(self, most: int = AT_ONCE) -> bool:
        """Start what is due now, at most so many entries; whether more may be due."""
        now = self.clock.monotonic()
        for _ in range(most):
            due = self.next_due()
            if due is None or due > now:
                return False
            _, _, zone, expiry = heapq.heappop(self._heap)
            if expiry:
                self._expiry(zone, now)
            else:
                self._check(zone, now)
        return True

    def ended(self, peer: str) -> None:
        """What had a place of that primary has ended; the next may start."""
        self.pace.leave(peer)
        while (waiting := self.pace.unpark()) is not None:
            self._go(waiting[1], waiting[0])

    async def run(self) -> None:
        """Start zones when they are due, until cancelled."""
        while True:
            self._wake = trio.Event()
            if self.run_due():
                await trio.lowlevel.checkpoint()
                continue
            due = self.next_due()
            wait = float("inf") if due is None else max(0.0, due - self.clock.monotonic())
            with trio.move_on_after(wait):
                await self._wake.wait()

    def _expiry(self, zone: Zone, now: float) -> None:
        zone.armed = None
        if zone.expires is None:
            return
        if zone.expires > now:
            self.arm(zone)
        else:
            self.expire(zone)

    def _check(self, zone: Zone, now: float) -> None:
        if zone.rung >= 0:  # follows up a NOTIFY
            self.cancel(zone)
            self._stale -= 1
            self.start(zone, None)
            return
        primaries = zone.config.primaries
        peer = primaries[0].name if primaries else ""
        at = self.pace.token(zone, peer, now)
        if at > now:
            self._plan(zone, ceil(at / TICK) * TICK)
        elif self.pace.enter(peer):
            self._go(zone, peer)
        else:
            assert zone.due is not None
            self.pace.park(peer, zone, zone.due)

    def _go(self, zone: Zone, peer: str) -> None:
        self.cancel(zone)
        self._stale -= 1  # its entry has been taken out already
        if not self.start(zone, peer):
            self.pace.leave(peer)

    def _plan(self, zone: Zone, due: float) -> None:
        zone.due = due
        self._push(zone, due, False)

    def _push(self, zone: Zone, when: float, expiry: bool) -> None:
        if self._stale > max(STALE, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if _holds(entry)]
            heapq.heapify(self._heap)
            self._stale = 0
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, zone, expiry))
        if self._heap[0][1] == self._number:
            self._wake.set()


def _holds(entry: tuple[float, int, Zone, bool]) -> bool:
    when, _, zone, expiry = entry
    return (zone.armed if expiry else zone.due) == when
