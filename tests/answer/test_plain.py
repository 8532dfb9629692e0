"""Plain queries are read as the strict parser reads them; whatever else comes is none."""

from __future__ import annotations

import dns.edns
import dns.message
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xfer.answer.plain import read_plain
from xfer.errors import WireError
from xfer.wire.request import Kind, Request, parse_request


def query(rtype: str = "A", **options: object) -> bytes:
    return dns.message.make_query("WWW.example.com.", rtype, **options).to_wire()  # type: ignore[arg-type]


def parsed(octets: bytes) -> Request | None:
    try:
        return parse_request(octets)
    except WireError:
        return None


def agree(octets: bytes) -> None:
    plain = read_plain(octets)
    if plain is None:
        return
    request = parsed(octets)
    assert request is not None
    assert request.kind is Kind.QUERY
    assert not request.tsig
    assert request.question.rclass == 1
    assert (plain.name, plain.rtype) == (request.question.name.lower(), request.question.rtype)
    assert plain.rd == request.rd
    assert octets[12 : plain.end - 4].lower() == plain.name
    assert plain.rtype != 128  # FORMERR (RFC 9824 §3.5)
    edns = request.edns
    assert plain.edns == (edns is not None)
    if edns is not None:
        assert edns.version == 0
        assert (plain.do, plain.co, plain.payload) == (edns.do, edns.co, edns.payload)
        expected = [] if plain.cookie is None else [(10, plain.cookie)]
        assert edns.options == expected


@given(st.binary(max_size=80))
@example(b"")
@example(b"\0\0\0\0\0\1\0\0\0\0\0\0" + b"\x3fa" * 40)
@example(b"\0\0\0\0\0\1\0\0\0\0\0\0" + b"\1a" * 127 + b"\0\0\1\0\1")
@example(b"\0\0\0\0\0\1\0\0\0\0\0\0" + b"\1a" * 128 + b"\0\0\1\0\1")
@example(b"\0\0\0\0\0\1\0\0\0\0\0\0" + b"\xc0\x0c\0\1\0\1")
def test_any_octets(octets: bytes) -> None:
    agree(octets)


@given(st.data(), st.booleans(), st.booleans())
def test_queries_with_a_few_octets_changed(data: st.DataObject, edns: bool, cookie: bool) -> None:
    options: list[dns.edns.Option] = []
    if cookie:
        options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"clientck"))
    octets = bytearray(query(use_edns=0, options=options) if edns else query())
    for at, octet in data.draw(
        st.lists(st.tuples(st.integers(2, len(octets) - 1), st.integers(0, 255)), max_size=3)
    ):
        octets[at] = octet
    agree(bytes(octets))
    agree(bytes(octets[: data.draw(st.integers(0, len(octets)))]))


@pytest.mark.parametrize(
    ("octets", "plain"),
    [
        (query(), True),
        (query(use_edns=0, want_dnssec=True), True),
        (query("TYPE65280"), True),
        (query("AXFR"), False),
        (query(use_edns=1), False),
        (query(use_edns=0, options=[dns.edns.NSIDOption(b"")]), False),
        (query() + b"\0", False),
    ],
)
def test_what_is_plain(octets: bytes, plain: bool) -> None:
    assert (read_plain(octets) is not None) == plain
