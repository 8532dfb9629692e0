"""When which zone is looked at next: one heap for all zones, and no task for an idle one.

An entry is (due, number, zone); an entry whose time is not the zone's own `due` any more is stale
and dropped when it comes up, so moving a zone costs one push.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import attrs
import trio

from xfer.clock import Clock
from xfer.server.zones import Zone


@attrs.define(eq=False)
class Schedule:
    """start: called in the event loop with each zone that is due; must not block."""

    clock: Clock
    start: Callable[[Zone], None]
    _heap: list[tuple[float, int, Zone]] = attrs.Factory(list)
    _number: int = 0
    _wake: trio.Event = attrs.Factory(trio.Event)

    def at(self, zone: Zone, due: float, action: str) -> None:
        """Look at the zone at monotonic time `due`; replaces what was planned. action: in words."""
        zone.due = due
        zone.next_action = action
        self._number += 1
        heapq.heappush(self._heap, (due, self._number, zone))
        if self._heap[0][2] is zone:
            self._wake.set()

    def cancel(self, zone: Zone) -> None:
        """Forget what was planned for the zone."""
        zone.due = None
        zone.next_action = ""

    def upcoming(self, count: int) -> list[tuple[float, Zone]]:
        """The next zones in order of time."""
        valid = ((due, n, zone) for due, n, zone in self._heap if zone.due == due)
        return [(due, zone) for due, _, zone in heapq.nsmallest(count, valid)]

    def next_due(self) -> float | None:
        """When the first zone is due; None where nothing is planned."""
        heap = self._heap
        while heap and heap[0][2].due != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run_due(self) -> None:
        """Start what is due now."""
        now = self.clock.monotonic()
        while (due := self.next_due()) is not None and due <= now:
            _, _, zone = heapq.heappop(self._heap)
            self.cancel(zone)
            self.start(zone)

    async def run(self) -> None:
        """Start zones when they are due, until cancelled."""
        while True:
            self._wake = trio.Event()
            self.run_due()
            due = self.next_due()
            wait = float("inf") if due is None else max(0.0, due - self.clock.monotonic())
            with trio.move_on_after(wait):
                await self._wake.wait()
