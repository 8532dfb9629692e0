"""EDNS version 0: the OPT record and the options we use (RFC 6891; CO: RFC 9824 §5.1; EXPIRE: RFC
7314)."""

from __future__ import annotations

import struct
from typing import Final

from xfer.errors import WireError
from xfer.wire.header import Header, skip_record

OPT: Final = 41
OPTION_EXPIRE: Final = 9
_DO: Final = 0x8000
_CO: Final = 0x4000
_TSIG: Final = 250


class Edns:
    """What an OPT says.

    version; payload: UDP size the sender takes, octets; do: DNSSEC OK; options: (code, data) in
    order; rcode_high: the upper eight bits of an extended RCODE; co: Compact Answers OK, never
    without DO (RFC 9824 §5.1).
    """

    def __init__(
        self,
        version: int = 0,
        payload: int = 1232,
        do: bool = False,
        options: list[tuple[int, bytes]] | None = None,
        rcode_high: int = 0,
        co: bool = False,
    ) -> None:
        self.version = version
        self.payload = payload
        self.do = do
        self.options: list[tuple[int, bytes]] = [] if options is None else options
        self.rcode_high = rcode_high
        self.co = co

    def option(self, code: int) -> bytes | None:
        """Data of the first option with that code."""
        for number, data in self.options:
            if number == code:
                return data
        return None

    def build(self, rcode: int = 0) -> bytes:
        """The OPT record; rcode: the whole extended RCODE, of which it takes the upper bits."""
        parts: list[bytes] = []
        for code, data in self.options:
            parts.append(struct.pack(">HH", code, len(data)) + data)
        rdata = b"".join(parts)
        flags = (_DO if self.do else 0) | (_CO if self.co else 0)
        fixed = struct.pack(
            ">HHBBHH", OPT, self.payload, rcode >> 4, self.version, flags, len(rdata)
        )
        return b"\x00" + fixed + rdata


def read_opt(msg: bytes, start: int) -> Edns:
    """The OPT record at `start`.  Raises WireError where its owner is not the root or its options
    do not fill its rdata (RFC 6891 §6.1.2)."""
    _, at, end = skip_record(msg, start)
    if at != start + 1:
        raise WireError("the root as owner of OPT", "another name", start)
    payload, rcode_high, version, flags = struct.unpack_from(">HBBH", msg, at + 2)
    at += 10
    options: list[tuple[int, bytes]] = []
    while at < end:
        if at + 4 > end:
            raise WireError("an EDNS option's code and length", f"{end - at} octets", at)
        code, size = struct.unpack_from(">HH", msg, at)
        at += 4
        if at + size > end:
            raise WireError(f"an EDNS option of {size} octets", f"{end - at} octets", at)
        options.append((code, msg[at : at + size]))
        at += size
    compact = flags & (_DO | _CO) == _DO | _CO
    return Edns(version, payload, flags & _DO != 0, options, rcode_high, compact)


class Tail:
    """What the additional section held beside plain records: edns, and whether a TSIG."""

    def __init__(self, edns: Edns | None, tsig: bool) -> None:
        self.edns = edns
        self.tsig = tsig


def read_tail(msg: bytes, offset: int, others: int, additionals: int) -> Tail:
    """Walk to the exact end of the message: `others` records, then the additional section.

    Raises WireError for an OPT or TSIG outside the additional section, a second OPT, a TSIG that
    is not the last record, and octets behind the last record.
    """
    at = offset
    edns: Edns | None = None
    tsig = False
    for index in range(others + additionals):
        rtype, _, end = skip_record(msg, at)
        if rtype in (OPT, _TSIG):
            what = "OPT" if rtype == OPT else "TSIG"
            if index < others:
                raise WireError(f"{what} in the additional section only", "one before it", at)
            if rtype == OPT:
                if edns is not None:
                    raise WireError("one OPT", "a second one", at)
                edns = read_opt(msg, at)
            else:
                if index != others + additionals - 1:
                    raise WireError("TSIG as last record", "one with records after it", at)
                tsig = True
        at = end
    if at != len(msg):
        raise WireError(f"a message of {at} octets by its records", f"{len(msg)} octets", at)
    return Tail(edns, tsig)


def parse_tail(msg: bytes, offset: int, header: Header) -> Edns | None:
    """Authority and additional section of a response whose answers end at `offset`, to the exact
    end; for callers who have parsed the answers themselves.  Raises WireError, for a TSIG too:
    the verifier has taken it off, and one that nobody asked for proves nothing."""
    tail = read_tail(msg, offset, header.nscount, header.arcount)
    if tail.tsig:
        raise WireError("no TSIG beside the verified one", "one", offset)
    return tail.edns


def expire_request() -> tuple[int, bytes]:
    """The empty EXPIRE option, which asks for the time left (RFC 7314 §3.1)."""
    return (OPTION_EXPIRE, b"")


def expire_option(seconds: int) -> tuple[int, bytes]:
    """The EXPIRE option of a response.  seconds: left until the zone expires, 32 bits."""
    return (OPTION_EXPIRE, struct.pack(">I", min(max(seconds, 0), 0xFFFFFFFF)))


def asks_expire(edns: Edns | None) -> bool:
    """Whether a request holds the EXPIRE option.  Its data, which should be empty, is ignored."""
    return edns is not None and edns.option(OPTION_EXPIRE) is not None


def expire_of(edns: Edns | None) -> int | None:
    """Seconds in a response's EXPIRE option; None without one.  Raises WireError for a wrong size.

    An empty one is a server that echoes what it does not know: None as well.
    """
    if edns is None:
        return None
    data = edns.option(OPTION_EXPIRE)
    if data is None or not data:
        return None
    if len(data) != 4:
        raise WireError("an EXPIRE option of 4 octets", f"{len(data)}")
    return int.from_bytes(data, "big")
