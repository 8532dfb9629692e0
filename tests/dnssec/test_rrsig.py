"""What stands in RRSIG and NSEC records, octet by octet."""

from __future__ import annotations

import dns.rdtypes.ANY.NSEC
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dnssec.signed import NOW, ORIGIN, build, key, rdata_of, rng, terms, zone
from tests.strategies import wire
from xfer.dnssec.rrsig import bitmap, by_rrset
from xfer.dnssec.signing import Denial, WholeSigner, finish
from xfer.wire import names
from xfer.wire.records import DS, MX, NS, NSEC, NSEC3, RRSIG, SOA, A, make, split
from xfer.zone.snapshot import APEX

TEXT = """@ 7200 SOA ns host 1 3600 900 604800 300
@ 7200 NS ns
ns 600 A 192.0.2.1
*.wild 60 A 192.0.2.2
a.b.c 60 A 192.0.2.3
sub NS ns.sub
sub DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub A 192.0.2.4
plain NS ns
dn DNAME ns
below.dn A 192.0.2.5
MiXeD 60 MX 10 Mail.Example.
"""


def key_of(*labels: bytes) -> bytes:
    return names.key_of(wire(labels, ORIGIN), ORIGIN)


def signed_types(snapshot: object, *labels: bytes) -> set[int]:
    assert isinstance(snapshot, type(SIGNED))
    owner = APEX if not labels else key_of(*labels)
    return {split(r)[2] for r in snapshot.owner(owner) if split(r)[1] == RRSIG}


SIGNED = finish(WholeSigner(zone(TEXT), terms(), 1, NOW, rng()))


def test_labels_ttl_and_signer() -> None:
    """RFC 4034 §3.1.3 (the asterisk does not count), §3.1.4, §3.1.7."""
    for labels, count, ttl in (
        ((), 1, 7200),
        ((b"ns",), 2, 600),
        ((b"*", b"wild"), 2, 60),
        ((b"a", b"b", b"c"), 4, 60),
    ):
        owner = APEX if not labels else key_of(*labels)
        (found,) = SIGNED.rrset(owner, RRSIG, NS if owner == APEX else A)
        rdata = split(found)[4]
        assert split(found)[3] == ttl
        assert rdata[2] == 13
        assert rdata[3] == count
        assert int.from_bytes(rdata[4:8], "big") == ttl
        assert rdata[16:18] == key(13).tag.to_bytes(2, "big")
        assert rdata[18:].startswith(ORIGIN)
        assert len(rdata) == 18 + len(ORIGIN) + 64


def test_only_what_is_authoritative_is_signed() -> None:
    """RFC 4035 §2.2, RFC 6672 §2.4."""
    assert signed_types(SIGNED, b"sub") == {DS, NSEC}
    assert signed_types(SIGNED, b"plain") == {NSEC}
    assert signed_types(SIGNED, b"ns", b"sub") == set()
    assert signed_types(SIGNED, b"below", b"dn") == set()
    assert signed_types(SIGNED, b"dn") == {39, NSEC}
    assert signed_types(SIGNED, b"mixed") == {MX, NSEC}


def test_negative_answers_live_as_long_as_rfc_9077_says() -> None:
    for soa, minimum, ttl in ((7200, 300, 300), (60, 300, 60)):
        text = TEXT.replace("7200 SOA", f"{soa} SOA").replace("604800 300", f"604800 {minimum}")
        for kind, rtype in (("nsec", NSEC), ("nsec3", NSEC3)):
            signed = finish(WholeSigner(zone(text), terms(Denial(kind)), 1, NOW, rng()))
            assert {split(r)[3] for r in signed.records() if split(r)[1] == rtype} == {ttl}


def test_spelling_of_the_content_is_published() -> None:
    (found,) = SIGNED.rrset(key_of(b"mixed"), MX)
    assert SIGNED.spelled(found)[0] == b"\5MiXeD" + ORIGIN
    assert SIGNED.spelled(found)[1] == b"\0\x0a\4Mail\7Example\0"


def test_soa_keeps_its_spelling_with_another_serial() -> None:
    content = zone(TEXT.replace("SOA ns host", "SOA NS Host"))
    signed = finish(WholeSigner(content, terms(), 77, NOW, rng()))
    (found,) = signed.rrset(APEX, SOA)
    assert signed.serial == 77
    assert b"\4Host" in signed.spelled(found)[1]
    assert signed.spelled(found)[1][-20:-16] == (77).to_bytes(4, "big")


@given(st.sets(st.integers(1, 65535), min_size=1, max_size=40))
def test_bitmap_is_what_dnspython_reads(types: set[int]) -> None:
    ordered = sorted(types)
    record = make(APEX, NSEC, 1, ORIGIN + bitmap(ordered))
    rdata = rdata_of(record)
    assert isinstance(rdata, dns.rdtypes.ANY.NSEC.NSEC)
    found = []
    for window, octets in rdata.windows:
        for at, octet in enumerate(octets):
            found += [window << 8 | at << 3 | bit for bit in range(8) if octet & 0x80 >> bit]
    assert found == ordered


def test_signatures_of_a_name_are_apart_by_what_they_cover() -> None:
    found = by_rrset(SIGNED.owner(key_of(b"sub")))
    assert sorted(len(rrset) for rrset in found.values()) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("moved", [86_400, -86_400])
def test_a_clock_that_was_moved(moved: int) -> None:
    """Signatures that have not begun are made again; those of the past are kept."""
    again = finish(WholeSigner(zone(TEXT), terms(), 1, NOW + moved, rng(), SIGNED))
    kept = set(again.records()) & {r for r in SIGNED.records() if split(r)[1] == RRSIG}
    assert bool(kept) == (moved > 0)


def test_owner_of_thousands_of_records_is_signed_whole() -> None:
    many = [make(key_of(b"many"), A, 60, n.to_bytes(4, "big")) for n in range(3_500)]
    after = make(key_of(b"z"), A, 60, b"\1\2\3\4")
    content = build(sorted([*zone(TEXT).records(), *many, after]))
    signed = finish(WholeSigner(content, terms(), 1, NOW, rng()))
    assert signed_types(signed, b"many") == {A, NSEC}
    assert signed_types(signed, b"z") == {A, NSEC}
