"""Versions on other terms: keys that roll, another proof of denial, more records at the apex."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tests.answers import zones
from tests.dnssec.signed import (
    NOW,
    build,
    check_signatures,
    dnskey,
    key,
    rng,
    terms,
    unsigned,
    verify,
    zone,
)
from xfer.dnssec.keys import SigningKey
from xfer.dnssec.signing import ChangeSigner, Denial, Terms, WholeSigner, finish
from xfer.errors import ZoneError
from xfer.wire import records
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, NSEC, NSEC3PARAM, RRSIG, SOA, make, split
from xfer.zone.changeset import diff
from xfer.zone.snapshot import APEX, Snapshot

CONTENT = zone(zones.shapes(7, hosts=20))
KSK, ZSK = key(13, True), key(13)


def signers(snapshot: Snapshot, rtype: int, at: bytes = APEX) -> list[int]:
    """Tags of the keys that an RRset is signed by."""
    found = snapshot.rrset(at, RRSIG, rtype)
    return sorted(int.from_bytes(split(record)[4][16:18], "big") for record in found)


def tags(*keys: SigningKey) -> list[int]:
    return sorted(each.tag for each in keys)


def change(
    published: Snapshot, old: Terms | None, new: Terms, serial: int = 9, content: Snapshot = CONTENT
) -> tuple[Snapshot, ChangeSigner]:
    """The version on other terms, which has to be what signing all makes."""
    signer = ChangeSigner(published, content, None, old, new, serial, NOW, rng(2))
    signed = finish(signer)
    whole = finish(WholeSigner(content, new, serial, NOW, rng(3)))
    assert unsigned(signed) == unsigned(whole)
    return signed, signer


@pytest.fixture(scope="module")
def first() -> Snapshot:
    return finish(WholeSigner(CONTENT, terms(), 8, NOW, rng()))


def test_keys_sign_what_is_theirs(tmp_path: Path) -> None:
    cds = make(APEX, CDS, 3600, b"\0\1\x0d\2" + b"x" * 32)
    cdnskey = make(APEX, CDNSKEY, 3600, KSK.public)
    on = terms()
    on = attrs.evolve(on, apex=(*on.apex, cds, cdnskey))
    signed = finish(WholeSigner(CONTENT, on, 8, NOW, rng()))
    for rtype in (DNSKEY, CDS, CDNSKEY):
        assert signers(signed, rtype) == tags(KSK)
    assert signers(signed, SOA) == signers(signed, NSEC) == tags(ZSK)
    verify(signed, tmp_path)


def test_one_key_for_all(tmp_path: Path) -> None:
    signed = finish(WholeSigner(CONTENT, terms(ksks=(KSK,), zsks=(KSK,)), 8, NOW, rng()))
    assert signers(signed, DNSKEY) == signers(signed, SOA) == tags(KSK)
    verify(signed, tmp_path)


def test_ksk_roll_signs_the_apex_only(first: Snapshot, tmp_path: Path) -> None:
    other = key(13, True, 1)
    signed, signer = change(first, terms(), terms(ksks=(KSK, other)))
    assert not signer.whole
    assert signer.made == 3  # SOA, and DNSKEY by both
    assert signers(signed, DNSKEY) == tags(KSK, other)
    verify(signed, tmp_path)


def test_zsk_roll_replaces_all_signatures_of_the_zsk(first: Snapshot, tmp_path: Path) -> None:
    other = key(13, False, 1)
    signed, signer = change(first, terms(), terms(zsks=(other,)))
    assert signer.whole
    assert signers(signed, SOA) == tags(other)
    verify(signed, tmp_path)
    there = set(signed.records())
    changes = signer.changeset()
    assert set(first.records()) - set(changes.removed) | set(changes.added) == there


def test_algorithm_roll_signs_all_with_both(first: Snapshot, tmp_path: Path) -> None:
    ksk, zsk = key(15, True), key(15)
    both = terms(ksks=(KSK, ksk), zsks=(ZSK, zsk))
    signed, signer = change(first, terms(), both)
    assert signers(signed, SOA) == tags(ZSK, zsk)
    verify(signed, tmp_path)
    # Nothing of the old algorithm is signed anew, but what changed: SOA and DNSKEY.
    assert len(set(signed.records()) & set(first.records())) >= len(list(first.records())) - 6
    last, signer = change(signed, both, terms(ksks=(ksk,), zsks=(zsk,)), 10)
    assert signer.made == 2
    verify(last, tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Denial("nsec"), Denial("nsec3")),
        (Denial("nsec3"), Denial("nsec")),
        (Denial("nsec3"), Denial("nsec3", 2, b"salt")),
        (Denial("nsec3"), Denial("nsec3", opt_out=True)),
        (Denial("none"), Denial("nsec")),
    ],
)
def test_proofs_change_in_one_version(before: Denial, after: Denial, tmp_path: Path) -> None:
    published = finish(WholeSigner(CONTENT, terms(before), 8, NOW, rng()))
    signed, _ = change(published, terms(before), terms(after))
    verify(signed, tmp_path)
    assert bool(signed.rrset(APEX, NSEC)) == (after.kind == "nsec")
    params = signed.rrset(APEX, NSEC3PARAM)
    assert [split(record)[4] for record in params] == (
        [after.nsec3param] if after.kind == "nsec3" else []
    )
    # The signatures of the content are the same but for the SOA record's.
    for record in published.records():
        key_, rtype, covered, *_ = split(record)
        if rtype == RRSIG and covered not in (SOA, NSEC, records.NSEC3, NSEC3PARAM):
            assert record in signed.rrset(key_, RRSIG, covered)


def test_no_proofs_where_answers_make_them(first: Snapshot) -> None:
    signed, _ = change(first, terms(), terms(Denial("none")))
    kinds = {split(record)[1] for record in signed.records()}
    assert not kinds & {NSEC, records.NSEC3, NSEC3PARAM}
    assert check_signatures(signed) > 100


def test_unsigned_is_the_content(first: Snapshot) -> None:
    signed, _ = change(first, terms(), Terms(unsigned=True))
    kept = [record for record in CONTENT.records() if split(record)[1] != SOA]
    assert [record for record in signed.records() if split(record)[1] != SOA] == kept
    assert signed.serial == 9


def test_signed_dnskey_rrset_from_elsewhere(first: Snapshot, tmp_path: Path) -> None:
    """Multi-signer model 1 (RFC 8901 §2.1.1): the KSK is not here."""
    ready = tuple(first.rrset(APEX, RRSIG, DNSKEY))
    on = attrs.evolve(terms(), ksks=(), presigned=ready)
    signed, _ = change(first, terms(), on)
    assert signed.rrset(APEX, RRSIG, DNSKEY) == list(ready)
    verify(signed, tmp_path)


def test_what_was_signed_elsewhere_is_all_there_is(first: Snapshot, tmp_path: Path) -> None:
    """CDS may come signed too; keys in the content would break the signature of the DNSKEYs."""
    cds = make(APEX, CDS, 3600, b"\0\1\x0d\2" + b"y" * 32)
    on = attrs.evolve(terms(), apex=(*terms().apex, cds))
    ready, _ = change(first, terms(), on)
    presigned = (*ready.rrset(APEX, RRSIG, DNSKEY), *ready.rrset(APEX, RRSIG, CDS))
    assert len(presigned) == 2
    foreign = [dnskey(key(13, False, 2)), make(APEX, CDS, 3600, b"\0\2\x0d\2" + b"y" * 32)]
    content = build(sorted({*CONTENT.records(), *foreign}))
    signed = finish(
        WholeSigner(content, attrs.evolve(on, ksks=(), presigned=presigned), 9, NOW, rng())
    )
    for rtype in (DNSKEY, CDS):
        assert signed.rrset(APEX, rtype) == ready.rrset(APEX, rtype)
        assert signed.rrset(APEX, RRSIG, rtype) == ready.rrset(APEX, RRSIG, rtype)
    verify(signed, tmp_path)


def test_keys_of_others_are_kept_with_one_ttl(tmp_path: Path) -> None:
    other = key(13, False, 2)
    foreign = [dnskey(other, 60), make(APEX, CDS, 60, b"\0\1\x0d\2" + b"y" * 32)]
    content = zone(zones.child(1) + "www.sub2.x TXT z\n")
    both = build(sorted({*content.records(), *foreign}))
    signed = finish(WholeSigner(both, terms(), 8, NOW, rng()))
    assert set(signed.rrset(APEX, DNSKEY)) == {dnskey(KSK), dnskey(ZSK), dnskey(other)}
    assert [split(record)[3] for record in signed.rrset(APEX, CDS)] == [60]
    assert signers(signed, CDS) == tags(KSK)
    verify(signed, tmp_path)


@pytest.mark.parametrize("denial", [Denial("nsec"), Denial("nsec3")], ids=["nsec", "nsec3"])
def test_signatures_of_the_content_do_not_travel(denial: Denial, tmp_path: Path) -> None:
    """A primary that signs too: its DNSSEC records, but for keys, are not ours."""
    theirs = terms(Denial("nsec3", 1, b"\1"), ksks=(key(15, True),), zsks=(key(15),), zonemd=True)
    content = finish(WholeSigner(zone(zones.shapes(3, hosts=30)), theirs, 5, NOW, rng()))
    edited = finish(
        WholeSigner(
            zone(zones.shapes(3, hosts=30) + "another A 192.0.2.1\n"), theirs, 6, NOW, rng()
        )
    )
    on = terms(denial)
    plain = finish(WholeSigner(zone(zones.shapes(3, hosts=30)), on, 8, NOW, rng()))
    signed = finish(WholeSigner(content, on, 8, NOW, rng()))
    foreign = {split(record)[4] for record in content.rrset(APEX, DNSKEY)}
    assert {split(record)[4] for record in signed.rrset(APEX, DNSKEY)} >= foreign
    ours = {record for record in unsigned(signed) if split(record)[1] not in (DNSKEY, RRSIG)}
    assert ours == {r for r in unsigned(plain) if split(r)[1] not in (DNSKEY, RRSIG)}
    signer = ChangeSigner(signed, edited, diff(content, edited), on, on, 9, NOW, rng())
    after = finish(signer)
    assert unsigned(after) == unsigned(finish(WholeSigner(edited, on, 9, NOW, rng())))
    assert signer.made < 20
    verify(after, tmp_path)


def test_versions_of_another_signer_are_looked_at_as_a_whole(first: Snapshot) -> None:
    """Their signatures stay where they fit."""
    _, signer = change(first, None, terms())
    assert signer.whole
    assert signer.made == 1
    assert len(signer.changeset().added) == 2


def test_what_does_not_go_together_is_refused() -> None:
    def refused(on: Terms) -> str:
        with pytest.raises(ZoneError) as caught:
            WholeSigner(CONTENT, on, 8, NOW, rng())
        return str(caught.value)

    assert "signs the zone" in refused(Terms(ksks=(KSK,)))
    assert "at the apex" in refused(attrs.evolve(terms(), apex=(make(b"a\0\0", DNSKEY, 1, b""),)))
    assert "RRSIG records of the DNSKEY" in refused(terms(presigned=(dnskey(KSK),)))
    with pytest.raises(ValueError, match="salt"):
        Denial("nsec3", 0, b"x" * 256)
    with pytest.raises(ValueError, match="kind"):
        Denial("nsec4")


def test_another_key_of_the_same_tag_signs_all_anew(first: Snapshot) -> None:
    class Twin:
        """As the KSK, but another key."""

        ident, tag, algorithm = KSK.ident, KSK.tag, KSK.algorithm
        public = KSK.public[:-1] + bytes([KSK.public[-1] ^ 1])
        sign = staticmethod(key(13, True, 3).sign)

    on = attrs.evolve(terms(), ksks=(Twin(),))  # type: ignore[arg-type]
    signed, signer = change(first, terms(), on)
    assert signer.whole
    assert not {r for r in first.records() if split(r)[1] == RRSIG} & set(signed.records())
