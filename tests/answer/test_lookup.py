"""Answers of an unsigned zone with every shape of name, read back with dnspython."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from xfer.answer.denial import Denial
from xfer.answer.respond import Responder, soa_only
from xfer.wire.edns import Edns
from xfer.wire.names import from_text
from xfer.wire.request import parse_request
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonefile import read_zone_text

ZONE = """
$ORIGIN example.com.
$TTL 3600
@               SOA  ns1 hostmaster 1 10000 2400 604800 1800
@               NS   ns1
@               NS   ns.sub
@               NS   ns.other.net.
@               MX   10 mail
ns1             A    192.0.2.1
ns1             AAAA 2001:db8::1
mail            A    192.0.2.2
WWW             A    192.0.2.3
deep.ent.a      TXT  "below empty non-terminals"
alias           CNAME www
chain1          CNAME chain2
chain2          CNAME chain3
chain3          CNAME nowhere
loop1           CNAME loop2
loop2           CNAME loop1
out             CNAME www.other.net.
tosub           CNAME host.sub
*.wild          TXT  "wild"
*.wild          MX   10 mail
own.wild        A    192.0.2.9
x.ent.wild      A    192.0.2.9
*.wcname        CNAME www
x.*.entwild     A    192.0.2.9
sub             NS   ns.sub
sub             NS   ns.sib
sub             NS   ns.other.net.
ns.sub          A    192.0.2.53
sib             NS   ns.sib
ns.sib          A    192.0.2.54
host.sub        A    192.0.2.99
secure          NS   ns1
secure          DS   12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
dn              DNAME target.example.com.
below.dn        A    192.0.2.66
target          A    192.0.2.70
a.target        A    192.0.2.71
long            DNAME {label}.{label}.{label}.example.com.
dout            DNAME other.net.
big             TXT  {big}
""".format(label="l" * 60, big=" ".join(f'"{"b" * 250}{n}"' for n in range(8)))


def snapshot(text: str = ZONE) -> Snapshot:
    return read_zone_text(text, "test", from_text("example.com."), Policy())[0]


def ask(
    name: str, rtype: str, limit: int = 65_535, size: int = 1232, served: Snapshot | None = None
) -> dns.message.Message:
    query = dns.message.make_query(name, rtype, use_edns=0, payload=size)
    served = served or snapshot()
    responder = Responder(served, Denial.finished(served))
    wire = responder.respond(parse_request(query.to_wire()), limit, Edns(0, 1232, False))
    assert len(wire) <= limit
    answer = dns.message.from_wire(wire)
    assert query.is_response(answer)
    assert not answer.flags & (dns.flags.RA | dns.flags.AD)
    return answer


def lines(section: list[dns.rrset.RRset]) -> set[str]:
    return {
        f"{_below(rrset.name.to_text())} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in section
        for rdata in rrset
    }


def _below(name: str) -> str:
    return name.removesuffix(".example.com.") if name != "example.com." else "@"


SOA = "@ SOA ns1.example.com. hostmaster.example.com. 1 10000 2400 604800 1800"


SUB = {f"sub NS ns.{where}." for where in ("sub.example.com", "sib.example.com", "other.net")}
GLUE = {"ns.sub A 192.0.2.53", "ns.sib A 192.0.2.54"}
CHAIN = {
    "chain1 CNAME chain2.example.com.",
    "chain2 CNAME chain3.example.com.",
    "chain3 CNAME nowhere.example.com.",
}


@pytest.mark.parametrize(
    ("name", "rtype", "rcode", "answer", "authority", "additional"),
    [
        ("WwW", "A", 0, {"WWW A 192.0.2.3"}, set(), set()),
        ("@", "MX", 0, {"@ MX 10 mail.example.com."}, set(), {"mail A 192.0.2.2"}),
        ("alias", "A", 0, {"alias CNAME www.example.com.", "WWW A 192.0.2.3"}, set(), set()),
        ("alias", "CNAME", 0, {"alias CNAME www.example.com."}, set(), set()),
        ("chain1", "A", 3, CHAIN, {SOA}, set()),
        ("loop1", "A", 0, {"loop1 CNAME loop2.example.com.", "loop2 CNAME loop1.example.com."},
         set(), set()),
        ("out", "A", 0, {"out CNAME www.other.net."}, set(), set()),
        ("tosub", "A", 0, {"tosub CNAME host.sub.example.com."}, SUB, GLUE),
        # RFC 4592 §2.2.1, §3.3.1
        ("foo.wild", "TXT", 0, {'foo.wild TXT "wild"'}, set(), set()),
        ("b.c.wild", "MX", 0, {"b.c.wild MX 10 mail.example.com."}, set(), {"mail A 192.0.2.2"}),
        ("foo.wild", "A", 0, set(), {SOA}, set()),
        ("own.wild", "TXT", 0, set(), {SOA}, set()),
        ("ent.wild", "TXT", 0, set(), {SOA}, set()),
        ("y.ent.wild", "TXT", 3, set(), {SOA}, set()),
        ("*.wild", "TXT", 0, {'*.wild TXT "wild"'}, set(), set()),
        ("x.*.wild", "TXT", 3, set(), {SOA}, set()),
        ("foo.wcname", "A", 0, {"foo.wcname CNAME www.example.com.", "WWW A 192.0.2.3"}, set(),
         set()),
        ("q.entwild", "A", 0, set(), {SOA}, set()),
        # delegations, RFC 2181 §6, RFC 9471
        ("host.sub", "A", 0, set(), SUB, GLUE),
        ("sub", "NS", 0, set(), SUB, GLUE),
        ("sub", "DS", 0, set(), {SOA}, set()),
        ("x.sub", "DS", 0, set(), SUB, GLUE),
        ("secure", "DS", 0, {f"secure DS 12345 13 2 {'0' * 64}"}, set(), set()),
        # RFC 6672 §3
        ("dn", "A", 0, set(), {SOA}, set()),
        ("a.dn", "A", 0, {"dn DNAME target.example.com.", "a.dn CNAME a.target.example.com.",
                          "a.target A 192.0.2.71"}, set(), set()),
        ("a.dn", "CNAME", 0, {"dn DNAME target.example.com.", "a.dn CNAME a.target.example.com."},
         set(), set()),
        ("below.dn", "A", 3, {"dn DNAME target.example.com.",
                              "below.dn CNAME below.target.example.com."}, {SOA}, set()),
        ("m.dout", "A", 0, {"dout DNAME other.net.", "m.dout CNAME m.other.net."}, set(), set()),
        # RFC 2308, empty non-terminals
        ("nope", "A", 3, set(), {SOA}, set()),
        ("a", "A", 0, set(), {SOA}, set()),
        ("ent.a", "TXT", 0, set(), {SOA}, set()),
        ("www", "TXT", 0, set(), {SOA}, set()),
    ],
)  # fmt: skip
def test_the_sections_are_those_of_the_rfcs(
    name: str, rtype: str, rcode: int, answer: set[str], authority: set[str], additional: set[str]
) -> None:
    got = ask("example.com." if name == "@" else f"{name}.example.com.", rtype)
    assert got.rcode() == rcode
    assert lines(got.answer) == answer
    assert lines(got.authority) == authority
    assert lines(got.additional) == additional
    refers = not answer and authority and authority != {SOA}
    assert bool(got.flags & dns.flags.AA) is not bool(refers)


def test_a_name_that_becomes_too_long_is_yxdomain() -> None:
    """RFC 6672 §3.2: with the DNAME, and no CNAME."""
    got = ask("x." * 30 + "long.example.com.", "A")
    assert got.rcode() == dns.rcode.YXDOMAIN
    assert [rrset.rdtype for rrset in got.answer] == [dns.rdatatype.DNAME]


def test_any_gets_one_rrset() -> None:
    """RFC 8482 §4.1."""
    assert [rrset.rdtype for rrset in ask("example.com.", "ANY").answer] == [dns.rdatatype.NS]
    assert [rrset.rdtype for rrset in ask("alias.example.com.", "ANY").answer] == [
        dns.rdatatype.CNAME
    ]


def test_a_long_chain_of_aliases_ends() -> None:
    served = snapshot(ZONE + "".join(f"c{n} CNAME c{n + 1}\n" for n in range(40)))
    got = ask("c0.example.com.", "A", served=served)
    assert 16 <= len(got.answer) <= 20


def test_the_ttl_of_a_negative_answer_is_no_more_than_minimum() -> None:
    assert ask("nope.example.com.", "A").authority[0].ttl == 1800


def test_what_does_not_fit_is_tc_but_for_addresses_that_are_not_needed() -> None:
    big = ask("big.example.com.", "TXT", 1232)
    assert big.flags & dns.flags.TC
    assert not big.answer
    assert not ask("big.example.com.", "TXT").flags & dns.flags.TC
    whole = len(ask("sub.example.com.", "A").to_wire())
    less = ask("sub.example.com.", "A", whole - 1)
    assert not less.flags & dns.flags.TC
    assert lines(less.additional) == {"ns.sub A 192.0.2.53"}, "sibling glue may go"
    assert ask("sub.example.com.", "A", whole - 17).flags & dns.flags.TC, "in-domain glue may not"


def test_nothing_is_lost_of_the_case_of_names() -> None:
    got = ask("wwW.EXAMPLE.com.", "A")
    assert got.question[0].name.to_text() == "wwW.EXAMPLE.com."
    assert got.answer[0].name.to_text() == "WWW.example.com."


def test_ixfr_over_udp_gets_the_soa_alone() -> None:
    query = dns.message.make_query("example.com.", "IXFR")
    query.authority = [dns.rrset.from_text("example.com.", 0, "IN", "SOA", "m. r. 4 0 0 0 0")]
    asked = parse_request(query.to_wire())
    answer = dns.message.from_wire(soa_only(asked, snapshot(), 512, None))
    assert lines(answer.answer) == {SOA}
    assert not answer.authority


@pytest.mark.parametrize("edns", [False, True])
def test_opt_only_answers_opt(edns: bool) -> None:
    query = dns.message.make_query("example.com.", "SOA", use_edns=0 if edns else False)
    served = snapshot()
    ours = Edns(0, 1232, False) if edns else None
    wire = Responder(served, Denial.finished(served)).respond(
        parse_request(query.to_wire()), 512, ours
    )
    answer = dns.message.from_wire(wire)
    assert (answer.edns == 0) is edns
    if edns:
        assert answer.payload == 1232


def test_an_owner_of_nsec3_alone_is_no_name_of_the_zone() -> None:
    """RFC 5155 §7.2.8."""
    owner = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
    served = snapshot(ZONE + f"{owner} NSEC3 1 0 0 - {owner} A\n")
    assert ask(f"{owner}.example.com.", "A", served=served).rcode() == dns.rcode.NXDOMAIN
    there = snapshot(ZONE + f"{owner} NSEC3 1 0 0 - {owner} A\nx.{owner} A 192.0.2.1\n")
    assert ask(f"{owner}.example.com.", "A", served=there).rcode() == dns.rcode.NOERROR
