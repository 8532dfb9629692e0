"""A snapshot: all records of one version of a zone, as an immutable list of blocks.

Look-ups are two bisections: one among the blocks' first records, one inside a block.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator

from xfer.errors import ZoneError
from xfer.wire.names import wire_of
from xfer.wire.records import RRSIG, SOA, Spelling, rrset_end, soa_serial, split
from xfer.zone.block import Block

APEX = b"\0"


class Snapshot:
    """One version of a zone.

    origin: lower-case wire name of the apex; blocks: sorted and not overlapping; serial, soa: of
    the apex's SOA record; count: records; size: octets of the packed blocks; root: SHA-256 over
    the blocks' digests, the identity of the content; zonemd: what came of verifying its ZONEMD
    (`xfer.zone.zonemd`), "" where it has none or nobody has looked.
    Raises ZoneError where the blocks hold no SOA record at the apex.
    """

    def __init__(self, origin: bytes, blocks: list[Block]) -> None:
        self.origin = origin
        self.blocks = blocks
        self.zonemd = ""
        self._firsts = [block.first for block in blocks]
        self.count = 0
        self.size = 0
        for block in blocks:
            self.count += block.count
            self.size += len(block.data)
        self.root = hashlib.sha256(b"".join([block.digest for block in blocks])).digest()
        soas = self.rrset(APEX, SOA)
        if len(soas) != 1:
            raise ZoneError(f"expected one SOA record at the apex, got {len(soas)}")
        self.soa = soas[0]
        self.serial = soa_serial(self.soa)

    def cuts(self) -> list[bytes]:
        """Where its blocks begin: key, type and covered type of their first RRsets."""
        return [first[: rrset_end(first)] for first in self._firsts]

    def block_at(self, prefix: bytes) -> int:
        """Index of the last block that begins at or below `prefix`; 0 where none does."""
        at = bisect_right(self._firsts, prefix) - 1
        return at if at > 0 else 0

    def seek(self, prefix: bytes) -> tuple[int, int]:
        """(block, index in it) of the first record that is not below `prefix`; block is their
        number where there is none."""
        at = self.block_at(prefix)
        while at < len(self.blocks):
            index = self.blocks[at].find(prefix)
            if index < self.blocks[at].count:
                return at, index
            at += 1
        return at, 0

    def rrset(self, key: bytes, rtype: int, covered: int = 0) -> list[bytes]:
        """The records of an RRset, in canonical order; of RRSIGs those that cover `covered`."""
        prefix = key + bytes((rtype >> 8, rtype & 255))
        if rtype == RRSIG:
            prefix += bytes((covered >> 8, covered & 255))
        return self.having(prefix)

    def owner(self, key: bytes) -> list[bytes]:
        """All records at an owner name."""
        return self.having(key)

    def having(self, prefix: bytes) -> list[bytes]:
        """The records that begin with `prefix`, in order."""
        out: list[bytes] = []
        at = self.block_at(prefix)
        while at < len(self.blocks):
            block = self.blocks[at]
            index = block.find(prefix)
            while index < block.count:
                record = block.record(index)
                if not record.startswith(prefix):
                    return out
                out.append(record)
                index += 1
            at += 1
        return out

    def spelled(self, record: bytes) -> tuple[bytes, bytes]:
        """(owner wire name, rdata) of one of its records, in the case they arrived in."""
        at = bisect_right(self._firsts, record) - 1
        if at >= 0:
            found = self.blocks[at].spelling().get(record)
            if found is not None:
                return found
        parts = split(record)
        return wire_of(parts[0], self.origin), parts[4]

    def records(self) -> Iterator[bytes]:
        """All records in canonical order."""
        for block in self.blocks:
            yield from block.records()

    def spelling(self) -> Spelling:
        """All spellings; for tests and exports, as large as the zone may be."""
        out: Spelling = {}
        for block in self.blocks:
            out.update(block.spelling())
        return out
