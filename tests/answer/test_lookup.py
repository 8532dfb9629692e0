"""Answers of an unsigned zone with every shape of name."""

from __future__ import annotations

import dns.flags
import dns.rcode
import dns.rdatatype
import pytest

from tests.answer.asking import SOA, ZONE, ask, lines, snapshot

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


def test_an_owner_of_nsec3_alone_is_no_name_of_the_zone() -> None:
    """RFC 5155 §7.2.8."""
    owner = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
    served = snapshot(ZONE + f"{owner} NSEC3 1 0 0 - {owner} A\n")
    assert ask(f"{owner}.example.com.", "A", served=served).rcode() == dns.rcode.NXDOMAIN
    there = snapshot(ZONE + f"{owner} NSEC3 1 0 0 - {owner} A\nx.{owner} A 192.0.2.1\n")
    assert ask(f"{owner}.example.com.", "A", served=there).rcode() == dns.rcode.NOERROR
