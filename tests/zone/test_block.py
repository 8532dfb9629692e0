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
from xfer.zone.block import DEEPEST, Block, patched


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
        block = Block.make(old, {})
        made = block.spliced(splices)
        assert made.data == Block.make(new, {}).data
        if made.patch:
            assert (made.base, made.depth) == (block.digest, 1)
            assert patched(block.data, made.patch) == made.data


def of_many() -> Block:
    return Block.make([host(n) for n in range(200)], {})


def test_a_patch_is_kept_while_it_is_small_and_not_too_deep() -> None:
    block = of_many()
    assert (block.base, block.patch, block.depth) == (b"", b"", 0)
    assert block.spliced([(0, 100, [host(n) for n in range(60)])]).patch == b""
    depths = []
    for n in range(200, 240):
        made = block.spliced([(block.count, block.count, [host(n)])])
        if made.patch:
            assert made.base == block.digest
            assert patched(block.data, made.patch) == made.data
        else:
            assert (made.base, made.depth) == (b"", 0)
        depths.append(made.depth)
        block = made
    assert DEEPEST <= max(depths) <= 2 * DEEPEST
    assert depths.count(0) >= 2


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_patch_or_base_is_refused_or_gives_other_octets(data: st.DataObject) -> None:
    block = of_many()
    made = block.spliced([(3, 5, [host(300)]), (9, 9, []), (199, 200, [host(301), host(302)])])
    parts = [bytearray(block.data), bytearray(made.patch)]
    part = parts[data.draw(st.integers(0, 1))]
    if data.draw(st.booleans()):
        del part[data.draw(st.integers(0, len(part) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, min(len(part) - 1, 60)))
            part[at] = data.draw(st.integers(0, 255))
    try:
        got = patched(bytes(parts[0]), bytes(parts[1]))
    except ZoneError:
        return
    assert len(got) <= 2 * (len(parts[0]) + len(parts[1])) * 3


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
