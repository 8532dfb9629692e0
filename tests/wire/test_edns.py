"""OPT, its options, and EXPIRE."""

from __future__ import annotations

import struct

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.errors import WireError
from xfer.wire import names
from xfer.wire.edns import read_opt, read_tail
from xfer.wire.message import (
    OPTION_EXPIRE,
    Edns,
    asks_expire,
    expire_of,
    expire_option,
    expire_request,
    make_query,
    parse_request,
)

ZONE = names.from_text("example.com")
options = st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=40)), max_size=6)


@given(st.integers(0, 255), st.integers(0, 65535), st.booleans(), options, st.integers(0, 4095))
def test_opt_reads_as_it_was_written(
    version: int, payload: int, do: bool, given_options: list[tuple[int, bytes]], rcode: int
) -> None:
    co = do and rcode & 1 == 0
    record = Edns(version, payload, do, given_options, co=co).build(rcode)
    edns = read_opt(record, 0)
    assert (edns.version, edns.payload, edns.do, edns.co) == (version, payload, do, co)
    assert edns.options == given_options
    assert edns.rcode_high == rcode >> 4


@pytest.mark.parametrize("flags", [0, 0x8000, 0x4000, 0xC000])
def test_co_counts_with_do_only(flags: int) -> None:
    query = dns.message.make_query("example.com.", "A", use_edns=0, ednsflags=flags)
    edns = parse_request(query.to_wire()).edns
    assert edns is not None
    assert (edns.do, edns.co) == (flags >= 0x8000, flags == 0xC000)


def test_dnspython_reads_our_opt() -> None:
    msg = make_query(1, ZONE, 6, Edns(0, 4096, True, [(65001, b"abc")]))
    parsed = dns.message.from_wire(msg)
    assert (parsed.edns, parsed.payload, parsed.ednsflags) == (0, 4096, 0x8000)
    assert [(o.otype, o.to_wire()) for o in parsed.options] == [(65001, b"abc")]


def test_we_read_dnspythons_opt() -> None:
    asked = dns.message.make_query(
        "example.com.", "SOA", use_edns=1, payload=1400, want_dnssec=True,
        options=[dns.edns.GenericOption("65001", b"abc"), dns.edns.GenericOption("9", b"")],
    )  # fmt: skip
    edns = parse_request(asked.to_wire()).edns
    assert edns is not None
    # Another version than 0 is the server's to answer, with BADVERS.
    assert (edns.version, edns.payload, edns.do) == (1, 1400, True)
    assert edns.options == [(65001, b"abc"), (9, b"")]
    assert edns.option(65001) == b"abc"
    assert edns.option(65002) is None
    assert asks_expire(edns)


@pytest.mark.parametrize(
    ("rdata", "expected", "got"),
    [
        (b"\0\x09\0", "code and length", "3 octets"),
        (b"\0\x09\0\4abc", "an EDNS option of 4 octets", "3 octets"),
        (b"\0\x09\0\0\0", "code and length", "1 octets"),
    ],
)
def test_options_must_fill_the_rdata(rdata: bytes, expected: str, got: str) -> None:
    record = Edns().build()[:-2] + struct.pack(">H", len(rdata)) + rdata
    with pytest.raises(WireError) as caught:
        read_opt(record, 0)
    assert expected in caught.value.expected
    assert got in caught.value.got


def test_rdata_must_end_in_the_message() -> None:
    record = Edns(options=[(9, b"1234")]).build()
    for cut in range(len(record)):
        with pytest.raises(WireError):
            read_opt(record[:cut], 0)


def test_walk_stops_exactly_at_the_end() -> None:
    record = Edns().build()
    assert read_tail(record, 0, 0, 1).edns is not None
    assert read_tail(b"", 0, 0, 0).edns is None
    with pytest.raises(WireError, match="a message of 11 octets by its records, got 12"):
        read_tail(record + b"\0", 0, 0, 1)


def test_expire_is_asked_for_and_told() -> None:
    asked = Edns(options=[expire_request()])
    assert asks_expire(asked)
    assert expire_of(asked) is None
    told = Edns(options=[expire_option(604800)])
    assert expire_of(told) == 604800
    assert told.option(OPTION_EXPIRE) == struct.pack(">I", 604800)


@pytest.mark.parametrize(("seconds", "sent"), [(-5, 0), (0, 0), (2**40, 2**32 - 1)])
def test_expire_is_clamped_to_32_bits(seconds: int, sent: int) -> None:
    assert expire_of(Edns(options=[expire_option(seconds)])) == sent


def test_no_edns_and_no_option_tell_no_expire() -> None:
    assert expire_of(None) is None
    assert expire_of(Edns()) is None
    assert not asks_expire(None)
    assert not asks_expire(Edns(options=[(10, b"")]))


def test_expire_of_a_wrong_size_is_refused() -> None:
    with pytest.raises(WireError, match="an EXPIRE option of 4 octets, got 3"):
        expire_of(Edns(options=[(OPTION_EXPIRE, b"abc")]))
