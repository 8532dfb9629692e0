"""Token buckets, as a time-table: a token is handed out together with the time it is good from.

So nobody waits in a queue of its own: who has a token comes back at that time. (The generic cell
rate algorithm: one number per bucket.)
"""

from __future__ import annotations

BURST = 0.1  # seconds' worth of tokens that may go at once after a pause


class Bucket:
    """rate: tokens per second; may be changed at any time."""

    __slots__ = ("_next", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._next = float("-inf")

    def take(self, now: float) -> float:
        """The time from which the next token is good: `now`, or later."""
        rate = self.rate
        behind = max(BURST, 1 / rate)  # at least one token is there after a pause
        at = max(self._next, now - behind + 1 / rate)
        self._next = at + 1 / rate
        return max(at, now)


class Buckets:
    """One bucket for all, and one for each name; rate, each: tokens per second."""

    def __init__(self, rate: float, each: float) -> None:
        self.all = Bucket(rate)
        self._each = each
        self._named: dict[str, Bucket] = {}

    def of(self, name: str) -> Bucket:
        """The bucket of that name."""
        bucket = self._named.get(name)
        if bucket is None:
            bucket = self._named[name] = Bucket(self._each)
        return bucket

    def take(self, name: str, now: float) -> float:
        """A token of both: the time from which they are good."""
        return max(self.of(name).take(now), self.all.take(now))

    def resize(self, rate: float, each: float) -> None:
        """New rates; what was handed out stays good."""
        self.all.rate = rate
        self._each = each
        for bucket in self._named.values():
            bucket.rate = each

    def keep(self, names: set[str]) -> None:
        """Forget all buckets but those of `names`."""
        self._named = {name: bucket for name, bucket in self._named.items() if name in names}
