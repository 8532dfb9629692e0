"""Which options our OPT has, for which of a request's."""

from __future__ import annotations

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.answer.test_cookies import CLIENT, NOW, OURS, OWN
from xfer.answer.cookies import COOKIE, Cookies
from xfer.answer.options import (
    KEEPALIVE,
    NOTHING,
    NSID,
    Offer,
    asks_cookie,
    edns_for,
    extended_error,
    keepalive,
    offered,
)
from xfer.wire.edns import Edns
from xfer.wire.request import parse_request

COOKIES = Cookies([OURS])
FULL = Offer(b"server one", 15.0, COOKIES)


def options(*asked: tuple[int, bytes], offer: Offer = FULL, tcp: bool = False) -> dict[int, bytes]:
    made = offered(Edns(0, 1232, False, list(asked)), offer, CLIENT, tcp, NOW)
    assert made is not None
    assert len(made.options) == len(dict(made.options))
    return dict(made.options)


def test_without_an_opt_or_options_there_is_nothing() -> None:
    assert offered(None, FULL, CLIENT, True, NOW) is NOTHING
    assert offered(Edns(), FULL, CLIENT, True, NOW) is NOTHING


def test_the_nsid_is_said_to_who_asks() -> None:
    assert options((NSID, b"")) == {NSID: b"server one"}
    assert options((NSID, b""), offer=Offer(cookies=COOKIES)) == {}


def test_a_keepalive_is_offered_over_tcp_only() -> None:
    assert options((KEEPALIVE, b""), tcp=True) == {KEEPALIVE: (150).to_bytes(2, "big")}
    assert options((KEEPALIVE, b"")) == {}
    assert options((NSID, b""), tcp=True) == {NSID: b"server one"}


@pytest.mark.parametrize(
    ("seconds", "units"), [(0.1, 1), (0.19, 1), (15.0, 150), (3600.0, 36000), (9999.0, 65535)]
)
def test_a_keepalive_never_says_more_than_is_kept(seconds: float, units: int) -> None:
    assert int.from_bytes(keepalive(seconds), "big") == units


def test_a_cookie_is_answered_with_one() -> None:
    first = options((COOKIE, OWN))[COOKIE]
    assert first == COOKIES.make(OWN, CLIENT, NOW)
    made = offered(Edns(0, 1232, False, [(COOKIE, first)]), FULL, CLIENT, False, NOW)
    assert made is not None
    assert (made.genuine, made.cookie, made.spoilt) == (True, True, False)
    assert options((COOKIE, OWN), offer=Offer(b"x")) == {}


@pytest.mark.parametrize(("data", "spoilt"), [(OWN, False), (OWN + bytes(16), True)])
def test_without_a_cookie_of_ours_nothing_is_proved(data: bytes, spoilt: bool) -> None:
    made = offered(Edns(0, 1232, False, [(COOKIE, data)]), FULL, CLIENT, False, NOW)
    assert made is not None
    assert (made.genuine, made.cookie, made.spoilt) == (False, True, spoilt)


def test_a_malformed_cookie_is_told_apart() -> None:
    assert offered(Edns(0, 1232, False, [(COOKIE, b"short")]), FULL, CLIENT, False, NOW) is None


def test_of_two_cookies_the_first_counts() -> None:
    assert options((COOKIE, OWN), (COOKIE, b"short")).keys() == {COOKIE}


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=50)), max_size=8))
def test_unknown_options_are_ignored(asked: list[tuple[int, bytes]]) -> None:
    made = offered(Edns(0, 1232, False, asked), FULL, CLIENT, True, NOW)
    if made is not None:
        assert {code for code, _ in made.options} <= {COOKIE, NSID, KEEPALIVE}
        assert {code for code, _ in made.options} <= {code for code, _ in asked}


def test_expire_is_said_with_soa_and_transfers_only() -> None:
    asked: list[dns.edns.Option] = [dns.edns.GenericOption(dns.edns.OptionType.make(9), b"")]
    for rtype, said in (("SOA", True), ("AXFR", True), ("A", False)):
        query = dns.message.make_query("example.com.", rtype, use_edns=0, options=asked)
        edns = edns_for(parse_request(query.to_wire()), 1232, 77)
        assert edns is not None
        assert edns.options == ([(9, (77).to_bytes(4, "big"))] if said else [])
    assert edns_for(parse_request(dns.message.make_query("a.", "SOA").to_wire()), 1232, 77) is None


def test_what_any_answer_has_comes_first() -> None:
    query = dns.message.make_query("example.com.", "A", use_edns=0, want_dnssec=True)
    request = parse_request(query.to_wire())
    request.offered = ((NSID, b"x"),)
    edns = edns_for(request, 1400, None)
    assert edns is not None
    assert (edns.options, edns.payload, edns.do) == ([(NSID, b"x")], 1400, True)


def test_an_extended_error_reads_back() -> None:
    code, data = extended_error(24, "the zone has expired")
    option = dns.edns.option_from_wire(dns.edns.OptionType.make(code), data, 0, len(data))
    assert isinstance(option, dns.edns.EDEOption)
    assert (option.code, option.text) == (24, "the zone has expired")


HEADER = b"\0\7\0\0" + b"\0\0\0\0\0\0\0\1"


@pytest.mark.parametrize(
    ("header", "edns", "asks"),
    [
        (HEADER, Edns(0, 1232, False, [(COOKIE, OWN)]), True),
        (HEADER, Edns(1, 1232, False, [(COOKIE, OWN)]), False),
        (HEADER, Edns(0, 1232, False, [(NSID, b"")]), False),
        (HEADER, None, False),
        (b"\0\7\x20\0" + HEADER[4:], Edns(0, 1232, False, [(COOKIE, OWN)]), False),
        (HEADER[:5] + b"\1" + HEADER[6:], Edns(0, 1232, False, [(COOKIE, OWN)]), False),
        (HEADER[:-1], Edns(0, 1232, False, [(COOKIE, OWN)]), False),
    ],
)
def test_a_query_for_a_cookie_alone(header: bytes, edns: Edns | None, asks: bool) -> None:
    assert asks_cookie(header, edns) is asks
