"""Blocks stored as patches of others, and what versions changed: small, whole, and checked."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import select, update

from tests.journal.contents import ZONE, StillClock, held, new, snapshot, wide
from xfer.errors import JournalDamaged
from xfer.journal import GroupCommitter, Journal, Retention, Version, tables
from xfer.wire import names, records
from xfer.zone.block import DEEPEST, Block
from xfer.zone.changeset import Changeset, diff
from xfer.zone.snapshot import Snapshot


def edited(content: Snapshot, *places: tuple[int, int]) -> Snapshot:
    """The next serial, with another text in records given by block (from 1 on) and index."""
    serial = content.serial + 1
    rdata = b"\2ns\0\4host\0" + serial.to_bytes(4, "big") + bytes(16)
    blocks = [Block.make([records.make(b"\0", records.SOA, 3600, rdata)], {}), *content.blocks[1:]]
    for at, index in places:
        key = names.key_of(b"\7t%02d%04d" % (at - 1, index) + ZONE, ZONE)
        text = b"\xfa" + bytes([at & 255, at - 1]) + b"%07d" % serial + b"y" * 241
        record = records.make(key, records.TXT, 300, text)
        blocks[at] = blocks[at].spliced([(index, index + 1, [record])])
    return Snapshot(ZONE, blocks)


def stored(journal: Journal) -> dict[bytes, int | None]:
    """Of every stored block, what it rests on."""
    with journal.database.read("look") as conn:
        rows = conn.execute(select(tables.blocks.c.digest, tables.blocks.c.base))
        return {row.digest: row.base for row in rows}


def commit(journal: Journal, content: Snapshot, before: Version | None = None) -> Version:
    old = None if before is None else journal.load(before)
    changes = None if old is None else diff(old, content)
    with journal.write_ahead() as ahead:
        ahead.write(content.blocks)
        number = None if before is None else before.id
        return journal.commit([new(content, number, changes=changes)])[0]


def test_an_edit_costs_what_it_says(journal: Journal) -> None:
    content = wide(1)
    first = commit(journal, content)
    before = journal.stats().block_octets
    following = edited(content, (3, 7), (9, 400))
    second = commit(journal, following, first)
    assert journal.stats().block_octets - before < 1000
    bases = stored(journal)
    assert [bases[block.digest] is None for block in following.blocks] == [
        at not in (3, 9) for at in range(12)
    ]
    for version, wanted in ((first, content), (second, following)):
        assert held(journal.load(version)) == held(wanted)
    assert held(journal.load(second, content)) == held(following)
    assert journal.load_each([first, second])[1] is not None
    assert journal.verify().ok


def test_many_edits_of_one_block_come_to_a_whole_one_again(
    journal: Journal, clock: StillClock
) -> None:
    rng = random.Random(1)
    content = wide(1)
    version = commit(journal, content)
    depths = []
    for _ in range(3 * DEEPEST):
        content = edited(journal.load(version), (5, rng.randrange(450)))
        version = commit(journal, content, version)
        depths.append(content.blocks[5].depth)
    assert 0 in depths
    assert DEEPEST <= max(depths) < 2 * DEEPEST + 1
    for kept in journal.versions(ZONE):
        assert journal.load(kept).root == kept.root
    assert journal.verify().ok
    journal.prune(ZONE, Retention(versions=1))
    journal.collect()
    assert journal.stats().orphans == 0
    assert held(journal.load(version)) == held(content)
    bases = stored(journal)
    assert len(bases) == 12 + content.blocks[5].depth
    assert journal.verify().ok


def anew(content: Snapshot) -> Snapshot:
    """The same content as an AXFR or a file brings it: no block knows what it is stored by."""
    return Snapshot(content.origin, [Block.load(block.data) for block in content.blocks])


def test_where_whole_zones_come_between_edits_no_block_rests_on_ever_more(
    journal: Journal, clock: StillClock
) -> None:
    content = wide(1)
    version = commit(journal, content)
    deepest = 0
    for number in range(3 * DEEPEST):
        content = edited(anew(content), (5, number))
        version = commit(journal, content, version)
        deepest = max(deepest, journal.load(version).blocks[5].depth)
    assert DEEPEST <= deepest < 2 * DEEPEST
    journal.prune(ZONE, Retention(versions=1))
    journal.collect()
    assert len(stored(journal)) <= 12 + deepest
    assert held(journal.load(version)) == held(content)
    assert journal.verify().ok


def test_what_comes_again_heals_a_block_that_only_others_rest_on(journal: Journal) -> None:
    content = wide(1)
    first = commit(journal, content)
    second = commit(journal, edited(content, (4, 1)), first)
    journal.prune(ZONE, Retention(versions=1))
    with journal.database.write("damage it") as conn:
        number = conn.scalar(
            select(tables.blocks.c.id).where(tables.blocks.c.digest == content.blocks[4].digest)
        )
        at = tables.block_data.c.id == number
        conn.execute(update(tables.block_data).where(at).values(data=content.blocks[5].data))
    with pytest.raises(JournalDamaged):
        journal.load(second)
    third = edited(edited(content))
    with journal.write_ahead() as ahead:
        ahead.write(third.blocks)
        (version,) = journal.commit([new(third, second.id)])
    assert held(journal.load(version)) == held(third)
    assert journal.verify().ok


def test_the_upkeep_collects_what_nothing_rests_on(journal: Journal) -> None:
    with GroupCommitter.start(journal, Retention(versions=1)) as committer:
        content = wide(1)
        version = committer.commit(new(content))
        for place in range(6):
            content = edited(content, (2, place))
            version = committer.commit(new(content, version.id))
        assert len(stored(journal)) > 12
        whole = Snapshot(ZONE, [content.blocks[0], *wide(1, seed=1).blocks[1:]])
        version = committer.commit(new(whole, version.id))
        committer.settle()
    assert set(stored(journal)) == {block.digest for block in whole.blocks}
    assert held(journal.load(version)) == held(whole)
    assert journal.verify().ok


def test_of_versions_in_one_group_the_second_rests_on_the_first(journal: Journal) -> None:
    content = wide(1)
    first = commit(journal, content)
    one = edited(content, (4, 1))
    two = edited(one, (4, 2))
    made = journal.commit([new(one, first.id), new(two, first.id)])
    assert held(journal.load(made[1])) == held(two)
    assert two.blocks[4].depth == 2
    assert journal.verify().ok


def test_without_its_base_a_block_is_stored_whole(journal: Journal) -> None:
    content = edited(wide(1), (4, 1))
    commit(journal, content)
    assert set(stored(journal).values()) == {None}
    assert journal.verify().ok


def test_damage_hits_what_rests_on_it_and_the_next_version_rests_elsewhere(
    journal: Journal, clock: StillClock
) -> None:
    content = wide(1)
    first = commit(journal, content)
    following = edited(content, (4, 1))
    second = commit(journal, following, first)
    with journal.database.write("damage it") as conn:
        number = conn.scalar(
            select(tables.blocks.c.id).where(tables.blocks.c.digest == content.blocks[4].digest)
        )
        at = tables.block_data.c.id == number
        conn.execute(update(tables.block_data).where(at).values(data=content.blocks[5].data))
    result = journal.verify()
    assert {block.digest for block in result.damaged} == {
        content.blocks[4].digest.hex(),
        following.blocks[4].digest.hex(),
    }
    for version in (first, second):
        with pytest.raises(JournalDamaged):
            journal.load(version)
    third = edited(following, (4, 2))
    with journal.write_ahead() as ahead:
        ahead.write(third.blocks)
        (version,) = journal.commit([new(third, second.id)])
    assert held(journal.load(version)) == held(third)
    # What comes again is written anew, whole.
    again = edited(content, (4, 1))
    with journal.write_ahead() as ahead:
        ahead.write([*content.blocks, *again.blocks])
    assert stored(journal)[again.blocks[4].digest] is None
    assert journal.verify().ok


@pytest.mark.parametrize("data", [b"", b"\2", b"\2\1\0\0\0", b"\1" * 40])
def test_a_damaged_patch_is_named(journal: Journal, data: bytes) -> None:
    content = wide(1)
    first = commit(journal, content)
    following = edited(content, (4, 1))
    second = commit(journal, following, first)
    with journal.database.write("damage it") as conn:
        number = conn.scalar(
            select(tables.blocks.c.id).where(tables.blocks.c.digest == following.blocks[4].digest)
        )
        at = tables.block_data.c.id == number
        conn.execute(update(tables.block_data).where(at).values(data=data))
    assert [one.digest for one in journal.verify().damaged] == [following.blocks[4].digest.hex()]
    with pytest.raises(JournalDamaged, match=r"serial 2\).*damaged data"):
        journal.load(second)
    assert held(journal.load(first)) == held(content)


PARTS = ("origin", "old_soa", "new_soa", "removed", "added", "spelling_removed", "spelling_added")


def same(one: Changeset | None, other: Changeset) -> bool:
    assert one is not None
    return all(getattr(one, part) == getattr(other, part) for part in PARTS)


def test_changes_are_stored_read_and_forgotten(journal: Journal) -> None:
    content = wide(1)
    first = commit(journal, content)
    following = edited(content, (4, 1), (7, 3))
    second = commit(journal, following, first)
    assert journal.changes(first) is None
    assert same(journal.changes(second), diff(content, following))
    third = commit(journal, edited(following, (4, 2)), second)
    assert third.replaced > 0
    journal.prune(ZONE, Retention(versions=1))
    assert journal.changes(second) is None
    assert journal.changes(third) is not None
    assert journal.verify().ok
    journal.forget(ZONE)
    assert journal.changes(third) is None


def test_changes_of_a_small_zone_and_many_changes_are_not_stored(journal: Journal) -> None:
    first = commit(journal, snapshot(1, range(8)))
    assert journal.changes(commit(journal, snapshot(2, range(9)), first)) is None
    third = commit(journal, wide(3), first)
    assert journal.changes(third) is None
    assert journal.changes(commit(journal, wide(4, seed=1), third)) is None


@pytest.mark.parametrize("part", ["removed", "added"])
def test_damaged_changes_are_named(journal: Journal, part: str) -> None:
    content = wide(1)
    first = commit(journal, content)
    second = commit(journal, edited(content, (4, 1)), first)
    for data, said in (
        (content.blocks[1].data, f"{part} records with SHA-256"),
        (b"", "expected a block of format 1"),
    ):
        with journal.database.write("damage them") as conn:
            conn.execute(update(tables.version_changes).values({part: data}))
        with pytest.raises(JournalDamaged, match=said):
            journal.changes(second)
        (broken,) = journal.verify().broken
        assert broken.startswith("example. version 2 (serial 2): ")
