"""Answers that are kept for as long as the version that they are from is served.

A lease ends all answers of a version at once, by one assignment, however many there are; what is
left of them goes as the cache turns over. An answer is let in when it is made for the second time
in a short while: a flood of names that nobody asks for twice fills nothing and drives nothing out.
What is in is in one of two generations; when the younger one has half of the memory, the older one
goes, and what was asked for since has been brought over to the younger one.
"""

from __future__ import annotations

from typing import Final

ENDED: Final = float("-inf")
OVERHEAD: Final = 250  # octets that an answer costs besides its own and its key's
_TYPICAL: Final = 400  # octets of an answer with all that it costs
_SPARSE: Final = 4  # bits in which first times are noted, for each answer that there is room for


class Lease:
    """until: monotonic time until which what hangs on it may be used, ENDED when there is another
    version."""

    def __init__(self, until: float) -> None:
        self.until = until

    def end(self) -> None:
        """There is another version, or none."""
        self.until = ENDED


class Tally:
    """How often answers of one kind were given, or answers of one zone."""

    def __init__(self) -> None:
        self.count = 0


class Kept:
    """An answer. kind, zone: where it is counted, two counters so that there are no more of them
    than kinds and zones; body: without its ID."""

    def __init__(self, lease: Lease, kind: Tally, zone: Tally, body: bytes) -> None:
        self.lease = lease
        self.kind = kind
        self.zone = zone
        self.body = body

    def given(self) -> None:
        """It was given once more."""
        self.kind.count += 1
        self.zone.count += 1


class Cache:
    """Answers by what was asked. budget: octets of memory, 0 to keep none."""

    def __init__(self, budget: int) -> None:
        self._half = 0
        self._slots = 8  # a power of two
        self._young: dict[bytes, Kept] = {}
        self._old: dict[bytes, Kept] = {}
        self._octets = 0  # of the younger generation
        self._seen = bytearray(1)
        self._set = 0
        self.resize(budget)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: bytes, now: float) -> Kept | None:
        """The answer, where it is there and its lease runs."""
        kept = self._young.get(key)
        if kept is None:
            kept = self._old.get(key)
            if kept is None:
                return None
            del self._old[key]
            if now < kept.lease.until:
                self._add(key, kept)
        return kept if now < kept.lease.until else None

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, from the second time on."""
        if self._half == 0:
            return
        if key in self._young:  # of an older version
            self._young[key] = kept
            return
        slot = hash(key) & (self._slots - 1)
        bit = 1 << (slot & 7)
        if self._seen[slot >> 3] & bit:
            self._add(key, kept)
            return
        self._seen[slot >> 3] |= bit
        self._set += 1
        if self._set >= self._slots >> 2:
            self._seen = bytearray(self._slots >> 3)
            self._set = 0

    def _add(self, key: bytes, kept: Kept) -> None:
        self._young[key] = kept
        self._octets += len(key) + len(kept.body) + OVERHEAD
        if self._octets > self._half:
            self._old = self._young
            self._young = {}
            self._octets = 0

    def resize(self, budget: int) -> None:
        """Another budget; all is forgotten."""
        self._half = budget >> 1
        slots = 1 << 12
        while slots < budget // _TYPICAL * _SPARSE:
            slots *= 2
        self._slots = slots
        self._seen = bytearray(slots >> 3)
        self._set = 0
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._young = {}
        self._old = {}
        self._octets = 0
