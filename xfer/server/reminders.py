"""When a zone that is signed here is looked at again: at times of the wall clock.

Signatures end and keys roll at wall times, for which a clock may be set; so no wait is longer than
LONGEST, and after each the wall clock is asked again. Where it was set back, every zone is looked
at: what was planned by the wrong time may be long after the right one.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import attrs
import trio

from xfer.clock import Clock
from xfer.server.zones import Zone

LONGEST = 300.0  # seconds
SET_BACK = 60.0  # seconds by which a wall clock was set back, and not only slowed down


@attrs.define(eq=False)
class Reminders:
    """look: called in the event loop with each zone whose time has come; must not block."""

    clock: Clock
    look: Callable[[Zone], None]
    _due: dict[Zone, float] = attrs.Factory(dict)
    _heap: list[tuple[float, int, Zone]] = attrs.Factory(list)
    _number: int = 0
    _wake: trio.Event = attrs.Factory(trio.Event)
    _ahead: float = -math.inf  # by how much the wall clock was ahead of the monotonic one

    def at(self, zone: Zone, when: float) -> None:
        """Look at the zone at `when` (Unix seconds); replaces what was planned for it."""
        if self._due.get(zone) == when:
            return
        self._due[zone] = when
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, zone))
        if self._heap[0][1] == self._number:
            self._wake.set()

    def forget(self, zone: Zone) -> None:
        """Nothing is planned for the zone any more."""
        self._due.pop(zone, None)

    def due(self, zone: Zone) -> float | None:
        """When the zone is looked at next."""
        return self._due.get(zone)

    def zones(self) -> list[Zone]:
        """The zones for which something is planned."""
        return list(self._due)

    def run_due(self) -> float:
        """Look at every zone whose time has come; seconds until the next one, at most LONGEST."""
        now = self.clock.wall()
        ahead = now - self.clock.monotonic()
        if ahead < self._ahead - SET_BACK:
            zones, self._due, self._heap = list(self._due), {}, []
            for zone in zones:
                self.look(zone)
        self._ahead = ahead
        heap = self._heap
        while heap:
            when, _, zone = heap[0]
            if self._due.get(zone) != when:  # moved, or forgotten
                heapq.heappop(heap)
            elif when > now:
                break
            else:
                heapq.heappop(heap)
                del self._due[zone]
                self.look(zone)
        next_in = heap[0][0] - now if heap else math.inf
        return min(max(0.0, next_in), LONGEST)

    async def run(self) -> None:
        """Look at zones when their time has come, until cancelled."""
        while True:
            self._wake = trio.Event()
            with trio.move_on_after(self.run_due()):
                await self._wake.wait()
