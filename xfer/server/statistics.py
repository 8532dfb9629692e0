"""What is counted of requests, and how long they took: for `xfer status` and Prometheus.

Counting costs one dictionary entry a request, and one more where a zone answers. One request in
SAMPLED is timed, from its octets to its answer's; what it waits in the socket is not in that.
Bounded whatever clients ask: types from 260 on are one, and only configured zones are counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import attrs

from xfer.wire.codes import rcode_text

SAMPLED = 16
#: Upper bounds of the histogram, seconds.
BOUNDS = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)

# In place of a type
UNREADABLE = 0
NAMED_TYPES = 260  # below are types
OTHER_TYPE = 260
NOTIFY = 261
OTHER_OPCODE = 262

NO_ANSWER = 31  # in place of an RCODE
_WORDS = {
    UNREADABLE: "unreadable",
    OTHER_TYPE: "other",
    NOTIFY: "notify",
    OTHER_OPCODE: "opcode",
}

Drained = tuple[dict[int, int], dict[bytes, int], list[int], float, dict[str, int], dict[str, int]]


@attrs.frozen
class Asked:
    """So many requests of one type, RCODE and transport ("udp", "tcp").

    type: "SOA", …, "other", "notify", "opcode" (not served), "unreadable"; rcode: "NOERROR", …,
    "none" where nothing was answered.
    """

    transport: str
    type: str
    rcode: str
    count: int


@attrs.frozen
class ServiceTime:
    """How long timed requests took. counts: for each bound (seconds) those above the bound before
    and up to this one, and last those above all; total: seconds of all together."""

    bounds: tuple[float, ...] = BOUNDS
    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0


@attrs.frozen
class QueryStatus:
    """What was asked since the start.

    limited: answers above the rate limit, by what came of them ("dropped", "truncated",
    "badcookie", "unchanged"); signed: signatures that answers needed when they were asked for, by
    whether they were "made", given "again" or "refused" (`limits.online_signatures`); zones:
    queries by zone, of those asked first; zones_more: queries of all others.
    """

    asked: tuple[Asked, ...] = ()
    service: ServiceTime = attrs.Factory(ServiceTime)
    limited: dict[str, int] = attrs.Factory(dict)
    signed: dict[str, int] = attrs.Factory(dict)
    zones: dict[str, int] = attrs.Factory(dict)
    zones_more: int = 0


class Statistics:
    """Counters since the start; those of other processes are added with `absorb`."""

    __slots__ = ("_asked", "_buckets", "_limited", "_seconds", "_signed", "_turn", "zones")

    def __init__(self) -> None:
        self._asked: dict[int, int] = {}
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0
        self._limited: dict[str, int] = {}
        self._signed: dict[str, int] = {}
        self._turn = 0
        self.zones: dict[bytes, int] = {}  # origin → queries, in order of the first

    def count(self, kind: int, rcode: int, tcp: bool) -> None:
        """One request. kind: its type, or one of the numbers above; rcode: extended, or
        NO_ANSWER."""
        key = kind << 6 | rcode << 1 | tcp
        asked = self._asked
        asked[key] = asked.get(key, 0) + 1

    def recount(self, kind: int, rcode: int, instead: int) -> None:
        """One request over UDP, counted elsewhere with `rcode`, got `instead`."""
        for code, number in ((rcode, -1), (instead, 1)):
            key = kind << 6 | code << 1
            self._asked[key] = self._asked.get(key, 0) + number

    def count_zone(self, origin: bytes) -> None:
        """One query that a zone answers."""
        zones = self.zones
        zones[origin] = zones.get(origin, 0) + 1

    def count_limited(self, action: str) -> None:
        """One answer above the rate limit. action: as `QueryStatus.limited` has it."""
        self._limited[action] = self._limited.get(action, 0) + 1

    def count_signed(self, counts: dict[str, int]) -> None:
        """Signatures that were asked for, by what became of them, as `QueryStatus` has them."""
        for result, count in counts.items():
            self._signed[result] = self._signed.get(result, 0) + count

    def timed(self) -> bool:
        """Whether the next request is to be timed."""
        self._turn = turn = self._turn + 1 & SAMPLED - 1
        return turn == 0

    def took(self, seconds: float) -> None:
        """A timed request."""
        self._buckets[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds

    def drain(self) -> Drained:
        """All of it as plain values that another process can `absorb`; then it starts again."""
        drained = (
            self._asked,
            self.zones,
            self._buckets,
            self._seconds,
            self._limited,
            self._signed,
        )
        self._asked, self.zones, self._limited, self._signed = {}, {}, {}, {}
        self._buckets, self._seconds = [0] * (len(BOUNDS) + 1), 0.0
        return drained

    def absorb(self, drained: Drained) -> None:
        """Add what another process has counted."""
        asked, zones, buckets, seconds, limited, signed = drained
        self.count_signed(signed)
        for key, count in asked.items():
            self._asked[key] = self._asked.get(key, 0) + count
        for origin, count in zones.items():
            self.zones[origin] = self.zones.get(origin, 0) + count
        for action, count in limited.items():
            self._limited[action] = self._limited.get(action, 0) + count
        self._buckets = [mine + other for mine, other in zip(self._buckets, buckets, strict=True)]
        self._seconds += seconds

    def report(self, name_of: Callable[[bytes], str | None], most_zones: int) -> QueryStatus:
        """All of it for people.

        name_of: a zone's name by its origin, None where it has left the config; most_zones: that
        are named each.
        """
        asked: dict[tuple[str, str, str], int] = {}
        for key, count in self._asked.items():
            if count <= 0:
                continue
            rcode = key >> 1 & 31
            labels = (
                "tcp" if key & 1 else "udp",
                type_text(key >> 6),
                "none" if rcode == NO_ANSWER else rcode_text(rcode),
            )
            asked[labels] = asked.get(labels, 0) + count
        zones: dict[str, int] = {}
        more = 0
        for origin, count in list(self.zones.items()):
            name = name_of(origin)
            if name is None:
                del self.zones[origin]
            elif len(zones) < most_zones:
                zones[name] = count
            else:
                more += count
        return QueryStatus(
            tuple(Asked(*labels, count) for labels, count in sorted(asked.items())),
            ServiceTime(BOUNDS, tuple(self._buckets), self._seconds),
            dict(self._limited),
            dict(self._signed),
            zones,
            more,
        )


def type_text(kind: int) -> str:
    """ "SOA"; "other" for types without a name."""
    word = _WORDS.get(kind)
    if word is not None:
        return word
    import dns.rdatatype  # not before somebody looks

    text = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind))
    return _WORDS[OTHER_TYPE] if text.startswith("TYPE") else text
