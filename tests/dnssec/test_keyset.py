"""DNSKEY RRsets that somebody else has signed: what is read, and what is no such thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dnssec.holding import DAY, handed, rrset_of, signature
from tests.dnssec.signed import key
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.keyset import Handed, rdata_of, read, verified
from xfer.errors import KeyRefused
from xfer.wire import names
from xfer.wire.records import CDNSKEY, CDS, DNSKEY

ORIGIN = names.from_text("example.com.")
NOW = 1_700_000_000.0
ZSK = key(13).public
KSK, NEXT = key(13, True), key(13, True, 1)
GOOD = handed(ORIGIN, [ZSK], [KSK], NOW)


def taken(text: str, now: float = NOW, origin: bytes = ORIGIN) -> Handed:
    return verified(origin, read(origin, text), now)


def refusal(text: str, now: float = NOW) -> str:
    with pytest.raises(KeyRefused) as caught:
        taken(text, now)
    return str(caught.value)


def test_what_is_right_is_read() -> None:
    found = taken(GOOD)
    assert set(found.dnskeys) == {ZSK, KSK.public}
    assert found.tops == found.signing == {KSK.public}
    assert found.ttl == 3600
    assert (found.imported.begins, found.imported.ends) == (NOW - 3600, NOW + 14 * DAY)
    assert len(found.imported.records) == 3


@pytest.mark.parametrize("number", [8, 13, 14, 15, 16])
def test_signatures_of_every_algorithm_are_verified(number: int) -> None:
    ksk = key(number, True)
    assert taken(handed(ORIGIN, [ZSK], [ksk], NOW)).signing == {ksk.public}


def test_the_root_and_deep_zones_have_their_labels() -> None:
    for name in (".", "a.b.c.d.example."):
        origin = names.from_text(name)
        assert taken(handed(origin, [ZSK], [KSK], NOW), origin=origin).signing == {KSK.public}


def test_cds_and_cdnskey_come_along() -> None:
    found = taken(handed(ORIGIN, [ZSK], [KSK], NOW, cds=True)).imported.records
    assert len(rdata_of(found, CDS)) == len(rdata_of(found, CDNSKEY)) == 1
    assert len(rdata_of(found, DNSKEY)) == 2


def test_a_ksk_may_stand_by_without_signing() -> None:
    found = taken(handed(ORIGIN, [ZSK], [KSK, NEXT], NOW, signing=[KSK]))
    assert found.tops == {KSK.public, NEXT.public}
    assert found.signing == {KSK.public}


def test_case_order_and_comments_are_no_matter() -> None:
    lines = ["; by hand", *reversed(GOOD.replace("example.com.", "EXAMPLE.com.").splitlines())]
    assert taken("\n\n".join(lines)).imported.ends == taken(GOOD).imported.ends


def expired(days: float) -> str:
    return refusal(GOOD, NOW + days * DAY)


def test_it_has_to_hold_now() -> None:
    assert "that ended 2023-11-28 22:13:20 UTC" in expired(14)
    assert taken(GOOD, NOW + 14 * DAY - 1)
    assert "that begins 2023-11-14 21:13:20 UTC" in expired(-1)


def _other_ttl(line: int) -> str:
    lines = GOOD.splitlines()
    lines[line] = lines[line].replace(" 3600 IN", " 300 IN")
    return "\n".join(lines)


def _by(ksk: SigningKey) -> str:
    """The RRset of one KSK, signed by another that is not in it."""
    rrset = rrset_of(ORIGIN, "DNSKEY", [ZSK, KSK.public])
    return f"{rrset}\n{signature(rrset, ksk, NOW - 1, NOW + DAY)}\n"


SECOND = rrset_of(ORIGIN, "DNSKEY", [NEXT.public]).to_text() + "\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a DNSKEY RRset, got none"),
        ("; nothing\n", "expected a DNSKEY RRset, got none"),
        ("?", "expected lines of a zone file, each with its TTL, got <input>:1"),
        (GOOD.replace(" 3600 IN", ""), "expected lines of a zone file, each with its TTL"),
        ("$INCLUDE /etc/passwd\n", "expected lines of a zone file"),
        (GOOD.splitlines()[0], "expected an RRSIG of the DNSKEY RRset, got none"),
        (GOOD.splitlines()[-1], "expected a DNSKEY RRset, got none"),
        (GOOD + SECOND, "to verify, got one that does not"),
        (SECOND + GOOD.splitlines()[-1], "to be by a zone key of the RRset (tags "),
        (GOOD + "example.com. 5 IN A 192.0.2.1\n", "and no others, got A"),
        (GOOD + SECOND.replace("example.com.", "example.org."), "got one of example.org."),
        (GOOD.replace("example.com.", "www.example.com."), "got one of www.example.com."),
        (GOOD.replace(" IN ", " CH "), "got <input>:1: RR class is not zone's class"),
        (_other_ttl(0), "as it was signed, 3600, got 300"),
        (_other_ttl(-1), "expected the RRSIG's TTL as it was signed, 3600, got 300"),
        (GOOD.replace(" 3600 IN", " 300 IN"), "as it was signed, 3600, got 300"),
        (_by(NEXT), "to be by a zone key of the RRset (tags "),
        (handed(ORIGIN, [], [KSK], NOW).replace(" 257 3 13", " 257 2 13"), "of protocol 3"),
    ],
)
def test_what_is_refused_says_why(text: str, says: str) -> None:
    assert says in refusal(text)


def test_an_rrsig_of_nothing_is_refused() -> None:
    rrset = rrset_of(ORIGIN, "CDNSKEY", [KSK.public])
    alone = signature(rrset, KSK, NOW - 1, NOW + DAY).to_text()
    assert "expected the CDNSKEY RRset with its RRSIG, got the RRSIG alone" in refusal(GOOD + alone)


def test_an_rrset_without_its_rrsig_is_refused() -> None:
    rrset = rrset_of(ORIGIN, "CDNSKEY", [KSK.public])
    assert "an RRSIG of the CDNSKEY RRset, got none" in refusal(GOOD + rrset.to_text())


def test_too_much_is_refused() -> None:
    many = [bytes((1, 0, 3, 13)) + bytes((number,)) * 64 for number in range(99)]
    assert "at most 100 records" in refusal(handed(ORIGIN, many, [KSK], NOW))
    large = [bytes((1, 0, 3, 13)) + bytes((number,)) * 600 for number in range(40)]
    assert "at most 8192 octets" in refusal(handed(ORIGIN, large, [KSK], NOW))
    long = bytes((1, 0, 3, 13)) + bytes(5000)
    assert "each of at most 4000 octets" in refusal(handed(ORIGIN, [long], [KSK], NOW))


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_whatever_is_changed_it_verifies_or_is_refused(at: int, char: str) -> None:
    changed = GOOD[:at] + char + GOOD[at + 1 :]
    try:
        found = taken(changed)
    except KeyRefused:
        return
    assert found == taken(GOOD)
