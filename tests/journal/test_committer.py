"""Commits of many zones share transactions, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journal.contents import ZONE, held, new, snapshot, wide
from xfer.errors import JournalError
from xfer.journal import GroupCommitter, Journal, Retention, Version, ZoneState


def zone(number: int) -> bytes:
    return b"\5z%04d\0" % number


@pytest.fixture
def committer(journal: Journal) -> Iterator[GroupCommitter]:
    with GroupCommitter.start(journal) as running:
        yield running


def test_what_arrives_during_a_transaction_goes_into_the_next_together(
    journal: Journal, committer: GroupCommitter
) -> None:
    with journal.database.write("hold the database"):  # as a running transaction would
        futures = [committer.submit(new(snapshot(1, origin=zone(i)))) for i in range(200)]
    versions = [future.result() for future in futures]
    assert [version.origin for version in versions] == [zone(i) for i in range(200)]
    assert committer.groups <= 2
    assert journal.latest_all() == versions


def test_one_that_fails_leaves_the_others_alone(
    journal: Journal, committer: GroupCommitter
) -> None:
    with journal.database.write("hold the database"):
        futures = [
            committer.submit(new(snapshot(1, origin=zone(i)), parent=99 if i == 3 else None))
            for i in range(8)
        ]
    with pytest.raises(JournalError, match=r"z0003\. serial 1: expected a parent"):
        futures.pop(3).result()
    assert all(future.result().serial == 1 for future in futures)
    assert len(journal.latest_all()) == 7


def test_many_threads_with_many_zones(journal: Journal, committer: GroupCommitter) -> None:
    def follow(number: int) -> list[Version]:
        made: list[Version] = []
        for serial in range(1, 11):
            content = snapshot(serial, range(serial + number), origin=zone(number))
            made.append(committer.commit(new(content, parent=made[-1].id if made else None)))
            assert journal.latest(zone(number)) == made[-1]
        return made

    with ThreadPoolExecutor(12) as pool:
        chains = list(pool.map(follow, range(12)))
    for number, chain in enumerate(chains):
        assert journal.versions(zone(number)) == chain[::-1]
        assert held(journal.load(chain[-1])) == held(
            snapshot(10, range(10 + number), origin=zone(number))
        )
    result = journal.verify()
    assert result.ok, result.problems()


def test_large_and_small_zones_together(journal: Journal, committer: GroupCommitter) -> None:
    contents = [wide(1, zone(i), seed=i) for i in range(3)]
    contents += [snapshot(1, origin=zone(i)) for i in range(3, 30)]
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(committer.commit, [new(content) for content in contents]))
    for content, version in zip(contents, versions, strict=True):
        assert held(journal.load(version)) == held(content)
    assert journal.verify().ok


def test_a_finished_commit_is_seen_by_another_process(
    journal: Journal, committer: GroupCommitter, url: str
) -> None:
    version = committer.commit(new(snapshot(1)))
    with Journal.open(url, journal.clock, writable=False) as reader:
        assert reader.latest(ZONE) == version


def test_history_beyond_the_retention_goes(journal: Journal) -> None:
    with GroupCommitter.start(journal, Retention(versions=3)) as committer:
        parent = None
        for serial in range(1, 9):
            parent = committer.commit(new(snapshot(serial), parent=parent)).id
        committer.settle()
        assert committer.trouble is None
        assert [version.serial for version in journal.versions(ZONE)] == [8, 7, 6]
        assert journal.stats().orphans == 0


def test_a_new_retention_holds_from_the_next_commit(journal: Journal) -> None:
    with GroupCommitter.start(journal, Retention(versions=9)) as committer:
        for serial in range(1, 6):
            committer.commit(new(snapshot(serial)))
        committer.retain(Retention(versions=2))
        committer.commit(new(snapshot(6)))
        committer.settle()
        assert [version.serial for version in journal.versions(ZONE)] == [6, 5]


def test_trouble_with_what_nobody_waits_for_is_told(journal: Journal) -> None:
    told: list[JournalError] = []
    with journal.database.write("break the states") as conn:
        conn.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON zone_state"
            " BEGIN SELECT RAISE(ABORT, 'no room for states'); END"
        )
    with GroupCommitter.start(journal, on_trouble=told.append) as committer:
        committer.save(ZoneState(ZONE, failures=1))
        committer.settle()
        assert told == [committer.trouble]
        assert "no room for states" in str(told[0])
        assert committer.commit(new(snapshot(1))).serial == 1


def test_the_last_state_of_a_zone_counts(journal: Journal) -> None:
    with GroupCommitter.start(journal) as committer:
        with journal.database.write("hold the database"):
            committer.save(ZoneState(zone(1), failures=1))
            committer.save(ZoneState(zone(1), failures=2, error="timed out"))
            committer.save(ZoneState(zone(2), failures=1))
            done = committer.submit(new(snapshot(1, origin=zone(2)), received_at=5.0))
            after = committer.submit(new(snapshot(1, origin=zone(3)), received_at=5.0))
            committer.save(ZoneState(zone(3), failures=1))
        done.result()
        after.result()
    assert journal.state(zone(1)) == ZoneState(zone(1), failures=2, error="timed out")
    assert journal.state(zone(2)) == ZoneState(zone(2), last_check_ok=5.0, last_attempt=5.0)
    assert journal.state(zone(3)) == ZoneState(zone(3), failures=1)


def test_closing_commits_what_is_queued_and_takes_no_more(journal: Journal) -> None:
    committer = GroupCommitter.start(journal)
    with journal.database.write("hold the database"):
        futures = [committer.submit(new(snapshot(1, origin=zone(i)))) for i in range(20)]
    committer.close()
    assert len([future.result() for future in futures]) == 20
    with pytest.raises(JournalError, match="expected an open committer"):
        committer.submit(new(snapshot(1)))


def test_starting_collects_what_a_crash_left(journal: Journal) -> None:
    journal.write_blocks(wide(1).blocks)
    with GroupCommitter.start(journal) as committer:
        committer.settle()
    assert journal.stats().blocks == 0


def test_a_cancelled_commit_is_left_out(journal: Journal) -> None:
    committer = GroupCommitter.start(journal)
    with committer._wake:  # the thread cannot take it meanwhile
        future = committer.submit(new(snapshot(1)))
        assert future.cancel()
    committer.close()
    assert journal.latest(ZONE) is None


def test_blocks_of_a_transfer_that_failed_are_collected(
    journal: Journal, committer: GroupCommitter
) -> None:
    committer.commit(new(wide(1)))
    committer.settle()
    with journal.write_ahead() as ahead:
        ahead.write(wide(2, seed=7).blocks)
        assert journal.stats().orphans > 0
    committer.settle()
    assert journal.stats().orphans == 0


def test_an_unforeseen_error_of_upkeep_stops_no_commit(
    journal: Journal, committer: GroupCommitter
) -> None:
    committer.save(ZoneState(ZONE, error="\udcff is no text that can be stored"))
    committer.settle()
    assert "UnicodeEncodeError" in str(committer.trouble)
    assert committer.commit(new(snapshot(1))).serial == 1
