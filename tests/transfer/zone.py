"""A small zone in records and messages, for the machines' tests."""

from __future__ import annotations

import struct

from xfer.wire import names, records

ORIGIN = names.from_text("example.com.")
MSG_ID = 4711
AXFR, IXFR, SOA, A, NS = 252, 251, 6, 1, 2


def soa_rdata(serial: int, refresh: int = 300) -> bytes:
    """SOA rdata with fixed names and timers."""
    return (
        names.from_text("ns1.example.com.")
        + names.from_text("hostmaster.example.com.")
        + struct.pack("!5I", serial, refresh, 60, 86400, 300)
    )


def rr(owner: bytes, rtype: int, rdata: bytes, ttl: int = 3600, rclass: int = 1) -> bytes:
    """A record in wire form, uncompressed."""
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata)) + rdata


def soa(serial: int = 1, ttl: int = 3600, owner: bytes = ORIGIN, refresh: int = 300) -> bytes:
    return rr(owner, SOA, soa_rdata(serial, refresh), ttl)


def host(number: int) -> bytes:
    """An A record of its own name."""
    return rr(names.from_text(f"host{number}.example.com."), A, bytes((192, 0, 2, number)))


def apex_ns() -> bytes:
    return rr(ORIGIN, NS, names.from_text("ns1.example.com."))


def question(name: bytes = ORIGIN, rtype: int = AXFR, rclass: int = 1) -> bytes:
    return name + struct.pack("!HH", rtype, rclass)


def message(
    *answers: bytes,
    asked: bytes | None = None,
    msg_id: int = MSG_ID,
    flags: int = 0x8400,
    authority: tuple[bytes, ...] = (),
    additional: tuple[bytes, ...] = (),
    questions: int | None = None,
    count: int | None = None,
) -> bytes:
    """A response; asked: the question section, None for none; count: ANCOUNT to pretend."""
    body = asked if asked is not None else b""
    qdcount = questions if questions is not None else (1 if asked is not None else 0)
    header = struct.pack(
        "!6H",
        msg_id,
        flags,
        qdcount,
        len(answers) if count is None else count,
        len(authority),
        len(additional),
    )
    return header + body + b"".join(answers) + b"".join(authority) + b"".join(additional)


def first(*answers: bytes, **others: object) -> bytes:
    """A first message: it has the question."""
    return message(*answers, asked=question(), **others)  # type: ignore[arg-type]


def key(text: str) -> bytes:
    """The owner key of a name below the zone."""
    return names.key_of(names.lower(names.from_text(text)), ORIGIN)


def record(owner: str, rtype: int, rdata: bytes, ttl: int = 3600) -> bytes:
    """A record in the engine's form."""
    return records.make(key(owner), rtype, ttl, records.canonical_rdata(rtype, rdata))


def frames(octets: bytes) -> list[bytes]:
    """The messages of a TCP stream."""
    out = []
    while octets:
        (size,) = struct.unpack_from("!H", octets)
        out.append(octets[2 : 2 + size])
        octets = octets[2 + size :]
    return out
