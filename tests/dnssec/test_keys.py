"""Keys sign what dnspython accepts, tags are RFC 4034's, and nothing prints a private part.

Vectors: RFC 6605 §6.1 and §6.2 (ECDSA), RFC 8080 §6.1 and §6.2 (EdDSA), RFC 5702 §6.1 (RSA), whose
private keys stand in the documents.
"""

from __future__ import annotations

import base64
import copy
import io
import pickle
import random

import dns.dnssec
import dns.rdata
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from hypothesis import given
from hypothesis import strategies as st

from xfer import log
from xfer.dnssec import keys
from xfer.dnssec.algorithms import ALGORITHMS
from xfer.dnssec.idents import tag_of, tags_of
from xfer.dnssec.keys import SigningKey, make_key, public_key, verify
from xfer.errors import KeyRefused

GENERATED = [8, 13, 14, 15, 16]


@pytest.fixture(scope="module")
def pool() -> dict[int, SigningKey]:
    return {algorithm: make_key(algorithm, algorithm % 2 == 0) for algorithm in GENERATED}


def as_dnspython(rdata: bytes) -> DNSKEY:
    found = dns.rdata.from_wire("IN", "DNSKEY", rdata, 0, len(rdata))
    assert isinstance(found, DNSKEY)
    return found


@pytest.mark.parametrize("algorithm", GENERATED)
def test_a_signature_verifies_here_and_in_dnspython(
    pool: dict[int, SigningKey], algorithm: int
) -> None:
    key = pool[algorithm]
    other = as_dnspython(key.public)
    chance = random.Random(algorithm)
    for size in (0, 1, 100, 60_000):
        data = chance.randbytes(size)
        signature = key.sign(data)
        assert verify(key.public, data, signature)
        assert not verify(key.public, data + b"x", signature)
        assert not verify(key.public, data, signature[:-1])
        assert not verify(key.public, data, signature[:-1] + bytes((signature[-1] ^ 1,)))
        dns.dnssec._validate_signature(signature, data, other)


@pytest.mark.parametrize("algorithm", GENERATED)
def test_tag_flags_and_ident(pool: dict[int, SigningKey], algorithm: int) -> None:
    key = pool[algorithm]
    assert key.tag == tag_of(key.public) == dns.dnssec.key_id(as_dnspython(key.public))
    assert key.flags == (257 if algorithm % 2 == 0 else 256)
    assert key.sep is (algorithm % 2 == 0)
    assert key.public[:4] == key.flags.to_bytes(2, "big") + bytes((3, algorithm))
    assert key.ident == f"{algorithm:03d}+{key.tag:05d}"
    assert key.bits == {8: 2048, 13: 256, 14: 384, 15: 256, 16: 456}[algorithm]


def test_short_r_and_s_are_filled_with_zeros() -> None:
    """One in 256 has a leading zero; DER leaves it out, an RRSIG may not (RFC 6605 §4)."""
    key = make_key(13, True)
    private = key.reveal()
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    short = 0
    for number in range(3000):
        data = number.to_bytes(4, "big")
        signature = key.sign(data)
        assert len(signature) == 64
        short += signature[0] == 0 or signature[32] == 0
        if signature[0] == 0 or signature[32] == 0:
            assert verify(key.public, data, signature)
    assert short > 5


class _Der:
    """A private key whose signatures are chosen."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self.private = private
        self.der = b""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self.private.public_key()

    def sign(self, _data: bytes, _algorithm: object) -> bytes:
        return self.der


_CHOSEN = {
    algorithm: _Der(ec.generate_private_key(curve))
    for algorithm, curve in ((13, ec.SECP256R1()), (14, ec.SECP384R1()))
}


@pytest.mark.parametrize("algorithm", [13, 14])
@given(st.data())
def test_any_r_and_s_come_out_of_der(algorithm: int, data: st.DataObject) -> None:
    size = ALGORITHMS[algorithm].size
    numbers = st.integers(1, 8 * size).flatmap(lambda bits: st.integers(1, (1 << bits) - 1))
    r, s = data.draw(numbers), data.draw(numbers)
    fake = _CHOSEN[algorithm]
    fake.der = encode_dss_signature(r, s)
    assert decode_dss_signature(fake.der) == (r, s)
    signature = SigningKey(algorithm, 256, fake).sign(b"")  # type: ignore[arg-type]
    assert signature == r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _b64(text: str) -> bytes:
    return base64.b64decode(text)


VECTORS = [
    (  # RFC 6605 §6.1
        13,
        257,
        55648,
        "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=",
        "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
    ),
    (  # RFC 6605 §6.2
        14,
        257,
        10771,
        "WURgWHCcYIYUPWgeLmiPY2DJJk02vgrmTfitxgqcL4vwW7BOrbawVmVe0d9V94SR",
        "xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RC"
        "OpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
    ),
    (  # RFC 8080 §6.1
        15,
        257,
        3613,
        "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=",
        "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
    ),
    (  # RFC 8080 §6.2
        16,
        257,
        9713,
        "xZ+5Cgm463xugtkY5B0Jx6erFTXp13rYegst0qRtNsOYnaVpMx0Z/c5EiA9x8wWbDDct/U3FhYWA",
        "3kgROaDjrh0H2iuixWBrc8g2EpBBLCdGzHmn+G2MpTPhpj/OiBVHHSfPodx1FYYUcJKm1MDpJtIA",
    ),
]


@pytest.mark.parametrize(
    ("algorithm", "flags", "tag", "private", "public"), VECTORS, ids=["6605a", "6605b", "ed", "ed4"]
)
def test_vectors(algorithm: int, flags: int, tag: int, private: str, public: str) -> None:
    key = keys.from_octets(algorithm, flags, log.Secret(_b64(private)))
    assert (key.tag, key.public[4:]) == (tag, _b64(public))


@pytest.mark.parametrize(
    ("algorithm", "bits", "problem"),
    [(10, 2048, "RFC 8624"), (8, 1024, "2048 to 4096"), (8, 1 << 20, "2048 to"), (5, 1, "RSASHA1")],
)
def test_keys_that_are_not_made(algorithm: int, bits: int, problem: str) -> None:
    with pytest.raises(KeyRefused, match=problem):
        make_key(algorithm, True, bits=bits)


def _rsa(exponent: bytes, modulus: bytes, algorithm: int = 8) -> bytes:
    return b"\1\0\3" + bytes((algorithm, len(exponent))) + exponent + modulus


HOSTILE = {
    "empty": b"",
    "short": b"\1\0\3\x0d",
    "protocol": b"\1\0\2\x0d" + bytes(64),
    "not a zone key": b"\0\1\3\x0d" + bytes(64),
    "algorithm": b"\1\0\3\5" + bytes(64),
    "not on the curve": b"\1\0\3\x0d" + bytes(64),
    "ecdsa size": b"\1\0\3\x0e" + bytes(64),
    "ed25519 size": b"\1\0\3\x0f" + bytes(31),
    "ed448 size": b"\1\0\3\x10" + bytes(32),
    "no modulus": _rsa(b"\1\0\1", b""),
    "no exponent": _rsa(b"", b"\xff" * 256),
    "long exponent": _rsa(b"\xff" * 255, b"\xff" * 256),
    "long form past the end": b"\1\0\3\x08\0\xff\xff",
    "even exponent": _rsa(b"\4", b"\xff" * 256),
    "small modulus": _rsa(b"\1\0\1", b"\xff" * 64),
    "huge modulus": _rsa(b"\1\0\1", b"\xff" * 60_000),
}


@pytest.mark.parametrize("rdata", HOSTILE.values(), ids=HOSTILE)
def test_damaged_public_keys_are_refused_and_verify_nothing(rdata: bytes) -> None:
    with pytest.raises(KeyRefused, match=r"expected .*, got "):
        public_key(rdata)
    assert not verify(rdata, b"", bytes(64))


@given(st.binary(max_size=300))
def test_any_octets_are_a_key_or_refused(octets: bytes) -> None:
    for algorithm in ALGORITHMS:
        rdata = b"\1\0\3" + bytes((algorithm,)) + octets
        try:
            public = public_key(rdata)
        except KeyRefused:
            assert not verify(rdata, b"", octets)
        else:
            assert public_key(keys.dnskey_rdata(algorithm, 256, public)) == public


def test_the_long_form_of_an_exponent_is_read(pool: dict[int, SigningKey]) -> None:
    public = pool[8].public
    assert public[4] == 3
    long_form = public[:4] + b"\0\0\3" + public[5:]
    assert public_key(long_form) == public_key(public)
    assert verify(long_form, b"x", pool[8].sign(b"x"))


@given(st.binary(min_size=2, max_size=300))
def test_the_revoked_form_has_its_own_tag(octets: bytes) -> None:
    tag, revoked = tags_of(octets)
    assert tag == tag_of(octets)
    assert revoked == tag_of(octets[:1] + bytes((octets[1] ^ 0x80,)) + octets[2:])


def test_keys_of_another_kind_are_refused() -> None:
    for algorithm, private in (
        (13, ed25519.Ed25519PrivateKey.generate()),
        (14, ec.generate_private_key(ec.SECP256R1())),
        (16, ed25519.Ed25519PrivateKey.generate()),
        (8, ec.generate_private_key(ec.SECP256R1())),
        (13, rsa.generate_private_key(65537, 1024)),
    ):
        with pytest.raises(KeyRefused, match="expected a key of"):
            SigningKey(algorithm, 256, private)


@pytest.mark.parametrize("algorithm", GENERATED)
def test_a_key_goes_to_a_signing_process_as_a_secret(
    pool: dict[int, SigningKey], algorithm: int
) -> None:
    key = pool[algorithm]
    there = keys.from_der(algorithm, key.flags, key.private_der())
    assert there.public == key.public
    assert verify(key.public, b"x", there.sign(b"x"))


def test_damaged_private_octets_are_refused_without_being_shown() -> None:
    with pytest.raises(KeyRefused) as refused:
        keys.from_der(13, 256, log.Secret(b"hunter2hunter2"))
    assert "hunter2" not in str(refused.value)
    for algorithm in (13, 14, 15, 16):
        with pytest.raises(KeyRefused) as refused:
            keys.from_octets(algorithm, 256, log.Secret(b"hunter2hunter2"))
        assert "hunter2" not in str(refused.value)
    with pytest.raises(KeyRefused, match="expected a private scalar"):
        keys.from_octets(13, 256, log.Secret(bytes(32)))


@pytest.mark.parametrize("algorithm", GENERATED)
def test_nothing_prints_a_private_part(pool: dict[int, SigningKey], algorithm: int) -> None:
    key = pool[algorithm]
    out = io.StringIO()
    log.setup("info", "json", out, cache=False)
    try:
        logger = structlog.get_logger()
        logger.info(
            "key", key=key, private=key.reveal(), der=key.private_der(), all=[key, {1: key}]
        )
        try:
            raise KeyRefused(f"{key}", f"{key!r} {key.private_der()}")
        except KeyRefused:
            logger.exception("failed", error=key)
    finally:
        structlog.reset_defaults()
    shown = out.getvalue() + repr(key) + str(key) + f"{key}"
    assert f"tag {key.tag}" in shown
    der = key.private_der().reveal()
    for part in (der, der[-32:], der[40:72]):
        assert part.hex() not in shown.lower()
        assert base64.b64encode(part).decode()[:20] not in shown
        assert str(int.from_bytes(part, "big")) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        copy.deepcopy(key)
