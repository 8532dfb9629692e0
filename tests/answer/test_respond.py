"""Answers as messages: what fits, EDNS, case."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rrset
import pytest

from tests.answer.asking import SOA, ask, lines, snapshot
from xfer.answer.denial import Denial
from xfer.answer.respond import Responder, soa_only
from xfer.wire.edns import Edns
from xfer.wire.request import parse_request


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
