"""Transfer slots: so many at once in all, and so many with one peer.

Slots are taken only by who may transfer (REQUIREMENTS C10). Who finds none waits in turn for a
while: a secondary waits for a first message at least as long as its own idle limit, whereas an
error makes it wait its whole RETRY. Only after that it gets SERVFAIL.
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
    granted: trio.Event = attrs.Factory(trio.Event)


@attrs.define(eq=False)
class Slots:
    """total, each: the two limits; `running` counts slots taken, in all."""

    total: int
    each: int
    running: int = 0
    _held: Counter[str] = attrs.Factory(Counter)
    _queue: list[_Waiter] = attrs.Factory(list)
    _watchers: trio.lowlevel.ParkingLot = attrs.Factory(trio.lowlevel.ParkingLot)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._queue)

    def free(self, peer: str) -> bool:
        """Whether a slot for that peer is to be had now."""
        return self.running < self.total and self._held[peer] < self.each

    @asynccontextmanager
    async def slot(self, peer: str, patience: float) -> AsyncIterator[bool]:
        """A slot for the block, first come first served among those who may have one; yields
        False where none came within `patience` seconds."""
        waiter = _Waiter(peer)
        self._queue.append(waiter)
        self._grant()
        try:
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

    def _grant(self) -> None:
        for waiter in list(self._queue):
            if self.free(waiter.peer):
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
