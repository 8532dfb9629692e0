"""Answers at the apex, read back with dnspython."""

from __future__ import annotations

from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.transfer.zone import NS, ORIGIN, SOA, A, record, soa_rdata
from xfer.answer.apex import answer_apex, answer_soa_only, edns_for, up_to_date
from xfer.wire import names
from xfer.wire.request import Request, parse_request
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

TXT = 16


def snapshot(texts: int = 0, serial: int = 5) -> Snapshot:
    records = [
        record("example.com.", SOA, soa_rdata(serial), 3600),
        record("example.com.", NS, names.from_text("ns1.example.com.")),
        record("example.com.", NS, names.from_text("ns2.example.net.")),
        record("www.example.com.", A, bytes(4)),
        *(
            record("example.com.", TXT, bytes([200]) + b"%03d" % n * 66 + b"ab")
            for n in range(texts)
        ),
    ]
    return Snapshot(ORIGIN, [Block.make(sorted(records), {})])


def request(
    rtype: str, name: str = "example.com.", **options: Any
) -> tuple[Request, dns.message.Message]:
    query = dns.message.make_query(name, rtype, **options)
    return parse_request(query.to_wire()), query


def ask(
    rtype: str, served: Snapshot, limit: int = 1232, expires: int | None = None, **options: Any
) -> dns.message.Message:
    asked, query = request(rtype, **options)
    wire = answer_apex(asked, served, limit, edns_for(asked, 1232, expires))
    assert len(wire) <= limit
    answer = dns.message.from_wire(wire)
    assert query.is_response(answer)
    assert answer.flags & dns.flags.AA
    assert not answer.flags & dns.flags.RA
    return answer


@pytest.mark.parametrize(("rtype", "count"), [("SOA", 1), ("NS", 2), ("ANY", 1)])
def test_an_rrset_of_the_apex_is_the_answer(rtype: str, count: int) -> None:
    answer = ask(rtype, snapshot())
    assert sum(len(rrset) for rrset in answer.answer) == count
    assert not answer.authority


def test_a_type_that_is_not_there_has_the_soa_with_the_negative_ttl() -> None:
    answer = ask("TXT", snapshot())
    assert answer.rcode() == dns.rcode.NOERROR
    assert not answer.answer
    (rrset,) = answer.authority
    assert (rrset.rdtype, rrset.ttl) == (dns.rdatatype.SOA, 300)


def test_the_question_comes_back_as_it_was_spelled() -> None:
    asked, _ = request("SOA", "ExAmPlE.cOm.")
    wire = answer_apex(asked, snapshot(), 1232, edns_for(asked, 1232, None))
    assert b"\x07ExAmPlE\x03cOm\x00" in wire
    # Names of the zone keep their own case: nothing may point to the question's.
    assert dns.message.from_wire(wire).answer[0].name.to_text() == "example.com."


def test_what_does_not_fit_is_left_out_with_tc() -> None:
    answer = ask("TXT", snapshot(texts=10), limit=512)
    assert answer.flags & dns.flags.TC
    assert not answer.answer
    assert not answer.authority


def test_what_fits_over_tcp_is_whole() -> None:
    answer = ask("TXT", snapshot(texts=10), limit=65535)
    assert not answer.flags & dns.flags.TC
    assert len(answer.answer[0]) == 10


@pytest.mark.parametrize("edns", [False, True])
def test_opt_only_answers_opt(edns: bool) -> None:
    answer = ask("SOA", snapshot(), **({"use_edns": 0, "payload": 4096} if edns else {}))
    assert (answer.edns == 0) is edns
    if edns:
        assert answer.payload == 1232


def test_the_expire_option_says_what_remains() -> None:
    option = dns.edns.GenericOption(dns.edns.OptionType(9), b"")
    answer = ask("SOA", snapshot(), expires=4242, use_edns=0, options=[option])
    assert [(o.otype, o.to_wire()) for o in answer.options] == [(9, (4242).to_bytes(4, "big"))]


def test_ixfr_over_udp_gets_the_soa() -> None:
    query = dns.message.make_query("example.com.", "IXFR")
    soa = "mname. rname. 4 0 0 0 0"
    query.authority = [dns.rrset.from_text("example.com.", 0, "IN", "SOA", soa)]
    asked = parse_request(query.to_wire())
    answer = dns.message.from_wire(answer_soa_only(asked, snapshot(), 512, None))
    assert answer.answer[0][0].serial == 5
    assert not up_to_date(asked, snapshot())
    assert up_to_date(asked, snapshot(serial=4))
