"""Reading what other servers say of a zone's RRsets, and whether it all goes together."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.dnssec import agreement
from xfer.dnssec.ds import DELETE_CDS, cds_of, ds_of
from xfer.dnssec.elsewhere import (
    MOST_RECORDS,
    DelegationSaid,
    RrsetAnswer,
    Sides,
    Signature,
    SignerSaid,
    read_rrset,
)
from xfer.dnssec.idents import ident_of
from xfer.dnssec.keystate import KeyState, Role
from xfer.errors import Failure, TransferError
from xfer.wire import names
from xfer.wire.records import DNSKEY, NS

ZONE = "zone.test."
ORIGIN = names.from_text(ZONE)
ID = 4711


def message(
    rtype: str,
    answer: tuple[str, ...] = (),
    authority: tuple[str, ...] = (),
    *,
    flags: int = dns.flags.AA,
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
) -> bytes:
    made = dns.message.make_response(dns.message.make_query(ZONE, rtype, use_edns=0, id=ID))
    made.flags |= flags
    made.set_rcode(rcode)
    for section, lines in ((made.answer, answer), (made.authority, authority)):
        for line in lines:
            owner, ttl, kind, *rest = line.split()
            section.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, " ".join(rest)))
    return made.to_wire(max_size=65535)


def read(wire: bytes, rtype: int = NS, *, delegation: bool = False) -> RrsetAnswer | None:
    return read_rrset(wire, ID, ORIGIN, rtype, delegation=delegation)


def ns(*texts: str) -> frozenset[bytes]:
    return frozenset(names.from_text(text) for text in texts)


TWO_NS = (f"{ZONE} 300 NS a.test.", f"{ZONE} 300 NS b.test.")


def test_an_rrset_is_read_with_its_ttl() -> None:
    assert read(message("NS", TWO_NS)) == RrsetAnswer(ns("a.test.", "b.test."), 300)
    found = read(message("DNSKEY", (f"{ZONE} 60 DNSKEY 256 3 13 AAAA",)), DNSKEY)
    assert found == RrsetAnswer(frozenset({bytes((1, 0, 3, 13, 0, 0, 0))}), 60)


def test_signatures_of_the_rrset_are_read() -> None:
    times = "20330101000000 20320101000000"
    wire = message(
        "NS",
        (
            *TWO_NS,
            f"{ZONE} 300 RRSIG NS 13 2 300 {times} 4711 {ZONE} AAAA",
            f"{ZONE} 300 RRSIG SOA 13 2 300 {times} 4712 {ZONE} AAAA",
        ),
    )
    found = read(wire)
    assert found is not None
    assert found.rdata == ns("a.test.", "b.test.")
    begins, ends = 1956528000, 1988150400
    assert found.signatures == (Signature("013+04711", begins, ends),)
    assert found.signed_by(begins) == found.signed_by(ends) == {"013+04711"}
    assert not found.signed_by(begins - 1)
    assert not found.signed_by(ends + 1)


def test_a_signer_without_the_rrset_says_so() -> None:
    assert read(message("DNSKEY"), DNSKEY) == RrsetAnswer(frozenset())


def test_a_truncated_answer_says_nothing() -> None:
    assert read(message("NS", TWO_NS, flags=dns.flags.AA | dns.flags.TC)) is None


def test_a_referral_counts_where_the_parent_is_asked() -> None:
    wire = message("NS", (), TWO_NS, flags=0)
    assert read(wire, delegation=True) == RrsetAnswer(ns("a.test.", "b.test."), 300)
    with pytest.raises(TransferError, match="authoritative") as refused:
        read(wire)
    assert refused.value.failure is Failure.DENIED


def test_a_resolver_counts_as_the_parent_and_not_as_a_signer() -> None:
    wire = message("NS", TWO_NS, flags=dns.flags.RA)
    assert read(wire, delegation=True) is not None
    with pytest.raises(TransferError, match="without AA"):
        read(wire)


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(TransferError, match="REFUSED"):
        read(message("NS", rcode=dns.rcode.REFUSED))
    with pytest.raises(TransferError, match="type 48") as refused:
        read(message("DNSKEY"))
    assert refused.value.failure is Failure.PROTOCOL
    many = tuple(f"{ZONE} 300 NS n{number}.test." for number in range(MOST_RECORDS + 1))
    with pytest.raises(TransferError, match=f"at most {MOST_RECORDS} records"):
        read(message("NS", many))


@given(st.data())
def test_damaged_answers_are_refused_or_read(data: st.DataObject) -> None:
    wire = bytearray(message("NS", TWO_NS))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(wire)))
    try:
        read(bytes(wire[:cut]), delegation=True)
    except TransferError:
        pass


# Whether it goes together.

ZSK, KSK = bytes((1, 0, 3, 13)) + bytes(64), bytes((1, 1, 3, 13)) + bytes(64)
OTHER_ZSK, OTHER_KSK = (one[:4] + bytes(63) + b"\1" for one in (ZSK, KSK))
OURS = KeyState(ident_of(ZSK), Role.ZSK, ZSK, 0.0)


def signer(*keys: bytes, named: tuple[str, ...] = ("a.test.",)) -> SignerSaid:
    return SignerSaid("192.0.2.1#53", RrsetAnswer(frozenset(keys), 300), RrsetAnswer(ns(*named)))


def signing(
    *keys: bytes, top: bytes, zone: bytes, begins: int = 0, ends: int = 200, serial: int = 7
) -> SignerSaid:
    """One with signatures by these keys, valid at NOW unless said otherwise."""

    def by(key: bytes) -> tuple[Signature, ...]:
        return (Signature(ident_of(key), begins, ends),)

    soa = b"\0\0" + serial.to_bytes(4, "big") + bytes(16)
    return SignerSaid(
        "192.0.2.1#53",
        RrsetAnswer(frozenset(keys), 300, by(top)),
        RrsetAnswer(ns("a.test."), 300, by(zone)),
        RrsetAnswer(frozenset({soa}), 300, by(zone)),
        RrsetAnswer(frozenset()),
        RrsetAnswer(frozenset()),
    )


NOW = 100.0


def test_every_server_of_the_others_has_to_have_our_keys() -> None:
    assert not agreement.keys_there(Sides((signer(ZSK, OTHER_ZSK),)), [OURS])
    (said,) = agreement.keys_there(Sides((signer(ZSK), signer(OTHER_ZSK))), [OURS])
    assert said == f"192.0.2.1#53 has not got our DNSKEY {OURS.ident}"
    assert agreement.keys_there(Sides(), [OURS]) == [agreement.NOBODY]
    silent = SignerSaid("192.0.2.2#53", error="it is silent")
    assert "it is silent" in agreement.keys_there(Sides((signer(ZSK), silent)), [OURS])


def test_the_others_have_to_be_rid_of_our_keys_at_the_end() -> None:
    assert not agreement.keys_gone_there(Sides((signer(OTHER_ZSK),)), [OURS])
    assert "publishes our DNSKEY" in agreement.keys_gone_there(Sides((signer(ZSK),)), [OURS])[0]


def test_we_have_to_publish_the_keys_by_which_others_sign_and_not_their_ksks() -> None:
    sides = Sides((signer(OTHER_ZSK, OTHER_KSK, ZSK),))
    assert not agreement.keys_here(sides, [ZSK, KSK, OTHER_ZSK], [ZSK, KSK])
    (said,) = agreement.keys_here(sides, [ZSK, KSK], [ZSK, KSK])
    assert said.endswith(f"signs by DNSKEY {ident_of(OTHER_ZSK)}, which we do not publish")
    # One key for both signs the zone too.
    assert agreement.keys_here(Sides((signer(OTHER_KSK),)), [ZSK, KSK], [ZSK, KSK])


def test_servers_are_looked_for_at_the_parent_at_the_others_and_here() -> None:
    here = RrsetAnswer(ns("a.test."), 600)
    parent = DelegationSaid("192.0.2.9#53", RrsetAnswer(ns("A.TEST.", "b.test."), 900))
    sides = Sides((signer(),), (parent,))
    wanted = [names.from_text("b.test.")]
    said = agreement.servers(sides, here, wanted, there=True)
    assert said == [
        "the zone at 192.0.2.1#53 has not got NS b.test.",
        "the zone here has not got NS b.test.",
    ]
    said = agreement.servers(sides, here, wanted, there=False)
    assert said == ["the delegation at 192.0.2.9#53 still has NS b.test."]
    assert not agreement.servers(sides, here, [names.from_text("a.test.")], there=True)
    assert agreement.delegation_ttl(sides, here) == 900
    assert agreement.NO_PARENT in agreement.servers(Sides((signer(),)), here, wanted, there=True)


def test_a_key_that_signs_the_zone_is_needed_whatever_its_bits_say() -> None:
    # BIND's default is one key for all, which stands beside our ZSK in its DNSKEY RRset.
    csk = signing(OTHER_KSK, ZSK, top=OTHER_KSK, zone=OTHER_KSK)
    (said,) = agreement.keys_here(Sides((csk,)), [ZSK, KSK], [ZSK, KSK])
    assert ident_of(OTHER_KSK) in said
    both = signing(OTHER_KSK, OTHER_ZSK, ZSK, top=OTHER_KSK, zone=OTHER_ZSK)
    (said,) = agreement.keys_here(Sides((both,)), [ZSK, KSK], [ZSK, KSK])
    assert ident_of(OTHER_ZSK) in said


def test_signatures_are_looked_at_as_validators_do() -> None:
    keys = (OTHER_KSK, OTHER_ZSK)
    good = signing(*keys, top=OTHER_KSK, zone=OTHER_ZSK)
    assert not agreement.signed(Sides((good,)), NOW)
    ended = signing(*keys, top=OTHER_KSK, zone=OTHER_ZSK, ends=99)
    assert [one[13:] for one in agreement.signed(Sides((ended,)), NOW)] == [
        "serves its DNSKEY RRset with no signature that is valid now",
        "serves its SOA with no signature that is valid now",
    ]
    (said,) = agreement.signed(Sides((signing(OTHER_KSK, top=OTHER_KSK, zone=OTHER_ZSK),)), NOW)
    assert said.endswith(f"by DNSKEY {ident_of(OTHER_ZSK)}, which it does not publish")
    bare = SignerSaid("192.0.2.1#53", RrsetAnswer(frozenset(keys)), soa=RrsetAnswer(frozenset()))
    assert "without a signature" in agreement.signed(Sides((bare,)), NOW)[0]


def test_the_others_chain_has_to_begin_at_a_ds_of_the_parent() -> None:
    sides = Sides((signing(OTHER_KSK, OTHER_ZSK, top=OTHER_KSK, zone=OTHER_ZSK),))
    theirs, ours = (ds_of(ORIGIN, key).rdata for key in (OTHER_KSK, KSK))
    assert not agreement.chained(sides, ORIGIN, [ours, theirs], NOW)
    assert "whose DS is at the parent" in agreement.chained(sides, ORIGIN, [ours, b"?"], NOW)[0]
    assert agreement.chained(sides, ORIGIN, [theirs], 300.0)


def test_all_signers_have_to_use_the_same_algorithms() -> None:
    rsa = OTHER_ZSK[:3] + b"\x08" + OTHER_ZSK[4:]
    assert not agreement.algorithms(Sides((signer(OTHER_ZSK, ZSK),)), [ZSK], [13])
    for keys in ((rsa,), (rsa, OTHER_ZSK), (rsa, ZSK)):
        (said,) = agreement.algorithms(Sides((signer(*keys),)), [ZSK], [13])
        assert "RSASHA256 (8)" in said
        assert "we with ECDSAP256SHA256 (13)" in said
    assert not agreement.algorithms(Sides((signer(),)), [ZSK], [13])


def test_cds_that_would_take_our_ds_away_are_told() -> None:
    def publishing(cds: set[bytes], cdnskeys: set[bytes]) -> Sides:
        there = RrsetAnswer(frozenset(cds)), RrsetAnswer(frozenset(cdnskeys))
        return Sides((SignerSaid("192.0.2.1#53", cds=there[0], cdnskeys=there[1]),))

    theirs, ours = cds_of(ORIGIN, OTHER_KSK), cds_of(ORIGIN, KSK, 4)
    assert not agreement.for_parent(publishing(set(), set()), ORIGIN, [KSK])
    both = publishing({theirs, ours}, {OTHER_KSK, KSK})
    assert not agreement.for_parent(both, ORIGIN, [KSK])
    (said,) = agreement.for_parent(publishing({theirs}, {OTHER_KSK}), ORIGIN, [KSK])
    assert f"the CDS of {ident_of(KSK)} and the CDNSKEY of {ident_of(KSK)} too" in said
    (said,) = agreement.for_parent(publishing({theirs, ours}, {OTHER_KSK}), ORIGIN, [KSK])
    assert "the CDS of" not in said
    (said,) = agreement.for_parent(publishing({DELETE_CDS}, set()), ORIGIN, [KSK])
    assert "takes every DS away" in said
    assert agreement.for_parent(publishing({b"?"}, set()), ORIGIN, [KSK])


def test_ns_and_serials_that_differ_are_told() -> None:
    here = RrsetAnswer(ns("a.test.", "c.test."), 600)
    parent = DelegationSaid("192.0.2.9#53", RrsetAnswer(ns("A.TEST.", "b.test."), 900))
    theirs = signing(OTHER_KSK, top=OTHER_KSK, zone=OTHER_KSK, serial=5)
    sides = Sides((theirs,), (parent,))
    assert agreement.name_servers(sides, here) == [
        "the delegation at 192.0.2.9#53 has NS b.test., which the zone here has not got",
        "the delegation at 192.0.2.9#53 has not got NS c.test., which the zone here has",
        "the zone at 192.0.2.1#53 has not got NS c.test., which the zone here has",
    ]
    assert not agreement.serials(sides, 5)
    assert not agreement.serials(sides, None)
    assert not agreement.serials(Sides((signer(),)), 5)
    assert "serial 5, and we 4" in agreement.serials(sides, 4)[0]
    assert agreement.serials(sides, 0xFFFFFFFF)


def test_a_dead_signer_does_not_keep_us_from_leaving_it() -> None:
    here = RrsetAnswer(ns("a.test."), 600)
    parent = DelegationSaid("192.0.2.9#53", RrsetAnswer(ns("a.test."), 900))
    dead = SignerSaid("192.0.2.1#53", error="it is silent")
    gone = [names.from_text("b.test.")]
    assert not agreement.servers(Sides((dead,), (parent,)), here, gone, there=False, silent=True)
    assert agreement.servers(Sides((dead,), (parent,)), here, gone, there=False)
    assert agreement.servers(Sides((), (parent,)), here, gone, there=False, silent=True)
    assert agreement.dnskey_ttl(Sides((dead, signer(ZSK)))) == 300
    assert agreement.publishing(Sides((dead, signer(ZSK))), ZSK)
    assert not agreement.publishing(Sides((dead, signer(KSK))), ZSK)
    assert agreement.dropped(Sides((dead,)), [OURS]) == ()
    assert agreement.dropped(Sides((dead, signer(KSK))), [OURS]) == (OURS.ident,)


def test_a_ttl_that_nobody_can_wait_out_is_cut() -> None:
    long = RrsetAnswer(frozenset(), (1 << 31) - 1)
    sides = Sides((SignerSaid("192.0.2.1#53", dnskeys=long, ns=long),))
    assert agreement.dnskey_ttl(sides) == agreement.delegation_ttl(sides, long) == 30 * 86400
    short = RrsetAnswer(frozenset(), 77)
    assert agreement.delegation_ttl(Sides(), short) == 77
