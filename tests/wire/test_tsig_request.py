"""Signing and verifying requests: dnspython and a hand-written TSIG on the other side."""

from __future__ import annotations

import struct
from typing import Any

import dns.message
import dns.name
import dns.rdtypes.ANY.TSIG
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.tsig_by_hand import SECRET, SIZES, Signature, query, wire, with_record
from xfer.errors import TsigError, TsigKind
from xfer.wire.message import Edns, Kind, make_query, parse_request
from xfer.wire.tsig import (
    Algorithm,
    Key,
    RequestRefused,
    ResponseVerifier,
    sign_request,
    verify_request,
)

# dnspython has these without types.
oracle: Any = dns.tsig
TSIG: Any = dns.rdtypes.ANY.TSIG.TSIG

NOW = 1_000_000
ALL = list(SIZES)


def key_for(algorithm: str = "hmac-sha256", *, min_mac: int = 0) -> Key:
    return Key(wire("k1"), Algorithm.from_text(algorithm), SECRET, min_mac)


def keys(*given: Key) -> dict[bytes, Key]:
    return {key.name: key for key in given or [key_for()]}


def oracle_key(algorithm: str) -> dns.tsig.Key:
    name = "hmac-md5.sig-alg.reg.int." if algorithm == "hmac-md5" else algorithm
    return dns.tsig.Key("k1.", SECRET, name)


def read_tsig(msg: bytes) -> tuple[dns.name.Name, Any, int]:
    """Owner, rdata and offset of the message's TSIG as dnspython reads them."""
    parsed = dns.message.from_wire(msg, keyring=False)
    assert parsed.tsig is not None
    rdata: Any = parsed.tsig[0]
    size = len(wire(parsed.tsig.name.to_text())) + 10 + len(rdata.to_wire())
    return parsed.tsig.name, rdata, len(msg) - size


def refused(msg: bytes, *known: Key, now: int = NOW) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        verify_request(msg, keys(*known), now)
    return caught.value


@pytest.mark.parametrize("algorithm", ALL)
def test_dnspython_accepts_our_requests(algorithm: str) -> None:
    signed, mac = sign_request(query(), key_for(algorithm), NOW)
    owner, rdata, start = read_tsig(signed)
    assert rdata.mac == mac
    oracle.validate(signed, oracle_key(algorithm), owner, rdata, NOW + 300, b"", start)


@pytest.mark.parametrize("algorithm", ALL)
def test_dnspythons_requests_are_accepted(algorithm: str) -> None:
    key = oracle_key(algorithm)
    template = TSIG(255, 250, key.algorithm, NOW, 300, b"", 77, dns.rcode.NOERROR, b"")
    rdata, _ = oracle.sign(query(), key, template, NOW, b"")
    record = wire("k1") + struct.pack(">HHIH", 250, 255, 0, len(rdata.to_wire()))
    known = key_for(algorithm)
    verified = verify_request(with_record(query(), record + rdata.to_wire()), keys(known), NOW)
    assert verified.message == query()
    assert verified.key is known
    assert verified.mac == rdata.mac


@pytest.mark.parametrize("algorithm", ALL)
def test_signing_by_hand_gives_the_same_octets(algorithm: str) -> None:
    assert sign_request(query(), key_for(algorithm), NOW) == Signature(algorithm=algorithm).sign(
        query()
    )


def test_edns_stays_before_the_tsig_and_survives() -> None:
    plain = make_query(5, wire("example.com"), 252, Edns(payload=4096))
    signed, _ = sign_request(plain, key_for(), NOW)
    verified = verify_request(signed, keys(), NOW)
    assert verified.message == plain
    request = parse_request(verified.message)
    assert request.kind is Kind.AXFR
    assert request.edns is not None
    assert not request.tsig
    assert parse_request(signed).tsig


def test_unsigned_request_has_no_key() -> None:
    verified = verify_request(query(), keys(), NOW)
    assert (verified.message, verified.key, verified.mac) == (query(), None, b"")
    assert verified.signer() is None


def test_one_of_several_keys_signs_while_they_roll() -> None:
    old = key_for()
    new = Key(wire("k2"), Algorithm.from_text("hmac-sha512"), b"new")
    for key in (old, new):
        signed, _ = sign_request(query(), key, NOW)
        assert verify_request(signed, keys(old, new), NOW).key is key


def test_key_name_compares_without_case_and_may_be_compressed() -> None:
    signed, _ = Signature(owner=b"\x02K1\0").sign(query())
    assert verify_request(signed, keys(), NOW).key is not None
    asked = query(name="k1")
    signed, _ = Signature(owner=b"\xc0\x0c").sign(asked)
    assert verify_request(signed, keys(), NOW).message == asked


def test_forwarded_request_is_checked_with_its_original_id() -> None:
    signed, mac = sign_request(query(77), key_for(), NOW)
    forwarded = b"\x11\x22" + signed[2:]
    verified = verify_request(forwarded, keys(), NOW)
    assert verified.message == query(0x1122)
    assert verified.original_id == 77
    signer = verified.signer()
    assert signer is not None
    reply = signer.sign(b"\x11\x22\x84" + bytes(9), NOW)
    assert reply[:2] == b"\x11\x22"
    assert ResponseVerifier(key_for(), mac).feed(reply, NOW)[:2] == b"\0\x4d"


@pytest.mark.parametrize("drift", [-300, 300])
def test_clocks_may_differ_by_the_fudge(drift: int) -> None:
    signed, _ = sign_request(query(), key_for(), NOW)
    assert verify_request(signed, keys(), NOW + drift).key is not None


def test_unknown_key_is_answered_badkey_without_mac() -> None:
    signed, _ = Signature(name="k2").sign(query())
    error = refused(signed)
    assert error.kind is TsigKind.UNKNOWN_KEY
    assert error.got == "k2. with hmac-sha256."
    assert error.key_name == wire("k2")
    check_unsigned_answer(error, "k2.", 17)


def test_known_key_with_another_algorithm_is_answered_badkey() -> None:
    signed, _ = Signature(algorithm="hmac-sha512").sign(query())
    error = refused(signed)
    assert error.kind is TsigKind.WRONG_ALGORITHM
    assert (error.expected, error.got) == (
        "a TSIG by k1. with hmac-sha256",
        "k1. with hmac-sha512.",
    )
    check_unsigned_answer(error, "k1.", 17)


def test_wrong_secret_is_answered_badsig_without_mac() -> None:
    signed, _ = Signature(secret=b"other").sign(query())
    error = refused(signed)
    assert error.kind is TsigKind.BAD_MAC
    assert "secrets differ" in error.got
    check_unsigned_answer(error, "k1.", 16)


def check_unsigned_answer(error: RequestRefused, owner: str, code: int) -> None:
    assert error.rcode == 9
    assert error.tsig_error == code
    reply = error.response()
    assert reply is not None
    name, rdata, start = read_tsig(reply)
    assert (name.to_text(), rdata.error, rdata.mac, rdata.other) == (owner, code, b"", b"")
    assert reply[:12] == struct.pack(">HHHHHH", 77, 0x8009, 1, 0, 0, 1)
    assert reply[12:start] == query()[12:]


@pytest.mark.parametrize("drift", [-301, 301, 10**9])
def test_wrong_clock_is_answered_badtime_signed_with_our_time(drift: int) -> None:
    signed, mac = sign_request(query(), key_for(), NOW)
    error = refused(signed, now=NOW + drift)
    assert error.kind is TsigKind.BAD_TIME
    assert (error.our_time, error.their_time) == (NOW + drift, NOW)
    word = "behind" if drift > 0 else "ahead"
    assert f"{abs(drift)} s {word}" in error.got
    assert (error.rcode, error.tsig_error) == (9, 18)
    reply = error.response()
    assert reply is not None
    owner, rdata, start = read_tsig(reply)
    assert (rdata.error, rdata.time_signed) == (18, NOW)
    assert rdata.other == (NOW + drift).to_bytes(6, "big")
    # dnspython raises for the error only after it has found the MAC right.
    with pytest.raises(dns.tsig.PeerBadTime):
        oracle.validate(reply, oracle_key("hmac-sha256"), owner, rdata, NOW, mac, start)
    with pytest.raises(TsigError) as caught:
        ResponseVerifier(key_for(), mac).feed(reply, NOW)
    assert caught.value.kind is TsigKind.PEER_BADTIME
    assert caught.value.their_time == NOW + drift
    assert "(signed)" in caught.value.got


def test_forged_badtime_answer_is_a_bad_mac() -> None:
    signed, mac = sign_request(query(), key_for(), NOW)
    reply = refused(signed, now=NOW + 1000).response()
    assert reply is not None
    with pytest.raises(TsigError) as caught:
        ResponseVerifier(key_for(), mac).feed(reply[:-1] + b"\0", NOW)
    assert caught.value.kind is TsigKind.BAD_MAC


@pytest.mark.parametrize("algorithm", ALL)
def test_shortened_mac_is_accepted_down_to_the_floor(algorithm: str) -> None:
    known = key_for(algorithm)
    for size in range(known.algorithm.min_mac, SIZES[algorithm] + 1):
        signed, mac = Signature(algorithm=algorithm, size=size).sign(query())
        assert verify_request(signed, keys(known), NOW).mac == mac
        assert len(mac) == size


@pytest.mark.parametrize("algorithm", ALL)
def test_mac_of_a_forbidden_size_is_a_format_error(algorithm: str) -> None:
    known = key_for(algorithm)
    short = known.algorithm.min_mac - 1
    for mac in (b"", bytes(short), bytes(SIZES[algorithm] + 1)):
        signed, _ = Signature(algorithm=algorithm, mac=mac).sign(query())
        error = refused(signed, known)
        assert error.kind is TsigKind.BAD_TRUNCATION
        assert error.got == str(len(mac))
        assert (error.rcode, error.tsig_error) == (1, 0)
        reply = error.response()
        assert reply is not None
        assert reply == query()[:2] + b"\x80\x01" + query()[4:]


def test_mac_below_our_policy_is_answered_badtrunc_signed() -> None:
    known = key_for(min_mac=24)
    signed, mac = Signature(size=20).sign(query())
    error = refused(signed, known)
    assert error.kind is TsigKind.BAD_TRUNCATION
    assert error.expected == "a MAC of at least 24 octets by k1. with hmac-sha256"
    assert (error.rcode, error.tsig_error) == (9, 22)
    reply = error.response()
    assert reply is not None
    with pytest.raises(TsigError) as caught:
        ResponseVerifier(known, mac).feed(reply, NOW)
    assert caught.value.kind is TsigKind.PEER_BADTRUNC


def test_time_is_only_looked_at_when_the_mac_is_right() -> None:
    signed, _ = Signature(secret=b"other", time=5).sign(query())
    assert refused(signed).kind is TsigKind.BAD_MAC


def test_answer_carries_edns_only_in_answer_to_edns() -> None:
    asked = make_query(5, wire("example.com"), 252, Edns(payload=4096, do=True))
    signed, _ = Signature(secret=b"other").sign(asked)
    reply = refused(signed).response()
    assert reply is not None
    parsed = dns.message.from_wire(reply, keyring=False)
    assert (parsed.edns, parsed.payload) == (0, 1232)
    signed, _ = Signature(secret=b"other").sign(query())
    reply = refused(signed).response()
    assert reply is not None
    assert dns.message.from_wire(reply, keyring=False).edns == -1


def _twice() -> bytes:
    signed, _ = Signature().sign(query())
    return Signature().sign(signed)[0]


def _before_opt() -> bytes:
    signed, _ = Signature().sign(query())
    return with_record(signed, Edns().build())


def _in_answers() -> bytes:
    signed, _ = Signature().sign(query())
    return signed[:6] + b"\0\1\0\0\0\0" + signed[12:]


MALFORMED = {
    "two": (_twice(), "record 1 of 2"),
    "not last": (_before_opt(), "record 1 of 2"),
    "in the answer section": (_in_answers(), "record 1 of 1"),
    "class IN": (Signature(rclass=1).sign(query())[0], "class 1"),
    "a TTL": (Signature(ttl=60).sign(query())[0], "TTL 60"),
    "octets behind it": (Signature().sign(query())[0] + b"\0", "got"),
    "cut off": (Signature().sign(query())[0][:-3], "end of the message"),
    "11 octets": (query()[:11], "11"),
    "nothing": (b"", "0"),
}


@pytest.mark.parametrize("case", list(MALFORMED))
def test_malformed_is_a_format_error(case: str) -> None:
    msg, got = MALFORMED[case]
    error = refused(msg)
    assert error.kind is TsigKind.MALFORMED
    assert got in str(error)
    assert (error.rcode, error.tsig_error) == (1, 0)
    reply = error.response()
    assert reply is None if len(msg) < 12 else reply is not None and reply[3] & 15 == 1


@pytest.mark.parametrize("where", ["mac", "other", "algorithm"])
def test_lengths_inside_the_rdata_must_add_up(where: str) -> None:
    signed, _ = Signature().sign(query())
    start = signed.rindex(wire("hmac-sha256"))
    msg = bytearray(signed)
    offset = {"mac": start + 13 + 8, "other": len(msg) - 2, "algorithm": start}[where]
    msg[offset] = 0x3F
    assert refused(bytes(msg)).kind is TsigKind.MALFORMED


def test_response_is_never_answered() -> None:
    signed, _ = Signature(secret=b"other").sign(query())
    assert refused(signed[:2] + b"\x80" + signed[3:]).response() is None


@given(st.data())
def test_any_changed_bit_is_noticed(data: st.DataObject) -> None:
    signed, _ = sign_request(query(), key_for(), NOW)
    # The ID is the one thing that may change on the way: its original stands in the TSIG.
    bit = data.draw(st.integers(16, len(signed) * 8 - 1))
    changed = bytearray(signed)
    changed[bit // 8] ^= 1 << (bit % 8)
    try:
        verified = verify_request(bytes(changed), keys(), NOW)
    except RequestRefused as error:
        reply = error.response()
        assert reply is None or len(reply) >= 12
        return
    # Letters of the key's and the algorithm's name may change case; a changed type is no TSIG.
    assert verified.key is None or bytes(changed).lower() == signed.lower()


@given(st.binary(max_size=300))
def test_no_octets_break_it(noise: bytes) -> None:
    for msg in (noise, query() + noise, Signature().sign(query())[0][:-20] + noise):
        try:
            assert verify_request(msg, keys(), NOW).key is None
        except RequestRefused as error:
            reply = error.response()
            assert (reply is None) == (len(msg) < 12 or msg[2] >= 0x80)
