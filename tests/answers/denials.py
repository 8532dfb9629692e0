"""Proofs of absence as a validator reads them: RFC 4035 §5.4, RFC 5155 §8, RFC 6840 §4.

All names are in wire form and lower case.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import lru_cache

import attrs

from tests.answers.message import (
    CNAME,
    DNAME,
    DS,
    NS,
    NSEC,
    NSEC3,
    SOA,
    Record,
    ancestors,
    is_below,
    join,
    labels,
    show,
    type_name,
)

_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_HEX = b"0123456789ABCDEFGHIJKLMNOPQRSTUV"


class Invalid(Exception):
    """What a validator would not believe, and why."""


@attrs.frozen
class Nsec:
    """owner, next: names; types: of the bitmap."""

    owner: bytes
    next: bytes
    types: frozenset[int]

    def covers(self, name: bytes) -> bool:
        """Whether it denies the name (RFC 4035 §5.4, RFC 6840 §4.1)."""
        low, high, key = order(self.owner), order(self.next), order(name)
        if is_below(name, self.owner) and (DNAME in self.types or is_cut(self.types)):
            return False
        if low < high:
            return low < key < high
        return low < key  # the last one, whose next is the apex


@attrs.frozen
class Nsec3:
    """owner, next: hashes; optout: the flag; types: of the bitmap."""

    owner: bytes
    next: bytes
    optout: bool
    types: frozenset[int]

    def covers(self, digest: bytes) -> bool:
        if self.owner < self.next:
            return self.owner < digest < self.next
        return digest > self.owner or digest < self.next


@attrs.frozen
class Chain:
    """The NSEC3 records of an answer that share a salt and a number of iterations."""

    salt: bytes
    iterations: int
    records: tuple[Nsec3, ...]

    def match(self, name: bytes) -> Nsec3 | None:
        digest = nsec3_hash(name, self.salt, self.iterations)
        return next((record for record in self.records if record.owner == digest), None)

    def cover(self, name: bytes) -> Nsec3 | None:
        digest = nsec3_hash(name, self.salt, self.iterations)
        return next((record for record in self.records if record.covers(digest)), None)


class Proof:
    """What the NSEC and NSEC3 records of an authority section prove about names of a zone.

    Every method raises Invalid where its claim is not proven.
    """

    def __init__(self, apex: bytes, authority: Iterable[Record]) -> None:
        self._apex = apex
        self._nsecs = []
        chains: dict[tuple[bytes, int], list[Nsec3]] = {}
        for record in authority:
            if record.rtype == NSEC:
                self._nsecs.append(_nsec(record))
            elif record.rtype == NSEC3:
                salt, iterations, nsec3 = _nsec3(record)
                chains.setdefault((salt, iterations), []).append(nsec3)
        self._chains = [Chain(*key, tuple(found)) for key, found in chains.items()]
        if not self._nsecs and not self._chains:
            self._none = "no NSEC and no NSEC3"
        else:
            self._none = "the NSECs or NSEC3s do not say so"

    def name_error(self, name: bytes) -> None:
        """No such name (RFC 4035 §5.4; RFC 5155 §8.4)."""
        for nsec in self._nsecs:
            if nsec.covers(name) and not is_below(nsec.next, name):
                wildcard = b"\x01*" + _encloser(name, nsec)
                if any(other.covers(wildcard) for other in self._nsecs):
                    return
        for chain in self._chains:
            if (found := self._closest(chain, name)) and chain.cover(b"\x01*" + found[0]):
                return
        raise Invalid(f"NXDOMAIN of {show(name)}: {self._none}")

    def no_data(self, name: bytes, qtype: int) -> None:
        """Such a name, or a wildcard for it, but no such type (RFC 5155 §8.5 to §8.7)."""
        if any(_nsec_no_data(nsec, name, qtype) for nsec in self._nsecs):
            return
        for nsec in self._nsecs:
            if nsec.covers(name):
                # The wildcard may be an empty non-terminal too.
                wildcard = b"\x01*" + _encloser(name, nsec)
                if any(_nsec_no_data(other, wildcard, qtype) for other in self._nsecs):
                    return
        if any(self._nsec3_no_data(chain, name, qtype) for chain in self._chains):
            return
        raise Invalid(f"NODATA of {show(name)} {type_name(qtype)}: {self._none}")

    def opted_out(self, name: bytes) -> bool:
        """Whether insecure delegations may be at or below the name (RFC 5155 §6)."""
        found = [self._closest(chain, name) for chain in self._chains]
        return any(one is not None and one[1].optout for one in found)

    def no_ds(self, cut: bytes) -> None:
        """An insecure delegation (RFC 4035 §5.2; RFC 5155 §8.9)."""
        for nsec in self._nsecs:
            if nsec.owner == cut and is_cut(nsec.types) and DS not in nsec.types:
                return
        for chain in self._chains:
            match = chain.match(cut)
            if match is not None:
                if is_cut(match.types) and DS not in match.types:
                    return
                continue
            found = self._closest(chain, cut)
            if found and found[1].optout:
                return
        raise Invalid(f"no DS of {show(cut)}: {self._none}")

    def no_closer_match(self, name: bytes, enclosing: int) -> None:
        """No name between the wildcard's parent and `name` (RFC 4035 §5.3.4; RFC 5155 §8.8).

        enclosing: how many labels the wildcard's parent has.
        """
        parts = labels(name)
        next_closer = join(parts[len(parts) - enclosing - 1 :])
        for nsec in self._nsecs:
            if (
                nsec.covers(name)
                and labels(_encloser(name, nsec)) == parts[len(parts) - enclosing :]
            ):
                return
        if any(chain.cover(next_closer) for chain in self._chains):
            return
        raise Invalid(f"{show(name)} comes from a wildcard: {self._none}")

    def _nsec3_no_data(self, chain: Chain, name: bytes, qtype: int) -> bool:
        match = chain.match(name)
        if match is not None:
            if is_cut(match.types) != (qtype == DS) and is_cut(match.types):
                return False
            return _absent(match.types, qtype)
        found = self._closest(chain, name)
        if found is None:
            return False
        encloser, cover = found
        wildcard = chain.match(b"\x01*" + encloser)
        if wildcard is not None and _absent(wildcard.types, qtype):
            return True
        # RFC 5155 §8.6: an insecure delegation without a record of its own.
        return qtype == DS and cover.optout

    def _closest(self, chain: Chain, name: bytes) -> tuple[bytes, Nsec3] | None:
        """The closest encloser, proven, and what covers the next closer name (RFC 5155 §8.3)."""
        next_closer = name
        for above in ancestors(name)[1:]:
            match = chain.match(above)
            if match is not None:
                if DNAME in match.types or is_cut(match.types):
                    return None
                cover = chain.cover(next_closer)
                return (above, cover) if cover is not None else None
            if above == self._apex:
                break
            next_closer = above
        return None


def is_cut(types: frozenset[int]) -> bool:
    return NS in types and SOA not in types


def _absent(types: frozenset[int], qtype: int) -> bool:
    return qtype not in types and CNAME not in types


def _nsec_no_data(nsec: Nsec, name: bytes, qtype: int) -> bool:
    if nsec.owner == name:
        if is_cut(nsec.types) and qtype != DS:
            return False
        return _absent(nsec.types, qtype)
    # An empty non-terminal: what comes next is below it.
    return nsec.covers(name) and is_below(nsec.next, name)


def _encloser(name: bytes, nsec: Nsec) -> bytes:
    """The longest ancestor of `name` that the NSEC's two names show to exist."""
    for above in ancestors(name)[1:]:
        if is_below(nsec.owner, above) or is_below(nsec.next, above):
            return above
    return b"\0"


@lru_cache(1 << 16)
def order(name: bytes) -> tuple[bytes, ...]:
    """A key for canonical order (RFC 4034 §6.1)."""
    return tuple(reversed(labels(name)))


@lru_cache(1 << 16)
def nsec3_hash(name: bytes, salt: bytes, iterations: int) -> bytes:
    """RFC 5155 §5."""
    digest = hashlib.sha1(name + salt).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest + salt).digest()
    return digest


@lru_cache(1 << 14)
def _nsec(record: Record) -> Nsec:
    end = 0
    while record.rdata[end]:
        end += 1 + record.rdata[end]
    end += 1
    return Nsec(record.owner, record.rdata[:end].lower(), _bitmap(record.rdata[end:]))


@lru_cache(1 << 14)
def _nsec3(record: Record) -> tuple[bytes, int, Nsec3]:
    rdata = record.rdata
    iterations = int.from_bytes(rdata[2:4], "big")
    at = 5 + rdata[4]
    salt = rdata[5:at]
    end = at + 1 + rdata[at]
    label = labels(record.owner)[0].upper().translate(bytes.maketrans(_HEX, _STANDARD))
    owner = base64.b32decode(label)
    nsec3 = Nsec3(owner, rdata[at + 1 : end], bool(rdata[1] & 1), _bitmap(rdata[end:]))
    return salt, iterations, nsec3


def _bitmap(data: bytes) -> frozenset[int]:
    """The types of a bitmap (RFC 4034 §4.1.2)."""
    found = set()
    at = 0
    while at < len(data):
        window, length = data[at], data[at + 1]
        for number, octet in enumerate(data[at + 2 : at + 2 + length]):
            for bit in range(8):
                if octet & 0x80 >> bit:
                    found.add(window << 8 | number << 3 | bit)
        at += 2 + length
    return frozenset(found)
