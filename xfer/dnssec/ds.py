"""DS records of our keys, and which DS is whose (RFC 4034 §5, RFC 4509, RFC 6605; CDS RFC 7344)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from xfer.dnssec.keys import tag_of
from xfer.dnssec.keystate import FOREIGN, KeyState, ZoneKeys
from xfer.wire import names

SHA1: Final = 1
SHA256: Final = 2
SHA384: Final = 4
_HASHES: Final = {SHA1: hashlib.sha1, SHA256: hashlib.sha256, SHA384: hashlib.sha384}

DELETE_CDS: Final = bytes((0, 0, 0, 0, 0))  # RFC 8078 §4
DELETE_CDNSKEY: Final = bytes((0, 0, 3, 0, 0))


def tag_of_ident(ident: str) -> int:
    """The key tag in an ident."""
    return int(ident[-5:])


def ds_rdata(origin: bytes, key: KeyState, digest: int = SHA256) -> bytes:
    """Rdata of the DS of a key; digest: its type, SHA-1, SHA-256 or SHA-384."""
    hashed = _HASHES[digest](origin + key.public).digest()
    return tag_of_ident(key.ident).to_bytes(2, "big") + bytes((key.algorithm, digest)) + hashed


def ds_text(origin: bytes, key: KeyState, digest: int = SHA256) -> str:
    """The DS of a key as a line of a zone file."""
    rdata = ds_rdata(origin, key, digest)
    return (
        f"{names.to_text(origin)} IN DS {int.from_bytes(rdata[:2], 'big')} {rdata[2]} {rdata[3]} "
        f"{rdata[4:].hex().upper()}"
    )


def foreign_ident(rdata: bytes) -> str:
    """What stands for a DS that is of no key of ours; at least 4 octets of rdata."""
    tag = int.from_bytes(rdata[:2], "big")
    return f"{FOREIGN}{rdata[2]:03}+{tag:05}:{hashlib.sha256(rdata).hexdigest()[:16]}"


def foreign_dnskey(rdata: bytes) -> str:
    """What stands for a DNSKEY that is of no key of ours; at least 4 octets of rdata."""
    digest = hashlib.sha256(rdata).hexdigest()[:16]
    return f"{FOREIGN}{rdata[3]:03}+{tag_of(rdata):05}:{digest}"


def whose(zone: ZoneKeys, rdata: Iterable[bytes]) -> frozenset[str]:
    """Idents of the keys that a DS set names; a stand-in for each DS that is of no key of ours."""
    found = set()
    for one in rdata:
        found.add(next((key.ident for key in zone.keys if _names(zone, one, key)), None) or (
            foreign_ident(one.ljust(4, b"\0"))
        ))  # fmt: skip
    return frozenset(found)


def _names(zone: ZoneKeys, rdata: bytes, key: KeyState) -> bool:
    return (
        len(rdata) > 4
        and key.role.signs_keys
        and rdata[2] == key.algorithm
        and rdata[3] in _HASHES
        and rdata == ds_rdata(zone.origin, key, rdata[3])
    )
