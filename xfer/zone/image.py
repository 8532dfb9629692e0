"""Records as messages of a transfer: the AXFR image of a block (DESIGN §2), and those of an IXFR.

RFC 1035 §4.1.4 and RFC 3597 §4 (which names may be compressed), RFC 5936 §2.2 (only the first
message of a transfer needs a question, so these have none) and §3.4 (case is preserved: a name is
compressed only against one of the same case).

This is the sender's hottest loop: it reads the packed block where it lies, and finds an owner's
parent among the owners above it, because records are sorted.
"""

from __future__ import annotations

from typing import Final

from librt.strings import (
    BytesWriter,
    read_i32_le,
    read_i64_le,
    write_i16_be,
    write_i32_be,
    write_i32_le,
    write_i64_le,
)
from mypy_extensions import i16, i32, i64, u8

from xfer.wire.names import unescape, wire_of
from xfer.wire.records import IN, MINFO, MX, RRSIG, SOA, Spelling, split
from xfer.wire.render import COMPRESSIBLE, Renderer, write_name, write_rdata
from xfer.zone.block import HEAD, Block

# Offsets below 2^14 can be pointed to, so in messages of this size every name can be reused.
MESSAGE: Final = 16_300
_HEADER: Final = b"\0\0\x84\0\0\0\0\0\0\0\0\0"  # ID 0, QR and AA, no counts


def render_block(block: Block, origin: bytes, with_soa: bool = False) -> list[bytes]:
    """The messages of an AXFR that carry the records of a block, in order.

    origin: lower-case wire name of the apex; with_soa: whether the SOA of the apex is among them
    (it goes first and last in a transfer, in messages of its own). Each message has ID 0, QR and
    AA, no question, at most MESSAGE octets (a larger record has one of its own), and room for any
    TSIG.
    """
    messages: list[bytes] = []
    data = block.data
    spelling: Spelling = block.spelling()
    some_spelled = len(spelling) > 0
    olen: i64 = len(origin)
    rooted = olen == 1
    base: i64 = HEAD + 4 * block.count
    w = BytesWriter()
    w.write(_HEADER)
    count = 0
    # The owners above the last one, as far as they stand in this message: octets of their key
    # without its last 0x00, and where their name begins.
    above: list[int] = []
    above_at: list[int] = []
    seen: dict[bytes, int] = {}  # wire name in its exact case → offset
    origin_at: i64 = 0
    # The last record whose owner was written in lower case, its key's octets and name's offset.
    last: i64 = 0
    last_key: i64 = 0
    last_at: i64 = 0
    # A record takes at most this much more in a message than here: class, length, the origin or a
    # spelled owner whose key is no shorter than its labels.
    margin: i64 = 16 + olen
    stop: i64 = base
    for index in range(block.count):
        start: i64 = stop
        stop = base + i64(read_i32_le(data, HEAD + 4 * index))
        apex = data[start] == 0
        if apex and not with_soa and data[start + 1] == 0 and data[start + 2] == SOA:
            continue
        size: i64 = len(w)
        if count > 0 and size + (stop - start) + margin > MESSAGE:
            messages.append(_finish(w, count))
            w.truncate(12)
            size = 12
            count = 0
            above = []
            above_at = []
            seen = {}
            origin_at = 0
            last_key = 0
        rdata: bytes | None = None
        p: i64 = start  # end of the owner key
        if some_spelled and data[start:stop] in spelling:
            owner, rdata = spelling[data[start:stop]]
            write_name(w, owner, seen)
            if apex:
                p += 1
            else:
                p = data.index(b"\0\0", start) + 2
        else:
            same: i64 = 0
            while same < last_key and data[last + same] == data[start + same]:
                same += 1
            if last_key > 0 and same == last_key:
                p += last_key
                write_i16_be(w, i16(last_at - 0x4000))
            elif apex:
                p += 1
                if rooted:
                    w.append(0)
                else:
                    if origin_at == 0:
                        origin_at = size
                        seen[origin] = size
                        w.write(origin)
                    else:
                        write_i16_be(w, i16(origin_at - 0x4000))
                    last = start
                    last_key = 1
                    last_at = origin_at
                    above = []
                    above_at = []
            else:
                if last_key > 1 and same == last_key - 1:
                    above.append(last_key - 1)
                    above_at.append(last_at)
                else:
                    while above and above[-1] > same:
                        above.pop()
                        above_at.pop()
                parent_at: i64 = 0
                if above:
                    parent_at = above_at[-1]
                    p += above[-1]
                at: i64 = len(w)
                w.append(0)
                while data[p] != 0:
                    if data[p] == 1:  # see xfer.wire.names.escape
                        p += 1
                        w.append(data[p] - 1)
                    else:
                        w.append(data[p])
                    p += 1
                if data[p + 1] == 0:
                    w[at] = u8(len(w) - at - 1)
                else:
                    w.truncate(at)
                    p = data.index(b"\0\0", start)
                    _write_labels(w, data[start : p + 1], above, above_at)
                p += 2
                if parent_at != 0:
                    write_i16_be(w, i16(parent_at - 0x4000))
                elif rooted:
                    w.append(0)
                elif origin_at != 0:
                    write_i16_be(w, i16(origin_at - 0x4000))
                else:
                    origin_at = len(w)
                    seen[origin] = origin_at
                    w.write(origin)
                last = start
                last_key = p - start
                last_at = size

        high = data[p]
        low = data[p + 1]
        type_and_class: i64 = high << 24 | low << 16 | IN
        if high >= 0x80:
            type_and_class -= 0x1_0000_0000
        write_i32_be(w, i32(type_and_class))
        p += 2
        if high == 0 and low == RRSIG:
            p += 2
        write_i32_le(w, read_i32_le(data, p))
        p += 4
        if high != 0 or not COMPRESSIBLE[low]:
            length: i64 = stop - p if rdata is None else len(rdata)
            write_i16_be(w, i16(length - 0x10000 if length >= 0x8000 else length))
            if rdata is not None:
                w.write(rdata)
            else:
                _copy(w, data, p, stop)
        else:
            length_at: i64 = len(w)
            write_i16_be(w, 0)
            if rdata is not None:
                write_rdata(w, low, rdata, seen)
            elif low in (SOA, MINFO):
                write_rdata(w, low, data[p:stop], seen)
            else:
                if low == MX:
                    w.append(data[p])
                    w.append(data[p + 1])
                    p += 2
                # A name in the zone: its labels below the apex and a pointer. Another one is
                # likely to come again as a whole.
                inner: i64 = stop - olen
                written = False
                if origin_at != 0 and inner >= p and _ends_in(data, stop, origin, olen):
                    label: i64 = p
                    while label < inner:
                        label += 1 + data[label]
                    if label == inner:
                        _copy(w, data, p, inner)
                        write_i16_be(w, i16(origin_at - 0x4000))
                        written = True
                if not written:
                    name = data[p:stop]
                    found = seen.get(name, 0)
                    if found != 0:
                        write_i16_be(w, i16(found - 0x4000))
                    else:
                        if len(w) < 0x4000 and len(name) > 1:
                            seen[name] = len(w)
                        w.write(name)
            length = len(w) - length_at - 2
            w[length_at] = u8(length >> 8)
            w[length_at + 1] = u8(length & 255)
        count += 1
    if count > 0:
        messages.append(_finish(w, count))
    return messages


def add_records(
    renderer: Renderer,
    records: list[bytes],
    spelling: Spelling,
    origin: bytes,
    start: int,
    soa: bool,
) -> int:
    """Add records[start:] to the answer section, as far as they fit; the index of the next one,
    `start` where none fits.

    spelling, origin: as for `render_block`; soa: whether the apex's SOA is to be added, too. The
    renderer's limit bounds the work.
    """
    index = start
    added = False
    while index < len(records):
        record = records[index]
        key, rtype, _, ttl, rdata = split(record)
        if rtype == SOA and len(key) == 1 and not soa:
            index += 1
            continue
        found = spelling.get(record)
        if found is None:
            owner = wire_of(key, origin)
        else:
            owner, rdata = found
        if not renderer.record(1, owner, rtype, ttl, rdata):
            return index if added else start
        added = True
        index += 1
    return index


def _copy(w: BytesWriter, data: bytes, start: i64, stop: i64) -> None:
    """Write data[start:stop], short pieces without an object of their own."""
    if stop - start > 64:
        w.write(data[start:stop])
        return
    while stop - start >= 8:
        write_i64_le(w, read_i64_le(data, start))
        start += 8
    while start < stop:
        w.append(data[start])
        start += 1


def _ends_in(data: bytes, stop: i64, ending: bytes, size: i64) -> bool:
    """Whether data[:stop] ends with `ending`, whose octets are `size`."""
    at: i64 = stop - size
    i: i64 = 0
    while i < size:
        if data[at + i] != ending[i]:
            return False
        i += 1
    return True


def _finish(w: BytesWriter, count: int) -> bytes:
    w[6] = u8(count >> 8)
    w[7] = u8(count & 255)
    return w.getvalue()


def _write_labels(w: BytesWriter, key: bytes, above: list[int], above_at: list[int]) -> None:
    """The labels of `key` (an owner key without its last 0x00) below the last owner of `above`,
    leftmost first. The names on the way down to it are added to `above`."""
    base = above[-1] if above else 0
    own = len(key)
    parts = key[base:-1].split(b"\0")
    labels = [unescape(part) for part in parts]
    at = len(w)
    for label in labels:
        at += len(label) + 1
    end = base
    for i in range(len(parts)):
        at -= len(labels[i]) + 1
        end += len(parts[i]) + 1
        if end < own:
            above.append(end)
            above_at.append(at)
    labels.reverse()
    for label in labels:
        w.append(len(label))
        w.write(label)
