"""Putting the names of changed records in order, a few thousand at a time."""

from __future__ import annotations

from bisect import bisect_right

from xfer.wire.records import key_end
from xfer.zone.block import LARGEST
from xfer.zone.check import OWNER_LIMIT, owner_refused


class Order:
    """Identities (`xfer.zone.deltas.identity`) in order.

    names: in any order, a list to take over; origin: lower-case wire name of the apex.
    Each call gives the next ones, all of each owner name that is among them. More than a few
    thousand at once only where they are of one owner name.
    """

    def __init__(self, names: list[bytes], origin: bytes) -> None:
        self._origin = origin
        self._stack: list[list[bytes]] = [names] if names else []
        self._source: list[bytes] = []  # being dealt out …
        self._at = 0  # … as far as this …
        self._pivots: list[bytes] = []  # … between these owner keys …
        self._parts: list[list[bytes]] = []  # … to these
        self._one_owner = False  # whether all on top of the stack are

    def next(self) -> list[bytes] | None:
        """The next ones, sorted; an empty list after work that gave none; None at the end.

        Raises ZoneRejected for more of one owner name than a zone may hold and lose.
        """
        if self._source:
            self._deal()
            return []
        if not self._stack:
            return None
        names = self._stack.pop()
        if self._one_owner:
            self._one_owner = False
            # As many may go as come.
            if len(names) > 2 * OWNER_LIMIT:
                raise owner_refused(names[0][: key_end(names[0])], self._origin)
        elif len(names) > LARGEST:
            lowest = names[0]
            keys: set[bytes] = set()
            for i in range(0, len(names), len(names) // 256):
                if names[i] < lowest:
                    lowest = names[i]
                keys.add(names[i][: key_end(names[i])])
            if len(keys) > 1:
                keys.remove(lowest[: key_end(lowest)])
                pivots = list(keys)
                pivots.sort()
            else:
                # Most of them are of one owner: those below it, its own, those above it.
                key = lowest[: key_end(lowest)]
                pivots = [key, key[:-1] + b"\1"]
            self._pivots = pivots
            self._parts = [[] for _ in range(len(pivots) + 1)]
            self._source = names
            self._at = 0
            return []
        names.sort()
        return names

    def done(self) -> bool:
        """Whether `next` has nothing more to give."""
        return not self._source and not self._stack

    def _deal(self) -> None:
        total = len(self._source)
        stop = min(self._at + LARGEST, total)
        for i in range(self._at, stop):
            name = self._source[i]
            self._parts[bisect_right(self._pivots, name)].append(name)
        self._at = stop
        if stop < total:
            return
        self._source = []
        # Between an owner key and the next one above it there is one owner.
        if len(self._pivots) == 2 and len(self._parts[1]) == total:
            self._one_owner = True
        for i in range(len(self._parts) - 1, -1, -1):
            part = self._parts[i]
            if part:
                self._stack.append(part)
        self._parts = []
