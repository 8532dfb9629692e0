"""Plain queries: those whose answer depends on nothing but zone, question, DO, CO and size.

QUERY for a type that is no transfer and not NXNAME, class IN, one question and no record but an OPT
of version 0 without options, or with a COOKIE alone (RFC 7873). Whatever else comes, broken
messages among it, is no plain query and takes the long way (`xfer.server.dispatch`).
"""

from __future__ import annotations

from typing import Final

COOKIE: Final = 10
_FIXED: Final = 11  # octets of an OPT before its rdata, the root as its owner included
_MAX_NAME: Final = 255


class Plain:
    """A plain query.

    name: lower-case wire form; end: offset after the question; payload: what the OPT offers, 0
    without one; do, co: DNSSEC OK, and with it Compact Answers OK (RFC 9824 §5.1); cookie: data of
    the COOKIE option, None without one.
    """

    def __init__(self, name: bytes, rtype: int, end: int, rd: bool) -> None:
        self.name = name
        self.rtype = rtype
        self.end = end
        self.rd = rd
        self.edns = False
        self.do = False
        self.co = False
        self.payload = 0
        self.cookie: bytes | None = None


def read_plain(msg: bytes) -> Plain | None:
    """The plain query that a message is, None where it is none."""
    size = len(msg)
    if size < 17 or msg[2] & 0xF8 or msg[4:11] != b"\0\1\0\0\0\0\0" or msg[11] > 1:
        return None
    at = 12
    while at < size and 0 < msg[at] < 64:
        at += 1 + msg[at]
    if at + 5 > size or msg[at] != 0 or at - 11 > _MAX_NAME:
        return None
    end = at + 5
    rtype = msg[at + 1] << 8 | msg[at + 2]
    if msg[at + 3] != 0 or msg[at + 4] != 1 or rtype in (128, 251, 252):
        return None
    query = Plain(msg[12 : at + 1].lower(), rtype, end, msg[2] & 1 != 0)
    if msg[11] == 0:
        return query if end == size else None
    return query if _read_opt(msg, query) else None


def _read_opt(msg: bytes, query: Plain) -> bool:
    """Note the OPT that ends the message; False where it does not, or is none for us."""
    size = len(msg)
    at = query.end
    # Root, type 41, payload (2), upper RCODE (1), version 0, flags (2), length (2).
    if at + _FIXED > size or msg[at : at + 3] != b"\0\0\x29" or msg[at + 6] != 0:
        return False
    length = msg[at + 9] << 8 | msg[at + 10]
    if at + _FIXED + length != size:
        return False
    query.edns = True
    query.payload = msg[at + 3] << 8 | msg[at + 4]
    query.do = msg[at + 7] & 0x80 != 0
    query.co = msg[at + 7] & 0xC0 == 0xC0
    if length == 0:
        return True
    at += _FIXED
    if length < 4 or msg[at] != 0 or msg[at + 1] != COOKIE:
        return False
    if (msg[at + 2] << 8 | msg[at + 3]) != length - 4:
        return False
    query.cookie = msg[at + 4 :]
    return True
