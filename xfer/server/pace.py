"""How fast scheduled checks go: so many a second, and so many at once, in all and with one primary.

What a NOTIFY asks for never comes here, so it waits for none of this (REQUIREMENTS C7).

How many run at once with one primary begins small and grows by one with each answer, up to its
limit; a query that gets none halves it, once a second at most (as TCP does, RFC 5681 §3.1). So a
fast primary is soon asked as fast as it answers, and a slow one no faster.
"""

from __future__ import annotations

from collections import Counter, deque

import attrs

from xfer.server.buckets import Buckets
from xfer.server.zones import Zone

WINDOW = 32  # checks at once with a primary that has answered none yet
LEAST = 4
HALVED = 1.0  # seconds in which answers that do not come count once


@attrs.frozen
class Paces:
    """Checks per second, and checks at once: in all, and with one primary."""

    rate: float = 20_000.0
    rate_each: float = 12_000.0
    at_once: int = 512
    at_once_each: int = 256


@attrs.define(eq=False)
class _Window:
    """How many checks of one primary may run at once, and when it was halved."""

    size: int = WINDOW
    halved: float = float("-inf")


@attrs.define(eq=False)
class Pace:
    """Tokens and places. A zone without a place is parked until one of its primary is free."""

    paces: Paces
    running: int = 0
    _buckets: Buckets = attrs.field(init=False)
    _held: Counter[str] = attrs.Factory(Counter)
    _windows: dict[str, _Window] = attrs.Factory(dict)
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
        held = self._held[peer]
        if self.running >= paces.at_once or held >= paces.at_once_each:
            return False
        window = self._windows.get(peer)
        if held >= (WINDOW if window is None else window.size):
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

    def answered(self, peer: str) -> None:
        """A check got its answer."""
        window = self._windows.get(peer)
        if window is None:
            window = self._windows[peer] = _Window()
        if window.size < self.paces.at_once_each:
            window.size += 1

    def lost(self, peer: str, now: float) -> None:
        """A query got no answer in time."""
        window = self._windows.setdefault(peer, _Window())
        if now - window.halved >= HALVED:
            window.size = max(LEAST, window.size // 2)
            window.halved = now

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
        self._windows = {}  # of primaries, too, that have left the config
        self._buckets.resize(paces.rate, paces.rate_each)
