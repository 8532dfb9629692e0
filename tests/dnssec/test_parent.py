"""Reading what a parent's server says of the DS, and what all of them agree on."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.dnssec.parent import (
    LONGEST_TTL,
    MOST_RECORDS,
    DsAnswer,
    ServerSaid,
    agreed,
    ds_text,
    read_ds,
)
from xfer.dnssec.timing import DsSeen
from xfer.errors import Failure, TransferError
from xfer.wire import names

CHILD = "child.parent.test."
ORIGIN = names.from_text(CHILD)
ID = 4711
ONE = "12345 13 2 " + "0A" * 32
TWO = "54321 15 4 " + "0B" * 48
SOA = "300 IN SOA ns1.parent.test. hostmaster.parent.test. 1 3600 600 86400 60"
NO_DATA = (f"parent.test. {SOA}",)
SIGNATURE = "13 3 300 20300101000000 20200101000000 1 parent.test. AAAA"
AT = 1_790_000_000.0


def rdata(*texts: str) -> frozenset[bytes]:
    return frozenset(dns.rdata.from_text("IN", "DS", text).to_digestable() for text in texts)


def response(
    answer: tuple[str, ...] = (),
    authority: tuple[str, ...] = (),
    *,
    flags: int = dns.flags.AA,
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    name: str = CHILD,
    rtype: str = "DS",
    id: int = ID,
) -> bytes:
    """A message from a server: records in presentation form, owner first."""
    query = dns.message.make_query(name, rtype, use_edns=0, id=id)
    made = dns.message.make_response(query)
    made.flags |= flags
    made.set_rcode(rcode)
    for section, lines in ((made.answer, answer), (made.authority, authority)):
        for line in lines:
            owner, ttl, rclass, kind, *rest = line.split()
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, kind, " ".join(rest)))
    return made.to_wire(max_size=65535)


def ds(*texts: str, ttl: int = 7200, owner: str = CHILD) -> tuple[str, ...]:
    return tuple(f"{owner} {ttl} IN DS {text}" for text in texts)


def failure(message: bytes) -> TransferError:
    with pytest.raises(TransferError) as caught:
        read_ds(message, ID, ORIGIN)
    return caught.value


def test_the_parents_own_server_gives_rdata_and_ttl() -> None:
    assert read_ds(response(ds(ONE)), ID, ORIGIN) == DsAnswer(rdata(ONE), 7200)
    both = response(ds(ONE, ttl=60) + ds(TWO, ttl=900))
    assert read_ds(both, ID, ORIGIN) == DsAnswer(rdata(ONE, TWO), 900)


def test_of_a_resolver_the_ttl_is_not_taken() -> None:
    message = response(ds(ONE), flags=dns.flags.RA)
    assert read_ds(message, ID, ORIGIN) == DsAnswer(rdata(ONE), None)


def test_case_and_signatures_make_no_difference() -> None:
    lines = (*ds(ONE, owner="CHILD.Parent.TEST."), f"{CHILD} 7200 IN RRSIG DS {SIGNATURE}")
    message = response(lines, name="cHiLd.parent.test.")
    assert read_ds(message, ID, ORIGIN) == DsAnswer(rdata(ONE), 7200)


@pytest.mark.parametrize("flags", [dns.flags.AA, dns.flags.RA])
@pytest.mark.parametrize("owner", ["parent.test.", "PARENT.test.", "test.", "."])
def test_there_is_none_where_the_soa_is_of_a_zone_above(owner: str, flags: int) -> None:
    message = response((), (f"{owner} {SOA}",), flags=flags)
    assert read_ds(message, ID, ORIGIN) == DsAnswer(frozenset())


def test_a_truncated_answer_is_none() -> None:
    message = response(ds(ONE), flags=dns.flags.TC)
    for end in (len(message), len(message) - 20, message.index(b"\x04test\0") + 10):
        assert read_ds(message[:end], ID, ORIGIN) is None


DENIED = {
    "nxdomain": (response((), NO_DATA, rcode=dns.rcode.NXDOMAIN), "rcode NXDOMAIN"),
    "refused": (response(rcode=dns.rcode.REFUSED), "rcode REFUSED"),
    "servfail": (response(rcode=dns.rcode.SERVFAIL), "rcode SERVFAIL"),
    "extended": (response(rcode=dns.rcode.BADVERS), "rcode BADVERS"),
    "refused and truncated": (
        response(rcode=dns.rcode.REFUSED, flags=dns.flags.TC),
        "rcode REFUSED",
    ),
    "the child's server": (response((), (f"{CHILD} {SOA}",)), f"the SOA of {CHILD} itself"),
    "a server of a zone below": (
        response((), (f"below.{CHILD} {SOA}",)),
        f"the SOA of below.{CHILD}, which is not above it",
    ),
    "a server of a zone beside": (
        response((), (f"other.test. {SOA}",)),
        "the SOA of other.test., which is not above it",
    ),
    "two SOAs": (response((), (*NO_DATA, f"test. {SOA}")), "2 SOAs"),
    "a referral": (
        response((), (f"{CHILD} 300 IN NS ns1.{CHILD}",), flags=0),
        "an answer without records (a referral)",
    ),
    "nothing": (response(), "an empty answer"),
    "lame, with records": (response(ds(ONE), flags=0), "one with neither"),
    "lame, with none": (response((), NO_DATA, flags=0), "one with neither"),
}


@pytest.mark.parametrize(("message", "got"), DENIED.values(), ids=DENIED.keys())
def test_a_server_that_says_no_or_cannot_know_is_not_believed(message: bytes, got: str) -> None:
    error = failure(message)
    assert (error.failure, error.got) == (Failure.DENIED, got)


CONTENT = {
    "CNAME": (response((f"{CHILD} 60 IN CNAME other.test.",)), f"{CHILD} CNAME"),
    "CNAME and DS behind it": (
        response((f"{CHILD} 60 IN CNAME other.test.", *ds(ONE, owner="other.test."))),
        "other.test. DS",
    ),
    "DNAME": (
        response(("parent.test. 60 IN DNAME other.test.", f"{CHILD} 60 IN CNAME child.other.")),
        "parent.test. DNAME",
    ),
    "another's DS": (response(ds(ONE) + ds(TWO, owner="x.parent.test.")), "x.parent.test. DS"),
    "a DS below": (response(ds(ONE) + ds(TWO, owner=f"x.{CHILD}")), f"x.{CHILD} DS"),
    "another type": (response((*ds(ONE), f"{CHILD} 60 IN A 192.0.2.1")), f"{CHILD} A"),
    "another signature": (
        response((*ds(ONE), f"{CHILD} 60 IN RRSIG A {SIGNATURE}")),
        f"{CHILD} RRSIG",
    ),
    "signatures alone": (
        response((f"{CHILD} 60 IN RRSIG DS {SIGNATURE}",)),
        "its signatures alone",
    ),
    "too many": (
        response(ds(*(f"{tag} 13 2 {tag:064X}" for tag in range(MOST_RECORDS + 1)))),
        str(MOST_RECORDS + 1),
    ),
    "a TTL without end": (response(ds(ONE, ttl=2**31 - 1)), f"{2**31 - 1} s"),
}


@pytest.mark.parametrize(("message", "got"), CONTENT.values(), ids=CONTENT.keys())
def test_records_that_have_no_place_in_the_answer_are_refused(message: bytes, got: str) -> None:
    error = failure(message)
    assert (error.failure, error.got) == (Failure.CONTENT, got)


PROTOCOL = {
    "no response": response(ds(ONE), flags=dns.flags.AA)[:2] + b"\x04" + response(ds(ONE))[3:],
    "another ID": response(ds(ONE), id=ID + 1),
    "another name": response(name="other.test."),
    "another type": response(rtype="A"),
    "cut": response(ds(ONE))[:-20],
    "octets behind": response(ds(ONE)) + b"x",
    "short DS": response(ds(ONE)).replace(
        b"\0\x24" + bytes.fromhex("3039"), b"\0\2" + bytes.fromhex("3039")
    ),
    "too short for a header": b"\0" * 11,
}


@pytest.mark.parametrize("message", PROTOCOL.values(), ids=PROTOCOL.keys())
def test_what_is_no_answer_to_the_question_is_a_protocol_error(message: bytes) -> None:
    assert failure(message).failure is Failure.PROTOCOL


@given(st.data())
def test_damage_to_an_answer_is_a_transfer_error_or_another_answer(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([response(ds(ONE, TWO)), response((), NO_DATA)]))
    message = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    del message[data.draw(st.integers(0, 2 * len(message))) :]
    try:
        answer = read_ds(bytes(message), ID, ORIGIN)
    except TransferError as error:
        assert str(error)
    else:
        assert answer is None or (answer.ttl or 0) <= LONGEST_TTL


# -- several servers


def said(server: int, *texts: str, ttl: int | None = None) -> ServerSaid:
    return ServerSaid(f"192.0.2.{server}#53", DsAnswer(rdata(*texts), ttl))


SILENT = TransferError(Failure.TRANSPORT, "an answer", "none", peer="192.0.2.3#53")


def test_where_all_agree_it_is_seen_with_the_largest_ttl() -> None:
    found = agreed([said(1, ONE, ttl=60), said(2, ONE, ttl=90), said(3, ONE)], AT)
    assert found.seen == DsSeen(rdata(ONE), AT, 90)
    assert (found.why, found.differ, len(found.servers)) == ("", False, 3)
    assert agreed([said(1, ONE)], AT).seen == DsSeen(rdata(ONE), AT, None)
    assert agreed([said(1), said(2)], AT).seen == DsSeen(frozenset(), AT)


def test_one_that_says_other_than_the_rest_keeps_it_open() -> None:
    found = agreed([said(1, TWO), said(2, TWO), said(3, ONE)], AT)
    assert (found.seen, found.differ) == (None, True)
    assert found.why == (
        "the parent's servers do not agree: 192.0.2.1#53 has DS 54321 15 4 0B0B0B0B…; "
        "192.0.2.2#53 has DS 54321 15 4 0B0B0B0B…; 192.0.2.3#53 has DS 12345 13 2 0A0A0A0A…"
    )
    assert agreed([said(1), said(2, ONE)], AT).seen is None


def test_one_that_fails_keeps_it_open() -> None:
    found = agreed([said(1, ONE), ServerSaid("192.0.2.3#53", error=SILENT)], AT)
    assert (found.seen, found.differ) == (None, False)
    assert found.why == (
        "1 of 2 servers did not say what the DS is: 192.0.2.1#53 has DS 12345 13 2 0A0A0A0A…; "
        "transport: 192.0.2.3#53: expected an answer, got none"
    )
    alone = agreed([ServerSaid("192.0.2.3#53", error=SILENT)], AT)
    assert alone.why == str(SILENT)


def test_nobody_asked_is_nothing_seen() -> None:
    assert agreed([], AT).seen is None
    assert agreed([], AT).why == "nobody is asked: `parent` in the policy is empty"


def test_sentences_stay_short() -> None:
    many = rdata(*(f"{tag} 13 2 {tag:064X}" for tag in range(1, 60)))
    assert len(ds_text(many)) < 150
    assert ds_text(many).endswith("and 55 more")
    assert ds_text(frozenset()) == "no DS"
