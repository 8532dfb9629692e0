"""From records to messages: AXFR images block by block, and small answers.

RFC 1035 §4.1.4 and RFC 3597 §4 (which names may be compressed), RFC 5936 §2.2 (transfer messages:
the question stands in the first one only) and §3.4 (case is preserved: a name is only ever
compressed against one of the same case).
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be

from xfer.wire import names
from xfer.wire.records import HAS_NAMES, NS, RRSIG, Spelling, key_end, layout

# Offsets below 2^14 can be pointed to, so in messages of this size every name can be reused.
IMAGE_MESSAGE: Final = 16_300
_HEADER: Final = b"\0\0\x84\0\0\0\0\0\0\0\0\0"  # ID 0, QR and AA, no counts
# RFC 3597 §4: only the types of RFC 1035 may have compressed names in their rdata.
COMPRESSIBLE: Final[bytes] = bytes(
    1 if t in (2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15) else 0 for t in range(256)
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
    owners: dict[bytes, int] = {}  # owner key → offset
    seen: dict[bytes, int] = {}  # wire name in its exact case → offset
    origin_at = 0
    last = b"\xff"  # owner key of the record before; no key begins with 0xff 0xff
    last_at = 0
    # A record takes at most this much more in a message than here: class, length, the origin or a
    # spelled owner whose key is no shorter than its labels.
    margin = 16 + len(origin)
    for record in records:
        size = len(w)
        if count > 0 and size + len(record) + margin > IMAGE_MESSAGE:
            messages.append(_finish(w, count))
            w = BytesWriter()
            w.write(_HEADER)
            size = 12
            count = 0
            owners = {}
            seen = {}
            origin_at = 0
            last = b"\xff"
        spelled_rdata: bytes | None = None
        if spelling and record in spelling:
            spelled_owner, spelled_rdata = spelling[record]
            end = key_end(record)
            write_name(w, spelled_owner, seen)
            last = b"\xff"
            if not rooted and origin_at == 0 and spelled_owner.endswith(origin):
                origin_at = seen.get(origin, 0)
        elif record.startswith(last):
            end = len(last)
            write_i16_be(w, last_at - 0x4000)
        else:
            end = key_end(record)
            key = record[:end]
            at = owners.get(key, 0)
            if at != 0:
                write_i16_be(w, at - 0x4000)
                last_at = at
            else:
                if not rooted or end > 1:
                    owners[key] = size
                last_at = size
                # Below an owner of this message: its own label and a pointer.
                cut = end - 2
                while cut > 0 and record[cut - 1] != 0:
                    cut -= 1
                parent_at = owners.get(record[:cut] + b"\0", 0) if cut > 0 else 0
                if parent_at != 0:
                    label = names.unescape(record[cut : end - 2])
                    w.append(len(label))
                    w.write(label)
                    write_i16_be(w, parent_at - 0x4000)
                else:
                    _write_labels(w, key, owners)
                    if rooted:
                        w.append(0)
                    elif origin_at != 0:
                        write_i16_be(w, origin_at - 0x4000)
                    else:
                        origin_at = len(w)
                        w.write(origin)
                        seen[origin] = origin_at
            last = key

        high = record[end]
        low = record[end + 1]
        p = end + 2
        if high == 0 and low == RRSIG:
            p += 2
        w.append(high)
        w.append(low)
        w.append(0)
        w.append(1)
        w.append(record[p])
        w.append(record[p + 1])
        w.append(record[p + 2])
        w.append(record[p + 3])
        p += 4
        if high == 0 and COMPRESSIBLE[low]:
            rdata = spelled_rdata if spelled_rdata is not None else record[p:]
            length_at = len(w)
            w.append(0)
            w.append(0)
            if low == NS and spelled_rdata is None:
                _write_whole(w, rdata, origin, origin_at, seen)
            else:
                _write_rdata(w, low, rdata, seen)
            length = len(w) - length_at - 2
            w[length_at] = length >> 8
            w[length_at + 1] = length & 255
        else:
            rdata = spelled_rdata if spelled_rdata is not None else record[p:]
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


def _write_labels(w: BytesWriter, key: bytes, owners: dict[bytes, int]) -> None:
    """The labels of an owner key, leftmost first; the owners on the way up are remembered."""
    end = len(key) - 2
    while end > 0:
        cut = end
        while cut > 0 and key[cut - 1] != 0:
            cut -= 1
        here = key[: end + 1] + b"\0"
        if here not in owners:
            owners[here] = len(w)
        label = names.unescape(key[cut:end])
        w.append(len(label))
        w.write(label)
        end = cut - 1


def _write_whole(
    w: BytesWriter, name: bytes, origin: bytes, origin_at: int, seen: dict[bytes, int]
) -> None:
    """A name that is likely to come again as a whole, or to end in the origin."""
    at = seen.get(name, 0)
    if at != 0:
        write_i16_be(w, at - 0x4000)
        return
    here = len(w)
    if here < 0x4000:
        seen[name] = here
    if origin_at != 0 and len(name) > len(origin) and names.is_below(name, origin):
        w.write(name[: len(name) - len(origin)])
        write_i16_be(w, origin_at - 0x4000)
    else:
        w.write(name)


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
        """Add a record (class IN, rdata uncompressed) to section 1 answer, 2 authority, 3 additional.

        False where it does not fit below the limit; the message is then as before.
        """
        w = self._w
        before = len(w)
        # Names remembered by a record that is taken back would be pointed to: keep them apart.
        added: dict[bytes, int] = dict(self._seen)
        write_name(w, owner, added)
        write_i16_be(w, (rtype ^ 0x8000) - 0x8000)
        write_i16_be(w, 1)
        write_i32_be(w, (ttl ^ 0x80000000) - 0x80000000)
        length_at = len(w)
        w.append(0)
        w.append(0)
        if rtype < 256 and COMPRESSIBLE[rtype]:
            _write_rdata(w, rtype, rdata, added)
        else:
            w.write(rdata)
        length = len(w) - length_at - 2
        w[length_at] = length >> 8
        w[length_at + 1] = length & 255
        if len(w) > self.limit:
            w.truncate(before)
            return False
        self._seen = added
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
