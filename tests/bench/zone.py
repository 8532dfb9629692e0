"""Deterministic zones of any size: records, zone file and ready-made AXFR messages.

Of every ten records four are a delegation (two NS with glue), five a host (two A, AAAA, MX, TXT)
and one is a CNAME; they come in canonical order, as real senders send them. A new version of a
zone changes one address in a hundred hosts, and the serial.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

ZONE = "bench.test."
A, NS, CNAME, SOA, MX, TXT, AAAA = 1, 2, 5, 6, 15, 16, 28
TTL = 3600
QUESTION_NAME = b"\x05bench\x04test\x00"
_POINTER_LIMIT = 0x4000
_TYPE_NAMES = {A: "A", NS: "NS", CNAME: "CNAME", SOA: "SOA", MX: "MX", TXT: "TXT", AAAA: "AAAA"}

Item = tuple[str, int, bytes, str]
"""Owner relative to the apex ("" is the apex), type, rdata before its name, the name ("" none)."""


def serial_of(version: int) -> int:
    return 2026112200 + version


def soa_fields(version: int) -> bytes:
    """The SOA's rdata behind its two names. REFRESH is a day: nothing happens by itself."""
    return struct.pack("!5I", serial_of(version), 86400, 7200, 3600000, 3600)


def soa_record(version: int) -> bytes:
    """The SOA as a record of an answer whose question names the zone."""
    rdata = b"\x03ns1\xc0\x0c" + b"\x0ahostmaster\xc0\x0c" + soa_fields(version)
    return struct.pack("!HHHIH", 0xC00C, SOA, 1, TTL, len(rdata)) + rdata


def records(count: int, version: int = 1, seed: int = 8) -> Iterator[Item]:
    """`count` records in canonical order of their owners, the SOA first and once."""
    draw = random.Random(seed)
    units, filler = divmod(count - 6, 10)
    network = draw.randrange(1 << 16)
    yield "", SOA, soa_fields(version), "ns1"
    yield "", NS, b"", "ns1"
    yield "", NS, b"", "ns2"
    yield "", MX, b"\0\x0a", "ns1"
    for i in range(units):
        owner = f"customer-{i:07d}"
        address = draw.getrandbits(32)
        yield owner, NS, b"", f"ns1.{owner}"
        yield owner, NS, b"", f"ns2.{owner}"
        yield f"ns1.{owner}", A, struct.pack("!I", address), ""
        yield f"ns2.{owner}", A, struct.pack("!I", address ^ 0xFFFF), ""
    for i in range(filler):
        yield f"filler{i}", TXT, b"\x06filler", ""
    for i in range(units):
        owner = f"host-{i:07d}"
        address = draw.getrandbits(32)
        if i % 100 == 0:
            address = (address + version) & 0xFFFFFFFF
        yield owner, A, struct.pack("!I", address), ""
        yield owner, A, struct.pack("!I", address ^ 0xFF), ""
        yield owner, MX, b"\0\x0a", owner
        text = b"v=spf1 ip4:%d.%d.%d.%d include:_spf.bench.test -all" % tuple(
            struct.pack("!I", address)
        )
        yield owner, TXT, bytes([len(text)]) + text, ""
        yield owner, AAAA, struct.pack("!HHHHQ", 0x2001, 0xDB8, network, 0, address), ""
    yield "ns1", A, b"\xc0\x00\x02\x01", ""
    yield "ns2", A, b"\xc0\x00\x02\x02", ""
    for i in range(units):
        yield f"www{i:07d}", CNAME, b"", f"host-{i:07d}"


def write_zone_file(path: Path, items: Iterator[Item]) -> None:
    """Write the records as a zone file, one a line, names relative to $ORIGIN."""
    with path.open("w") as file:
        file.write(f"$ORIGIN {ZONE}\n$TTL {TTL}\n")
        file.writelines(
            f"{owner or '@'} {_TYPE_NAMES[rtype]} {_rdata_text(rtype, before, name)}\n"
            for owner, rtype, before, name in items
        )


def _rdata_text(rtype: int, before: bytes, name: str) -> str:
    if rtype == A:
        return socket.inet_ntop(socket.AF_INET, before)
    if rtype == AAAA:
        return socket.inet_ntop(socket.AF_INET6, before)
    if rtype == MX:
        return f"{int.from_bytes(before, 'big')} {name}"
    if rtype == TXT:
        return f'"{before[1:].decode()}"'
    if rtype == SOA:
        numbers = " ".join(map(str, struct.unpack("!5I", before)))
        return f"{name} hostmaster.{ZONE} {numbers}"
    return name


def messages(items: Iterator[Item]) -> Iterator[tuple[int, bytes]]:
    """The AXFR's messages: number of answers, and everything behind the header.

    Each begins with the question (which the names point into) and stays below 16 kB, so that
    every name can be pointed at; BIND, Knot and NSD send the like.
    """
    body = bytearray()
    names: dict[str, int] = {}
    count = 0

    def add_name(name: str) -> None:
        """Append a name, as a pointer where this message has it already."""
        while name:
            known = names.get(name)
            if known is not None:
                body.extend(struct.pack("!H", 0xC000 | known))
                return
            names[name] = len(body) + 12
            label, _, name = name.partition(".")
            body.append(len(label))
            body.extend(label.encode())
        body.extend(b"\xc0\x0c")

    def restart() -> None:
        body[:] = QUESTION_NAME + struct.pack("!HH", 252, 1)
        names.clear()

    def add(owner: str, rtype: int, before: bytes, name: str) -> None:
        add_name(owner)
        body.extend(struct.pack("!HHIH", rtype, 1, TTL, 0))
        start = len(body)
        if rtype == SOA:
            add_name(name)
            add_name("hostmaster")
            body.extend(before)
        else:
            body.extend(before)
            if name or not before:
                add_name(name)
        body[start - 2 : start] = struct.pack("!H", len(body) - start)

    restart()
    first: Item | None = None
    for item in items:
        first = first or item
        if len(body) > _POINTER_LIMIT - 300:
            yield count, bytes(body)
            restart()
            count = 0
        add(*item)
        count += 1
    if first is not None:
        add(*first)
        yield count + 1, bytes(body)


def write_messages(path: Path, items: Iterator[Item]) -> int:
    """Store an AXFR's messages for the replay; returns their size in bytes.

    Each: number of answers (2), length (2), the message behind its header.
    """
    size = 0
    with path.open("wb") as file:
        for count, body in messages(items):
            size += file.write(struct.pack("!HH", count, len(body)) + body)
    return size


def read_messages(path: Path) -> list[tuple[int, bytes]]:
    """What `write_messages` stored."""
    data = path.read_bytes()
    found = []
    at = 0
    while at < len(data):
        count, length = struct.unpack_from("!HH", data, at)
        found.append((count, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found
