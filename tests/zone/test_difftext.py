"""Changesets as lines: every record once, in canonical order, as it was spelled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import ORIGIN, apex, host
from xfer.zone.block import Block
from xfer.zone.changeset import diff
from xfer.zone.difftext import diff_pieces
from xfer.zone.snapshot import Snapshot


def version(serial: int, hosts: set[int]) -> Snapshot:
    return Snapshot(ORIGIN, [Block.make(sorted([*apex(ORIGIN, serial), *map(host, hosts)]), {})])


@given(st.sets(st.integers(0, 3000), max_size=40), st.sets(st.integers(0, 3000), max_size=40))
def test_every_change_has_a_line(old: set[int], new: set[int]) -> None:
    changes = diff(version(1, old), version(2, new))
    lines = "".join(diff_pieces(changes)).splitlines()
    assert [line[0] for line in lines].count("-") == len(changes.removed) == len(old - new) + 1
    assert [line[0] for line in lines].count("+") == len(changes.added) == len(new - old) + 1
    owners = [line[1:].split("\t")[0] for line in lines]
    apex_lines = [owner for owner in owners if owner == owners[0]]
    assert owners[:2] == apex_lines
    assert owners[2:] == sorted(owners[2:])


def test_long_ones_come_in_pieces() -> None:
    pieces = list(diff_pieces(diff(version(1, set()), version(2, set(range(2500))))))
    assert [piece.count("\n") for piece in pieces] == [1000, 1000, 502]


def test_the_case_that_a_record_came_in_is_kept() -> None:
    record = host(1)
    spelled = {record: (b"\x05WwW-1\x07example\x04test\0", record[-4:])}
    block = Block.make(sorted([*apex(ORIGIN, 2), record]), spelled)
    changes = diff(version(1, {1}), Snapshot(ORIGIN, [block]))
    lines = "".join(diff_pieces(changes)).splitlines()[2:]
    assert [line[0] for line in lines] == ["-", "+"]
    assert lines[1].startswith("+WwW-1.")
    assert lines[0].split("\t")[1:] == lines[1].split("\t")[1:]
