"""How keys are called: key tags, and the idents that all that is kept of a zone's keys goes by.

RFC 4034 Appendix B (key tags), RFC 5011 §7 (a revoked key has another one).

    013+09394                              a key of ours: algorithm and tag, as in BIND's file names
    foreign:013+09394:0123456789abcdef     a DS or DNSKEY of somebody else; the beginning of the
                                           SHA-256 of its rdata, since tags are not unique
"""

from __future__ import annotations

import hashlib
from typing import Final

from xfer.dnssec.keystate import FOREIGN

_REVOKE: Final = 0x80  # in the second octet of the flags


def tag_of(rdata: bytes) -> int:
    """The key tag of a whole DNSKEY rdata (RFC 4034 Appendix B; algorithm 1 is not used here)."""
    total = sum(rdata[0::2]) * 256 + sum(rdata[1::2])
    return (total + (total >> 16)) & 0xFFFF


def tags_of(rdata: bytes) -> tuple[int, int]:
    """The tags of a key as it stands, and with the REVOKE bit turned over (RFC 5011 §7)."""
    other = rdata[:1] + bytes((rdata[1] ^ _REVOKE,)) + rdata[2:]
    return tag_of(rdata), tag_of(other)


def ident_of(rdata: bytes) -> str:
    """The ident of a key of ours; at least 4 octets of DNSKEY rdata."""
    return ident_text(rdata[3], tag_of(rdata))


def ident_text(algorithm: int, tag: int) -> str:
    """The ident of a key of that algorithm and tag, whosever it is."""
    return f"{algorithm:03d}+{tag:05d}"


def foreign_dnskey(rdata: bytes) -> str:
    """The ident of a DNSKEY that is of no key of ours; at least 4 octets of rdata."""
    return _foreign(rdata[3], tag_of(rdata), rdata)


def foreign_ds(rdata: bytes) -> str:
    """The ident of a DS that is of no key of ours; at least 3 octets of rdata."""
    return _foreign(rdata[2], int.from_bytes(rdata[:2], "big"), rdata)


def algorithm_in(ident: str) -> int:
    """The number of the algorithm in an ident, whosever it is."""
    return int(ident.removeprefix(FOREIGN)[:3])


def tag_in(ident: str) -> int:
    """The key tag in an ident, whosever it is."""
    return int(ident.removeprefix(FOREIGN)[4:9])


def _foreign(algorithm: int, tag: int, rdata: bytes) -> str:
    return f"{FOREIGN}{ident_text(algorithm, tag)}:{hashlib.sha256(rdata).hexdigest()[:16]}"
