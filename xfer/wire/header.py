"""The header and question of a DNS message, and stepping over what follows (RFC 1035 §4.1)."""

from __future__ import annotations

import struct

from xfer.errors import WireError
from xfer.wire import names
from xfer.wire.codes import FLAG_AA, FLAG_QR, FLAG_RD, FLAG_TC, OPCODE_MASK


class Header:
    """The 12 octets before the question; flags: the 16 bits with QR, opcode and RCODE."""

    def __init__(
        self, id: int, flags: int, qdcount: int, ancount: int, nscount: int, arcount: int
    ) -> None:
        self.id = id
        self.flags = flags
        self.qdcount = qdcount
        self.ancount = ancount
        self.nscount = nscount
        self.arcount = arcount

    @property
    def qr(self) -> bool:
        """A response."""
        return self.flags & FLAG_QR != 0

    @property
    def aa(self) -> bool:
        return self.flags & FLAG_AA != 0

    @property
    def tc(self) -> bool:
        return self.flags & FLAG_TC != 0

    @property
    def rd(self) -> bool:
        return self.flags & FLAG_RD != 0

    @property
    def opcode(self) -> int:
        return (self.flags & OPCODE_MASK) >> 11

    @property
    def rcode(self) -> int:
        """The lower four bits; EDNS may hold eight more."""
        return self.flags & 15

    def build(self) -> bytes:
        return struct.pack(
            ">HHHHHH", self.id, self.flags, self.qdcount, self.ancount, self.nscount, self.arcount
        )


class Question:
    """name: wire name as it was spelled; rtype, rclass: numbers."""

    def __init__(self, name: bytes, rtype: int, rclass: int = 1) -> None:
        self.name = name
        self.rtype = rtype
        self.rclass = rclass

    def same(self, other: Question) -> bool:
        """The same question; names compare without case (RFC 4343)."""
        return (
            self.rtype == other.rtype
            and self.rclass == other.rclass
            and names.lower(self.name) == names.lower(other.name)
        )

    def build(self) -> bytes:
        return self.name + struct.pack(">HH", self.rtype, self.rclass)


def parse_header(msg: bytes) -> Header:
    """Raises WireError for less than 12 octets."""
    if len(msg) < 12:
        raise WireError("a message of at least 12 octets", f"{len(msg)}")
    id, flags, qdcount, ancount, nscount, arcount = struct.unpack_from(">HHHHHH", msg, 0)
    return Header(id, flags, qdcount, ancount, nscount, arcount)


def read_question(msg: bytes, offset: int) -> tuple[Question, int]:
    """The question at `offset`, and the offset after it.  Raises WireError."""
    name, at = names.read(msg, offset)
    if at + 4 > len(msg):
        raise WireError("a type and class after the question's name", "the end of the message", at)
    rtype, rclass = struct.unpack_from(">HH", msg, at)
    return Question(name, rtype, rclass), at + 4


def skip_name(msg: bytes, at: int) -> int:
    """The offset after the name at `at`; pointers are stepped over, not followed."""
    size = len(msg)
    start = at
    while at < size:
        octet = msg[at]
        if octet >= 0xC0:
            if at + 2 > size:
                break
            return at + 2
        if octet >= 0x40:
            raise WireError("a label of at most 63 octets", f"length octet {octet:#04x}", at)
        at += octet + 1
        if octet == 0:
            return at
    raise WireError("a name", "the end of the message", start)


def skip_record(msg: bytes, at: int) -> tuple[int, int, int]:
    """(type, offset of the fields after the owner, offset after the record) of the one at `at`.

    Raises WireError where the record does not fit in the message.
    """
    fields = skip_name(msg, at)
    if fields + 10 > len(msg):
        raise WireError("type, class, TTL and length of a record", "the end of the message", fields)
    rtype = (msg[fields] << 8) | msg[fields + 1]
    end = fields + 10 + ((msg[fields + 8] << 8) | msg[fields + 9])
    if end > len(msg):
        raise WireError(
            f"{end - fields - 10} octets of rdata",
            f"{len(msg) - fields - 10} to the end of the message",
            fields + 10,
        )
    return rtype, fields, end


def bumped(msg: bytes, record: bytes) -> bytes:
    """The message with the record as its last additional one, ARCOUNT raised."""
    count = ((msg[10] << 8) | msg[11]) + 1
    return b"".join((msg[:10], struct.pack(">H", count), memoryview(msg)[12:], record))
