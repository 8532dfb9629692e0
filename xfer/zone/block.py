"""A block: an immutable run of about 2,000 sorted records, packed into one `bytes`.

The block is the unit of the journal (stored once under its digest), of sharing between versions,
of AXFR images and of work between two looks at the event loop (DESIGN §2). The packed form keeps a
zone of a million records in about its own size; a list of records exists only while in use.

    octet   0      format, 1
            1–4    number of records n
            5–8    number of spellings m
            9–     n end offsets of the records, counted from where the records begin
            …      the records, joined
            …      m spellings: index of the record, length and octets of owner, of rdata

All numbers are 32 bits, little-endian. Spellings are part of the block, so that diff, journal and
checksum see them without a second structure.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import accumulate
from typing import Final

from librt.strings import BytesWriter, read_i32_le, write_i32_le

from xfer.errors import ZoneError
from xfer.wire.records import Spelling

FORMAT: Final = 1
TARGET: Final = 2_000  # records in a block that is cut freely
SMALLEST: Final = 500  # below this a block is joined to the next one
LARGEST: Final = 4_000  # above this a block is cut
OCTETS: Final = 1 << 21  # above this a block is cut, too, so that large records stay bounded work
HEAD: Final = 9


def _u32(data: bytes, at: int) -> int:
    return read_i32_le(data, at)


def _check_spellings(data: bytes, start: int, count: int) -> None:
    """Refuse a packed form whose spellings, from `start` on, do not end where it ends."""
    size = len(data)
    p = start
    index = -1
    for _ in range(_u32(data, 5)):
        if p + 8 > size or not index < _u32(data, p) < count:
            raise ZoneError(f"expected the spelling of a record, got {size - p} octets at {p}")
        index = _u32(data, p)
        p += 4
        for _ in range(2):
            length = _u32(data, p) if p + 4 <= size else -1
            if length < 0 or p + 4 + length > size:
                raise ZoneError(f"expected a spelled owner and rdata, got {size - p} octets at {p}")
            p += 4 + length
    if p != size or _u32(data, 5) < 0:
        raise ZoneError(f"expected a block of {p} octets, got {size}")


# Records low ≤ index < high of a block, and the sorted ones that come into their place.
Splice = tuple[int, int, list[bytes]]


def _shifted(table: bytes, shift: int) -> bytes:
    """End offsets, 32 bits each, all moved by as many octets.

    As one long number: no offset passes 32 bits or falls below 0, so none reaches into the next.
    """
    if shift == 0 or not table:
        return table
    step = int.from_bytes(b"\1\0\0\0" * (len(table) >> 2), "little") * shift
    return (int.from_bytes(table, "little") + step).to_bytes(len(table), "little")


class Block:
    """Sorted records with their spellings.

    data: the packed form; digest: its SHA-256; count: records; spelled: how many of them have a
    spelling; first, last: records.
    """

    def __init__(self, data: bytes, digest: bytes) -> None:
        """Use `make` or `load`; this trusts its arguments."""
        self.data = data
        self.digest = digest
        self.count: int = _u32(data, 1)
        self.spelled: int = _u32(data, 5)
        self._base: int = HEAD + 4 * self.count
        self.first = self.record(0)
        self.last = self.record(self.count - 1)

    @staticmethod
    def make(records: list[bytes], spelling: Spelling) -> Block:
        """Pack sorted records (at least one); `spelling` may hold other records too."""
        w = BytesWriter()
        w.append(FORMAT)
        write_i32_le(w, len(records))
        write_i32_le(w, 0)
        # In C in either form of the kernel.
        w.write(struct.pack(f"<{len(records)}I", *accumulate(map(len, records))))
        w.write(b"".join(records))
        if spelling:
            spelled = 0
            for index, record in enumerate(records):
                found = spelling.get(record)
                if found is not None:
                    owner, rdata = found
                    write_i32_le(w, index)
                    write_i32_le(w, len(owner))
                    w.write(owner)
                    write_i32_le(w, len(rdata))
                    w.write(rdata)
                    spelled += 1
            w[5] = spelled & 255
            w[6] = spelled >> 8 & 255
            w[7] = spelled >> 16 & 255
            w[8] = spelled >> 24
        data = w.getvalue()
        return Block(data, hashlib.sha256(data).digest())

    def spliced(self, splices: list[Splice]) -> Block:
        """The block with some ranges of its records replaced; it has no spellings.

        Costs little more than a copy and a checksum: `make` looks at each record, this does not.
        """
        data = self.data
        base = self._base
        stop = base + _u32(data, base - 4)
        tables: list[bytes] = []
        parts: list[bytes] = []
        count = 0
        shift = 0  # by how many octets records now stand further back than they did
        index = 0
        at = base
        for low, high, records in splices:
            start = base + _u32(data, HEAD + 4 * low - 4) if low > 0 else base
            tables.append(_shifted(data[HEAD + 4 * index : HEAD + 4 * low], shift))
            parts.append(data[at:start])
            end = start - base + shift
            for record in records:
                end += len(record)
                tables.append(struct.pack("<I", end))
                parts.append(record)
            count += low - index + len(records)
            index = high
            at = base + _u32(data, HEAD + 4 * high - 4) if high > 0 else base
            shift = end - (at - base)
        tables.append(_shifted(data[HEAD + 4 * index : base], shift))
        count += self.count - index
        head = struct.pack("<BII", FORMAT, count, 0)
        packed = b"".join([head, *tables, *parts, data[at:stop]])
        return Block(packed, hashlib.sha256(packed).digest())

    @staticmethod
    def load(data: bytes) -> Block:
        """A block from its packed form; raises ZoneError where that is not whole.

        Whoever knows the digest that it should have compares it with `.digest`.
        """
        size = len(data)
        if size < HEAD or data[0] != FORMAT:
            raise ZoneError(
                f"expected a block of format {FORMAT}, got {data[:1].hex() or 'nothing'}"
            )
        count = _u32(data, 1)
        base = HEAD + 4 * count
        if count < 1 or base > size or base + _u32(data, base - 4) > size:
            raise ZoneError(f"expected a block of {count} records, got {size} octets")
        start = base
        for i in range(count):
            end = base + _u32(data, HEAD + 4 * i)
            if end > size or end < start + 7:  # key, type and TTL at least
                raise ZoneError(f"expected a record of 7 octets or more, got {end - start}")
            if data[start] != 0:
                at = data.find(b"\0\0", start, end)
                if at < 0 or at + 8 > end:
                    raise ZoneError(f"expected a record with its owner, got {end - start} octets")
            start = end
        _check_spellings(data, start, count)
        return Block(data, hashlib.sha256(data).digest())

    def record(self, index: int) -> bytes:
        """The record at 0 ≤ index < count."""
        data = self.data
        at = HEAD + 4 * index
        start = _u32(data, at - 4) if index > 0 else 0
        return data[self._base + start : self._base + _u32(data, at)]

    def records(self) -> list[bytes]:
        """All records, a new list."""
        data = self.data
        base = self._base
        out: list[bytes] = []
        start = base
        for i in range(self.count):
            end = base + _u32(data, HEAD + 4 * i)
            out.append(data[start:end])
            start = end
        return out

    def find(self, prefix: bytes) -> int:
        """Index of the first record that is not below `prefix`; count where there is none."""
        low = 0
        high = self.count
        while low < high:
            middle = (low + high) >> 1
            if self.record(middle) < prefix:
                low = middle + 1
            else:
                high = middle
        return low

    def spelling(self) -> Spelling:
        """Owner and rdata of the records that came in another case than canonical; a new dict."""
        out: Spelling = {}
        if self.spelled == 0:
            return out
        data = self.data
        p = self._base + _u32(data, self._base - 4)
        for _ in range(self.spelled):
            index = _u32(data, p)
            size = _u32(data, p + 4)
            p += 8
            owner = data[p : p + size]
            p += size
            size = _u32(data, p)
            p += 4
            out[self.record(index)] = (owner, data[p : p + size])
            p += size
        return out
