"""What an answer is made of before it is a message: lines in sections.

A line is an owner as it is to be written, type, TTL and rdata. `Reader` takes them out of a
snapshot, in the case in which their records came (RFC 4343: kept, and no part of a comparison).
"""

from __future__ import annotations

from typing import Final

from xfer.answer.nsec3 import only_hashed
from xfer.wire.names import wire_of
from xfer.wire.records import DNAME, RRSIG, SOA, key_end, soa_fields, split
from xfer.zone.snapshot import APEX, Snapshot

# Owner wire name, type, TTL, rdata.
Line = tuple[bytes, int, int, bytes]

_NEAR: Final = 12  # records that are stepped over before it is quicker to search
NO_TTL: Final = 0xFFFF_FFFF  # a TTL that makes no other one smaller


class Answer:
    """An answer's sections.

    rcode; aa: whether the first name is of a zone that we serve (RFC 1035 §4.1.1); answer,
    authority, additional: lines; needed: how many of the additional lines the answer is no answer
    without (RFC 9471 §3.1); what follows them may be left out.
    """

    def __init__(self) -> None:
        self.rcode = 0
        self.aa = True
        self.answer: list[Line] = []
        self.authority: list[Line] = []
        self.additional: list[Line] = []
        self.needed = 0


class Reader:
    """Takes lines out of a snapshot.

    name, key: the query's name as it was asked and its owner key: a record that came in no other
    case than canonical has its owner as it was asked, so that a pointer to the question does;
    apex_dname: whether all below the apex is somewhere else.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.name = b""
        self.key = b""
        # Where the records at and below the name that was looked for last begin.
        self._below = b""
        self._at = 0
        self._index = 0
        self.apex_dname = self.has(APEX, DNAME)
        self._spelled = max([block.spelled for block in snapshot.blocks]) > 0

    def asked(self, name: bytes, key: bytes) -> None:
        """The name that is looked up now."""
        self.name = name
        self.key = key

    def exists(self, key: bytes) -> bool:
        """Whether the zone has the name, be it an empty non-terminal (RFC 4592 §2.2.2).

        What is there as the owner of NSEC3 records alone does not count (RFC 5155 §7.2.8).
        """
        if len(key) == 1:
            return True
        at, index = self.snapshot.seek(key[:-1])
        self._at, self._index, self._below = at, index, key[:-1]
        blocks = self.snapshot.blocks
        if at == len(blocks) or not blocks[at].record(index).startswith(key[:-1]):
            return False
        return not only_hashed(self.snapshot, key)

    def has(self, key: bytes, rtype: int) -> bool:
        """Whether there is an RRset of a type at a name."""
        prefix = key + bytes((rtype >> 8, rtype & 255))
        at, index = self._seek(prefix)
        blocks = self.snapshot.blocks
        return at < len(blocks) and blocks[at].record(index).startswith(prefix)

    def rrset(self, key: bytes, rtype: int, most: int = NO_TTL, owner: bytes = b"") -> list[Line]:
        """The lines of an RRset. most: a TTL that theirs are to be no greater than; owner: in
        place of their own, for those that a wildcard gives."""
        return self._having(key, key + bytes((rtype >> 8, rtype & 255)), most, owner)

    def signatures(
        self, key: bytes, covered: int, most: int = NO_TTL, owner: bytes = b""
    ) -> list[Line]:
        """The RRSIGs of an RRset; arguments as for `rrset`."""
        prefix = key + bytes((0, RRSIG, covered >> 8, covered & 255))
        return self._having(key, prefix, most, owner)

    def signed(
        self, key: bytes, rtype: int, do: bool, most: int = NO_TTL, owner: bytes = b""
    ) -> list[Line]:
        """An RRset, with its RRSIGs where DO asks for them."""
        lines = self.rrset(key, rtype, most, owner)
        if do and lines:
            lines += self.signatures(key, rtype, most, owner)
        return lines

    def soa(self, do: bool) -> list[Line]:
        """The SOA of a negative answer: its TTL is no more than MINIMUM (RFC 2308 §3)."""
        return self.signed(APEX, SOA, do, soa_fields(self.snapshot.soa)[6])

    def lines(self, records: list[bytes]) -> list[Line]:
        """The lines of records of the snapshot."""
        out: list[Line] = []
        for record in records:
            key = record[: key_end(record)]
            out += self._having(key, record, NO_TTL, b"")
        return out

    def made(self, records: list[bytes]) -> list[Line]:
        """The lines of records that are not of the snapshot."""
        out: list[Line] = []
        for record in records:
            key, rtype, _, ttl, rdata = split(record)
            name = self.name if key == self.key else wire_of(key, self.snapshot.origin)
            out.append((name, rtype, ttl, rdata))
        return out

    def first_type(self, key: bytes) -> int:
        """The lowest type at a name that is not there for DNSSEC's sake alone; else the lowest; 0
        where the name has no records."""
        lowest = 0
        prefix = key
        while True:
            at, index = self._seek(prefix)
            if at == len(self.snapshot.blocks):
                return lowest
            record = self.snapshot.blocks[at].record(index)
            if not record.startswith(key):
                return lowest
            rtype = record[len(key)] << 8 | record[len(key) + 1]
            if rtype not in (46, 47, 50):
                return rtype
            lowest = lowest or rtype
            prefix = key + bytes(((rtype + 1) >> 8, (rtype + 1) & 255))

    def _seek(self, prefix: bytes) -> tuple[int, int]:
        """As `Snapshot.seek`; most of what is asked for stands where the last name begins."""
        if self._below != b"" and prefix.startswith(self._below):
            blocks = self.snapshot.blocks
            at, index = self._at, self._index
            if at < len(blocks):
                block = blocks[at]
                stop = min(block.count, index + _NEAR)
                while index < stop:
                    if not block.record(index) < prefix:
                        return at, index
                    index += 1
        return self.snapshot.seek(prefix)

    def _having(self, key: bytes, prefix: bytes, most: int, owner: bytes) -> list[Line]:
        out: list[Line] = []
        blocks = self.snapshot.blocks
        at, index = self._seek(prefix)
        shown = owner
        size = len(key)
        while at < len(blocks):
            block = blocks[at]
            while index < block.count:
                record = block.record(index)
                if not record.startswith(prefix):
                    return out
                p = size + 2
                rtype = record[size] << 8 | record[size + 1]
                if rtype == RRSIG:
                    p += 2
                ttl = record[p] << 24 | record[p + 1] << 16 | record[p + 2] << 8 | record[p + 3]
                rdata = record[p + 4 :]
                if shown == b"":
                    shown = self.name if key == self.key else wire_of(key, self.snapshot.origin)
                name = shown
                if self._spelled and block.spelled > 0:
                    spelled = block.spelled_at(index)
                    if spelled is not None:
                        rdata = spelled[1]
                        if owner == b"":
                            name = spelled[0]
                out.append((name, rtype, ttl if ttl < most else most, rdata))
                index += 1
            at += 1
            index = 0
        return out
