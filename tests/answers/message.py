"""DNS messages for the differential test: queries as octets, answers as sets of records.

Written for this test alone, with no code of xfer: what compares must not share a fault with what is
compared. Names are in lower case everywhere (RFC 4343): Knot and NSD fold them, and compression
lends an owner the case of the question.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import attrs
import dns.name
import dns.rdata
import dns.rdatatype

A, NS, CNAME, SOA, MX, TXT, AAAA, SRV, DNAME, OPT, DS = 1, 2, 5, 6, 15, 16, 28, 33, 39, 41, 43
RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, SVCB, HTTPS = 46, 47, 48, 50, 51, 64, 65
ANY = 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = 0, 1, 2, 3, 4, 5, 6

# What stands before the names of an rdata, and how many there are.
_NAMES = {
    NS: (0, 1), CNAME: (0, 1), 12: (0, 1), DNAME: (0, 1), SOA: (0, 2), MX: (2, 1), 17: (0, 2),
    18: (2, 1), 21: (2, 1), 36: (2, 1), 26: (2, 2), SRV: (6, 1), RRSIG: (18, 1), NSEC: (0, 1),
    SVCB: (2, 1), HTTPS: (2, 1),
}  # fmt: skip


class Record(NamedTuple):
    """One record; `owner` and `rdata` in wire form, names not compressed and in lower case."""

    owner: bytes
    rtype: int
    ttl: int
    rdata: bytes

    def __str__(self) -> str:
        rdata = dns.rdata.from_wire(
            "IN", dns.rdatatype.RdataType.make(self.rtype), self.rdata, 0, len(self.rdata)
        ).to_text()
        return f"{show(self.owner)} {self.ttl} {type_name(self.rtype)} {rdata}"


class BadMessage(Exception):
    """An answer that is no DNS message, or none to its query."""


@attrs.frozen
class Query:
    """One question as it is sent.

    name: wire form, in the case to send; payload: the size that the OPT offers, None without OPT;
    do, rd, cd: the flags; cookie: with a client's cookie (RFC 7873); tcp: the transport.
    """

    name: bytes
    qtype: int
    payload: int | None = None
    do: bool = False
    rd: bool = False
    cd: bool = False
    cookie: bool = False
    tcp: bool = False

    def wire(self, ident: int) -> bytes:
        flags = (0x0100 if self.rd else 0) | (0x0010 if self.cd else 0)
        with_opt = self.payload is not None
        head = struct.pack("!6H", ident, flags, 1, 0, 0, 1 if with_opt else 0)
        body = head + self.name + struct.pack("!HH", self.qtype, 1)
        if self.payload is None:
            return body
        options = b"\0\x0a\0\x08xfertest" if self.cookie else b""
        flags = 0x8000 if self.do else 0
        head = struct.pack("!BHHIH", 0, OPT, self.payload, flags, len(options))
        return body + head + options

    def over_tcp(self) -> Query:
        return attrs.evolve(self, tcp=True)

    def __str__(self) -> str:
        opt = "" if self.payload is None else f" +bufsize={self.payload}"
        words = [" +dnssec"] * self.do + [" +rec" if self.rd else " +norec"]
        words += [" +cookie"] * self.cookie + [" +cd"] * self.cd + [" +tcp"] * self.tcp
        return f"{show(self.name)} {type_name(self.qtype)}{opt or ' +noedns'}{''.join(words)}"


@attrs.frozen
class Message:
    """An answer: flags apart, each section a set, the OPT apart.

    question: the question's octets as they came back; flags: AA, TC, RD, RA, AD, CD as letters;
    opt: (payload size, version, DO) or None; options: octets of options in it; size: octets of the
    whole message; doubled: whether a record came twice in one section.
    """

    rcode: int
    flags: frozenset[str]
    question: bytes
    answer: frozenset[Record]
    authority: frozenset[Record]
    additional: frozenset[Record]
    opt: tuple[int, int, bool] | None
    options: int
    size: int
    first: Record | None
    doubled: bool

    @property
    def plain(self) -> int:
        """How large it were without pointers, and without options in the OPT."""
        records = [*self.answer, *self.authority, *self.additional]
        size = sum(len(record.owner) + 10 + len(record.rdata) for record in records)
        return 12 + len(self.question) + size + (11 if self.opt else 0)


_FLAGS = {0x0400: "AA", 0x0200: "TC", 0x0100: "RD", 0x0080: "RA", 0x0020: "AD", 0x0010: "CD"}


_CASE_SIGNED = (NSEC, SVCB, HTTPS)
"""Their names are signed in the case they have (RFC 6840 §5.1, RFC 9460 §2.2)."""


def parse(wire: bytes, *, exact: bool = False) -> Message:
    """The message in `wire`; raises BadMessage.

    exact: keep the case of names where signatures depend on it.
    """
    try:
        return _parse(wire, exact)
    except (IndexError, struct.error) as error:
        raise BadMessage(f"{error}: {wire.hex()}") from None


def records_of(wire: bytes) -> list[Record]:
    """The answer section in order, for transfers."""
    _, _, questions, count = struct.unpack_from("!4H", wire)
    at = 12
    for _ in range(questions):
        at = _name(wire, at)[1] + 4
    found = []
    for _ in range(count):
        record, at, _ = _record(wire, at, False)
        found.append(record)
    return found


def _parse(wire: bytes, exact: bool) -> Message:
    _, flags, questions, *counts = struct.unpack_from("!6H", wire)
    at = 12
    for _ in range(questions):
        at = _name(wire, at)[1] + 4
    question = wire[12:at]
    rcode = flags & 15
    opt = None
    options = 0
    first = None
    doubled = False
    sections = []
    for count in counts:
        section = []
        for _ in range(count):
            record, at, rclass = _record(wire, at, exact)
            if record.rtype == OPT:
                rcode |= record.ttl >> 24 << 4
                opt = (rclass, record.ttl >> 16 & 255, bool(record.ttl & 0x8000))
                options = len(record.rdata)
                continue
            first = first or record
            section.append(record)
        sections.append(frozenset(section))
        doubled = doubled or len(sections[-1]) < len(section)
    if at != len(wire):
        raise BadMessage(f"{len(wire) - at} octets behind the message: {wire.hex()}")
    letters = frozenset(letter for bit, letter in _FLAGS.items() if flags & bit)
    answer, authority, additional = sections
    return Message(
        rcode,
        letters,
        question,
        answer,
        authority,
        additional,
        opt,
        options,
        len(wire),
        first if answer else None,
        doubled,
    )


def _record(wire: bytes, at: int, exact: bool) -> tuple[Record, int, int]:
    owner, at = _name(wire, at)
    rtype, rclass, ttl, length = struct.unpack_from("!HHIH", wire, at)
    at += 10
    end = at + length
    if end > len(wire):
        raise BadMessage(f"a record ends behind the message: {wire.hex()}")
    layout = _NAMES.get(rtype)
    if layout is None or length == 0 or (exact and rtype in _CASE_SIGNED):
        return Record(owner, rtype, ttl, wire[at:end]), end, rclass
    before, names = layout
    rdata = wire[at : at + before]
    at += before
    for _ in range(names):
        name, at = _name(wire, at)
        rdata += name
    return Record(owner, rtype, ttl, rdata + wire[at:end]), end, rclass


def _name(wire: bytes, at: int) -> tuple[bytes, int]:
    """The name at `at`, in lower case, and what comes behind it."""
    parts = []
    end = 0
    for _ in range(200):
        length = wire[at]
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | wire[at + 1]
            continue
        parts.append(wire[at : at + 1 + length])
        at += 1 + length
        if length == 0:
            return b"".join(parts).lower(), end or at
    raise BadMessage(f"a name that does not end: {wire.hex()}")


def name_wire(text: str) -> bytes:
    """Wire form of a name in presentation form, its case kept."""
    return dns.name.from_text(text).to_wire() or b""


def show(name: bytes) -> str:
    return dns.name.from_wire(name, 0)[0].to_text()


def type_name(rtype: int) -> str:
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rtype))


def labels(name: bytes) -> list[bytes]:
    """The labels without their lengths, the root's left out."""
    found = []
    at = 0
    while length := name[at]:
        found.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    return found


def join(parts: list[bytes]) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def parent(name: bytes) -> bytes:
    """The name without its first label."""
    return name[1 + name[0] :]


def ancestors(name: bytes) -> list[bytes]:
    """The name itself, its parent, … the root."""
    found = [name]
    while name != b"\0":
        name = parent(name)
        found.append(name)
    return found


def is_below(name: bytes, above: bytes) -> bool:
    """Whether `name` is `above` or below it."""
    return name.endswith(above) and above in ancestors(name)


def covered(rrsig: Record) -> int:
    """The type that an RRSIG covers."""
    return int.from_bytes(rrsig.rdata[:2], "big")
