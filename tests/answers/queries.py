"""Generated queries: names that exist, their neighbours, names below everything, all types.

The same seed and the same zones make the same queries.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence

from tests.answers.message import (
    AAAA,
    ANY,
    CNAME,
    DNAME,
    DNSKEY,
    DS,
    HTTPS,
    MX,
    NS,
    NSEC,
    NSEC3,
    NSEC3PARAM,
    RRSIG,
    SOA,
    SRV,
    SVCB,
    TXT,
    A,
    Query,
    is_below,
    join,
    labels,
    name_wire,
    parent,
)
from tests.answers.world import ZoneIndex

COMMON = (A, A, A, AAAA, MX, TXT, NS, SOA, DS, CNAME, SRV)
RARE = (ANY, RRSIG, NSEC, NSEC3, NSEC3PARAM, DNSKEY, DNAME, SVCB, HTTPS, 12, 35, 257, 65280, 65534)
_NAMES_A_DAY = (b"a", b"www", b"mail", b"zzz", b"\0", b"*", b"0", b"foo", b"\xff", b"x.y", b"ns1")
_OUTSIDE = tuple(name_wire(name) for name in ("outside.example.", "x.invalid.", "com.", "."))


class Generator:
    """Draws queries for one world."""

    def __init__(self, zones: Sequence[ZoneIndex], seed: int) -> None:
        self._draw = random.Random(seed)
        self._zones = list(zones)
        self._asked: deque[tuple[bytes, int]] = deque(maxlen=300)
        self._pools = [_Pool(zone, zones) for zone in zones]
        # Every zone gets its share, those with much in them more.
        self._weights = [2.0 if len(zone.records) > 200 else 0.5 for zone in zones]

    def queries(self, count: int) -> Iterator[Query]:
        for _ in range(count):
            yield self._one()

    def _one(self) -> Query:
        draw = self._draw
        if self._asked and draw.random() < 0.2:
            # Again, in other case and with other flags: the first answer may have been kept.
            name, qtype = draw.choice(self._asked)
        else:
            pool = draw.choices(self._pools, self._weights)[0]
            name, qtype = self._question(pool)
        self._asked.append((name, qtype))
        if len(name) > 255:
            name = self._zones[0].apex
        if draw.random() < 0.2:
            name = bytes(
                octet - 32 if 97 <= octet <= 122 and draw.random() < 0.5 else octet
                for octet in name
            )
        payload: int | None = draw.choice([512, 1232, 1232, 1232, 4096])
        do = draw.random() < 0.65
        if not do and draw.random() < 0.5:
            payload = None
        return Query(
            name,
            qtype,
            payload,
            do,
            rd=draw.random() < 0.2,
            cd=draw.random() < 0.05,
            cookie=payload is not None and draw.random() < 0.1,
            tcp=draw.random() < 0.08,
        )

    def _question(self, pool: _Pool) -> tuple[bytes, int]:
        draw = self._draw
        zone = pool.zone
        aim = draw.random()
        if aim < 0.02:
            return self._below(draw.choice(_OUTSIDE), 0.5), self._type()
        if aim < 0.06:
            # DS at a delegation, at an apex, and where there is neither.
            return draw.choice([*pool.cuts, zone.apex]), DS
        if aim < 0.16:
            name = draw.choice(pool.owners)
            types = sorted(zone.types[name])
            return name, draw.choice(types)
        if aim < 0.20:
            return draw.choice(pool.special), draw.choice([*sorted(pool.all_types), *COMMON])
        if aim < 0.28:
            return draw.choice(pool.owners), self._type()
        if aim < 0.36:
            return self._below(draw.choice(pool.cuts), 0.3), self._type()
        if aim < 0.46:
            return self._below(draw.choice(pool.wildcards), 1.0), self._type()
        if aim < 0.53:
            return draw.choice(pool.empty), self._type()
        if aim < 0.62:
            return self._below_dname(pool), self._type()
        if aim < 0.68:
            return draw.choice(pool.cnames), self._type()
        if aim < 0.71:
            name = draw.choice(pool.large)
            return name, draw.choice(sorted(zone.types[name]))
        if aim < 0.82:
            return self._neighbour(draw.choice(pool.owners), zone.apex), self._type()
        if aim < 0.92:
            return self._below(draw.choice(pool.owners), 1.0), self._type()
        return self._below(zone.apex, 1.0), self._type()

    def _type(self) -> int:
        draw = self._draw
        return draw.choice(COMMON if draw.random() < 0.85 else RARE)

    def _label(self) -> bytes:
        draw = self._draw
        if draw.random() < 0.5:
            return draw.choice(_NAMES_A_DAY)
        return bytes(draw.choices(b"abcdefghijklmnopqrstuvwxyz0123456789-_", k=draw.randint(1, 9)))

    def _below(self, name: bytes, chance: float) -> bytes:
        """The name with some labels in front, none with probability 1 - chance."""
        draw = self._draw
        if draw.random() > chance:
            return name
        for _ in range(draw.choice([1, 1, 1, 2, 3])):
            name = join([self._label()])[:-1] + name
        return name

    def _below_dname(self, pool: _Pool) -> bytes:
        """What the DNAME turns into something that exists, or nothing, or too long a name."""
        draw = self._draw
        name = draw.choice(pool.dnames)
        aim = draw.random()
        if aim < 0.5 and pool.below:
            return join(labels(draw.choice(pool.below)))[:-1] + name
        if aim < 0.7:
            name = pool.longest_dname
            front = b""
            while len(front) + len(name) < draw.randrange(90, 225):
                front += b"\x1e" + bytes([draw.choice(b"defg")]) * 30
            return front + name
        return self._below(name, 0.9)

    def _neighbour(self, name: bytes, apex: bytes) -> bytes:
        """A name right before or behind this one, or one that differs in an octet."""
        draw = self._draw
        if name == apex:
            return self._below(name, 1.0)
        first, *rest = labels(name)
        match draw.randrange(5):
            case 0:
                first = first[:62] + bytes([draw.choice(b"a0-\0z")])
            case 1:
                first = first[:-1] or b"-"
            case 2:
                first = first[:62] + b"\0"
            case 3:
                last = max(first[-1] - 1, 0)
                first = (first[:-1] + bytes([last]) + b"\xff" * 3)[:63]
            case _:
                at = draw.randrange(len(first))
                first = first[:at] + bytes([draw.choice(b"abcxyz09")]) + first[at + 1 :]
        return join([first, *rest])


class _Pool:
    """What there is to choose from in a zone; the apex where there is none of a sort."""

    def __init__(self, zone: ZoneIndex, zones: Sequence[ZoneIndex]) -> None:
        def or_apex(names: set[bytes] | list[bytes] | frozenset[bytes]) -> list[bytes]:
            return sorted(names) or [zone.apex]

        self.zone = zone
        hashed = {name for name, types in zone.types.items() if types <= {NSEC3, RRSIG}}
        self.all_types = {rtype for types in zone.types.values() for rtype in types}
        self.owners = sorted(zone.types.keys() - hashed)
        self.cuts = or_apex(zone.cuts)
        self.dnames = or_apex(zone.dnames)
        targets = [(len(r.rdata), r.owner) for r in zone.records if r.rtype == DNAME]
        self.longest_dname = max(targets, default=(0, zone.apex))[1]
        self.cnames = or_apex([name for name, types in zone.types.items() if CNAME in types])
        self.wildcards = or_apex({parent(name) for name in zone.types if name.startswith(b"\x01*")})
        self.empty = or_apex(zone.nodes - zone.types.keys())
        self.special = sorted(
            {zone.apex, first_of(hashed, zone.apex)} | {name for name in zone.types if b"*" in name}
        )
        counts: dict[tuple[bytes, int], int] = {}
        for record in zone.records:
            key = record.owner, record.rtype
            counts[key] = counts.get(key, 0) + len(record.rdata) + 16
        self.large = or_apex({owner for (owner, _), size in counts.items() if size > 400})
        target = name_wire("target.")[:-1] + zone.apex
        self.below = [
            name[: -len(target)] + b"\0"
            for name in self.owners
            if name != target and is_below(name, target)
        ]


def first_of(names: set[bytes], default: bytes) -> bytes:
    return min(names, default=default)
