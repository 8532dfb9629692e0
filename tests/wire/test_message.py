"""Headers, requests and responses, with dnspython on the other side."""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.errors import WireError
from xfer.wire import names
from xfer.wire.message import (
    Edns,
    Kind,
    Question,
    check_response,
    describe,
    edns_of,
    make_error,
    make_notify,
    make_query,
    opcode_text,
    parse_header,
    parse_request,
    parse_response,
    parse_tail,
    rcode_text,
    serial_soa,
    soa_serial_of,
)

ZONE = names.from_text("Example.com")
SOA = names.from_text("ns.Example.com") + names.from_text("Admin.example.com")
SOA += struct.pack(">IIIII", 2024101100, 1800, 900, 604800, 86400)
SOA_TEXT = "ns.Example.com. Admin.example.com. 2024101100 1800 900 604800 86400"


def with_counts(msg: bytes, *counts: int) -> bytes:
    return msg[:4] + struct.pack(">HHHH", *counts) + msg[12:]


def plain_record(rtype: int, rdata: bytes = b"", owner: bytes = b"\0") -> bytes:
    return owner + struct.pack(">HHIH", rtype, 1, 0, len(rdata)) + rdata


def answer_to(msg: bytes, rcode: int = 0, edns: Edns | None = None) -> bytes:
    reply = make_error(msg, rcode, edns)
    assert reply is not None
    return reply


# -- names of numbers


@pytest.mark.parametrize(
    ("rcode", "text"),
    [(0, "NOERROR"), (5, "REFUSED"), (9, "NOTAUTH"), (16, "BADVERS"), (12, "RCODE12")],
)
def test_rcodes_have_names(rcode: int, text: str) -> None:
    assert rcode_text(rcode) == text


def test_opcodes_have_names() -> None:
    assert [opcode_text(n) for n in (0, 4, 5, 7)] == ["QUERY", "NOTIFY", "UPDATE", "OPCODE7"]


# -- header


@given(st.binary(min_size=12, max_size=12))
def test_header_reads_and_writes_the_same_octets(head: bytes) -> None:
    header = parse_header(head)
    assert header.build() == head
    flags = dns.flags.from_text("QR"), dns.flags.from_text("AA"), dns.flags.from_text("TC")
    assert (header.qr, header.aa, header.tc) == tuple(bool(header.flags & f) for f in flags)
    assert header.opcode == dns.opcode.from_flags(header.flags)
    assert header.rcode == header.flags & 15


def test_short_header_is_refused() -> None:
    with pytest.raises(WireError, match="at least 12 octets, got 11"):
        parse_header(bytes(11))


# -- our requests, as dnspython reads them


@pytest.mark.parametrize("rtype", ["SOA", "AXFR", "A"])
def test_queries_are_what_dnspython_reads(rtype: str) -> None:
    number = int(dns.rdatatype.from_text(rtype))
    parsed = dns.message.from_wire(make_query(7, ZONE, number, rd=rtype == "A"))
    assert parsed.id == 7
    assert [str(question) for question in parsed.question] == [f"Example.com. IN {rtype}"]
    assert bool(parsed.flags & dns.flags.RD) == (rtype == "A")
    assert parsed.edns == -1


def test_ixfr_query_carries_the_soa() -> None:
    parsed = dns.message.from_wire(make_query(7, ZONE, 251, Edns(), ixfr_soa=SOA))
    assert parsed.authority == [dns.rrset.from_text("Example.com.", 0, "IN", "SOA", SOA_TEXT)]
    assert parsed.edns == 0


@pytest.mark.parametrize(("rtype", "soa"), [(251, None), (252, SOA)])
def test_soa_goes_with_ixfr_and_nothing_else(rtype: int, soa: bytes | None) -> None:
    with pytest.raises(WireError, match="an SOA with IXFR and only there"):
        make_query(7, ZONE, rtype, ixfr_soa=soa)


def test_notify_carries_the_hint() -> None:
    parsed = dns.message.from_wire(make_notify(7, ZONE, SOA, 3600))
    assert parsed.opcode() == dns.opcode.NOTIFY
    assert parsed.flags & dns.flags.AA
    assert parsed.answer == [dns.rrset.from_text("Example.com.", 3600, "IN", "SOA", SOA_TEXT)]
    assert dns.message.from_wire(make_notify(7, ZONE, edns=Edns())).answer == []


# -- dnspython's requests, as we read them


@pytest.mark.parametrize(
    ("rtype", "kind"), [("SOA", Kind.QUERY), ("A", Kind.QUERY), ("AXFR", Kind.AXFR)]
)
def test_dnspythons_queries_are_read(rtype: str, kind: Kind) -> None:
    asked = dns.message.make_query("Example.com.", rtype, use_edns=False, id=9)
    request = parse_request(asked.to_wire())
    assert (request.id, request.kind, request.opcode, request.rd) == (9, kind, 0, True)
    assert request.question.name == ZONE
    assert request.question.rtype == int(dns.rdatatype.from_text(rtype))
    assert request.question.rclass == 1
    assert (request.edns, request.ixfr_serial, request.soa, request.tsig) == (None,) * 3 + (False,)


def test_dnspythons_ixfr_is_read() -> None:
    asked = dns.message.make_query("Example.com.", "IXFR", use_edns=0, id=9)
    asked.authority.append(dns.rrset.from_text("Example.com.", 0, "IN", "SOA", SOA_TEXT))
    request = parse_request(asked.to_wire())
    assert (request.kind, request.ixfr_serial, request.soa) == (Kind.IXFR, 2024101100, None)
    assert request.edns is not None


def test_dnspythons_notify_is_read_with_its_hint() -> None:
    told = dns.message.make_query("Example.com.", "SOA", use_edns=False, id=9)
    told.set_opcode(dns.opcode.NOTIFY)
    told.answer.append(dns.rrset.from_text("Example.com.", 0, "IN", "SOA", SOA_TEXT))
    request = parse_request(told.to_wire())
    assert (request.kind, request.notify_serial) == (Kind.NOTIFY, 2024101100)
    # The names are spelled out although the message compressed them, by whatever case came first.
    assert request.soa is not None
    assert request.soa.lower() == SOA.lower()
    assert describe(request) == "NOTIFY Example.com."


NOTIFY = make_notify(1, ZONE)
A_RECORD = plain_record(1, b"1234", b"\xc0\x0c")
SOA_RECORD = plain_record(6, SOA, b"\xc0\x0c")


@pytest.mark.parametrize(
    ("records", "counts", "serial"),
    [
        (A_RECORD, (1, 0, 0), None),
        (A_RECORD + SOA_RECORD, (2, 0, 0), 2024101100),
        (SOA_RECORD + A_RECORD, (1, 1, 0), 2024101100),
        (SOA_RECORD, (0, 1, 0), None),
        (plain_record(6, SOA, names.from_text("example.org")), (1, 0, 0), None),
        (A_RECORD * 3 + Edns().build(), (1, 1, 2), None),
    ],
    ids=[
        "an A",
        "an A and the SOA",
        "authority",
        "SOA in authority",
        "another SOA",
        "all sections",
    ],
)
def test_a_notify_may_hold_anything_in_any_section(
    records: bytes, counts: tuple[int, int, int], serial: int | None
) -> None:
    """RFC 1996 §3.7: ANCOUNT, NSCOUNT and ARCOUNT are 0 or more; what is there is a hint."""
    request = parse_request(with_counts(NOTIFY + records, 1, *counts))
    assert (request.kind, request.notify_serial) == (Kind.NOTIFY, serial)


def test_our_own_requests_are_read() -> None:
    ixfr = parse_request(make_query(1, ZONE, 251, ixfr_soa=serial_soa(4294967295)))
    assert ixfr.ixfr_serial == 4294967295
    notify = parse_request(make_notify(1, ZONE))
    assert (notify.kind, notify.soa, notify.notify_serial) == (Kind.NOTIFY, None, None)


def test_foreign_opcode_is_no_error_but_a_kind() -> None:
    update = parse_request(b"\0\1\x28" + make_query(1, ZONE, 6)[3:])
    assert (update.kind, update.opcode, describe(update)) == (Kind.OTHER, 5, "UPDATE Example.com.")
    dso = parse_request(b"\0\1\x30" + bytes(9) + b"\0\1\2\3")
    assert (dso.kind, dso.question.rtype) == (Kind.OTHER, 0)
    broken = parse_request(b"\0\1\x28\0\0\1" + bytes(6) + b"\xff")
    assert (broken.kind, broken.question.rclass) == (Kind.OTHER, 0)


QUERY = make_query(1, ZONE, 6)
IXFR = make_query(1, ZONE, 251, ixfr_soa=SOA)
OTHER_SOA = plain_record(6, SOA, names.from_text("example.org"))
BAD_REQUESTS = {
    "empty": (b"", "at least 12 octets", "0"),
    "a response": (b"\0\1\x80" + QUERY[3:], "a request", "a response"),
    "no question": (with_counts(QUERY[:12], 0, 0, 0, 0), "one question", "0"),
    "two questions": (with_counts(QUERY + QUERY[12:], 2, 0, 0, 0), "one question", "2"),
    "name cut off": (QUERY[:20], "a name", "the end of the message"),
    "class cut off": (QUERY[:-1], "a type and class", "the end of the message"),
    "name too long": (
        with_counts(QUERY[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\6\0\1", 1, 0, 0, 0),
        "a name of at most 255 octets",
        "a longer one",
    ),
    "pointer to itself": (QUERY[:12] + b"\xc0\x0c\0\6\0\1", "earlier name", "one to 12"),
    "label type 01": (QUERY[:12] + b"\x41\0\6\0\1", "63 octets", "0x41"),
    "octets at the end": (QUERY + b"\0", f"a message of {len(QUERY)} octets", f"{len(QUERY) + 1}"),
    "an answer": (with_counts(QUERY + plain_record(6), 1, 1, 0, 0), "no answer", "1"),
    "an authority": (with_counts(QUERY + plain_record(6), 1, 0, 1, 0), "0 authority", "1"),
    "counts too high": (with_counts(QUERY, 1, 0, 0, 3), "a name", "the end of the message"),
    "two OPT": (
        with_counts(QUERY + Edns().build() * 2, 1, 0, 0, 2),
        "one OPT",
        "a second one",
    ),
    "OPT below a name": (
        with_counts(QUERY + b"\xc0\x0c" + Edns().build()[1:], 1, 0, 0, 1),
        "the root as owner of OPT",
        "another name",
    ),
    "IXFR without SOA": (with_counts(IXFR[:29], 1, 0, 0, 0), "1 authority", "0"),
    "IXFR with two SOA": (
        with_counts(IXFR + OTHER_SOA, 1, 0, 2, 0),
        "1 authority records in ixfr",
        "2",
    ),
    "IXFR with another SOA": (
        with_counts(IXFR[:29] + OTHER_SOA, 1, 0, 1, 0),
        "the SOA of Example.com.",
        "that of example.org.",
    ),
    "IXFR with an A": (
        with_counts(IXFR[:29] + plain_record(1, b"1234", b"\xc0\x0c"), 1, 0, 1, 0),
        "an SOA of the question's class",
        "type 1 class 1",
    ),
    "IXFR with OPT in authority": (
        with_counts(IXFR[:29] + Edns().build(), 1, 0, 1, 0),
        "OPT in the additional section only",
        "one before it",
    ),
    "SOA of 19 octets": (
        with_counts(IXFR[:29] + plain_record(6, SOA[:-1], b"\xc0\x0c"), 1, 0, 1, 0),
        "20 octets after the names",
        "19",
    ),
    "SOA that overruns": (
        with_counts(IXFR[:-1], 1, 0, 1, 0),
        "octets of rdata",
        "the end of the message",
    ),
    "TSIG before OPT": (
        with_counts(QUERY + plain_record(250) + Edns().build(), 1, 0, 0, 2),
        "TSIG as last record",
        "records after it",
    ),
}


@pytest.mark.parametrize("case", list(BAD_REQUESTS))
def test_bad_request_says_what_was_expected_and_what_came(case: str) -> None:
    msg, expected, got = BAD_REQUESTS[case]
    with pytest.raises(WireError) as caught:
        parse_request(msg)
    assert expected in caught.value.expected
    assert got in caught.value.got
    reply = make_error(msg, 1)
    if len(msg) < 12 or msg[2] & 0x80:
        assert reply is None
    else:
        assert reply is not None
        parsed = dns.message.from_wire(reply)
        assert parsed.rcode() == 1
        assert parsed.id == 1


@given(st.binary(max_size=120))
def test_no_octets_break_the_reader_of_requests(noise: bytes) -> None:
    for msg in (noise, QUERY[:12] + noise, QUERY + noise, IXFR[:40] + noise):
        try:
            parse_request(msg)
        except WireError:
            pass
        edns_of(msg)
        reply = make_error(msg, 1, Edns())
        assert (reply is None) == (len(msg) < 12 or msg[2] >= 0x80)
        if reply is not None:
            assert parse_response(reply).rcode == 1


# -- answers without records


def test_error_repeats_id_opcode_rd_and_question() -> None:
    asked = dns.message.make_query("Example.com.", "AXFR", use_edns=False, id=99)
    parsed = dns.message.from_wire(answer_to(asked.to_wire(), 5))
    assert parsed.is_response is not None
    assert asked.is_response(parsed)
    assert parsed.rcode() == 5
    assert parsed.flags & dns.flags.RD
    assert str(parsed.question[0]) == "Example.com. IN AXFR"


def test_unreadable_question_is_left_out() -> None:
    assert answer_to(QUERY[:20], 1) == b"\0\1\x80\1" + bytes(8)


def test_answer_to_notify_is_authoritative() -> None:
    reply = make_error(make_notify(3, ZONE, SOA), 0, aa=True)
    assert reply is not None
    parsed = dns.message.from_wire(reply)
    assert (parsed.opcode(), parsed.rcode()) == (dns.opcode.NOTIFY, 0)
    assert parsed.flags & dns.flags.AA
    assert parsed.answer == []


def test_badvers_needs_and_uses_edns() -> None:
    parsed = dns.message.from_wire(answer_to(QUERY, 16, Edns()))
    assert (parsed.rcode(), parsed.edns) == (16, 0)
    assert parse_response(answer_to(QUERY, 16, Edns())).rcode == 16
    with pytest.raises(WireError, match="EDNS with an RCODE above 15"):
        make_error(QUERY, 16)


# -- responses


def test_response_is_read_to_its_end() -> None:
    asked = dns.message.make_query("Example.com.", "SOA", use_edns=0, id=9)
    reply = dns.message.make_response(asked, our_payload=4096)
    reply.answer.append(dns.rrset.from_text("Example.com.", 60, "IN", "SOA", SOA_TEXT))
    msg = reply.to_wire()
    response = parse_response(msg)
    assert response.question is not None
    assert response.question.same(Question(names.from_text("EXAMPLE.com"), 6))
    assert response.answer_offset == 12 + len(ZONE) + 4
    assert response.edns is not None
    assert response.edns.payload == 4096
    assert soa_serial_of(msg, response, Question(ZONE.upper(), 6)) == 2024101100
    quick = parse_response(msg, walk=False)
    assert quick.edns is None
    opt = msg.rindex(b"\0\0\x29")
    tail = parse_tail(msg, opt, quick.header)
    assert tail is not None
    assert tail.payload == 4096


def test_answer_without_soa_has_no_serial() -> None:
    reply = answer_to(QUERY)
    assert soa_serial_of(reply, parse_response(reply), Question(ZONE, 6)) is None
    other = with_counts(reply + OTHER_SOA, 1, 1, 0, 0)
    assert soa_serial_of(other, parse_response(other), Question(ZONE, 6)) is None
    short = with_counts(reply + plain_record(6, SOA[:-1], b"\xc0\x0c"), 1, 1, 0, 0)
    with pytest.raises(WireError, match="20 octets after the names of an SOA, got 19"):
        soa_serial_of(short, parse_response(short), Question(ZONE, 6))


def test_serial_is_looked_for_in_the_first_answers_only() -> None:
    reply = answer_to(QUERY)
    right = plain_record(6, SOA, b"\xc0\x0c")
    for others, serial in ((63, 2024101100), (64, None)):
        msg = with_counts(reply + OTHER_SOA * others + right, 1, others + 1, 0, 0)
        assert soa_serial_of(msg, parse_response(msg), Question(ZONE, 6)) == serial


REPLY = answer_to(QUERY)
BAD_RESPONSES = {
    "a request": (QUERY, "a response", "a request"),
    "two questions": (with_counts(REPLY + REPLY[12:], 2, 0, 0, 0), "at most one question", "2"),
    "octets at the end": (REPLY + b"\0", "a message of", "octets"),
    "a TSIG": (with_counts(REPLY + plain_record(250), 1, 0, 0, 1), "no TSIG", "one"),
    "a TSIG as answer": (
        with_counts(REPLY + plain_record(250), 1, 1, 0, 0),
        "TSIG in the additional section only",
        "one before it",
    ),
    "fewer records than counted": (with_counts(REPLY, 1, 1, 0, 0), "a name", "the end"),
    "rdata that overruns": (
        with_counts(REPLY + plain_record(1, b"1234")[:-1], 1, 1, 0, 0),
        "octets of rdata",
        "the end of the message",
    ),
}


@pytest.mark.parametrize("case", list(BAD_RESPONSES))
def test_bad_response_says_what_was_expected_and_what_came(case: str) -> None:
    msg, expected, got = BAD_RESPONSES[case]
    with pytest.raises(WireError) as caught:
        parse_response(msg)
    assert expected in caught.value.expected
    assert got in caught.value.got


def test_tail_refuses_a_tsig() -> None:
    msg = with_counts(REPLY + plain_record(250), 1, 0, 0, 1)
    response = parse_response(msg, walk=False)
    with pytest.raises(WireError, match="no TSIG beside the verified one"):
        parse_tail(msg, response.answer_offset, response.header)


@pytest.mark.parametrize(
    ("id", "opcode", "question", "expected", "got"),
    [
        (2, 0, Question(ZONE, 6), "a response with ID 2", "ID 1"),
        (1, 4, Question(ZONE, 6), "a response to NOTIFY", "one to QUERY"),
        (1, 0, Question(ZONE, 252), "Example.com. class 1 type 252", "Example.com. class 1 type 6"),
        (1, 0, Question(ZONE, 6, 3), "class 3", "class 1"),
        (1, 0, Question(b"\0", 6), "about . class", "about Example.com."),
    ],
)
def test_response_to_something_else_is_told(
    id: int, opcode: int, question: Question, expected: str, got: str
) -> None:
    with pytest.raises(WireError) as caught:
        check_response(parse_response(REPLY), id, opcode, question)
    assert expected in caught.value.expected
    assert got in caught.value.got


def test_response_matches_its_request_in_any_case() -> None:
    check_response(parse_response(REPLY), 1, 0, Question(ZONE.upper(), 6))


def test_question_may_be_missing_later_and_with_an_error() -> None:
    bare = REPLY[:4] + bytes(8)
    with pytest.raises(WireError, match="the question repeated in the response, got no question"):
        check_response(parse_response(bare), 1, 0, Question(ZONE, 6))
    check_response(parse_response(bare), 1, 0, Question(ZONE, 6), first=False)
    refused = bare[:3] + b"\5" + bare[4:]
    check_response(parse_response(refused), 1, 0, Question(ZONE, 6))
