"""DNSSEC keys: public keys as DNSKEY rdata, signing and verifying.

RFC 4034 §2 (DNSKEY), RFC 3110 and 5702 (RSA), RFC 6605 (ECDSA), RFC 8080 (Ed25519, Ed448), RFC
8624 (which of them to use).

Signatures are in the form that an RRSIG carries. Nothing here prints a private part: a `SigningKey`
shows its tag, and is neither pickled nor copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from xfer.dnssec.algorithms import (
    ALGORITHMS,
    ED448,
    ED25519,
    Algorithm,
    algorithm_of,
    algorithm_text,
)
from xfer.dnssec.idents import ident_of, tag_of
from xfer.errors import KeyRefused
from xfer.log import Secret

ZONE: Final = 0x0100  # DNSKEY flags, RFC 4034 §2.1.1
SEP: Final = 0x0001
KSK_FLAGS: Final = ZONE | SEP
ZSK_FLAGS: Final = ZONE
PROTOCOL: Final = 3

RSA_BITS: Final = (1024, 4096)  # of a key that we read or verify with: RFC 5702 §2.1 up to 4096
NEW_RSA_BITS: Final = (2048, 4096)
_MOST_EXPONENT: Final = 8  # octets; real ones have 3, and a huge one makes verifying slow

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)


class SigningKey:
    """A private key with its DNSKEY.

    algorithm: number; flags: of the DNSKEY, 256 or 257; public: whole DNSKEY rdata; tag: its key
    tag; sign(data): the signature as the RRSIG carries it. Safe to share between threads.
    """

    __slots__ = ("_private", "algorithm", "flags", "public", "sign", "tag")

    def __init__(self, algorithm: int, flags: int, private: PrivateKey) -> None:
        """Raises KeyRefused where the private key is none of this algorithm."""
        self.algorithm: Final = algorithm
        self.flags: Final = flags
        self.public: Final[bytes] = dnskey_rdata(algorithm, flags, private.public_key())
        self.tag: Final = tag_of(self.public)
        # A function of its own, not a method: what does not change is looked up once.
        self.sign: Final[Callable[[bytes], bytes]] = _signer(ALGORITHMS[algorithm], private)
        self._private: Final = private

    @property
    def sep(self) -> bool:
        return bool(self.flags & SEP)

    @property
    def ident(self) -> str:
        """Algorithm and tag as in BIND's file names: `013+09394`."""
        return ident_of(self.public)

    @property
    def bits(self) -> int:
        """Size of the modulus or of the curve's field."""
        return bits_of(self._private.public_key())

    def reveal(self) -> PrivateKey:
        """The private key, for the key store and processes that sign."""
        return self._private

    def private_der(self) -> Secret:
        """The private key as PKCS #8 in DER, for `from_der` in a process that signs."""
        return Secret(
            self._private.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def private_octets(self) -> Secret:
        """The scalar (ECDSA) or seed (EdDSA), for `from_octets` and key files; not of RSA."""
        private = self._private
        if isinstance(private, ec.EllipticCurvePrivateKey):
            scalar = private.private_numbers().private_value
            return Secret(scalar.to_bytes(ALGORITHMS[self.algorithm].size, "big"))
        if isinstance(private, rsa.RSAPrivateKey):
            raise KeyRefused("a key with one private number", "RSA, which has several")
        return Secret(private.private_bytes_raw())

    def __repr__(self) -> str:
        return f"<SigningKey {algorithm_text(self.algorithm)} tag {self.tag} flags {self.flags}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey is neither pickled nor copied")


def from_der(algorithm: int, flags: int, private: Secret) -> SigningKey:
    """The key of `SigningKey.private_der`. Raises KeyRefused; says nothing of the octets."""
    try:
        # Made of a key that has been checked: looking for primes again takes 35 ms.
        key = serialization.load_der_private_key(
            private.reveal(), None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRefused("a private key as PKCS #8", "something else") from None
    algorithm_of(algorithm)
    return SigningKey(algorithm, flags, key)  # type: ignore[arg-type]


def from_octets(algorithm: int, flags: int, private: Secret) -> SigningKey:
    """The ECDSA or EdDSA key of its private octets (RFC 6605 §6, RFC 8080 §6).

    Raises KeyRefused.
    """
    known = algorithm_of(algorithm)
    octets = private.reveal()
    if known.is_rsa:
        raise KeyRefused("one private number", f"{known}, which has several")
    if len(octets) != known.size:
        raise KeyRefused(f"{known.size} octets of a private key of {known}", str(len(octets)))
    try:
        if known.curve is not None:
            scalar = int.from_bytes(octets, "big")
            return SigningKey(algorithm, flags, ec.derive_private_key(scalar, known.curve))
        if algorithm == ED25519:
            return SigningKey(
                algorithm, flags, ed25519.Ed25519PrivateKey.from_private_bytes(octets)
            )
        return SigningKey(algorithm, flags, ed448.Ed448PrivateKey.from_private_bytes(octets))
    except ValueError:
        raise KeyRefused(f"a private scalar of {known}", "one out of range") from None


def make_key(algorithm: int, sep: bool, *, bits: int = 2048) -> SigningKey:
    """A new key. sep: flags 257 (KSK or CSK), else 256; bits: of RSA only. Raises KeyRefused."""
    known = algorithm_of(algorithm)
    flags = KSK_FLAGS if sep else ZSK_FLAGS
    if not known.generated:
        raise KeyRefused(
            "an algorithm for new keys, 8, 13, 14, 15 or 16", f"{known}, not recommended (RFC 8624)"
        )
    private: PrivateKey
    if known.curve is not None:
        private = ec.generate_private_key(known.curve)
    elif algorithm == ED25519:
        private = ed25519.Ed25519PrivateKey.generate()
    elif algorithm == ED448:
        private = ed448.Ed448PrivateKey.generate()
    else:
        if not NEW_RSA_BITS[0] <= bits <= NEW_RSA_BITS[1]:
            raise KeyRefused(f"RSA of {NEW_RSA_BITS[0]} to {NEW_RSA_BITS[1]} bits", str(bits))
        private = rsa.generate_private_key(65537, bits)
    return SigningKey(algorithm, flags, private)


def dnskey_rdata(algorithm: int, flags: int, public: PublicKey) -> bytes:
    """DNSKEY rdata of a public key. Raises KeyRefused where the key is none of the algorithm."""
    known = algorithm_of(algorithm)
    if isinstance(public, rsa.RSAPublicKey) and known.is_rsa:
        _check_rsa(public.key_size)
        numbers = public.public_numbers()
        exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
        if len(exponent) > _MOST_EXPONENT:
            raise KeyRefused(f"an RSA exponent of up to {_MOST_EXPONENT} octets", "a longer one")
        material = bytes((len(exponent),)) + exponent + numbers.n.to_bytes(_octets(public), "big")
    elif (
        isinstance(public, ec.EllipticCurvePublicKey)
        and known.curve is not None
        and public.curve.name == known.curve.name
    ):
        # RFC 6605 §4: x | y, without the octet 0x04 in front of an uncompressed point.
        material = public.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )[1:]
    elif (isinstance(public, ed25519.Ed25519PublicKey) and algorithm == ED25519) or (
        isinstance(public, ed448.Ed448PublicKey) and algorithm == ED448
    ):
        material = public.public_bytes_raw()
    else:
        raise KeyRefused(f"a key of {known}", "one of another algorithm")
    return flags.to_bytes(2, "big") + bytes((PROTOCOL, algorithm)) + material


def public_key(rdata: bytes) -> PublicKey:
    """The public key in a DNSKEY rdata.

    Raises KeyRefused where the algorithm is not used here, the protocol is not 3, the ZONE bit is
    not set, or the key is damaged. Time is bounded: RSA up to 4096 bits, short exponents.
    """
    if len(rdata) < 5:
        raise KeyRefused("DNSKEY rdata of at least 5 octets", f"{len(rdata)}")
    if rdata[2] != PROTOCOL or not rdata[0] & 1:
        raise KeyRefused(
            "a DNSKEY of a zone, protocol 3",
            f"flags {int.from_bytes(rdata[:2], 'big')}, protocol {rdata[2]}",
        )
    known = algorithm_of(rdata[3])
    material = rdata[4:]
    try:
        if known.is_rsa:
            return _rsa_public(material)
        octets = known.size * (2 if known.curve is not None else 1)
        if len(material) != octets:
            raise KeyRefused(f"{octets} octets of {known}", str(len(material)))
        if known.curve is not None:
            return ec.EllipticCurvePublicKey.from_encoded_point(known.curve, b"\4" + material)
        if known.number == ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(material)
        return ed448.Ed448PublicKey.from_public_bytes(material)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused(f"a public key of {known}", "octets that are none") from None


def _rsa_public(material: bytes) -> rsa.RSAPublicKey:
    """RFC 3110 §2: length of the exponent (one octet, or zero and two), exponent, modulus."""
    at, size = 1, material[0]
    if size == 0 and len(material) >= 3:
        at, size = 3, int.from_bytes(material[1:3], "big")
    if not 1 <= size <= _MOST_EXPONENT or at + size >= len(material):
        raise KeyRefused(
            f"an RSA exponent of 1 to {_MOST_EXPONENT} octets, then the modulus",
            f"one of {size} in {len(material)} octets",
        )
    modulus = int.from_bytes(material[at + size : at + size + 1024], "big")
    _check_rsa(modulus.bit_length() if len(material) <= at + size + 1024 else 8 * len(material))
    return rsa.RSAPublicNumbers(
        int.from_bytes(material[at : at + size], "big"), modulus
    ).public_key()


def _check_rsa(bits: int) -> None:
    if not RSA_BITS[0] <= bits <= RSA_BITS[1]:
        raise KeyRefused(f"RSA of {RSA_BITS[0]} to {RSA_BITS[1]} bits", str(bits))


def _octets(public: rsa.RSAPublicKey) -> int:
    return (public.key_size + 7) // 8


def bits_of(public: PublicKey) -> int:
    """Size of the modulus or of the curve's field."""
    if isinstance(public, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        return public.key_size
    return 256 if isinstance(public, ed25519.Ed25519PublicKey) else 456


def verify(rdata: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `signature`, as an RRSIG carries it, is of `data` by the key of a DNSKEY rdata.

    False too where the key is damaged or its algorithm not used here: `public_key` says why.
    """
    try:
        verifier = _verifier(rdata)
    except KeyRefused:
        return False
    return verifier(data, signature)


Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes], bool]


def _signer(known: Algorithm, private: Any) -> Sign:
    raw = private.sign
    if known.is_rsa:
        scheme, digest = padding.PKCS1v15(), known.digest

        def sign_rsa(data: bytes) -> bytes:
            signature: bytes = raw(data, scheme, digest)
            return signature

        return sign_rsa
    if known.curve is None:

        def sign_eddsa(data: bytes) -> bytes:
            signature: bytes = raw(data)
            return signature

        return sign_eddsa
    assert known.digest is not None
    # Hashing here, not in `cryptography`, saves 1.5 µs a signature.
    ecdsa = ec.ECDSA(Prehashed(known.digest))
    hashed = hashlib.sha256 if known.size == 32 else hashlib.sha384
    size = known.size
    least, whole = 4 + size, 2 + size

    def sign_ecdsa(data: bytes) -> bytes:
        # DER: 30 len 02 len r 02 len s; all lengths are below 128, and r and s are without leading
        # zeros, or with one where the top bit is set. Cut here, as this costs 0.3 µs, and a round
        # through integers 1 µs of the 27 µs that a signature takes.
        der: bytes = raw(hashed(data).digest(), ecdsa)
        end = 4 + der[3]
        if end >= least and len(der) - end >= whole:  # neither of them is short: 127 times in 128
            return der[end - size : end] + der[-size:]
        return der[4:end][-size:].rjust(size, b"\0") + der[end + 2 :][-size:].rjust(size, b"\0")

    return sign_ecdsa


@lru_cache(maxsize=256)
def _verifier(rdata: bytes) -> Verify:
    known = algorithm_of(rdata[3] if len(rdata) > 3 else -1)
    public: Any = public_key(rdata)
    size = known.size
    length = _octets(public) if known.is_rsa else 2 * size
    extra: tuple[Any, ...] = ()
    if known.is_rsa:
        extra = (padding.PKCS1v15(), known.digest)
    elif known.curve is not None:
        assert known.digest is not None
        extra = (ec.ECDSA(known.digest),)

    def check(data: bytes, signature: bytes) -> bool:
        if len(signature) != length:
            return False
        if known.curve is not None:
            signature = encode_dss_signature(
                int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            )
        try:
            public.verify(signature, data, *extra)
        except InvalidSignature:
            return False
        return True

    return check
