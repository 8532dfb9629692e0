"""The hashes of an NSEC3 chain in their order, which is a ring (RFC 5155 §1.3).

An *entry* is a hash, followed by the type bitmap of the name.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

from xfer.answer.nsec3 import SIZE, Chain
from xfer.errors import ZoneError
from xfer.wire.names import to_text

_RING: Final = 1 << 8 * SIZE
_BUCKETS: Final = 4_096


class Ring:
    """Entries, put in order of their hashes in bounded steps.

    Use: `add` entries in any order; then `next` until it gives None.
    """

    def __init__(self, origin: bytes) -> None:
        self._origin = origin
        self._buckets: list[list[bytes]] = [[] for _ in range(_BUCKETS)]
        self._next = 0
        self.count = 0

    def add(self, entries: list[bytes]) -> None:
        """Take entries of names that no other entry is of."""
        buckets = self._buckets
        for entry in entries:
            buckets[entry[0] << 4 | entry[1] >> 4].append(entry)
        self.count += len(entries)

    def first(self) -> bytes:
        """The first hash of all."""
        for bucket in self._buckets:
            if bucket:
                return min(bucket)[:SIZE]
        return b""

    def next(self) -> list[bytes] | None:
        """The next entries in order, none where that is as far as a step goes; None at the end.

        Raises ZoneError where two names have one hash (RFC 5155 §7.1).
        """
        while self._next < _BUCKETS:
            bucket = self._buckets[self._next]
            self._buckets[self._next] = []
            self._next += 1
            if bucket:
                bucket.sort()
                for i in range(1, len(bucket)):
                    if bucket[i][:SIZE] == bucket[i - 1][:SIZE]:
                        raise collision(self._origin)
                return bucket
        return None


def collision(origin: bytes) -> ZoneError:
    """Two names of a zone have the same hash."""
    return ZoneError(
        f"expected names of {to_text(origin)} with different NSEC3 hashes, got two with the same: "
        "choose another salt"
    )


class Changed:
    """A ring of hashes after some came and went, the other ones as they are in a chain."""

    def __init__(self, chain: Chain, added: list[bytes], removed: set[bytes]) -> None:
        self._chain = chain
        self._added = added
        self._added.sort()
        self._removed = removed

    def before(self, digest: bytes) -> bytes:
        """The hash before `digest` in the ring, which need not be in it."""
        found = b""
        if self._chain.count > len(self._removed):
            found = self._chain.floor(_less(digest))
            while found in self._removed:
                found = self._chain.floor(_less(found))
        if self._added:
            at = bisect_left(self._added, digest) - 1
            other = self._added[at]  # at −1 stands the last
            if not found or _distance(other, digest) < _distance(found, digest):
                return other
        return found

    def after(self, digest: bytes) -> bytes:
        """The hash behind `digest` in the ring, which need not be in it."""
        found = b""
        if self._chain.count > len(self._removed):
            found = self._chain.above(digest)
            while found in self._removed:
                found = self._chain.above(found)
        if self._added:
            at = bisect_right(self._added, digest)
            other = self._added[at if at < len(self._added) else 0]
            if not found or _distance(digest, other) < _distance(digest, found):
                return other
        return found


def _less(digest: bytes) -> bytes:
    return ((int.from_bytes(digest, "big") - 1) % _RING).to_bytes(SIZE, "big")


def _distance(low: bytes, high: bytes) -> int:
    """The way up the ring from one hash to another; a whole turn to the same."""
    return (int.from_bytes(high, "big") - int.from_bytes(low, "big") - 1) % _RING
