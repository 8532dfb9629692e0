"""Requests: reading what clients send, writing our own, and the plainest answers to them.

RFC 1035 §4.1, RFC 5936 §2.1 (AXFR), RFC 1995 §3 (IXFR), RFC 1996 §3 (NOTIFY), RFC 6891 §6.1.1,
RFC 9619 (QDCOUNT is one).
"""

from __future__ import annotations

import enum
import struct
from typing import Final

from xfer.errors import WireError
from xfer.wire import names
from xfer.wire.codes import (
    FLAG_AA,
    FLAG_QR,
    FLAG_RD,
    OPCODE_MASK,
    OPCODE_NOTIFY,
    OPCODE_QUERY,
    opcode_text,
)
from xfer.wire.edns import OPT, Edns, read_opt, read_tail
from xfer.wire.header import (
    Header,
    Question,
    bumped,
    parse_header,
    read_question,
    skip_name,
    skip_record,
)

_SOA: Final = 6
_IXFR: Final = 251
_AXFR: Final = 252
_IN: Final = 1


class Kind(enum.Enum):
    """What a request wants."""

    QUERY = "query"  # any type but the two below, SOA among them
    AXFR = "axfr"
    IXFR = "ixfr"
    NOTIFY = "notify"
    OTHER = "other"  # an opcode that we do not serve: answer NOTIMP


class Request:
    """A request.

    id; kind; opcode; rd; question: for OTHER, where it has no readable one, the root with type and
    class 0; edns: None without OPT, its version is not checked here; ixfr_serial: of IXFR's
    SOA; soa: NOTIFY's hint, the SOA rdata with uncompressed names, None without one; tsig: whether
    it still holds a TSIG, which then is unverified; offered: options that its answer's OPT has
    whatever it says, (code, data), none until they are set.
    """

    def __init__(
        self,
        id: int,
        kind: Kind,
        opcode: int,
        rd: bool,
        question: Question,
        edns: Edns | None,
        ixfr_serial: int | None,
        soa: bytes | None,
        tsig: bool,
    ) -> None:
        self.id = id
        self.kind = kind
        self.opcode = opcode
        self.rd = rd
        self.question = question
        self.edns = edns
        self.ixfr_serial = ixfr_serial
        self.soa = soa
        self.tsig = tsig
        self.offered: tuple[tuple[int, bytes], ...] = ()

    @property
    def notify_serial(self) -> int | None:
        """The serial that a NOTIFY hints at (RFC 1996 §3.7: a hint, nothing more)."""
        return None if self.soa is None else rdata_serial(self.soa)


def parse_request(msg: bytes) -> Request:
    """A request, strictly: one question, only the records its kind allows, nothing behind them.

    Raises WireError, to be answered with FORMERR by `make_error` (which answers no responses).
    """
    header = parse_header(msg)
    if header.qr:
        raise WireError("a request", "a response (QR is set)", 2)
    opcode = header.opcode
    if opcode != OPCODE_QUERY and opcode != OPCODE_NOTIFY:
        return _other(msg, header)
    if header.qdcount != 1:
        raise WireError("one question", f"{header.qdcount}", 4)
    question, at = read_question(msg, 12)
    kind = Kind.NOTIFY if opcode == OPCODE_NOTIFY else Kind.QUERY
    if kind is Kind.QUERY and question.rtype == _AXFR:
        kind = Kind.AXFR
    elif kind is Kind.QUERY and question.rtype == _IXFR:
        kind = Kind.IXFR
    if kind is not Kind.NOTIFY:  # which may hold any records (RFC 1996 §3.7)
        if header.ancount:
            raise WireError(f"no answer records in {kind.value}", f"{header.ancount}", 6)
        wanted = 1 if kind is Kind.IXFR else 0
        if header.nscount != wanted:
            raise WireError(f"{wanted} authority records in {kind.value}", f"{header.nscount}", 8)
    tail = read_tail(msg, at, header.ancount + header.nscount, header.arcount)
    soa: bytes | None = None
    serial: int | None = None
    if kind is Kind.NOTIFY:
        soa = _hint(msg, at, header.ancount, question)
    elif kind is Kind.IXFR:
        serial = rdata_serial(_read_soa(msg, at, question))
    return Request(
        header.id,
        kind,
        opcode,
        header.rd,
        question,
        tail.edns,
        serial,
        soa,
        tail.tsig,
    )


def _other(msg: bytes, header: Header) -> Request:
    """A request with a foreign opcode; its sections may mean anything, so none is required."""
    question = Question(b"\x00", 0, 0)
    if header.qdcount == 1:
        try:
            question, _ = read_question(msg, 12)
        except WireError:
            question = Question(b"\x00", 0, 0)
    return Request(
        header.id, Kind.OTHER, header.opcode, header.rd, question, None, None, None, False
    )


def _hint(msg: bytes, offset: int, count: int, question: Question) -> bytes | None:
    """SOA rdata as of `_read_soa`, of the first SOA among `count` records; None where there is
    none, or it is not the question's."""
    at = offset
    for _ in range(count):
        start = at
        rtype, fields, at = skip_record(msg, start)
        rclass = (msg[fields + 2] << 8) | msg[fields + 3]
        if rtype == _SOA and rclass == question.rclass:
            owner, _ = names.read(msg, start)
            if names.lower(owner) != names.lower(question.name):
                return None
            return _read_soa(msg, start, question)
    return None


def _read_soa(msg: bytes, offset: int, question: Question) -> bytes:
    """Rdata, names uncompressed, of the SOA at `offset`, which must be the question's."""
    owner, _ = names.read(msg, offset)
    rtype, fields, end = skip_record(msg, offset)
    rclass = (msg[fields + 2] << 8) | msg[fields + 3]
    if rtype != _SOA or rclass != question.rclass:
        raise WireError("an SOA of the question's class", f"type {rtype} class {rclass}", offset)
    if names.lower(owner) != names.lower(question.name):
        raise WireError(
            f"the SOA of {names.to_text(question.name)}", f"that of {names.to_text(owner)}", offset
        )
    mname, at = names.read(msg, fields + 10)
    rname, at = names.read(msg, at)
    if at + 20 != end:
        raise WireError("20 octets after the names of an SOA", f"{end - at}", at)
    return mname + rname + msg[at:end]


def rdata_serial(rdata: bytes) -> int:
    """The serial in SOA rdata."""
    return int.from_bytes(rdata[-20:-16], "big")


def serial_soa(serial: int) -> bytes:
    """SOA rdata that holds nothing but a serial, which is all that IXFR looks at (RFC 1995 §3)."""
    return struct.pack(">BBIIIII", 0, 0, serial, 0, 0, 0, 0)


def _soa_record(name: bytes, ttl: int, rdata: bytes) -> bytes:
    # The owner is a pointer to the question's name, which always starts at octet 12.
    return struct.pack(">HHHIH", 0xC00C, _SOA, _IN, ttl, len(rdata)) + rdata


def make_query(
    id: int,
    qname: bytes,
    qtype: int,
    edns: Edns | None = None,
    ixfr_soa: bytes | None = None,
    rd: bool = False,
) -> bytes:
    """A query.  ixfr_soa: SOA rdata for the authority section, where qtype is IXFR."""
    if (qtype == _IXFR) != (ixfr_soa is not None):
        raise WireError("an SOA with IXFR and only there", f"type {qtype}")
    flags = FLAG_RD if rd else 0
    header = Header(id, flags, 1, 0, 0 if ixfr_soa is None else 1, 0)
    msg = header.build() + Question(qname, qtype).build()
    if ixfr_soa is not None:
        msg += _soa_record(qname, 0, ixfr_soa)
    return msg if edns is None else bumped(msg, edns.build())


def make_notify(
    id: int, qname: bytes, soa: bytes | None = None, ttl: int = 0, edns: Edns | None = None
) -> bytes:
    """A NOTIFY for SOA.  soa: rdata of the hint in the answer section; ttl: seconds."""
    flags = (OPCODE_NOTIFY << 11) | FLAG_AA
    header = Header(id, flags, 1, 0 if soa is None else 1, 0, 0)
    msg = header.build() + Question(qname, _SOA).build()
    if soa is not None:
        msg += _soa_record(qname, ttl, soa)
    return msg if edns is None else bumped(msg, edns.build())


def make_error(
    request: bytes, rcode: int, edns: Edns | None = None, aa: bool = False
) -> bytes | None:
    """The answer without records to anything that starts like a request.

    Repeats ID, opcode, RD and the question; only the header where the question cannot be read.
    rcode may be extended (BADVERS), and then wants `edns`; aa for answers to NOTIFY.  With NOERROR
    it is the answer to a NOTIFY.  None for less than 12 octets and for responses: never answered.
    """
    if len(request) < 12:
        return None
    header = parse_header(request)
    if header.qr:
        return None
    flags = FLAG_QR | (header.flags & (OPCODE_MASK | FLAG_RD)) | (rcode & 15)
    if aa:
        flags |= FLAG_AA
    body = b""
    if header.qdcount == 1:
        try:
            question, _ = read_question(request, 12)
            body = question.build()
        except WireError:
            body = b""
    msg = Header(header.id, flags, 1 if body else 0, 0, 0, 0).build() + body
    if edns is not None:
        return bumped(msg, edns.build(rcode))
    if rcode > 15:
        raise WireError("EDNS with an RCODE above 15", f"RCODE {rcode} without it")
    return msg


def edns_of(msg: bytes) -> Edns | None:
    """The OPT of a request that may be broken elsewhere; None without a readable one."""
    try:
        header = parse_header(msg)
        at = 12
        for _ in range(header.qdcount):
            at = skip_name(msg, at) + 4
        for _ in range(header.ancount + header.nscount + header.arcount):
            rtype, _, end = skip_record(msg, at)
            if rtype == OPT:
                return read_opt(msg, at)
            at = end
    except WireError:
        return None
    return None


def describe(request: Request) -> str:
    """ "AXFR example.com." and the like, for log lines."""
    what = request.kind.value.upper()
    if request.kind is Kind.OTHER:
        what = opcode_text(request.opcode)
    return f"{what} {names.to_text(request.question.name)}"
