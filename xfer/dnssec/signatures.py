"""What a process has signed because somebody asked, and how much more it may sign.

What is remembered is so by what was signed, so a new version of the zone keeps all that is the same
in it. A signature is given again for half of the policy's refresh time: what is kept of an answer
beyond that lasts no longer than its version, which ends when the oldest of its own signatures is
due. So what is given has always half of the refresh time left, where versions come in time.

Whoever asks for names that do not exist makes us sign; so a process makes no more than so many
signatures a second, counted in those of algorithm 13 (`xfer.dnssec.online.COSTS`). A quarter of
them is for what exists, whose number the zone bounds: no flood of random names stops NODATA and
referrals. A second one is for that and for clients that come over TCP, where everybody is sent who
gets no signature over UDP: no flood from forged addresses stops those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import structlog

from xfer.answer.online import EXISTS
from xfer.errors import SigningBusy

log = structlog.get_logger()

LIMIT_KEY: Final = "limits.online_signatures"
SHARE: Final = 8  # of `limits.answer_memory`, one part in so many comes on top for signatures
SECONDS_BETWEEN_LINES: Final = 60.0  # of the log
RESERVED: Final = 0.25  # of the signatures: that are for what exists, and again for TCP
_OVERHEAD: Final = 250  # octets that a remembered signature costs besides its own and its key's
_SPARSE: Final = 8  # bits for first times, for each signature that there is room for
_TYPICAL: Final = 500  # octets of a signature with all that it costs


@attrs.frozen
class Made:
    """signatures: RRSIG records; from_, until: wall-clock times between which they are given."""

    signatures: tuple[bytes, ...]
    from_: float
    until: float


@attrs.define(eq=False)
class Signatures:
    """What a process has signed, and how much more it may sign.

    memory: octets for what is remembered, 0 for nothing; rate: signatures a second, 0 for any
    number; monotonic, wall: clocks. made, again, refused: how often a signature was made, was given
    again, was not made.
    """

    memory: int
    rate: float
    monotonic: Callable[[], float]
    wall: Callable[[], float]
    made: int = 0
    again: int = 0
    refused: int = 0
    _left: float = attrs.field(default=0.0, init=False)
    _filled: float = attrs.field(default=float("-inf"), init=False)
    _young: dict[bytes, Made] = attrs.field(factory=dict, init=False)
    _old: dict[bytes, Made] = attrs.field(factory=dict, init=False)
    _octets: int = attrs.field(default=0, init=False)  # of the young ones
    _older: int = attrs.field(default=0, init=False)
    _last: tuple[bytes, Made | None] = attrs.field(default=(b"", None), init=False)
    _seen: bytearray = attrs.field(factory=bytearray, init=False)  # bits, by hash
    _set: int = attrs.field(default=0, init=False)
    _told: float = attrs.field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self.rate
        self._forget_firsts()

    def drain(self) -> dict[str, int]:
        """What became of signatures that were asked for since the last time."""
        counts = {"made": self.made, "again": self.again, "refused": self.refused}
        self.made = self.again = self.refused = 0
        return {result: count for result, count in counts.items() if count}

    @property
    def size(self) -> int:
        """Octets that are in use, at most."""
        return self._octets + self._older

    def resize(self, memory: int, rate: float) -> None:
        """Other limits."""
        self.memory, self.rate = memory, rate
        self._left = min(self._left, rate)
        self._forget_firsts()
        if self.size > memory:
            self._young, self._old, self._octets, self._older = {}, {}, 0, 0

    def get(self, key: bytes) -> tuple[bytes, ...] | None:
        """What was signed before, as long as it may be given."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self._add(key, found)
            elif key == self._last[0]:
                found = self._last[1]
            if found is None:
                return None
        if not found.from_ <= self.wall() < found.until:
            return None
        self.again += 1
        return found.signatures

    def put(self, key: bytes, made: Made, reason: int) -> None:
        """Remember it; of names that the zone has not, only when it comes for the second time in a
        while, so that a flood of names that nobody asks for twice drives nothing out."""
        if self.memory == 0:
            return
        if reason != EXISTS and key not in self._young:
            slot = hash(key) % (len(self._seen) << 3)
            bit = 1 << (slot & 7)
            if not self._seen[slot >> 3] & bit:
                self._last = key, made  # an answer that does not fit is made twice
                self._seen[slot >> 3] |= bit
                self._set += 1
                if self._set >= len(self._seen) << 1:
                    self._forget_firsts()
                return
        self._add(key, made)

    def _forget_firsts(self) -> None:
        self._seen = bytearray(max(512, self.memory // _TYPICAL * _SPARSE >> 3))
        self._set = 0

    def _add(self, key: bytes, made: Made) -> None:
        if key not in self._young:
            self._octets += len(key) + sum(map(len, made.signatures)) + _OVERHEAD
        self._young[key] = made
        if self._octets > self.memory >> 1:
            self._old, self._older = self._young, self._octets
            self._young, self._octets = {}, 0

    def take(self, cost: float, reason: int) -> None:
        """Count signatures that are about to be made. Raises SigningBusy where they may not be."""
        if self.rate > 0:
            now = self.monotonic()
            self._left = min(self.rate, self._left + self.rate * max(0.0, now - self._filled))
            self._filled = now
            floor = self.rate * RESERVED * reason
            if self._left <= floor:
                self.refused += 1
                if now >= self._told + SECONDS_BETWEEN_LINES:
                    self._told = now
                    log.warning("signing limit reached", limit=LIMIT_KEY, a_second=self.rate)
                raise SigningBusy(LIMIT_KEY)
            self._left -= cost
        self.made += 1
