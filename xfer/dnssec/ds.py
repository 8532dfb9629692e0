"""What the parent and other signers need of a key, as values to copy: DS, CDS, CDNSKEY, DNSKEY;
and which DS is of which key.

RFC 4034 §5 and 4509 (DS, SHA-256), RFC 6605 §2 (SHA-384), RFC 7344 (CDS, CDNSKEY), RFC 8078 §4
(their delete forms), RFC 8624 §3.3 (which digests to use).

Owners are wire names. The values render themselves as a line of a zone file and as the fields that
registrars ask for one by one; `fields()` is also what JSON shows.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

import attrs

from xfer.dnssec.algorithms import algorithm_text
from xfer.dnssec.idents import foreign_ds, tag_of
from xfer.dnssec.keys import PROTOCOL, SEP
from xfer.dnssec.keystate import ZoneKeys
from xfer.errors import KeyRefused
from xfer.wire import names

SHA1: Final = 1  # recognised at the parent, never made (RFC 8624 §3.3)
SHA256: Final = 2
SHA384: Final = 4
DEFAULT_DIGEST: Final = SHA256

# digest type → name to show, name in hashlib, octets
_DIGESTS: Final = {
    SHA1: ("SHA-1", "sha1", 20),
    SHA256: ("SHA-256", "sha256", 32),
    SHA384: ("SHA-384", "sha384", 48),
}
_MADE: Final = (SHA256, SHA384)

DELETE_CDS: Final = bytes(5)  # 0 0 0 00
DELETE_CDNSKEY: Final = bytes((0, 0, PROTOCOL, 0, 0))  # 0 3 0 AA==


def digest_text(digest_type: int) -> str:
    """The name of a digest type, or its number where it has none here."""
    known = _DIGESTS.get(digest_type)
    return known[0] if known is not None else str(digest_type)


@attrs.frozen
class Ds:
    """A DS (or CDS) record's fields. digest: octets."""

    key_tag: int
    algorithm: int
    digest_type: int
    digest: bytes

    @property
    def rdata(self) -> bytes:
        head = self.key_tag.to_bytes(2, "big") + bytes((self.algorithm, self.digest_type))
        return head + self.digest

    @property
    def text(self) -> str:
        """`9394 13 2 9F86…`: the rdata in presentation form, digest in upper case."""
        return f"{self.key_tag} {self.algorithm} {self.digest_type} {self.digest.hex().upper()}"

    def line(self, owner: bytes, ttl: int | None = None, rtype: str = "DS") -> str:
        """A line of the parent's zone file (or of ours, for rtype "CDS")."""
        return _line(owner, ttl, rtype, self.text)

    def fields(self) -> dict[str, int | str]:
        """The fields apart, as a registrar asks for them; names beside the numbers."""
        return {
            "key_tag": self.key_tag,
            "algorithm": self.algorithm,
            "algorithm_name": algorithm_text(self.algorithm),
            "digest_type": self.digest_type,
            "digest_name": digest_text(self.digest_type),
            "digest": self.digest.hex().upper(),
        }

    @property
    def is_delete(self) -> bool:
        """Whether it is the CDS that asks the parent to remove all DS (RFC 8078 §4)."""
        return self.rdata == DELETE_CDS

    def matches(self, owner: bytes, dnskey: bytes) -> bool:
        """Whether it is of this DNSKEY rdata; False where the digest type is unknown here."""
        if self.digest_type not in _DIGESTS or len(dnskey) < 4:
            return False
        if (self.key_tag, self.algorithm) != (tag_of(dnskey), dnskey[3]):
            return False
        return digest(owner, dnskey, self.digest_type) == self.digest


def digest(owner: bytes, dnskey: bytes, digest_type: int) -> bytes:
    """The digest of a DNSKEY (RFC 4034 §5.1.4). Raises KeyRefused for an unknown type."""
    known = _DIGESTS.get(digest_type)
    if known is None:
        raise KeyRefused("a digest type of 1, 2 or 4", str(digest_type))
    return hashlib.new(known[1], names.lower(owner) + dnskey, usedforsecurity=False).digest()


def ds_of(owner: bytes, dnskey: bytes, digest_type: int = DEFAULT_DIGEST) -> Ds:
    """The DS of a DNSKEY rdata. Raises KeyRefused for a digest that is not made any more."""
    if digest_type not in _MADE:
        named = f"{digest_type} (SHA-1)" if digest_type == SHA1 else str(digest_type)
        raise KeyRefused("a digest type of 2 (SHA-256) or 4 (SHA-384)", named)
    return Ds(tag_of(dnskey), dnskey[3], digest_type, digest(owner, dnskey, digest_type))


def ds_from(rdata: bytes) -> Ds:
    """The fields of DS or CDS rdata. Raises KeyRefused where it is damaged.

    Unknown algorithms and digest types pass: they are somebody's, and match none of our keys.
    """
    if len(rdata) < 5:
        raise KeyRefused("DS rdata of at least 5 octets", str(len(rdata)))
    known = _DIGESTS.get(rdata[3])
    if known is not None and len(rdata) != 4 + known[2]:
        raise KeyRefused(f"{known[2]} octets of {known[0]}", str(len(rdata) - 4))
    return Ds(int.from_bytes(rdata[:2], "big"), rdata[2], rdata[3], rdata[4:])


def cds_of(owner: bytes, dnskey: bytes, digest_type: int = DEFAULT_DIGEST) -> bytes:
    """Rdata of the CDS that asks the parent for this key's DS (RFC 7344 §3.1)."""
    return ds_of(owner, dnskey, digest_type).rdata


def whose(zone: ZoneKeys, rdata: Iterable[bytes]) -> frozenset[str]:
    """The idents of a DS set: of our keys that it names, and of each DS that names none of them."""
    keys = [key for key in zone.keys if key.role.signs_keys]
    return frozenset(
        next((key.ident for key in keys if _names(one, zone.origin, key.public)), None)
        or foreign_ds(one.ljust(4, b"\0"))
        for one in rdata
    )


def _names(rdata: bytes, owner: bytes, dnskey: bytes) -> bool:
    try:
        return ds_from(rdata).matches(owner, dnskey)
    except KeyRefused:
        return False


@attrs.frozen
class Dnskey:
    """A DNSKEY (or CDNSKEY) record's fields. public_key: octets."""

    flags: int
    protocol: int
    algorithm: int
    public_key: bytes

    @property
    def rdata(self) -> bytes:
        head = self.flags.to_bytes(2, "big") + bytes((self.protocol, self.algorithm))
        return head + self.public_key

    @property
    def text(self) -> str:
        """`257 3 13 GojIhh…`: the rdata in presentation form, base64 in one piece."""
        public = base64.b64encode(self.public_key).decode("ascii")
        return f"{self.flags} {self.protocol} {self.algorithm} {public}"

    def line(self, owner: bytes, ttl: int | None = None, rtype: str = "DNSKEY") -> str:
        """A line of a zone file; rtype "CDNSKEY" for what the parent is to take up."""
        return _line(owner, ttl, rtype, self.text)

    def fields(self) -> dict[str, int | str]:
        """The fields apart; the key tag beside them, which is no field of the record."""
        return {
            "flags": self.flags,
            "protocol": self.protocol,
            "algorithm": self.algorithm,
            "algorithm_name": algorithm_text(self.algorithm),
            "public_key": base64.b64encode(self.public_key).decode("ascii"),
            "key_tag": tag_of(self.rdata),
            "role": "KSK" if self.flags & SEP else "ZSK",
        }

    @property
    def is_delete(self) -> bool:
        """Whether it is the CDNSKEY that asks the parent to remove all DS (RFC 8078 §4)."""
        return self.rdata == DELETE_CDNSKEY


def dnskey_from(rdata: bytes) -> Dnskey:
    """The fields of DNSKEY or CDNSKEY rdata. Raises KeyRefused where it is too short."""
    if len(rdata) < 5:
        raise KeyRefused("DNSKEY rdata of at least 5 octets", str(len(rdata)))
    return Dnskey(int.from_bytes(rdata[:2], "big"), rdata[2], rdata[3], rdata[4:])


def dnskey_from_text(text: str) -> Dnskey:
    """The fields of `257 3 13 base64…`, base64 in any number of pieces. Raises KeyRefused.

    What other signers hand over for import, and the last part of BIND's .key files.
    """
    parts = text.split()
    if len(parts) < 4:
        raise KeyRefused("flags, protocol, algorithm and public key", f"{len(parts)} words")
    flags = _number("flags", parts[0], 65535)
    protocol = _number("protocol", parts[1], 255)
    algorithm = _number("algorithm", parts[2], 255)
    try:
        public = base64.b64decode("".join(parts[3:]), validate=True)
    except ValueError:
        raise KeyRefused("a public key in base64", "something else") from None
    if not public:
        raise KeyRefused("a public key in base64", "an empty one")
    return Dnskey(flags, protocol, algorithm, public)


def _number(what: str, part: str, most: int) -> int:
    if not (part.isascii() and part.isdigit() and len(part) <= 5 and int(part) <= most):
        raise KeyRefused(f"{what} from 0 to {most}", repr(part[:40]))
    return int(part)


def _line(owner: bytes, ttl: int | None, rtype: str, text: str) -> str:
    middle = "" if ttl is None else f"{ttl} "
    return f"{names.to_text(owner)} {middle}IN {rtype} {text}"
