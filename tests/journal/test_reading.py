"""Finding versions by line, time and serial, and loading one beside another."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select

from tests.journal.contents import ZONE, StillClock, held, new, snapshot
from xfer.errors import JournalDamaged
from xfer.journal import Journal, Retention, Version, tables


def chain(journal: Journal, *serials: int) -> list[Version]:
    """Versions with those serials, each following the one before, newest first."""
    made: list[Version] = []
    for serial in serials:
        parent = made[0].id if made else None
        made[:0] = journal.commit([new(snapshot(serial), parent=parent)])
    return made


def test_the_line_is_the_whole_chain_while_serials_rise(journal: Journal) -> None:
    made = chain(journal, 1, 2, 0x80000000, 0xFFFFFFFF, 5)
    assert journal.line(ZONE) == made
    assert journal.line(b"\4none\0") == []
    journal.prune(ZONE, Retention(versions=3))
    assert journal.line(ZONE) == made[:3]


@pytest.mark.parametrize("second", [9, 4, 0x80000009])
def test_the_line_ends_where_a_serial_does_not_rise(journal: Journal, second: int) -> None:
    made = chain(journal, 9, second, second + 1)
    assert journal.line(ZONE) == made[:2]


def test_the_line_ends_where_a_version_does_not_follow_the_one_before(journal: Journal) -> None:
    chain(journal, 1, 2)
    made = chain(journal, 3, 4)
    assert journal.line(ZONE) == made


def test_a_version_is_found_by_time(journal: Journal, clock: StillClock) -> None:
    start = clock.now
    (first,) = journal.commit([new(snapshot(1))])
    clock.now = start + 60
    (second,) = journal.commit([new(snapshot(2), parent=first.id)])
    assert journal.at(ZONE, start - 1) is None
    assert journal.at(ZONE, start) == first
    assert journal.at(ZONE, start + 59.9) == first
    assert journal.at(ZONE, start + 60) == second
    assert journal.at(ZONE, start + 1e9) == second


def test_the_newest_version_with_a_serial_is_found(journal: Journal) -> None:
    made = chain(journal, 7, 8, 7, 9)
    assert journal.with_serial(ZONE, 7) == made[1]
    assert journal.with_serial(ZONE, 8) == made[2]
    assert journal.with_serial(ZONE, 6) is None
    assert journal.with_serial(b"\4none\0", 7) is None
    assert journal.with_id(made[2].id) == made[2]
    assert journal.with_id(99) is None


def test_only_blocks_that_are_not_held_are_read(journal: Journal) -> None:
    old, now = snapshot(1, range(40)), snapshot(2, range(39))
    (first,) = journal.commit([new(old)])
    journal.commit([new(now, parent=first.id)])
    shared = {block.digest for block in old.blocks} & {block.digest for block in now.blocks}
    assert len(shared) == 9
    with journal.database.write("lose what both have") as conn:
        ids = select(tables.blocks.c.id).where(tables.blocks.c.digest.in_(shared))
        conn.execute(delete(tables.block_data).where(tables.block_data.c.id.in_(ids)))
    loaded = journal.load(first, held=now)
    assert held(loaded) == held(old)
    assert {id(block) for block in loaded.blocks} & {id(block) for block in now.blocks}
    with pytest.raises(JournalDamaged):
        journal.load(first)
