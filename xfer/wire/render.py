"""From records to messages: AXFR images block by block, and small answers.

RFC 1035 §4.1.4 and RFC 3597 §4 (which names may be compressed), RFC 5936 §2.2 (transfer messages:
the question stands in the first one only) and §3.4 (case is preserved: a name is only ever
compressed against one of the same case).
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be
from mypy_extensions import i16, i64, u8

from xfer.wire import names
from xfer.wire.records import HAS_NAMES, MINFO, MX, RRSIG, SOA, Spelling, key_end, layout

# Offsets below 2^14 can be pointed to, so in messages of this size every name can be reused.
IMAGE_MESSAGE: Final = 16_300
_HEADER: Final = b"\0\0\x84\0\0\0\0\0\0\0\0\0"  # ID 0, QR and AA, no counts
# What no record begins with: it would be of type 0, at the apex.
_NO_OWNER: Final = b"\0\0\0"
# RFC 3597 §4: only the types of RFC 1035 may have compressed names in their rdata.
COMPRESSIBLE: Final[bytes] = bytes(
    [1 if t in (2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15) else 0 for t in range(256)]
)


def render_block(records: list[bytes], spelling: Spelling, origin: bytes) -> list[bytes]:
    """The messages of an AXFR that carry these records, in their order.

    records: sorted records of one block; spelling: those of them with another case than canonical;
    origin: lower-case wire name of the apex. Each message has ID 0, QR and AA, no question, at
    most IMAGE_MESSAGE octets (a larger record has one of its own), and room for any TSIG.
    """
    messages: list[bytes] = []
    w = BytesWriter()
    w.write(_HEADER)
    count = 0
    rooted = len(origin) == 1
    # The owners on the way from the apex to the last owner: records are sorted, so a parent that
    # is in this message is among them. `above` has their keys without the last 0x00.
    above: list[bytes] = []
    above_at: list[int] = []
    seen: dict[bytes, int] = {}  # wire name in its exact case → offset
    origin_at: i64 = 0
    last = _NO_OWNER  # owner key of the last record in canonical case, and where its name stands
    last_at: i64 = 0
    # A record takes at most this much more in a message than here: class, length, the origin or a
    # spelled owner whose key is no shorter than its labels.
    margin: i64 = 16 + len(origin)
    for record in records:
        size: i64 = len(w)
        if count > 0 and size + len(record) + margin > IMAGE_MESSAGE:
            messages.append(_finish(w, count))
            w = BytesWriter()
            w.write(_HEADER)
            size = 12
            count = 0
            above = []
            above_at = []
            seen = {}
            origin_at = 0
            last = _NO_OWNER
        rdata: bytes | None = None
        end: i64 = 0
        if spelling and record in spelling:
            owner, rdata = spelling[record]
            end = key_end(record)
            write_name(w, owner, seen)
        elif record.startswith(last):
            end = len(last)
            write_i16_be(w, i16(last_at - 0x4000))
        elif record[0] == 0:
            end = 1
            if rooted:
                w.append(0)
            elif origin_at != 0:
                last = b"\0"
                last_at = origin_at
                write_i16_be(w, i16(origin_at - 0x4000))
            else:
                last = b"\0"
                last_at = size
                origin_at = size
                seen[origin] = size
                w.write(origin)
        else:
            while above and not record.startswith(above[-1]):
                above.pop()
                above_at.pop()
            base: i64 = 0
            parent_at: i64 = 0
            if above:
                base = len(above[-1])
                parent_at = above_at[-1]
            end = base
            while record[end] != 0:
                end += 1
            label = record[base:end]
            if record[end + 1] != 0 or b"\1" in label:
                end = key_end(record) - 2
                _write_labels(w, record[: end + 1], base, above, above_at)
            else:
                above.append(record[: end + 1])
                above_at.append(size)
                w.append(end - base)
                w.write(label)
            if base > 0:
                write_i16_be(w, i16(parent_at - 0x4000))
            elif rooted:
                w.append(0)
            elif origin_at != 0:
                write_i16_be(w, i16(origin_at - 0x4000))
            else:
                origin_at = len(w)
                seen[origin] = origin_at
                w.write(origin)
            end += 2
            last = record[:end]
            last_at = size

        high = record[end]
        low = record[end + 1]
        w.append(high)
        w.append(low)
        end += 2
        if high == 0 and low == RRSIG:
            end += 2
        w.append(0)
        w.append(1)
        w.append(record[end])
        w.append(record[end + 1])
        w.append(record[end + 2])
        w.append(record[end + 3])
        plain = rdata is None
        if rdata is None:
            rdata = record[end + 4 :]
        if high == 0 and COMPRESSIBLE[low]:
            length_at: i64 = len(w)
            w.append(0)
            w.append(0)
            if plain and low != SOA and low != MINFO:
                if low == MX:
                    w.append(rdata[0])
                    w.append(rdata[1])
                    rdata = rdata[2:]
                at = seen.get(rdata, 0)
                if at != 0:
                    write_i16_be(w, i16(at - 0x4000))
                else:
                    if length_at < 0x3FF0 and len(rdata) > 1:  # the root is shorter than a pointer
                        seen[rdata] = len(w)
                    if origin_at != 0 and rdata.endswith(origin) and names.is_below(rdata, origin):
                        w.write(rdata[: len(rdata) - len(origin)])
                        write_i16_be(w, i16(origin_at - 0x4000))
                    else:
                        w.write(rdata)
            else:
                _write_rdata(w, low, rdata, seen)
            length: i64 = len(w) - length_at - 2
            w[length_at] = u8(length >> 8)
            w[length_at + 1] = u8(length & 255)
        else:
            length = len(rdata)
            w.append(length >> 8)
            w.append(length & 255)
            w.write(rdata)
        count += 1
    if count > 0:
        messages.append(_finish(w, count))
    return messages


def _finish(w: BytesWriter, count: int) -> bytes:
    w[6] = count >> 8
    w[7] = count & 255
    return w.getvalue()


def _write_labels(
    w: BytesWriter, key: bytes, base: int, above: list[bytes], above_at: list[int]
) -> None:
    """The labels of `key` (an owner key without its last 0x00) from `base` on, leftmost first.

    They and the names on the way down to them are added to `above`.
    """
    parts = key[base:-1].split(b"\0")
    labels = [names.unescape(part) for part in parts]
    at = len(w)
    for label in labels:
        at += len(label) + 1
    end = base
    for i in range(len(parts)):
        at -= len(labels[i]) + 1
        end += len(parts[i]) + 1
        above.append(key[:end])
        above_at.append(at)
    labels.reverse()
    for label in labels:
        w.append(len(label))
        w.write(label)


def write_name(w: BytesWriter, name: bytes, seen: dict[bytes, int]) -> None:
    """A wire name in its own case, compressed against what `seen` holds, and remembered there."""
    p = 0
    while name[p] != 0:
        suffix = name[p:] if p > 0 else name
        at = seen.get(suffix, 0)
        if at != 0:
            write_i16_be(w, at - 0x4000)
            return
        here = len(w)
        if here < 0x4000:
            seen[suffix] = here
        length = name[p]
        w.write(name[p : p + 1 + length])
        p += 1 + length
    w.append(0)


def _write_rdata(w: BytesWriter, rtype: int, rdata: bytes, seen: dict[bytes, int]) -> None:
    """Uncompressed rdata of a type in COMPRESSIBLE, its names compressed."""
    octets, _, count, _ = layout(rtype)
    p = octets
    if octets > 0:
        w.write(rdata[:octets])
    while count > 0:
        q = p
        while rdata[q] != 0:
            q += 1 + rdata[q]
        q += 1
        write_name(w, rdata[p:q], seen)
        p = q
        count -= 1
    if p < len(rdata):
        w.write(rdata[p:])


class Renderer:
    """One answer, section by section, with case-preserving compression.

    msg_id, flags: of the header (flags: the whole 16 bits); limit: octets of the message.
    """

    def __init__(self, msg_id: int, flags: int, limit: int) -> None:
        self.limit = limit
        self.flags = flags
        self.msg_id = msg_id
        self._w = BytesWriter()
        self._w.write(_HEADER)
        self._seen: dict[bytes, int] = {}
        self._counts = [0, 0, 0, 0]

    def question(self, name: bytes, rtype: int, rclass: int) -> None:
        """The question as it was asked, in its own case."""
        write_name(self._w, name, self._seen)
        write_i16_be(self._w, (rtype ^ 0x8000) - 0x8000)
        write_i16_be(self._w, (rclass ^ 0x8000) - 0x8000)
        self._counts[0] += 1

    def record(self, section: int, owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bool:
        """Add a record of class IN to section 1 answer, 2 authority or 3 additional.

        rdata: uncompressed. False where it does not fit below the limit; the message is then as
        it was before.
        """
        w = self._w
        before = len(w)
        write_name(w, owner, self._seen)
        write_i16_be(w, (rtype ^ 0x8000) - 0x8000)
        write_i16_be(w, 1)
        write_i32_be(w, (ttl ^ 0x80000000) - 0x80000000)
        length_at = len(w)
        w.append(0)
        w.append(0)
        if rtype < 256 and COMPRESSIBLE[rtype]:
            _write_rdata(w, rtype, rdata, self._seen)
        else:
            w.write(rdata)
        length = len(w) - length_at - 2
        w[length_at] = length >> 8
        w[length_at + 1] = length & 255
        if len(w) > self.limit:
            w.truncate(before)
            # Names of the record that was taken back must not be pointed to.
            self._seen = {name: at for name, at in self._seen.items() if at < before}
            return False
        self._counts[section] += 1
        return True

    def raw(self, section: int, record: bytes) -> None:
        """A ready record, such as OPT, whatever the limit."""
        self._w.write(record)
        self._counts[section] += 1

    def message(self) -> bytes:
        """The finished message."""
        w = self._w
        w[0] = self.msg_id >> 8
        w[1] = self.msg_id & 255
        w[2] = self.flags >> 8
        w[3] = self.flags & 255
        for i in range(4):
            w[4 + 2 * i] = self._counts[i] >> 8
            w[5 + 2 * i] = self._counts[i] & 255
        return w.getvalue()


def has_names(rtype: int) -> bool:
    """Whether rdata of the type has domain names in it."""
    return rtype < 256 and HAS_NAMES[rtype] == 1
