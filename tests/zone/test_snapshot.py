"""Snapshots: look-ups held to a naive model."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import ORIGIN, Entry, apex, entries, host, names_below, soa_entry
from xfer.errors import ZoneError
from xfer.wire import names, records
from xfer.wire.records import Spelling
from xfer.zone.block import Block
from xfer.zone.snapshot import APEX, Snapshot


def cut(listed: list[Entry], sizes: list[int]) -> tuple[Snapshot, list[bytes], Spelling]:
    """A snapshot of these records in blocks of these sizes, and all of it in plain form."""
    spelling: Spelling = {}
    made = set(apex())
    for entry in listed:
        record = entry.record(ORIGIN)
        made.add(record)
        if (entry.owner, entry.rdata) != (entry.owner.lower(), records.split(record)[4]):
            spelling[record] = (entry.owner, entry.rdata)
    ordered = sorted(made)
    blocks: list[Block] = []
    start = 0
    while start < len(ordered):
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(Block.make(ordered[start : start + size], spelling))
        start += size
    return Snapshot(ORIGIN, blocks), ordered, spelling


cuts = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@settings(max_examples=50)
@given(st.lists(entries(), max_size=15), cuts, names_below(ORIGIN, 3))
def test_look_ups_find_what_a_scan_finds(
    listed: list[Entry], sizes: list[int], other: bytes
) -> None:
    snapshot, ordered, spelling = cut(listed, sizes)
    keys = {record[: records.key_end(record)] for record in ordered}
    keys.add(names.key_of(other.lower(), ORIGIN))
    for key in keys:
        here = [r for r in ordered if records.split(r)[0] == key]
        assert snapshot.owner(key) == here
        for rtype, covered in {(records.split(r)[1], records.split(r)[2]) for r in ordered}:
            expected = [r for r in here if records.split(r)[1:3] == (rtype, covered)]
            assert snapshot.rrset(key, rtype, covered) == expected
    for record in ordered:
        key, _, _, _, rdata = records.split(record)
        plain = (names.wire_of(key, ORIGIN), rdata)
        assert snapshot.spelled(record) == spelling.get(record, plain)
    assert snapshot.having(b"") == ordered
    assert snapshot.having(b"\xff\xff\xff") == []
    assert list(snapshot.records()) == ordered
    assert snapshot.spelling() == spelling


@settings(max_examples=50)
@given(st.lists(entries(), max_size=10), cuts)
def test_figures(listed: list[Entry], sizes: list[int]) -> None:
    snapshot, ordered, _ = cut(listed, sizes)
    assert snapshot.count == len(ordered)
    assert snapshot.serial == 1
    assert snapshot.soa == soa_entry().record(ORIGIN)
    assert snapshot.size == sum(len(block.data) for block in snapshot.blocks)
    digests = b"".join(block.digest for block in snapshot.blocks)
    assert snapshot.root == hashlib.sha256(digests).digest()


def test_rrset_over_many_blocks() -> None:
    key = names.key_of(b"\4many" + ORIGIN, ORIGIN)
    many = [records.make(key, records.A, 1, n.to_bytes(4, "big")) for n in range(100)]
    ordered = sorted(apex() + many + [host(1)])
    blocks = [Block.make(ordered[n : n + 7], {}) for n in range(0, len(ordered), 7)]
    assert Snapshot(ORIGIN, blocks).rrset(key, records.A) == many


@pytest.mark.parametrize("extra", [[], [soa_entry(serial=2).record(ORIGIN)]])
def test_one_soa_at_the_apex_is_needed(extra: list[bytes]) -> None:
    held = sorted([r for r in apex() if records.split(r)[1] != records.SOA] + extra * 2)
    if extra:
        held = sorted({*apex(), *extra})
    with pytest.raises(ZoneError, match="one SOA record at the apex"):
        Snapshot(ORIGIN, [Block.make(held, {})])


def test_no_blocks_at_all() -> None:
    with pytest.raises(ZoneError, match="one SOA record at the apex, got 0"):
        Snapshot(ORIGIN, [])


def test_apex_key() -> None:
    assert names.key_of(ORIGIN, ORIGIN) == APEX
