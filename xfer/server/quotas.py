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
class Slots:
    """total, each: the two limits; `running` counts slots taken, in all."""

    total: int
    each: int
    running: int = 0
    waiting: int = 0
    _held: Counter[str] = attrs.Factory(Counter)
    _lot: trio.lowlevel.ParkingLot = attrs.Factory(trio.lowlevel.ParkingLot)

    def free(self, peer: str) -> bool:
        """Whether a slot for that peer is to be had now."""
        return self.running < self.total and self._held[peer] < self.each

    @asynccontextmanager
    async def slot(self, peer: str, patience: float) -> AsyncIterator[bool]:
        """A slot for the block; yields False where none came within `patience` seconds."""
        got = await self._take(peer, patience)
        try:
            yield got
        finally:
            if got:
                self.running -= 1
                self._held[peer] -= 1
                if not self._held[peer]:
                    del self._held[peer]
                self._lot.unpark_all()

    async def _take(self, peer: str, patience: float) -> bool:
        self.waiting += 1
        try:
            with trio.move_on_after(patience):
                while not self.free(peer):
                    await self._lot.park()
        finally:
            self.waiting -= 1
        if not self.free(peer):
            return False
        self.running += 1
        self._held[peer] += 1
        return True

    async def released(self) -> None:
        """Wait until some slot is given back."""
        await self._lot.park()

    def resize(self, total: int, each: int) -> None:
        """New limits; what runs goes on."""
        self.total = total
        self.each = each
        self._lot.unpark_all()
