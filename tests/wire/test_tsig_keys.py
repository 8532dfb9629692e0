"""Algorithms and keys of TSIG."""

from __future__ import annotations

import base64

import dns.tsig
import pytest

from tests.wire.tsig_by_hand import SIZES, algorithm_wire, wire
from xfer.errors import WireError
from xfer.wire.tsig import ALGORITHMS, HMAC_MD5, HMAC_SHA256, MAX_TSIG, Algorithm, Key

ALL = list(SIZES)


def test_every_algorithm_of_rfc_8945_is_there() -> None:
    assert [algorithm.text for algorithm in ALGORITHMS] == ALL


@pytest.mark.parametrize("text", ALL)
def test_algorithm_is_found_by_text_and_by_wire_name(text: str) -> None:
    algorithm = Algorithm.from_text(text)
    assert algorithm.text == text
    assert algorithm.mac_size == SIZES[text]
    assert algorithm.wire == algorithm_wire(text)
    assert Algorithm.from_wire(algorithm.wire) is algorithm


@pytest.mark.parametrize(
    "text", ["HMAC-MD5", "hmac-md5.sig-alg.reg.int.", "hmac-md5.SIG-ALG.reg.int"]
)
def test_md5_has_two_names(text: str) -> None:
    assert Algorithm.from_text(text) is HMAC_MD5


def test_unknown_algorithm_is_refused_with_the_known_ones() -> None:
    with pytest.raises(WireError, match=r"hmac-sha256, .*got hmac-sha3") as caught:
        Algorithm.from_text("hmac-sha3")
    assert caught.value.got == "hmac-sha3"
    assert Algorithm.from_wire(wire("gss-tsig")) is None


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("hmac-md5", 10),
        ("hmac-sha1", 10),
        ("hmac-sha224", 14),
        ("hmac-sha256", 16),
        ("hmac-sha384", 24),
        ("hmac-sha512", 32),
        ("hmac-sha256-128", 16),
        ("hmac-sha384-192", 24),
        ("hmac-sha512-256", 32),
    ],
)
def test_shortest_mac_is_ten_octets_or_half(text: str, floor: int) -> None:
    assert Algorithm.from_text(text).min_mac == floor


# RFC 4231 §4.3 (test case 2), and RFC 2202 §2 and §3 (test case 2): key "Jefe".
VECTORS = {
    "hmac-md5": "750c783e6ab0b503eaa86e310a5db738",
    "hmac-sha1": "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    "hmac-sha224": "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
    "hmac-sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    "hmac-sha384": "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
    "8e2240ca5e69e2c78b3239ecfab21649",
    "hmac-sha512": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
}


@pytest.mark.parametrize("text", list(VECTORS))
def test_keyed_hash_gives_the_rfc_vectors(text: str) -> None:
    mac = Key(wire("k1"), Algorithm.from_text(text), b"Jefe").start()
    mac.update(b"what do ya want for nothing?")
    assert mac.digest().hex() == VECTORS[text]


def test_key_reads_what_users_write() -> None:
    key = Key.from_text("K1.Example", "HMAC-SHA256", "c2Vj\n cmV0")
    assert key.name == wire("k1.example")
    assert key.secret == b"secret"
    assert key.text() == "k1.example. with hmac-sha256"
    assert key == Key(wire("k1.example"), HMAC_SHA256, b"secret")
    assert hash(key) == hash(Key(wire("k1.example"), HMAC_SHA256, b"secret"))


def test_keys_differ_by_each_part() -> None:
    key = Key(wire("k1"), HMAC_SHA256, b"secret")
    assert key != Key(wire("k2"), HMAC_SHA256, b"secret")
    assert key != Key(wire("k1"), HMAC_MD5, b"secret")
    assert key != Key(wire("k1"), HMAC_SHA256, b"other")
    assert key != Key(wire("k1"), HMAC_SHA256, b"secret", min_mac=32)
    assert key != "k1."


def test_secret_never_shows() -> None:
    key = Key(wire("k1"), HMAC_SHA256, b"hunter22")
    shown = f"{key!r} {key} {key.text()}"
    assert "hunter22" not in shown
    assert base64.b64encode(b"hunter22").decode() not in shown


def test_bad_secret_is_not_repeated_in_the_error() -> None:
    with pytest.raises(WireError) as caught:
        Key.from_text("k1.", "hmac-sha256", "hunter22!")
    assert "hunter22" not in str(caught.value)
    with pytest.raises(WireError, match="at least one octet"):
        Key.from_text("k1.", "hmac-sha256", "")


def test_policy_cannot_ask_for_more_than_the_algorithm_sends() -> None:
    with pytest.raises(WireError, match=r"at most 32 octets for hmac-sha256, got 33"):
        Key(wire("k1"), HMAC_SHA256, b"x", min_mac=33)
    assert Key(wire("k1"), HMAC_SHA256, b"x", min_mac=4).min_mac == 16


def test_no_tsig_exceeds_the_room_left_for_it() -> None:
    longest = (bytes([63]) + b"a" * 63) * 3 + bytes([61]) + b"a" * 61 + b"\0"
    assert len(longest) == 255
    for algorithm in ALGORITHMS:
        assert Key(longest, algorithm, b"x").tsig_size() + 6 <= MAX_TSIG


@pytest.mark.parametrize("text", ALL)
def test_wire_names_are_dnspythons(text: str) -> None:
    known = getattr(dns.tsig, text.upper().replace("-", "_"))
    assert known.to_wire().lower() == Algorithm.from_text(text).wire
