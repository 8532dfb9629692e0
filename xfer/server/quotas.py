"""Transfer slots: so many at once in all, and so many with one peer.

Slots are taken only by who may transfer (REQUIREMENTS C10). Who finds none waits in turn for a
while: a secondary waits for a first message at least as long as its own idle limit, whereas an
error makes it wait its whole RETRY. Only after that it gets SERVFAIL.

Of incoming transfers some slots are for what a NOTIFY asks for alone (`spare`), so that it never
waits until scheduled transfers have ended (REQUIREMENTS C7); and it goes before those that wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio


@attrs.define(eq=False)
class _Waiter:
    peer: str
    urgent: bool
    owner: object
    granted: trio.Event = attrs.Factory(trio.Event)


@attrs.define(eq=False)
class Slots:
    """total, each: the two limits; spare: whether a fifth of the slots, at least one of two or
    more, is for urgent ones alone; `running` counts slots taken, in all."""

    total: int
    each: int
    running: int = 0
    spare: bool = False
    _held: Counter[str] = attrs.Factory(Counter)
    _queue: list[_Waiter] = attrs.Factory(list)
    _watchers: trio.lowlevel.ParkingLot = attrs.Factory(trio.lowlevel.ParkingLot)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._queue)

    def free(self, peer: str, urgent: bool = False) -> bool:
        """Whether a slot for that peer is to be had now."""
        total, each = self.total, self.each
        if self.spare and not urgent:
            total, each = total - _spare(total), each - _spare(each)
        return self.running < total and self._held[peer] < each

    @asynccontextmanager
    async def slot(
        self, peer: str, patience: float, urgent: bool = False, owner: object = None
    ) -> AsyncIterator[bool]:
        """A slot for the block, first come first served among those who may have one, urgent ones
        first; yields False where none came within `patience` seconds. owner: names it to `hurry`.
        """
        waiter = _Waiter(peer, urgent, owner)
        self._enqueue(waiter)
        self._grant()
        try:
            if not waiter.granted.is_set():  # else on without a turn of the event loop
                with trio.move_on_after(patience):
                    await waiter.granted.wait()
            yield waiter.granted.is_set()
        finally:
            if waiter.granted.is_set():
                self.running -= 1
                self._held[peer] -= 1
                if not self._held[peer]:
                    del self._held[peer]
                self._grant()
                self._watchers.unpark_all()
            else:
                self._queue.remove(waiter)

    def hurry(self, owner: object) -> None:
        """What that owner waits for has become urgent."""
        for waiter in self._queue:
            if waiter.owner is owner and not waiter.urgent:
                waiter.urgent = True
                self._queue.remove(waiter)
                self._enqueue(waiter)
                self._grant()
                return

    def _enqueue(self, waiter: _Waiter) -> None:
        at = len(self._queue)
        if waiter.urgent:
            at = sum(1 for other in self._queue if other.urgent)  # they come first
        self._queue.insert(at, waiter)

    def _grant(self) -> None:
        common = self.total - _spare(self.total) if self.spare else self.total
        for waiter in list(self._queue):
            # Behind the urgent ones there may be hundreds, which are not gone through in vain.
            if self.running >= (self.total if waiter.urgent else common):
                return
            if self.free(waiter.peer, waiter.urgent):
                self.running += 1
                self._held[waiter.peer] += 1
                self._queue.remove(waiter)
                waiter.granted.set()

    async def released(self) -> None:
        """Wait until some slot is given back."""
        await self._watchers.park()

    def resize(self, total: int, each: int) -> None:
        """New limits; what runs goes on."""
        self.total = total
        self.each = each
        self._grant()


def _spare(slots: int) -> int:
    return max(1, slots // 5) if slots > 1 else 0
