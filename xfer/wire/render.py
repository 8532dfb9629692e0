"""Writing names, rdata and small answers.

RFC 1035 §4.1.4 and RFC 3597 §4 (which names may be compressed), RFC 5936 §2.2 (transfer messages:
the question stands in the first one only) and §3.4 (case is preserved: a name is only ever
compressed against one of the same case).
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be

from xfer.wire.records import DNAME, layout

_HEADER: Final = b"\0\0\x84\0\0\0\0\0\0\0\0\0"  # ID 0, QR and AA, no counts
# RFC 3597 §4: only the types of RFC 1035 may have compressed names in their rdata.
COMPRESSIBLE: Final[bytes] = bytes(
    [1 if t in (2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15) else 0 for t in range(256)]
)


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


def remember_name(name: bytes, at: int, seen: dict[bytes, int]) -> None:
    """Let later names point into a whole name that stands at octet `at`."""
    p = 0
    while name[p] != 0 and at + p < 0x4000:
        seen.setdefault(name[p:], at + p)
        p += 1 + name[p]


def write_rdata(w: BytesWriter, rtype: int, rdata: bytes, seen: dict[bytes, int]) -> None:
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
            write_rdata(w, rtype, rdata, self._seen)
        else:
            if rtype == DNAME:
                # Never compressed (RFC 6672 §2.5), but the CNAME made from it may point into it.
                remember_name(rdata, len(w), self._seen)
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

    def rrset(self, section: int, lines: list[tuple[bytes, int, int, bytes]]) -> bool:
        """Add lines (owner, type, TTL, rdata), all of them or none; whether they fit."""
        before = len(self._w)
        count = self._counts[section]
        for owner, rtype, ttl, rdata in lines:
            if not self.record(section, owner, rtype, ttl, rdata):
                self._w.truncate(before)
                self._seen = {name: at for name, at in self._seen.items() if at < before}
                self._counts[section] = count
                return False
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
