"""The options of our OPT: what a request's own ask for, and what an error has to say.

COOKIE               to every request that has one (RFC 7873 §5.2)
NSID                 asked for, and the server has one (RFC 5001)
edns-tcp-keepalive   asked for, over TCP: how long the connection may be idle (RFC 7828)
EXPIRE               asked for, with SOA, AXFR and IXFR (RFC 7314)
Extended DNS Error   with what is refused or fails (RFC 8914)

Unknown options are ignored (RFC 6891 §6.1.2). Padding (RFC 7830) is for encrypted transports, of
which there is none here. Pure functions; times are arguments.
"""

from __future__ import annotations

from typing import Final

import attrs

from xfer.answer.cookies import CLIENT_SIZE, COOKIE, Checked, Cookies
from xfer.transfer.outbound import AXFR, IXFR
from xfer.wire.edns import Edns, asks_expire, expire_option
from xfer.wire.records import SOA
from xfer.wire.request import Request

NSID: Final = 3
KEEPALIVE: Final = 11
EDE: Final = 15

EDE_OTHER: Final = 0
EDE_NOT_READY: Final = 14
EDE_PROHIBITED: Final = 18
EDE_NOT_AUTHORITATIVE: Final = 20
EDE_NOT_SUPPORTED: Final = 21
EDE_INVALID_DATA: Final = 24
EDE_INVALID_QUERY_TYPE: Final = 30  # RFC 9824 §9

Option = tuple[int, bytes]


@attrs.frozen
class Offer:
    """What this server's OPT has to offer.

    nsid: "" for none; idle: seconds a TCP connection is kept without a query; cookies: None where
    there are none.
    """

    nsid: bytes = b""
    idle: float = 0.0
    cookies: Cookies | None = None


@attrs.frozen
class Offered:
    """options: what any answer to the request has; genuine: a cookie of ours proves the client's
    address; cookie: it has one of its own; spoilt: and a server's that is not ours."""

    options: tuple[Option, ...] = ()
    genuine: bool = False
    cookie: bool = False
    spoilt: bool = False


NOTHING: Final = Offered()


def offered(asked: Edns | None, offer: Offer, client: bytes, tcp: bool, now: int) -> Offered | None:
    """What a request's own options get, whatever its answer; None where its cookie is malformed.

    asked: the request's OPT, of version 0; client: its address, 4 or 16 octets; now: Unix seconds.
    """
    if asked is None or not asked.options:
        return NOTHING
    found: list[Option] = []
    checked: Checked | None = None
    known = False
    seen = 0
    for code, data in asked.options:
        if code > 15 or seen >> code & 1:
            continue  # of several, the first counts
        seen |= 1 << code
        if code == COOKIE and offer.cookies is not None:
            checked = offer.cookies.check(data, client, now)
            if checked is None:
                return None
            known = len(data) > CLIENT_SIZE
            found.append((COOKIE, checked.answer))
        elif code == NSID and offer.nsid:
            found.append((NSID, offer.nsid))
        elif code == KEEPALIVE and tcp:
            found.append((KEEPALIVE, keepalive(offer.idle)))
    if checked is None:
        return Offered(tuple(found))
    return Offered(tuple(found), checked.valid, True, spoilt=known and not checked.valid)


def asks_cookie(message: bytes, asked: Edns | None) -> bool:
    """Whether it is a query without a question that asks for a cookie only (RFC 7873 §5.4): an OPT
    alone, of version 0 and with a cookie."""
    if len(message) < 12 or message[2] & 0x78 or message[4:12] != b"\0\0\0\0\0\0\0\1":
        return False
    return asked is not None and asked.version == 0 and asked.option(COOKIE) is not None


def keepalive(idle: float) -> bytes:
    """The time of an edns-tcp-keepalive option: units of 100 ms, never more than is kept."""
    return min(max(int(idle * 10), 0), 0xFFFF).to_bytes(2, "big")


def extended_error(code: int, text: str) -> Option:
    """An Extended DNS Error option (RFC 8914 §2)."""
    return EDE, code.to_bytes(2, "big") + text.encode()


def edns_for(request: Request, payload: int, expires_in: int | None) -> Edns | None:
    """What our OPT says; None where the request had none.

    payload: the UDP size it offers; expires_in: seconds until the zone expires, for SOA queries and
    transfers that ask for it (RFC 7314 §3), None where that is not known.
    """
    if request.edns is None:
        return None
    options = list(request.offered)
    asked = asks_expire(request.edns) and request.question.rtype in (SOA, IXFR, AXFR)
    if asked and expires_in is not None:
        options.append(expire_option(expires_in))
    return Edns(0, payload, request.edns.do, options, co=request.edns.co)
