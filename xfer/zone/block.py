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

A block that was made of another by a few splices remembers them as its patch, so that the journal
need not write all of it again:

    octet   0      format, 2
            1–4    number of splices
            …      splices: first record that goes, first one after it that stays, number of those
                   that come; of each of these its length and octets
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
PATCH: Final = 2  # the format of a patch
PATCH_SHARE: Final = 8  # a patch is kept that is so many times smaller than the block
DEEPEST: Final = 8  # patches on top of one another at least, and fewer than twice as many
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


def _replaced(data: bytes, splices: list[Splice]) -> bytes:
    """The packed form, without spellings, after splices of it."""
    old = _u32(data, 1)
    base = HEAD + 4 * old
    stop = base + _u32(data, base - 4)
    view = memoryview(data)  # what stays is copied once, not twice
    tables: list[bytes] = []
    parts: list[bytes | memoryview] = []
    count = 0
    shift = 0  # by how many octets records now stand further back than they did
    index = 0
    at = base
    for low, high, records in splices:
        start = base + _u32(data, HEAD + 4 * low - 4) if low > 0 else base
        tables.append(_shifted(data[HEAD + 4 * index : HEAD + 4 * low], shift))
        parts.append(view[at:start])
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
    count += old - index
    head = struct.pack("<BII", FORMAT, count, 0)
    return b"".join([head, *tables, *parts, view[at:stop]])


def _patch(splices: list[Splice]) -> bytes:
    """Splices in their packed form."""
    parts = [struct.pack("<BI", PATCH, len(splices))]
    for low, high, records in splices:
        parts.append(struct.pack("<III", low, high, len(records)))
        for record in records:
            parts.append(struct.pack("<I", len(record)))
            parts.append(record)
    return b"".join(parts)


def _splices(patch: bytes, count: int) -> list[Splice]:
    """What `_patch` packed, for a block of `count` records; ZoneError where it is not that."""
    size = len(patch)
    if size < 5 or patch[0] != PATCH:
        raise ZoneError(f"expected a patch of format {PATCH}, got {patch[:1].hex() or 'nothing'}")
    out: list[Splice] = []
    p = 5
    last = 0
    for _ in range(_u32(patch, 1)):
        if p + 12 > size or not last <= _u32(patch, p) <= _u32(patch, p + 4) <= count:
            raise ZoneError(f"expected a splice of {count} records, got {size - p} octets at {p}")
        low = _u32(patch, p)
        last = _u32(patch, p + 4)
        come = _u32(patch, p + 8)
        p += 12
        records: list[bytes] = []
        for _ in range(come):
            length = _u32(patch, p) if p + 4 <= size else -1
            if length < 0 or p + 4 + length > size:
                raise ZoneError(f"expected a record in a patch, got {size - p} octets at {p}")
            records.append(patch[p + 4 : p + 4 + length])
            p += 4 + length
        out.append((low, last, records))
    if p != size or _u32(patch, 1) < 0:
        raise ZoneError(f"expected a patch of {p} octets, got {size}")
    return out


def patched(data: bytes, patch: bytes) -> bytes:
    """The packed form of a block that has a patch, of that of the block it was made of.

    Raises ZoneError where the patch does not fit. That the result is the block is for whoever has
    its digest to say.
    """
    if len(data) < HEAD or data[0] != FORMAT or not 0 < _u32(data, 1) <= len(data) // 4:
        raise ZoneError("expected a block to patch, got none")
    splices = _splices(patch, _u32(data, 1))
    try:
        return _replaced(data, splices)
    except (IndexError, OverflowError, ValueError, struct.error) as error:
        raise ZoneError(f"expected a sound block to patch, got {error}") from error


def deepest(digest: bytes) -> int:
    """How deep a block may go for another one to rest on it.

    Blocks differ in that, so that not all of a zone are written whole at once.
    """
    return DEEPEST + digest[0] % DEEPEST


class Block:
    """Sorted records with their spellings.

    data: the packed form; digest: its SHA-256; count: records; spelled: how many of them have a
    spelling; first, last: records; base: digest of the block of which it was made, b"" of none;
    patch: how; depth: patches that lead to it from a block without one.
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
        self.base = b""
        self.patch = b""
        self.depth: int = 0

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
        packed = _replaced(self.data, splices)
        block = Block(packed, hashlib.sha256(packed).digest())
        if self.depth < deepest(self.digest):
            patch = _patch(splices)
            if PATCH_SHARE * len(patch) <= len(packed):
                block.base = self.digest
                block.patch = patch
                block.depth = self.depth + 1
        return block

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

    def spelled_at(self, index: int) -> tuple[bytes, bytes] | None:
        """Owner and rdata of one record, where it came in another case than canonical."""
        data = self.data
        p = self._base + _u32(data, self._base - 4)
        for _ in range(self.spelled):
            found = _u32(data, p)
            if found > index:
                return None
            owner = p + 8
            size = _u32(data, p + 4)
            rdata = owner + size + 4
            p = rdata + _u32(data, rdata - 4)
            if found == index:
                return data[owner : owner + size], data[rdata:p]
        return None

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
