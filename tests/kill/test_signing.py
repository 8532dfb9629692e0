"""The short form of `make kill-signing`; and the validator's eyes see what they should."""

from __future__ import annotations

from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.kill.chain import Chain, Rdata
from tests.kill.plan import Note, Plan, Point
from tests.kill.signing import SigningRounds, place, under_way

NAME = dns.name.from_text("x.test.")


class Key:
    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public: Rdata = dns.dnssec.make_dnskey(
            self.private.public_key(),
            13,
            flags=257,
        )

    def signs(self, rrset: dns.rrset.RRset) -> dns.rrset.RRset:
        rrsig = dns.dnssec.sign(rrset, self.private, NAME, self.public, lifetime=3600)  # type: ignore[arg-type]
        return dns.rrset.from_rdata(NAME, 1, rrsig)


ONE, TWO = Key(), Key()


def served(chain: Chain, rrset: dns.rrset.RRset, key: Key, when: float) -> None:
    """Once, at that time."""
    chain.took(rrset, key.signs(rrset), when)
    span = chain.history[int(rrset.rdtype)][-1]
    span.first = span.last = when


def keyset(*keys: Key) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(NAME, 1, [key.public for key in keys])


def address(number: int = 1) -> dns.rrset.RRset:
    return dns.rrset.from_text(NAME, 1, "IN", "A", f"192.0.2.{number}")


@pytest.mark.lab
@pytest.mark.slow
def test_keys_survive_and_the_zone_stays_valid_after_kill_9(tmp_path: Path) -> None:
    with SigningRounds(tmp_path, patient=False) as rounds:
        for event, where in (
            ("file linked", "making a key"),
            ("portion", "signing all"),
            ("flip inserted", "committing"),
        ):
            assert rounds.round(Point(event)) == where
        rounds.look()
        assert rounds.validator.serial


def test_a_signature_by_a_key_that_a_cache_may_lack_is_seen() -> None:
    """The rig has teeth."""
    for apart, broken in ((0.5, True), (1.5, False)):
        chain = Chain()
        chain.parent = [(90.0, frozenset({ONE.public}))]
        served(chain, keyset(ONE), ONE, 100.0)
        served(chain, keyset(ONE, TWO), ONE, 100.0 + apart)
        served(chain, address(), TWO, 100.0 + apart)
        assert bool([*chain.broken(1.0, 1.0)]) == broken


def test_a_key_that_leaves_while_a_cache_may_hold_what_it_signed_is_seen() -> None:
    for apart, broken in ((0.5, True), (1.5, False)):
        chain = Chain()
        chain.parent = [(90.0, frozenset({ONE.public}))]
        served(chain, keyset(ONE, TWO), ONE, 100.0)
        served(chain, address(), TWO, 100.0)
        served(chain, keyset(ONE), ONE, 100.0 + apart)
        assert bool([*chain.broken(1.0, 1.0)]) == broken


def test_keys_without_one_that_has_a_ds_in_some_cache_are_seen() -> None:
    for since, broken in ((100.2, True), (98.0, False)):
        chain = Chain()
        chain.parent = [(90.0, frozenset({ONE.public})), (since, frozenset({TWO.public}))]
        served(chain, keyset(TWO), TWO, 100.5)
        assert ["are not signed by one with a DS" in found for found in chain.broken(1.0, 1.0)] == [
            True
        ] * broken


def test_before_there_is_a_ds_keys_may_change_as_they_like() -> None:
    for since, broken in ((99.0, True), (102.0, False)):
        chain = Chain()
        chain.parent = [(since, frozenset({ONE.public, TWO.public}))]
        served(chain, keyset(ONE), ONE, 100.0)
        served(chain, address(), TWO, 100.1)
        assert bool([*chain.broken(1.0, 1.0)]) == broken


def test_answers_that_stay_the_same_are_one_span() -> None:
    chain = Chain()
    rrset, signatures = address(), ONE.signs(address())
    chain.took(rrset, signatures, 100.0)
    chain.took(rrset, signatures, 101.0)
    chain.took(address(2), ONE.signs(address(2)), 102.0)
    assert [span.last for span in chain.history[int(dns.rdatatype.A)]] == [101.0, 102.0]


def test_where_it_died_and_what_was_under_way() -> None:
    def at(*events: str) -> tuple[str, list[str]]:
        notes = [Note(0.0, event) for event in events]
        return place(notes), under_way(notes)

    assert at() == ("between", [])
    assert at("key begin", "file linked") == ("making a key", [])
    assert at("key begin", "file link", "file linked", "key end", "flip begin", "file link") == (
        "removing a key",
        [],
    )
    assert at("step zsk-lifetime,served") == ("moving keys", ["zsk-lifetime", "served"])
    assert at("step served", "sign begin") == ("signing a change", ["served"])
    assert at("sign begin", "portion") == ("signing all", [])
    assert at("step served", "sign begin", "sign end") == ("committing", ["served"])
    assert at("step served", "flip begin", "flip committed") == ("between", [])
    assert at("step served", "mark begin") == ("noting keys", ["served"])
    assert str(Plan("", "portion")) == "portion"
