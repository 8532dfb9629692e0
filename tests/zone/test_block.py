"""Blocks: what goes in comes out, and damaged bytes are refused as such."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import ORIGIN, Entry, entries, host
from xfer.errors import ZoneError
from xfer.wire import records
from xfer.wire.records import Spelling
from xfer.zone.block import Block


def pack(listed: list[Entry]) -> tuple[Block, list[bytes], Spelling]:
    spelling: Spelling = {}
    for entry in listed:
        record = entry.record(ORIGIN)
        if (entry.owner, entry.rdata) != (entry.owner.lower(), records.split(record)[4]):
            spelling[record] = (entry.owner, entry.rdata)
    made = sorted({entry.record(ORIGIN) for entry in listed})
    return Block.make(made, spelling), made, spelling


@settings(max_examples=50)
@given(st.lists(entries(), min_size=1, max_size=20))
def test_round_trip(listed: list[Entry]) -> None:
    block, made, spelling = pack(listed)
    loaded = Block.load(block.data)
    for one in (block, loaded):
        assert one.records() == made
        assert [one.record(i) for i in range(one.count)] == made
        assert one.spelling() == spelling
        assert (one.first, one.last, one.count) == (made[0], made[-1], len(made))
        assert one.digest == hashlib.sha256(block.data).digest()
    assert Block.make(made, spelling).data == block.data


@given(st.sets(st.integers(0, 60), min_size=1, max_size=30), st.data())
def test_spliced_is_made_anew(numbers: set[int], data: st.DataObject) -> None:
    old = [host(n) for n in sorted(numbers)]
    places = data.draw(st.lists(st.integers(0, len(old)), max_size=6).map(sorted))
    new: list[bytes] = []
    splices = []
    at = 0
    for low, high in zip(places[::2], places[1::2], strict=False):
        come = [host(n) for n in data.draw(st.lists(st.integers(61, 99), max_size=4))]
        come = [record + bytes(data.draw(st.integers(0, 300))) for record in come]
        new += old[at:low] + come
        splices.append((low, high, come))
        at = high
    new += old[at:]
    if new:
        assert Block.make(old, {}).spliced(splices).data == Block.make(new, {}).data


@settings(max_examples=50)
@given(st.lists(entries(), min_size=1, max_size=12), st.binary(max_size=12))
def test_find_is_the_first_record_not_below(listed: list[Entry], prefix: bytes) -> None:
    block, made, _ = pack(listed)
    for wanted in [prefix, b"", b"\xff" * 9, *made, *[record[:5] for record in made]]:
        expected = sum(record < wanted for record in made)
        assert block.find(wanted) == expected


def test_spellings_of_other_records_are_left_out() -> None:
    records_held = [host(1), host(2)]
    spelling = {host(2): (b"\1X\0", b"r"), host(3): (b"\1Y\0", b"s")}
    block = Block.make(records_held, spelling)
    assert block.spelling() == {host(2): (b"\1X\0", b"r")}
    assert Block.make(records_held, {}).digest != block.digest


@pytest.mark.parametrize("count", [256, 257, 4000])
def test_many_spellings(count: int) -> None:
    made = [host(n) for n in range(count)]
    spelling = {record: (b"\1X" + ORIGIN, record[-4:]) for record in made}
    block = Block.load(Block.make(made, spelling).data)
    assert block.spelling() == spelling


class TestDamage:
    @settings(max_examples=120)
    @given(st.data())
    def test_changed_octets_are_refused_or_make_a_readable_block(self, data: st.DataObject) -> None:
        good = bytearray(SAMPLE.data)
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(good) - 1))
            good[at] = data.draw(
                st.one_of(st.sampled_from([0, 1, 127, 128, 255]), st.integers(0, 255))
            )
        use(bytes(good))

    @given(st.binary(max_size=60))
    def test_any_octets(self, data: bytes) -> None:
        use(data)
        use(b"\1" + data)
        use(b"\1\1\0\0\0\1\0\0\0" + data)

    def test_cut_and_lengthened(self) -> None:
        for size in range(len(SAMPLE.data)):
            with pytest.raises(ZoneError):
                Block.load(SAMPLE.data[:size])
        with pytest.raises(ZoneError, match="octets, got"):
            Block.load(SAMPLE.data + b"\0")

    def test_empty_block(self) -> None:
        with pytest.raises(ZoneError, match="a block of 0 records"):
            Block.load(b"\1" + bytes(8))

    def test_other_format(self) -> None:
        with pytest.raises(ZoneError, match="format 1, got 02"):
            Block.load(b"\2" + SAMPLE.data[1:])

    def test_count_beyond_what_four_octets_hold(self) -> None:
        for count in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x80"):
            with pytest.raises(ZoneError):
                Block.load(b"\1" + count + SAMPLE.data[5:])
            with pytest.raises(ZoneError):
                Block.load(SAMPLE.data[:5] + count + SAMPLE.data[9:])


SAMPLE = Block.make(
    [host(1), host(2), host(3)],
    {host(1): (b"\x08H0000001" + ORIGIN, bytes(4)), host(3): (b"\x08H0000003" + ORIGIN, b"abcd")},
)


def use(data: bytes) -> None:
    """Load it, and where that works everything else does, too."""
    try:
        block = Block.load(data)
    except ZoneError:
        return
    listed = block.records()
    assert len(listed) == block.count
    assert listed == [block.record(i) for i in range(block.count)]
    assert len(block.spelling()) <= block.count
    assert 0 <= block.find(b"\0h") <= block.count
    for record in listed:
        assert len(records.split(record)[0]) >= 1
