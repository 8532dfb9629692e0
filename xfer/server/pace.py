"""How fast scheduled checks go: so many a second, and so many at once, in all and with one primary.

What a NOTIFY asks for never comes here, so it waits for none of this (REQUIREMENTS C7).
"""

from __future__ import annotations

from collections import Counter, deque

import attrs

from xfer.server.buckets import Buckets
from xfer.server.zones import Zone


@attrs.frozen
class Paces:
    """Checks per second, and checks at once: in all, and with one primary."""

    rate: float = 5000.0
    rate_each: float = 1000.0
    at_once: int = 256
    at_once_each: int = 128


@attrs.define(eq=False)
class Pace:
    """Tokens and places. A zone without a place is parked until one of its primary is free."""

    paces: Paces
    running: int = 0
    _buckets: Buckets = attrs.field(init=False)
    _held: Counter[str] = attrs.Factory(Counter)
    _parked: dict[str, deque[tuple[float, Zone]]] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        self._buckets = Buckets(self.paces.rate, self.paces.rate_each)

    def token(self, zone: Zone, peer: str, now: float) -> float:
        """When the zone's next token is good: of its primary first, then of all. At `now` once it
        has both."""
        at = now
        if zone.paid == 0:
            at = self._buckets.of(peer).take(now)
            zone.paid = 1
        if zone.paid == 1 and at <= now:
            at = self._buckets.all.take(now)
            zone.paid = 2
        return at

    def take(self, peer: str, now: float) -> float:
        """A token for a check beside the first of an attempt."""
        return self._buckets.take(peer, now)

    def enter(self, peer: str) -> bool:
        """Take a place; False where there is none."""
        paces = self.paces
        if self.running >= paces.at_once or self._held[peer] >= paces.at_once_each:
            return False
        self.running += 1
        self._held[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """Give a place back."""
        self.running -= 1
        self._held[peer] -= 1
        if not self._held[peer]:
            del self._held[peer]

    def park(self, peer: str, zone: Zone, due: float) -> None:
        """Keep a zone that found no place."""
        self._parked.setdefault(peer, deque()).append((due, zone))

    def unpark(self) -> tuple[str, Zone] | None:
        """A parked zone that has a place now, each primary in its turn; None for none."""
        for peer in list(self._parked):
            waiting = self._parked[peer]
            while waiting and waiting[0][1].due != waiting[0][0]:
                waiting.popleft()  # moved or cancelled meanwhile
            if not waiting:
                del self._parked[peer]
            elif self.enter(peer):
                del self._parked[peer]
                _, zone = waiting.popleft()
                if waiting:
                    self._parked[peer] = waiting  # behind the others
                return peer, zone
            elif self.running >= self.paces.at_once:
                break
        return None

    def parked(self) -> list[tuple[float, Zone]]:
        """All that wait for a place."""
        return [
            (due, zone)
            for waiting in self._parked.values()
            for due, zone in waiting
            if zone.due == due
        ]

    def resize(self, paces: Paces) -> None:
        """New paces; what runs goes on."""
        self.paces = paces
        self._buckets.resize(paces.rate, paces.rate_each)
