"""Who may start next: a bounded number at once, a bounded share to one address, in turn.

Each address is a lane. What is fresh starts before what is late (a retry, or for an address that
did not answer last time), and late work leaves half of the places free: thousands of NOTIFYs to a
dead secondary hold up none to a live one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.define(eq=False)
class _Lane(Generic[T]):
    fresh: deque[T] = attrs.Factory(deque)
    late: deque[T] = attrs.Factory(deque)
    running: int = 0
    silent: bool = False


@attrs.define(eq=False)
class Lanes(Generic[T]):
    """total, each: how many may run at once, in all and of one lane.

    start: starts one, given whether it is late; False where there is nothing to do after all.
    Who has started calls `done` when it has ended.
    """

    total: int
    each: int
    start: Callable[[T, bool], bool]
    running: int = 0
    _late_running: int = 0
    _lanes: dict[str, _Lane[T]] = attrs.Factory(dict)
    # Lanes with work, in turn; those at their limit are left out until one of theirs ends.
    _fresh: dict[str, None] = attrs.Factory(dict)
    _late: dict[str, None] = attrs.Factory(dict)

    def add(self, lane: str, item: T, late: bool = False) -> None:
        """Start it now, or when there is room."""
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = _Lane()
        if late or found.silent:
            found.late.append(item)
            self._late[lane] = None
        else:
            found.fresh.append(item)
            self._fresh[lane] = None
        self._grant()

    def done(self, lane: str, late: bool, answered: bool) -> None:
        """One that `start` has started has ended; answered: whether the address is alive."""
        self._release(lane, late, not answered)
        self._grant()

    def resize(self, total: int, each: int) -> None:
        """New limits; what runs goes on."""
        self.total, self.each = total, each
        self._fresh |= {name: None for name, lane in self._lanes.items() if lane.fresh}
        self._late |= {name: None for name, lane in self._lanes.items() if lane.late}
        self._grant()

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return sum(len(lane.fresh) + len(lane.late) for lane in self._lanes.values())

    def _grant(self) -> None:
        while self._fresh and self.running < self.total:
            self._next(self._fresh, late=False)
        while (
            self._late
            and self.running < self.total
            and self._late_running < max(1, self.total // 2)
        ):
            self._next(self._late, late=True)

    def _next(self, ring: dict[str, None], late: bool) -> None:
        name = next(iter(ring))
        del ring[name]
        lane = self._lanes[name]
        if lane.running >= self.each:
            return
        queue = lane.late if late else lane.fresh
        item = queue.popleft()
        if queue:
            ring[name] = None
        self.running += 1
        self._late_running += late
        lane.running += 1
        if not self.start(item, late):
            self._release(name, late, lane.silent)

    def _release(self, name: str, late: bool, silent: bool) -> None:
        lane = self._lanes[name]
        lane.running -= 1
        lane.silent = silent
        self.running -= 1
        self._late_running -= late
        if lane.fresh:
            self._fresh[name] = None
        if lane.late:
            self._late[name] = None
        if not (lane.running or lane.fresh or lane.late or lane.silent):
            del self._lanes[name]
