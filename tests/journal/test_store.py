"""The journal keeps what it said it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journal.contents import ZONE, StillClock, held, new, snapshot, wide
from xfer.errors import JournalError, JournalLocked
from xfer.journal import Journal, Retention, ZoneState

OTHER = b"\5other\0"


def test_a_committed_version_loads_as_it_was(journal: Journal, clock: StillClock) -> None:
    content = snapshot(7, range(20))
    (version,) = journal.commit([new(content)])
    assert (version.origin, version.serial, version.parent) == (ZONE, 7, None)
    assert version.root == content.root
    assert version.count == 21
    assert version.created == clock.now
    assert str(version) == "example. version 1 (serial 7)"
    assert journal.latest(ZONE) == version
    loaded = journal.load(version)
    assert held(loaded) == held(content)
    assert loaded.root == content.root


def test_spelling_is_part_of_what_is_kept(journal: Journal) -> None:
    from xfer.wire import records
    from xfer.zone.block import Block
    from xfer.zone.snapshot import Snapshot

    record = records.make(b"www\0\0", records.A, 300, bytes(4))
    spelling = {record: (b"\3WwW\7eXample\0", bytes(4))}
    content = Snapshot(ZONE, [*snapshot(1).blocks, Block.make([record], spelling)])
    (version,) = journal.commit([new(content)])
    assert journal.load(version).spelled(record) == spelling[record]


def test_versions_share_blocks(journal: Journal) -> None:
    (first,) = journal.commit([new(snapshot(1, range(40)))])
    before = journal.stats().blocks
    (second,) = journal.commit([new(snapshot(2, range(39)), parent=first.id)])
    assert before == 11
    assert journal.stats().blocks == before + 2  # the SOA's block, and the one that lost a host
    assert held(journal.load(first)) == held(snapshot(1, range(40)))
    assert held(journal.load(second)) == held(snapshot(2, range(39)))
    figures = journal.stats().zones[0]
    assert figures.versions == 2
    assert figures.newest == second.size
    assert figures.history == second.replaced > 0
    assert figures.shared == first.size - second.replaced


def test_blocks_that_come_twice_are_written_once(journal: Journal) -> None:
    blocks = snapshot(1, range(20)).blocks
    journal.write_blocks([*blocks, *blocks])
    journal.write_blocks(blocks)
    assert journal.stats().blocks == len(blocks)
    assert journal.stats().orphans == len(blocks)


def test_versions_come_newest_first_and_latest_of_all_by_origin(journal: Journal) -> None:
    (a1,) = journal.commit([new(snapshot(1))])
    (b1,) = journal.commit([new(snapshot(5, origin=OTHER))])
    (a2,) = journal.commit([new(snapshot(2), parent=a1.id)])
    assert journal.versions(ZONE) == [a2, a1]
    assert journal.versions(ZONE, limit=1) == [a2]
    assert journal.latest_all() == [b1, a2]
    assert journal.latest(b"\4none\0") is None
    assert journal.latest_readable(b"\4none\0") is None


def test_a_serial_may_repeat_or_fall(journal: Journal) -> None:
    (first,) = journal.commit([new(snapshot(9))])
    (second,) = journal.commit([new(snapshot(9), parent=first.id)])
    (third,) = journal.commit([new(snapshot(3), parent=second.id)])
    assert [version.serial for version in journal.versions(ZONE)] == [3, 9, 9]
    assert held(journal.load(third)) == held(snapshot(3))


def test_everything_is_there_after_reopening(url: str, clock: StillClock) -> None:
    content = wide(3)
    with Journal.open(url, clock) as journal:
        with journal.write_ahead() as ahead:
            ahead.write(content.blocks)
            (version,) = journal.commit([new(content, expire_at=5.0)])
        journal.save_states([ZoneState(OTHER, failures=2, error="timed out")])
    with Journal.open(url, clock) as journal:
        assert journal.latest_all() == [version]
        assert held(journal.load(version)) == held(content)
        assert journal.state(OTHER) == ZoneState(OTHER, failures=2, error="timed out")
        assert journal.state(ZONE) == ZoneState(
            ZONE, last_check_ok=clock.now, expire_at=5.0, last_attempt=clock.now
        )
        assert len(journal.states()) == 2


def test_large_content_must_be_written_ahead(journal: Journal) -> None:
    with pytest.raises(
        JournalError, match=r"example\. serial 1: expected its blocks written ahead, got 12 of 12"
    ):
        journal.commit([new(wide(1))])
    assert journal.stats().blocks == 0


@pytest.mark.parametrize("parent", [2, 77])
def test_a_parent_is_a_version_of_the_same_zone(journal: Journal, parent: int) -> None:
    journal.commit([new(snapshot(1)), new(snapshot(1, origin=OTHER))])
    with pytest.raises(
        JournalError, match=f"expected a parent among the zone's versions, got {parent}"
    ):
        journal.commit([new(snapshot(2), parent=parent)])
    assert [version.serial for version in journal.versions(ZONE)] == [1]


def test_serials_are_32_bits_and_blocks_differ(journal: Journal) -> None:
    with pytest.raises(JournalError, match="expected a serial of 32 bits, got 4294967296"):
        journal.commit([new(snapshot(1), serial=1 << 32)])
    content = snapshot(1)
    content.blocks = content.blocks * 2
    with pytest.raises(JournalError, match="different blocks, got 2 with 1 digests"):
        journal.commit([new(content)])


def test_commit_is_all_or_none_and_commit_each_is_not(journal: Journal) -> None:
    members = [new(snapshot(1)), new(snapshot(1, origin=OTHER), parent=99)]
    with pytest.raises(JournalError):
        journal.commit(members)
    assert journal.latest_all() == []
    good, bad = journal.commit_each(members)
    assert good == journal.latest(ZONE)
    assert isinstance(bad, JournalError)
    assert journal.latest_all() == [good]


def test_a_member_that_the_database_cannot_take_fails_alone(journal: Journal) -> None:
    lone = "\udc80"  # no UTF-8 for this
    outcomes = journal.commit_each(
        [
            new(snapshot(1)),
            new(snapshot(1, origin=OTHER), source=lone),
            new(snapshot(1, origin=b"\1c\0")),
        ]
    )
    assert [isinstance(outcome, JournalError) for outcome in outcomes] == [False, True, False]
    assert [version.origin for version in journal.latest_all()] == [b"\1c\0", ZONE]
    assert journal.verify().ok


def test_two_versions_of_a_zone_in_one_commit(journal: Journal) -> None:
    first, second = journal.commit([new(snapshot(1, range(8))), new(snapshot(2, range(4)))])
    assert first.id < second.id
    assert second.replaced == first.size - len(snapshot(1, range(4)).blocks[1].data)
    assert journal.verify().ok


def test_pruning_keeps_the_newest_and_what_it_shares(journal: Journal) -> None:
    parent = None
    for serial in range(1, 8):
        (version,) = journal.commit([new(snapshot(serial, range(serial * 4)), parent=parent)])
        parent = version.id
    assert journal.prune(ZONE, Retention(versions=2)) == 5
    assert journal.prune(ZONE, Retention(versions=2)) == 0
    assert [version.serial for version in journal.versions(ZONE)] == [7, 6]
    assert journal.collect() > 0
    assert journal.stats().orphans == 0
    assert journal.verify().ok
    for version in journal.versions(ZONE):
        assert held(journal.load(version)) == held(
            snapshot(version.serial, range(version.serial * 4))
        )


def test_ids_are_not_given_twice(journal: Journal) -> None:
    ids = []
    for serial in (1, 2, 3):
        (version,) = journal.commit([new(snapshot(serial))])
        ids.append(version.id)
        journal.prune(ZONE, Retention(versions=1))
        journal.collect()
    assert ids == [1, 2, 3]


def test_loading_a_pruned_version_says_so(journal: Journal) -> None:
    (old,) = journal.commit([new(snapshot(1))])
    journal.commit([new(snapshot(2), parent=old.id)])
    journal.prune(ZONE, Retention(versions=1))
    with pytest.raises(JournalError, match=r"example\. version 1 \(serial 1\): .* been pruned"):
        journal.load(old)


def test_a_block_that_comes_back_is_counted_right(journal: Journal) -> None:
    for serial, hosts in ((1, range(8)), (2, range(4)), (3, range(8)), (4, range(4))):
        journal.commit([new(snapshot(serial, hosts))])
    for versions in (3, 2, 1):
        journal.prune(ZONE, Retention(versions=versions))
        journal.collect()
        result = journal.verify()
        assert result.ok, result.problems()
        assert result.orphans == 0
    assert journal.stats().blocks == 2


def test_zones_share_blocks_and_do_not_take_them_from_each_other(journal: Journal) -> None:
    mine = snapshot(1, range(8))
    journal.commit([new(mine), new(mine, origin=OTHER)])
    assert journal.stats().blocks == 3
    journal.commit([new(snapshot(2))])
    journal.prune(ZONE, Retention(versions=1))
    journal.collect()
    kept = journal.latest(OTHER)
    assert kept is not None
    assert journal.load(kept).count == 9
    assert journal.verify().ok


def test_a_running_write_ahead_is_not_collected(journal: Journal) -> None:
    content = wide(1)
    with journal.write_ahead() as ahead:
        ahead.write(content.blocks[:6])
        assert journal.collect() == 0
        with journal.write_ahead() as second:
            second.write(content.blocks[:6])
        assert journal.collect() == 0  # one of the two still needs them
        ahead.write(content.blocks[6:])
        (version,) = journal.commit([new(content)])
    assert journal.collect() == 0
    assert held(journal.load(version)) == held(content)


def test_an_abandoned_write_ahead_is_collected(journal: Journal) -> None:
    content = wide(1)
    with journal.write_ahead() as ahead:
        ahead.write(content.blocks)
    assert journal.collect() == content.size
    assert journal.stats().blocks == 0


def test_blocks_left_by_others_become_ours(journal: Journal) -> None:
    content = wide(1)
    journal.write_blocks(content.blocks)
    with journal.write_ahead() as ahead:
        ahead.write(content.blocks)
        journal.collect()
        journal.commit([new(content)])
    assert journal.stats().orphans == 0
    assert journal.verify().ok


def test_a_second_writer_is_refused_and_readers_are_not(
    journal: Journal, url: str, clock: StillClock
) -> None:
    import os

    with pytest.raises(JournalLocked, match=f"held by process {os.getpid()}: stop that daemon"):
        Journal.open(url, clock)
    (version,) = journal.commit([new(snapshot(1))])
    with Journal.open(url, clock, writable=False) as reader:
        assert reader.latest_all() == [version]
        with pytest.raises(
            JournalLocked, match="expected a journal open for writing, got a reader"
        ):
            reader.commit([new(snapshot(2))])


def test_the_lock_ends_with_the_journal(url: str, clock: StillClock) -> None:
    Journal.open(url, clock).close()
    Journal.open(url, clock).close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgresql://x/y", "expected a journal like 'sqlite:///var"),
        ("sqlite://host/path", "expected a journal like"),
        ("sqlite:///", "expected a file for the journal, like"),
    ],
)
def test_urls_of_other_forms_are_refused(given: str, message: str, clock: StillClock) -> None:
    with pytest.raises(JournalError, match=message):
        Journal.open(given, clock)


def test_a_missing_file_or_directory_is_named(tmp_path: Path, clock: StillClock) -> None:
    with pytest.raises(JournalError, match=r"none\.db: expected a journal, got no such file"):
        Journal.open(str(tmp_path / "none.db"), clock, writable=False)
    with pytest.raises(JournalError, match="expected its directory to exist"):
        Journal.open(f"sqlite://{tmp_path}/no/journal.db", clock)


def test_a_tiny_zone_costs_one_transaction(journal: Journal) -> None:
    content = snapshot(1, range(8))
    with journal.write_ahead() as ahead:
        ahead.write(content.blocks[:2])
        ahead.write(content.blocks)
        assert journal.stats().blocks == 0
        (version,) = journal.commit([new(content)])
    assert held(journal.load(version)) == held(content)


def test_what_was_left_from_a_write_ahead_comes_with_the_commit(journal: Journal) -> None:
    content = wide(1)
    with journal.write_ahead() as ahead:
        ahead.write(content.blocks[:11])
        ahead.write(content.blocks[11:])  # one more, too small for a transaction
        assert journal.stats().blocks == 11
        (version,) = journal.commit([new(content)])
    assert held(journal.load(version)) == held(content)
    assert journal.verify().ok
