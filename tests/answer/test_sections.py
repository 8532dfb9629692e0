"""Lines as they are taken out of a zone: its case, TTLs, signatures, across blocks of any size."""

from __future__ import annotations

import dns.name
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.answer import asking
from tests.answer.chains import HEAD, SIGNATURE, key, load
from xfer.answer.sections import Reader
from xfer.wire.names import from_text, key_of
from xfer.wire.records import DNAME, DS, MX, NS, NSEC, RRSIG, SOA, TXT, A

ORIGIN = from_text("example.com.")
SIGNED = HEAD + "".join(
    f"{line}\n"
    for line in (
        "example. 3600 IN NSEC a.example. NS SOA RRSIG NSEC",
        f"example. 3600 IN RRSIG SOA {SIGNATURE}",
        f"example. 3600 IN RRSIG NSEC {SIGNATURE}",
        "a.example. 600 IN A 192.0.2.1",
        "a.example. 600 IN A 192.0.2.2",
        f"a.example. 600 IN RRSIG A {SIGNATURE}",
        f"a.example. 600 IN RRSIG NSEC {SIGNATURE}",
        "a.example. 3600 IN NSEC example. A RRSIG NSEC",
        "b.ent.example. 3600 IN TXT there",
        "only.example. 3600 IN NSEC a.example. RRSIG NSEC",
    )
)


def at(name: str) -> bytes:
    return key_of(from_text(f"{name}.example.com." if name else "example.com."), ORIGIN)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(asking.snapshot())


@pytest.fixture(params=[1, 3, 2_000], ids=lambda size: f"blocks of {size}")
def signed(request: pytest.FixtureRequest) -> Reader:
    return Reader(load(SIGNED, request.param))


def test_every_rrset_is_read_as_dnspython_reads_the_file(reader: Reader) -> None:
    zone = dns.zone.from_text(asking.ZONE, "example.com.", relativize=False)
    for name, node in zone.nodes.items():
        assert isinstance(name, dns.name.Name)
        of = key_of(name.canonicalize().to_wire() or b"", ORIGIN)
        for rdataset in node:
            found = reader.rrset(of, int(rdataset.rdtype))
            assert {(rtype, ttl) for _, rtype, ttl, _ in found} == {(rdataset.rdtype, rdataset.ttl)}
            assert {owner for owner, *_ in found} == {name.to_wire()}
            assert {data for *_, data in found} == {rdata.to_wire() for rdata in rdataset}
            assert reader.has(of, int(rdataset.rdtype))
        assert reader.rrset(of, 65_280) == []
        assert not reader.has(of, 65_280)


@given(st.lists(st.sampled_from(["", "ns1", "www", "sub", "ns.sub", "wild", "no", "dn"])))
def test_what_was_looked_for_before_changes_nothing(names: list[str]) -> None:
    used = Reader(asking.snapshot())
    for name in names:
        fresh = Reader(used.snapshot)
        assert used.exists(at(name)) == fresh.exists(at(name))
        for rtype in (SOA, A, NS, MX, DNAME):
            assert used.has(at(name), rtype) == fresh.has(at(name), rtype)
            assert used.rrset(at(name), rtype) == fresh.rrset(at(name), rtype)
        assert used.first_type(at(name)) == fresh.first_type(at(name))


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("", True),
        ("www", True),
        ("ent.a", True),  # empty non-terminals
        ("a", True),
        ("deep.ent.a", True),
        ("*.wild", True),
        ("any.wild", False),
        ("no", False),
        ("ww", False),  # a beginning of a label is none
        ("below.www", False),
        ("zz", False),  # behind the last name
    ],
)
def test_which_names_exist(reader: Reader, name: str, there: bool) -> None:
    assert reader.exists(at(name)) == there


def test_an_owner_is_in_the_zones_case_else_in_the_querys(reader: Reader) -> None:
    for asked, shown in (("www", "WWW"), ("MAIL", "MAIL")):
        reader.asked(from_text(f"{asked}.example.com."), at(asked.lower()))
        ((owner, *_),) = reader.rrset(at(asked.lower()), A)
        assert owner == from_text(f"{shown}.example.com.")
    reader.asked(from_text("other.example.com."), at("other"))
    assert reader.rrset(at("mail"), A)[0][0] == from_text("mail.example.com.")


def test_what_a_wildcard_gives_has_the_owner_that_was_asked_for(reader: Reader) -> None:
    owner = from_text("ANY.wild.example.com.")
    lines = reader.rrset(at("*.wild"), TXT, owner=owner)
    assert [(name, rtype, data) for name, rtype, _, data in lines] == [(owner, TXT, b"\x04wild")]


def test_a_ttl_is_made_no_greater_than_most(reader: Reader) -> None:
    assert {ttl for _, _, ttl, _ in reader.rrset(at(""), NS, 60)} == {60}
    assert {ttl for _, _, ttl, _ in reader.rrset(at(""), NS, 1 << 20)} == {3600}


def test_the_soa_of_a_negative_answer_has_no_greater_ttl_than_minimum(reader: Reader) -> None:
    ((owner, rtype, ttl, _),) = reader.soa(False)
    assert (owner, rtype, ttl) == (ORIGIN, SOA, 1800)


def test_signatures_come_with_do_and_of_that_type_alone(signed: Reader) -> None:
    assert [rtype for _, rtype, _, _ in signed.signed(key("a"), A, False)] == [A, A]
    lines = signed.signed(key("a"), A, True, 30)
    assert [(rtype, ttl) for _, rtype, ttl, _ in lines] == [(A, 30), (A, 30), (RRSIG, 30)]
    assert [data[:2] for _, rtype, _, data in lines if rtype == RRSIG] == [bytes((0, A))]
    assert signed.signed(key("a"), DS, True) == []
    assert [rtype for _, rtype, _, _ in signed.soa(True)] == [SOA, RRSIG]


def test_records_of_a_proof_become_lines(signed: Reader) -> None:
    records = [r for r in signed.snapshot.records() if r.startswith(key("a") + bytes((0, NSEC)))]
    ((owner, rtype, ttl, data),) = signed.lines(records)
    assert (owner, rtype, ttl) == (from_text("a.example."), NSEC, 3600)
    assert data.startswith(from_text("example."))


def test_the_first_type_is_not_one_of_dnssec_where_there_is_another(signed: Reader) -> None:
    assert signed.first_type(key("a")) == A
    assert signed.first_type(key("only")) == NSEC
    assert signed.first_type(key("b.ent")) == TXT
    assert signed.first_type(key("ent")) == 0
    assert signed.first_type(key("no")) == 0
    assert signed.first_type(b"\0") == NS


def test_a_dname_at_the_apex_is_known(reader: Reader) -> None:
    assert not reader.apex_dname
    assert Reader(load(HEAD + "example. 3600 IN DNAME elsewhere.test.\n")).apex_dname
