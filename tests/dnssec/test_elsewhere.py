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
from xfer.dnssec.elsewhere import (
    MOST_RECORDS,
    DelegationSaid,
    RrsetAnswer,
    Sides,
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
