"""Who may ask: peers by address and key, access lists by the first entry that matches."""

from __future__ import annotations

import pytest

from xfer.peers import Acl, AclEntry, Action, Peer, address_of, admit
from xfer.wire.tsig import HMAC_SHA256, HMAC_SHA512, Key

K1 = Key(b"\x02k1\x00", HMAC_SHA256, b"one")
K2 = Key(b"\x02k2\x00", HMAC_SHA256, b"two")
OLD = Key(b"\x03old\x00", HMAC_SHA256, b"old")
NEAR = address_of("192.0.2.1")
FAR = address_of("203.0.113.9")
SIGNED = Peer("signed", NEAR, keys=(K1, OLD))
PLAIN = Peer("plain", address_of("2001:db8::1"))


def acl(*entries: AclEntry) -> Acl:
    return Acl("list", entries)


def allow(text: str, key: Key | None = None) -> AclEntry:
    import ipaddress

    return AclEntry(Action.ALLOW, ipaddress.ip_network(text), key)


def deny(text: str) -> AclEntry:
    import ipaddress

    return AclEntry(Action.DENY, ipaddress.ip_network(text))


KEY_ONLY = AclEntry(Action.KEY_ONLY, None, K2)


@pytest.mark.parametrize("key", [K1, OLD], ids=["first key", "key being rolled"])
def test_a_peer_is_admitted_from_its_address_with_one_of_its_keys(key: Key) -> None:
    admission = admit(NEAR, key, [PLAIN, SIGNED], [])
    assert admission.allowed
    assert admission.peer is SIGNED


@pytest.mark.parametrize(
    ("address", "key", "reason"),
    [
        (NEAR, None, "must sign with its key, and the request was not signed"),
        (NEAR, K2, "signed with a key that is not its own"),
        (FAR, K1, "203.0.113.9 is no peer of this zone and in no acl of it"),
        (FAR, None, "203.0.113.9 is no peer of this zone and in no acl of it"),
    ],
)
def test_a_refusal_says_what_was_missing(address: object, key: Key | None, reason: str) -> None:
    admission = admit(address, key, [SIGNED], [])  # type: ignore[arg-type]
    assert not admission.allowed
    assert reason in admission.reason


def test_a_peer_without_key_needs_only_its_address() -> None:
    assert admit(PLAIN.address, None, [PLAIN], []).allowed
    assert admit(PLAIN.address, K2, [PLAIN], []).allowed


def test_a_key_of_the_same_name_and_another_algorithm_is_another_key() -> None:
    other = Key(K1.name, HMAC_SHA512, K1.secret)
    assert not admit(NEAR, other, [SIGNED], []).allowed


def test_a_range_does_not_let_a_peer_in_without_its_key() -> None:
    lists = [acl(allow("192.0.2.0/24"))]
    assert not admit(NEAR, None, [SIGNED], lists).allowed
    assert admit(address_of("192.0.2.2"), None, [SIGNED], lists).allowed


def test_the_first_matching_entry_decides() -> None:
    lists = [acl(deny("192.0.2.66/32"), allow("192.0.2.0/24"))]
    assert not admit(address_of("192.0.2.66"), None, [], lists).allowed
    assert admit(address_of("192.0.2.67"), None, [], lists).allowed


def test_a_deny_entry_does_not_shut_out_a_peer() -> None:
    assert admit(NEAR, K1, [SIGNED], [acl(deny("0.0.0.0/0"))]).allowed


def test_key_only_admits_from_anywhere_with_the_key_alone() -> None:
    assert admit(FAR, K2, [], [acl(KEY_ONLY)]).allowed
    refusal = admit(FAR, None, [], [acl(KEY_ONLY)])
    assert not refusal.allowed
    assert refusal.reason == "acl list asks for its key"
    assert not admit(FAR, K1, [], [acl(KEY_ONLY)]).allowed


def test_a_range_with_a_key_needs_both() -> None:
    lists = [acl(allow("192.0.2.0/24", K2))]
    assert admit(NEAR, K2, [], lists).allowed
    assert not admit(NEAR, None, [], lists).allowed
    assert not admit(FAR, K2, [], lists).allowed


def test_an_ipv4_mapped_address_is_the_ipv4_it_stands_for() -> None:
    assert address_of("::ffff:192.0.2.1") == NEAR


def test_ranges_of_one_family_do_not_match_the_other() -> None:
    assert not admit(address_of("2001:db8::1"), None, [], [acl(allow("0.0.0.0/0"))]).allowed
