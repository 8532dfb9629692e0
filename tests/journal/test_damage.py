"""Damage is named, and stays where it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import attrs
import pytest
from sqlalchemy import delete, update

from tests.journal.contents import ZONE, StillClock, held, new, snapshot
from xfer.errors import JournalDamaged, JournalSchemaError
from xfer.journal import Journal, tables
from xfer.zone.snapshot import Snapshot

OTHER = b"\5other\0"


def flip_byte(path: Path, inside: bytes) -> None:
    """Change one bit in the file, in the middle of the only place that holds `inside`."""
    content = bytearray(path.read_bytes())
    assert content.count(inside) == 1
    content[content.index(inside) + len(inside) // 2] ^= 0x10
    path.write_bytes(content)


@pytest.fixture
def damaged(url: str, clock: StillClock) -> Path:
    """Two versions of a zone, and another zone; a block that only the newest holds is damaged."""
    with Journal.open(url, clock) as journal:
        (first,) = journal.commit([new(snapshot(1, range(8)))])
        content = snapshot(2, range(9))
        journal.commit([new(content, parent=first.id), new(snapshot(5, [99], origin=OTHER))])
        path = journal.database.path
    flip_byte(path, content.blocks[-1].data[-12:])
    return path


def test_damage_names_zone_version_and_block(damaged: Path, clock: StillClock) -> None:
    digest = snapshot(2, range(9)).blocks[-1].digest.hex()
    with Journal.open(str(damaged), clock) as journal:
        newest = journal.latest(ZONE)
        assert newest is not None
        with pytest.raises(
            JournalDamaged, match=rf"example\. version 2 \(serial 2\): expected block {digest}, got"
        ):
            journal.load(newest)


def test_other_zones_and_the_parent_still_load(damaged: Path, clock: StillClock) -> None:
    with Journal.open(str(damaged), clock) as journal:
        other = journal.latest_readable(OTHER)
        assert other is not None
        assert not other.damaged
        found = journal.latest_readable(ZONE)
        assert found is not None
        assert found.version.serial == 1
        assert held(found.snapshot) == held(snapshot(1, range(8)))
        assert len(found.damaged) == 1


def test_of_many_versions_read_together_only_the_damaged_one_is_missing(
    damaged: Path, clock: StillClock
) -> None:
    with Journal.open(str(damaged), clock) as journal:
        zone, other = journal.latest(ZONE), journal.latest(OTHER)
        assert zone is not None
        assert other is not None
        gone = attrs.evolve(other, id=99)  # pruned meanwhile
        another = attrs.evolve(other, count=other.count + 1)
        found = journal.load_each([zone, other, gone, another])
        assert [None if one is None else one.serial for one in found] == [None, 5, None, None]
        assert found[1] is not None
        assert held(found[1]) == held(snapshot(5, [99], origin=OTHER))
        assert journal.load_each([]) == []


def test_all_damaged_blocks_of_a_version_are_written_anew_when_they_come_again(
    url: str, clock: StillClock
) -> None:
    content = snapshot(1, range(12))
    with Journal.open(url, clock) as journal:
        (first,) = journal.commit([new(content)])
        path = journal.database.path
    for block in content.blocks[1:]:
        flip_byte(path, block.data[-12:])
    again = Snapshot(ZONE, [*snapshot(2).blocks, *content.blocks[1:]])
    with Journal.open(url, clock) as journal:
        with pytest.raises(JournalDamaged):
            journal.latest_readable(ZONE)
        with journal.write_ahead() as ahead:
            ahead.write(again.blocks)
            (second,) = journal.commit([new(again, first.id)])
        assert held(journal.load(second)) == held(again)
        assert not journal.verify().damaged


def test_verify_names_the_block_and_every_version_it_hits(damaged: Path, clock: StillClock) -> None:
    with Journal.open(str(damaged), clock) as journal:
        journal.commit([new(snapshot(3, range(9)), parent=2)])
        result = journal.verify()
    assert not result.ok
    (block,) = result.damaged
    assert block.digest == snapshot(2, range(9)).blocks[-1].digest.hex()
    assert block.versions == ("example. version 2 (serial 2)", "example. version 4 (serial 3)")
    assert not (result.file or result.broken or result.counts)
    assert result.problems()[0].endswith(
        "it hits example. version 2 (serial 2), example. version 4 (serial 3)"
    )


def test_where_no_version_is_readable_the_newest_damage_is_raised(
    url: str, clock: StillClock
) -> None:
    content = snapshot(1, range(4))
    with Journal.open(url, clock) as journal:
        journal.commit([new(content)])
        path = journal.database.path
    flip_byte(path, content.blocks[-1].data[-12:])
    with (
        Journal.open(url, clock) as journal,
        pytest.raises(JournalDamaged, match=r"version 1 \(serial 1\)"),
    ):
        journal.latest_readable(ZONE)


def test_a_lost_block_a_wrong_root_and_a_wrong_count_are_found(journal: Journal) -> None:
    lost, rooted, counted = journal.commit(
        [new(snapshot(1, [0, 9], origin=bytes((1, 97 + n, 0)))) for n in range(3)]
    )
    gone = journal.load(lost).blocks[-1].digest
    journal.commit([new(snapshot(4, [50], origin=b"\1d\0"))])
    alone = snapshot(4, [50]).blocks[-1].digest
    with journal.database.write("damage it") as conn:
        row = tables.blocks.c.digest == alone
        number = conn.scalar(
            tables.blocks.select().where(row).with_only_columns(tables.blocks.c.id)
        )
        conn.execute(delete(tables.block_data).where(tables.block_data.c.id == number))
        conn.execute(
            update(tables.versions).where(tables.versions.c.id == rooted.id).values(root=bytes(32))
        )
        conn.execute(
            update(tables.versions).where(tables.versions.c.id == counted.id).values(count=9)
        )
        conn.execute(update(tables.blocks).where(tables.blocks.c.digest == gone).values(runs=7))
    result = journal.verify()
    assert [block.digest for block in result.damaged] == [alone.hex()]
    assert result.damaged[0].versions == ("d. version 4 (serial 4)",)
    assert result.broken == (
        f"b. version 2 (serial 1): expected root {'00' * 32}, got {rooted.root.hex()}",
        "c. version 3 (serial 1): expected 9 records, got 3",
    )
    assert result.counts == (f"block {gone.hex()}: expected to be counted 3 times, got 7",)
    for version in journal.latest_all():
        if version.id == lost.id:
            assert journal.load(version).count == 3
        else:
            with pytest.raises(JournalDamaged):
                journal.load(version)


def spoil_root(path: Path, table: str) -> None:
    """Make the root page of a table unreadable to SQLite."""
    raw = sqlite3.connect(path)
    query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    (page,) = raw.execute(query, (table,)).fetchone()
    raw.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 8)


@pytest.mark.parametrize("table", ["versions", "version_blocks", "blocks"])
def test_a_damaged_page_of_the_file_is_told(url: str, clock: StillClock, table: str) -> None:
    with Journal.open(url, clock) as journal:
        (version,) = journal.commit([new(snapshot(1, range(20)))])
        path = journal.database.path
    spoil_root(path, table)
    with Journal.open(url, clock, writable=False) as journal:
        result = journal.verify()
        assert not result.ok
        assert result.file
        assert result.problems()[0].startswith("the file's structure is damaged: ")
        if table != "blocks":  # loading goes by its index, which is sound
            with pytest.raises(JournalDamaged, match="run `xfer journal verify`"):
                journal.latest_all()
                journal.load(version)


def test_a_damaged_page_of_block_data_names_the_blocks(url: str, clock: StillClock) -> None:
    with Journal.open(url, clock) as journal:
        (version,) = journal.commit([new(snapshot(1, range(20)))])
        path = journal.database.path
    spoil_root(path, "block_data")
    with Journal.open(url, clock, writable=False) as journal:
        result = journal.verify()
        assert len(result.damaged) == 6
        assert {block.versions for block in result.damaged} == {(str(version),)}
        with pytest.raises(JournalDamaged, match=r"^example\. version 1 \(serial 1\): "):
            journal.load(version)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, clock: StillClock) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"zone example.com.\n" * 400)
    for writable in (True, False):
        with pytest.raises(
            JournalSchemaError, match="expected a journal, got a file that is no SQLite"
        ):
            Journal.open(str(path), clock, writable=writable)
    assert path.read_bytes().startswith(b"zone")


def test_content_that_comes_again_mends_its_damaged_block(damaged: Path, clock: StillClock) -> None:
    content = snapshot(2, range(9))
    with Journal.open(str(damaged), clock) as journal:
        found = journal.latest_readable(ZONE)
        assert found is not None
        with journal.write_ahead() as ahead:
            ahead.write(content.blocks)
            journal.commit([new(content, parent=found.version.id)])
    with Journal.open(str(damaged), clock) as journal:
        found = journal.latest_readable(ZONE)
        assert found is not None
        assert (found.version.serial, found.damaged) == (2, ())
        assert held(found.snapshot) == held(content)
        assert journal.verify().ok


def test_a_block_whose_data_is_lost_is_mended_as_well(journal: Journal) -> None:
    content = snapshot(2, range(9))
    (version,) = journal.commit([new(content)])
    with journal.database.write("lose a block's data") as conn:
        conn.execute(delete(tables.block_data).where(tables.block_data.c.id == 2))
    with pytest.raises(JournalDamaged):
        journal.load(version)
    with journal.write_ahead() as ahead:
        ahead.write(content.blocks)
        journal.commit([new(content, parent=version.id)])
    assert held(journal.load(version)) == held(content)
    assert journal.damaged == set()
