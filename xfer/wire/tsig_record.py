"""The TSIG record in a message: find it, read it, take it off, put it on (RFC 8945 §4.2, §5.2).

The rule of §5.2: exactly one, the last record of the additional section, class ANY, TTL 0.
`find` walks the whole message and holds it.  `at_end` is the short cut for long streams: it looks
only at the octets where a TSIG of a known size has to start, and answers only where the additional
section holds nothing else, or an OPT as BIND and Knot put it into every message of a transfer.
That is safe for this reason: what the MAC covers is exactly the octets before that start, with
ARCOUNT one less, and those octets are what is handed on.  Whoever parses them must consume them to
the last octet and refuse TSIG there (`edns.parse_tail` does); a "record" that was cut in two by a
forged trailer then fails, and cannot mean anything else.
"""

from __future__ import annotations

import struct

from xfer.errors import TsigError, TsigKind, WireError
from xfer.wire import names
from xfer.wire.header import bumped, parse_header, skip_name, skip_record
from xfer.wire.tsig_keys import CLASS_ANY, TSIG, TSIG_FIXED, Key


def malformed(expected: str, got: str) -> TsigError:
    """The error for a TSIG, or a message around it, of the wrong shape."""
    return TsigError(TsigKind.MALFORMED, expected, got)


class Unreadable(TsigError):
    """The message cannot be walked to where a TSIG would stand: cut, or its counts are wrong."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(TsigKind.MALFORMED, expected, got)


class Tsig:
    """A TSIG as it came.

    start: offset of the record; owner, algorithm: lower-case wire names; time: Unix seconds;
    fudge: seconds; mac; original_id; error: TSIG error code; other: other data.
    """

    def __init__(
        self,
        start: int,
        owner: bytes,
        algorithm: bytes,
        time: int,
        fudge: int,
        mac: bytes,
        original_id: int,
        error: int,
        other: bytes,
    ) -> None:
        self.start = start
        self.owner = owner
        self.algorithm = algorithm
        self.time = time
        self.fudge = fudge
        self.mac = mac
        self.original_id = original_id
        self.error = error
        self.other = other


def read(msg: bytes, start: int) -> Tsig:
    """The TSIG record at `start`, which must end where the message ends.  Raises TsigError."""
    size = len(msg)
    try:
        owner, at = names.read(msg, start)
    except WireError as exc:
        raise malformed("a key name as owner of the TSIG", str(exc)) from exc
    if at + 10 > size:
        raise malformed("a whole TSIG record", f"{size - at} octets after its owner")
    rtype, rclass, ttl, rdlength = struct.unpack_from(">HHIH", msg, at)
    at += 10
    if rtype != TSIG:
        raise malformed("a TSIG as last record", f"type {rtype}")
    if rclass != CLASS_ANY:
        raise malformed("class ANY (255) in the TSIG", f"class {rclass}")
    if ttl != 0:
        raise malformed("TTL 0 in the TSIG", f"TTL {ttl}")
    if at + rdlength != size:
        raise malformed(
            "a TSIG that ends with the message", f"rdata of {rdlength} octets where {size - at} are"
        )
    try:
        algorithm, at = names.read(msg, at)
    except WireError as exc:
        raise malformed("an algorithm name in the TSIG", str(exc)) from exc
    if at + 10 > size:
        raise malformed("time, fudge and MAC size in the TSIG", f"{size - at} octets")
    high, low, fudge, mac_size = struct.unpack_from(">HIHH", msg, at)
    at += 10
    if at + mac_size + 6 > size:
        raise malformed(
            f"a MAC of {mac_size} octets in the TSIG", f"{size - at} octets of rdata left"
        )
    mac = msg[at : at + mac_size]
    at += mac_size
    original_id, error, other_size = struct.unpack_from(">HHH", msg, at)
    at += 6
    if at + other_size != size:
        raise malformed(
            f"other data of {other_size} octets in the TSIG", f"{size - at} octets of rdata left"
        )
    return Tsig(
        start,
        names.lower(owner),
        names.lower(algorithm),
        (high << 32) | low,
        fudge,
        mac,
        original_id,
        error,
        msg[at:],
    )


def find(msg: bytes) -> Tsig | None:
    """The TSIG of a message, by walking all of it; None where it has none.

    Raises Unreadable for a message that cannot be walked or does not end with its last record,
    TsigError(MALFORMED) where the TSIG is not the one last record of the additional section.
    """
    size = len(msg)
    try:
        header = parse_header(msg)
        at = 12
        for _ in range(header.qdcount):
            at = skip_name(msg, at) + 4
        total = header.ancount + header.nscount + header.arcount
        last_start = -1
        for index in range(total):
            start = at
            rtype, _, at = skip_record(msg, start)
            if rtype == TSIG:
                if index != total - 1 or header.arcount == 0:
                    raise malformed(
                        "the TSIG as last record of the additional section",
                        f"one as record {index + 1} of {total}",
                    )
                last_start = start
    except WireError as exc:
        at_octet = f" at octet {exc.offset}" if exc.offset >= 0 else ""
        raise Unreadable(exc.expected, exc.got + at_octet) from exc
    if at != size:
        raise Unreadable(f"a message of {at} octets by its records", f"{size} octets")
    if last_start < 0:
        return None
    return read(msg, last_start)


def _opt_ends_at(msg: bytes, end: int) -> bool:
    """Whether the octets before `end` are an OPT, without options or with EXPIRE alone."""
    for rdlength in (0, 8):
        at = end - 11 - rdlength
        if at >= 12 and msg[at : at + 3] == b"\x00\x00\x29" and msg[at + 10] == rdlength:
            return msg[at + 9] == 0
    return False


def at_end(msg: bytes, key: Key, length: int) -> Tsig | None:
    """The TSIG of `length` octets at the end of a message, alone or behind an OPT.

    None where there is no such thing: then only `find` knows.  Never raises.
    """
    size = len(msg)
    start = size - length
    if start < 12 or msg[10] != 0:
        return None
    if msg[11] != 1 and (msg[11] != 2 or not _opt_ends_at(msg, start)):
        return None
    owner = len(key.name)
    # The owner is spelled out by all known senders; where it is not, `find` does the work.
    if msg[start + owner : start + owner + 8] != TSIG_FIXED:
        return None
    if names.lower(msg[start : start + owner]) != key.name:
        return None
    try:
        return read(msg, start)
    except TsigError:
        return None


def strip(msg: bytes, tsig: Tsig) -> bytes:
    """The message before it was signed: without TSIG, ARCOUNT one less, original ID restored."""
    count = ((msg[10] << 8) | msg[11]) - 1
    return b"".join(
        (
            struct.pack(">H", tsig.original_id),
            msg[2:10],
            struct.pack(">H", count),
            memoryview(msg)[12 : tsig.start],
        )
    )


def time_bytes(now: int) -> bytes:
    """Unix seconds as 48 bits."""
    return struct.pack(">HI", (now >> 32) & 0xFFFF, now & 0xFFFFFFFF)


def prefixed(mac: bytes) -> bytes:
    """A MAC as it enters the next digest: two octets of length, then the MAC."""
    return struct.pack(">H", len(mac)) + mac


def build(
    key: Key, now: int, fudge: int, mac: bytes, original_id: int, error: int, other: bytes
) -> bytes:
    """A TSIG record on the wire."""
    return build_raw(key.head, key.algorithm.wire, now, fudge, mac, original_id, error, other)


def build_raw(
    head: bytes,
    algorithm: bytes,
    now: int,
    fudge: int,
    mac: bytes,
    original_id: int,
    error: int,
    other: bytes,
) -> bytes:
    """As `build`; head is owner, type, class and TTL, algorithm the wire name."""
    return b"".join(
        (
            head,
            struct.pack(">H", len(algorithm) + 16 + len(mac) + len(other)),
            algorithm,
            struct.pack(">HIHH", (now >> 32) & 0xFFFF, now & 0xFFFFFFFF, fudge, len(mac)),
            mac,
            struct.pack(">HHH", original_id, error, len(other)),
            other,
        )
    )


def append(msg: bytes, record: bytes) -> bytes:
    """The message with the record as its last one, ARCOUNT raised.  Raises WireError > 65535."""
    if len(msg) + len(record) > 65535:
        raise WireError(
            f"a message of at most {65535 - len(record)} octets to sign", f"{len(msg)} octets"
        )
    return bumped(msg, record)
