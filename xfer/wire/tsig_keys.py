"""TSIG algorithms and keys (RFC 8945 §6; RFC 4635 for the truncated ones).

A `Key` keeps a ready keyed HMAC, so that a message costs one `copy()` and not two hash blocks of
key schedule.  Nothing here prints a secret: `repr` of a key leaves it out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from xfer.errors import WireError
from xfer.wire import names

TSIG: Final = 250
CLASS_ANY: Final = 255
FUDGE: Final = 300  # seconds; what RFC 8945 §10 recommends
_INNER: Final = bytes([octet ^ 0x36 for octet in range(256)])
_OUTER: Final = bytes([octet ^ 0x5C for octet in range(256)])
TSIG_FIXED: Final = b"\x00\xfa\x00\xff\x00\x00\x00\x00"  # type TSIG, class ANY, TTL 0

# TSIG error codes (RFC 8945 §3); as RCODE the message carries NOTAUTH.
BADSIG: Final = 16
BADKEY: Final = 17
BADTIME: Final = 18
BADTRUNC: Final = 22

# Owner 255, fixed RR fields 10, algorithm 26, rdata fields 16, MAC 64, other data 6.
MAX_TSIG: Final = 255 + 10 + 26 + 16 + 64 + 6


class Algorithm:
    """One HMAC of RFC 8945 §6.

    text: the name users type ("hmac-sha256-128"); wire: the name in the record, lower-case;
    digest: what `hashlib` calls the hash; digest_size: octets of its output; mac_size: octets we
    send (less than digest_size for the truncated ones); min_mac: the shortest MAC that §5.2.2.1
    lets a peer send.  There is one instance of each: compare with `is`.
    """

    def __init__(
        self, text: str, wire: bytes, digest: str, digest_size: int, mac_size: int
    ) -> None:
        self.text = text
        self.wire = wire
        self.digest = digest
        self.digest_size = digest_size
        self.mac_size = mac_size
        self.min_mac = mac_size if mac_size < digest_size else max(10, digest_size // 2)

    def __repr__(self) -> str:
        return f"<Algorithm {self.text}>"

    @staticmethod
    def from_text(text: str) -> Algorithm:
        """The algorithm of that name, in any case, with or without the closing dot.

        "hmac-md5" and "hmac-md5.sig-alg.reg.int." are the same.  Raises WireError with the list of
        names that are known.
        """
        wanted = text.lower().rstrip(".")
        if wanted == "hmac-md5.sig-alg.reg.int":
            return HMAC_MD5
        for algorithm in ALGORITHMS:
            if algorithm.text == wanted:
                return algorithm
        known = ", ".join([algorithm.text for algorithm in ALGORITHMS])
        raise WireError(f"a TSIG algorithm ({known})", text)

    @staticmethod
    def from_wire(wire: bytes) -> Algorithm | None:
        """The algorithm with that lower-case wire name; None where it is not one of ours."""
        for algorithm in ALGORITHMS:
            if algorithm.wire == wire:
                return algorithm
        return None


def _wire(label: bytes) -> bytes:
    return bytes([len(label)]) + label + b"\x00"


HMAC_MD5: Final = Algorithm("hmac-md5", b"\x08hmac-md5\x07sig-alg\x03reg\x03int\x00", "md5", 16, 16)
HMAC_SHA1: Final = Algorithm("hmac-sha1", _wire(b"hmac-sha1"), "sha1", 20, 20)
HMAC_SHA224: Final = Algorithm("hmac-sha224", _wire(b"hmac-sha224"), "sha224", 28, 28)
HMAC_SHA256: Final = Algorithm("hmac-sha256", _wire(b"hmac-sha256"), "sha256", 32, 32)
HMAC_SHA384: Final = Algorithm("hmac-sha384", _wire(b"hmac-sha384"), "sha384", 48, 48)
HMAC_SHA512: Final = Algorithm("hmac-sha512", _wire(b"hmac-sha512"), "sha512", 64, 64)
HMAC_SHA256_128: Final = Algorithm("hmac-sha256-128", _wire(b"hmac-sha256-128"), "sha256", 32, 16)
HMAC_SHA384_192: Final = Algorithm("hmac-sha384-192", _wire(b"hmac-sha384-192"), "sha384", 48, 24)
HMAC_SHA512_256: Final = Algorithm("hmac-sha512-256", _wire(b"hmac-sha512-256"), "sha512", 64, 32)

ALGORITHMS: Final = [
    HMAC_MD5,
    HMAC_SHA1,
    HMAC_SHA224,
    HMAC_SHA256,
    HMAC_SHA384,
    HMAC_SHA512,
    HMAC_SHA256_128,
    HMAC_SHA384_192,
    HMAC_SHA512_256,
]


class Mac:
    """A running HMAC (RFC 2104), its key already in; over hashlib, because the standard library's
    `hmac` runs Python code for each call, which counts where a transfer has thousands."""

    def __init__(self, inner: hashlib._Hash, outer: hashlib._Hash) -> None:
        self._inner = inner
        self._outer = outer

    @staticmethod
    def keyed(secret: bytes, digest: str) -> Mac:
        """digest: hashlib's name for it."""
        inner = hashlib.new(digest)
        outer = hashlib.new(digest)
        size = inner.block_size
        if len(secret) > size:
            secret = hashlib.new(digest, secret).digest()
        secret = secret.ljust(size, b"\0")
        inner.update(secret.translate(_INNER))
        outer.update(secret.translate(_OUTER))
        return Mac(inner, outer)

    def copy(self) -> Mac:
        return Mac(self._inner.copy(), self._outer)

    def update(self, data: bytes | memoryview) -> None:
        self._inner.update(data)

    def digest(self) -> bytes:
        """The MAC of what has been given so far, in full length."""
        outer = self._outer.copy()
        outer.update(self._inner.digest())
        return outer.digest()


class Key:
    """A shared secret with its name and algorithm.

    name: wire name (lower-cased here); secret: raw octets; min_mac: the shortest MAC this key
    accepts (local policy of RFC 8945 §5.2.4), never below the algorithm's own floor, by default
    that floor.  Equal when name, algorithm, secret and policy are.
    """

    def __init__(self, name: bytes, algorithm: Algorithm, secret: bytes, min_mac: int = 0) -> None:
        if not secret:
            raise WireError("a TSIG secret of at least one octet", "an empty one")
        if min_mac > algorithm.mac_size:
            raise WireError(
                f"a shortest MAC of at most {algorithm.mac_size} octets for {algorithm.text}",
                str(min_mac),
            )
        self.name = names.lower(name)
        self.algorithm = algorithm
        self.secret = secret
        self.min_mac = max(min_mac, algorithm.min_mac)
        # Owner, type, class and TTL of every TSIG made with this key.
        self.head = self.name + TSIG_FIXED
        # The same fields in the order the MAC covers them (RFC 8945 §4.3.3).
        self.variables = self.name + b"\x00\xff\x00\x00\x00\x00" + algorithm.wire
        self._keyed = Mac.keyed(secret, algorithm.digest)

    @staticmethod
    def from_text(name: str, algorithm: str, secret: str) -> Key:
        """A key as users write it: "k1.", "hmac-sha256", base64.  Raises WireError."""
        try:
            raw = base64.b64decode("".join(secret.split()), validate=True)
        except (binascii.Error, ValueError) as exc:
            # The text itself stays out of the message: it is a secret.
            raise WireError("a TSIG secret in base64", "something else") from exc
        return Key(names.from_text(name), Algorithm.from_text(algorithm), raw)

    def start(self) -> Mac:
        """A fresh HMAC under this key."""
        return self._keyed.copy()

    def text(self) -> str:
        """ "k1. with hmac-sha256", for messages."""
        return f"{names.to_text(self.name)} with {self.algorithm.text}"

    def tsig_size(self) -> int:
        """Octets that a TSIG of this key adds to an ordinary response."""
        return len(self.head) + 2 + len(self.algorithm.wire) + 16 + self.algorithm.mac_size

    def __repr__(self) -> str:
        return f"<Key {self.text()}, secret redacted>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return (
            self.name == other.name
            and self.algorithm is other.algorithm
            and self.min_mac == other.min_mac
            and hmac.compare_digest(self.secret, other.secret)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.algorithm.text))
