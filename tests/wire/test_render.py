"""Small answers: compression that keeps the case, and records that do not fit."""

from __future__ import annotations

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import ORIGIN, Entry, entries, parse, soa_entry, wire
from xfer.wire import records
from xfer.wire.render import Renderer


def rendered(listed: list[Entry], limit: int = 65_535) -> tuple[Renderer, list[bool]]:
    renderer = Renderer(0x1234, 0x8500, limit)
    taken = [renderer.record(1, e.owner, e.rtype, e.ttl, e.rdata) for e in listed]
    return renderer, taken


@settings(max_examples=50)
@given(st.lists(entries(), max_size=10))
def test_reads_back_letter_for_letter(listed: list[Entry]) -> None:
    renderer, taken = rendered(listed)
    assert all(taken)
    batch = parse(renderer.message())
    assert batch.records == [entry.record(ORIGIN) for entry in listed]
    for entry in listed:
        owner, rdata = batch.spelling.get(entry.record(ORIGIN), (entry.owner, entry.rdata))
        same = [e for e in listed if e.record(ORIGIN) == entry.record(ORIGIN)]
        assert (owner, rdata) in [(e.owner, e.rdata) for e in same]


@settings(max_examples=50)
@given(st.lists(entries(), min_size=1, max_size=10), st.integers(12, 400))
def test_record_that_does_not_fit_leaves_the_message_as_it_was(
    listed: list[Entry], limit: int
) -> None:
    renderer, taken = rendered(listed, limit)
    msg = renderer.message()
    assert len(msg) <= limit
    kept = [entry.record(ORIGIN) for entry, fits in zip(listed, taken, strict=True) if fits]
    batch = parse(msg)
    assert batch.records == kept
    assert batch.end == len(msg)


def test_names_of_a_record_taken_back_are_not_pointed_to() -> None:
    renderer = Renderer(0, 0x8400, 80)
    target = wire([b"target"], ORIGIN)
    assert not renderer.record(1, ORIGIN, records.MX, 1, b"\0\1" + wire([b"x" * 60], target))
    assert renderer.record(1, ORIGIN, records.NS, 1, target)
    assert renderer.record(1, target, records.A, 1, bytes(4))
    assert len(parse(renderer.message()).records) == 2


def test_what_is_made_from_a_dname_points_into_it() -> None:
    renderer = Renderer(0, 0x8400, 512)
    target = wire([b"x" * 60, b"y" * 60], ORIGIN)
    below = wire([b"dname"], ORIGIN)
    renderer.question(wire([b"www"], below), records.A, 1)
    assert renderer.record(1, below, records.DNAME, 1, target)
    assert renderer.record(1, wire([b"www"], below), records.CNAME, 1, wire([b"www"], target))
    msg = renderer.message()
    assert msg.count(target) == 1  # whole in the DNAME, whatever was written before
    made = dns.message.from_wire(msg).answer[1][0]
    assert made.to_wire() == wire([b"www"], target)


def test_names_of_a_dname_taken_back_are_not_pointed_to() -> None:
    renderer = Renderer(0, 0x8400, 80)
    target = wire([b"x" * 60], wire([b"target"], ORIGIN))
    assert not renderer.record(1, ORIGIN, records.DNAME, 1, target)
    assert renderer.record(1, wire([b"target"], ORIGIN), records.A, 1, bytes(4))
    assert len(parse(renderer.message()).records) == 1


def test_header_question_and_sections() -> None:
    renderer = Renderer(0xABCD, 0x8580, 512)
    asked = wire([b"WwW"], ORIGIN)
    renderer.question(asked, 65280, 0xFFFF)
    soa = soa_entry()
    for section in (1, 2, 3):
        assert renderer.record(section, soa.owner, soa.rtype, 0xFFFFFFFF, soa.rdata)
    renderer.raw(3, b"\0\0\x29\x04\xd0\0\0\0\0\0\0")
    msg = renderer.message()
    assert msg[:12].hex() == "abcd85800001000100010002"
    assert msg[12 : 12 + len(asked)] == asked
    assert msg[12 + len(asked) :][:4] == b"\xff\0\xff\xff"
    # The origin was asked for in lower case below a label in another.
    assert msg.count(ORIGIN) == 1
    assert renderer.message() == msg


def test_dnspython_reads_it() -> None:
    renderer = Renderer(1, 0x8400, 65_535)
    renderer.question(ORIGIN, records.SOA, 1)
    soa = soa_entry()
    renderer.record(1, soa.owner, soa.rtype, 3600, soa.rdata)
    parsed = dns.message.from_wire(renderer.message())
    assert parsed.answer[0][0].to_text() == "ns.example.test. host.example.test. 1 60 60 60 60"


@pytest.mark.parametrize("number", [1000])
def test_names_beyond_16_kb_are_no_targets(number: int) -> None:
    listed = [
        Entry(wire([b"h%05d" % n], ORIGIN), records.NS, 1, wire([b"%05d" % n, b"ns"], ORIGIN))
        for n in range(number)
    ]
    renderer, taken = rendered(listed)
    assert all(taken)
    msg = renderer.message()
    assert len(msg) > 0x4000
    assert parse(msg).records == [entry.record(ORIGIN) for entry in listed]
