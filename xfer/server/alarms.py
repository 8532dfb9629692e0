"""Things to do at a time: one heap and one task for all of them, and none while nothing waits."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import attrs
import trio

from xfer.clock import Clock

_FEW = 64  # dropped alarms that are not worth tidying up for


@attrs.define(eq=False)
class Alarm:
    """due: monotonic seconds; call: None once called or dropped."""

    due: float
    call: Callable[[], None] | None


@attrs.define(eq=False)
class Alarms:
    """Calls back in the event loop; what is called must not block or raise."""

    nursery: trio.Nursery
    clock: Clock
    _heap: list[tuple[float, int, Alarm]] = attrs.Factory(list)
    _number: int = 0
    _dropped: int = 0
    _running: bool = False
    _wake: trio.Event = attrs.Factory(trio.Event)

    def at(self, due: float, call: Callable[[], None]) -> Alarm:
        """Call back at monotonic time `due`, or soon where that is past."""
        alarm = Alarm(due, call)
        self._number += 1
        heapq.heappush(self._heap, (due, self._number, alarm))
        if not self._running:
            self._running = True
            self.nursery.start_soon(self._run)
        elif self._heap[0][2] is alarm:
            self._wake.set()
        return alarm

    def drop(self, alarm: Alarm | None) -> None:
        """Do not call back; one that was called already is left alone."""
        if alarm is None or alarm.call is None:
            return
        alarm.call = None
        self._dropped += 1
        if self._dropped > _FEW and 2 * self._dropped > len(self._heap):
            self._heap = [item for item in self._heap if item[2].call is not None]
            heapq.heapify(self._heap)
            self._dropped = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap) - self._dropped

    async def _run(self) -> None:
        try:
            while self._heap:
                self._wake = trio.Event()
                wait = self._heap[0][0] - self.clock.monotonic()
                if wait > 0:
                    with trio.move_on_after(wait):
                        await self._wake.wait()
                else:
                    self._call()
                    await trio.lowlevel.checkpoint()
        finally:
            self._running = False

    def _call(self) -> None:
        _, _, alarm = heapq.heappop(self._heap)
        call, alarm.call = alarm.call, None
        if call is None:
            self._dropped -= 1
        else:
            call()
