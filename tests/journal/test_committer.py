"""Commits of many zones share transactions, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journal.contents import ZONE, StillClock, held, new, snapshot, wide
from xfer.errors import JournalError
from xfer.journal import (
    GroupCommitter,
    Journal,
    Mark,
    PeerState,
    Retention,
    Version,
    ZoneState,
)
from xfer.journal import (
    committer as committing,
)


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
    assert committer.lost == 1
    assert committer.commit(new(snapshot(1))).serial == 1


def peer(number: int, serial: int) -> PeerState:
    return PeerState(zone(number), "ns1", "primary", {"serial": serial})


def test_the_last_state_of_a_peer_counts_and_a_clean_end_keeps_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "LINGER", 3600.0)  # so only the end can have saved them
    with GroupCommitter.start(journal) as committer:
        for serial in range(50):
            committer.save_peer(peer(1, serial))
            committer.save_peer(peer(2, serial))
        committer.save(ZoneState(ZONE, failures=1))
    assert sorted(journal.peer_states(), key=lambda state: state.origin) == [
        peer(1, 49),
        peer(2, 49),
    ]
    assert journal.state(ZONE) == ZoneState(ZONE, failures=1)


def test_states_go_along_with_a_commit(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "LINGER", 3600.0)
    with GroupCommitter.start(journal) as committer:
        committer.settle()
        committer.save_peer(peer(1, 7))
        committer.save(ZoneState(zone(1), failures=2))
        committer.save(ZoneState(zone(2), failures=9))
        committer.commit(new(snapshot(1, origin=zone(2)), received_at=5.0))
        assert journal.peer_states() == [peer(1, 7)]
        assert journal.state(zone(1)) == ZoneState(zone(1), failures=2)
        assert journal.state(zone(2)) == ZoneState(zone(2), last_check_ok=5.0, last_attempt=5.0)


def test_states_are_saved_without_a_commit_too(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "LINGER", 0.0)
    with GroupCommitter.start(journal) as committer:
        committer.save_peer(peer(1, 7))
        while not journal.peer_states():
            pass


def test_a_state_that_cannot_be_stored_keeps_no_version_from_it(
    journal: Journal, committer: GroupCommitter
) -> None:
    committer.settle()
    with journal.database.write("hold the database"):
        committer.save(ZoneState(zone(1), error="\udcff is no text that can be stored"))
        committer.save(ZoneState(zone(2), failures=1))
        futures = [committer.submit(new(snapshot(1, origin=zone(i)))) for i in range(3)]
    assert [future.result().serial for future in futures] == [1, 1, 1]
    committer.settle()
    assert "UnicodeEncodeError" in str(committer.trouble)


def test_peer_data_that_is_no_json_is_refused_at_once(committer: GroupCommitter) -> None:
    with pytest.raises(JournalError, match="expected data that JSON can hold"):
        committer.save_peer(PeerState(ZONE, "ns1", "primary", {"rtt": float("inf")}))


def test_marks_are_durable_when_their_future_ends(
    journal: Journal, committer: GroupCommitter, url: str
) -> None:
    with journal.database.write("hold the database"):
        futures = [committer.set_mark(Mark(zone(i), "removed", {"at": i})) for i in range(20)]
        futures.append(committer.set_mark(Mark(zone(3), "removed", {"at": 99})))
        futures.append(committer.clear_mark(zone(4), "removed"))
        assert not any(future.done() for future in futures)
    for future in futures:
        future.result()
    with Journal.open(url, journal.clock, writable=False) as reader:
        found = {mark.origin: mark.data for mark in reader.marks()}
    assert found[zone(3)] == {"at": 99}
    assert zone(4) not in found
    assert len(found) == 19


def test_a_mark_that_fails_says_so(journal: Journal, committer: GroupCommitter) -> None:
    with journal.database.write("break the marks") as conn:
        conn.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON marks BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(JournalError, match="expected to set marks, got"):
        committer.set_mark(Mark(ZONE, "held")).result()
    assert committer.commit(new(snapshot(1))).serial == 1


def test_a_zone_is_forgotten_with_what_was_about_to_be_saved(
    journal: Journal, committer: GroupCommitter
) -> None:
    for serial in range(1, 5):
        committer.commit(new(snapshot(serial, range(8))))
    committer.set_mark(Mark(ZONE, "removed")).result()
    with journal.database.write("hold the database"):
        committer.save(ZoneState(ZONE, failures=1))
        committer.save_peer(PeerState(ZONE, "ns1", "primary", {"serial": 1}))
        done = committer.forget(ZONE)
    done.result()
    committer.settle()
    assert (journal.versions(ZONE), journal.marks(), journal.peer_states()) == ([], [], [])
    assert journal.state(ZONE) is None
    assert journal.stats().blocks == 0


def test_closing_takes_no_more_marks(journal: Journal) -> None:
    committer = GroupCommitter.start(journal)
    done = committer.set_mark(Mark(ZONE, "held"))
    committer.close()
    done.result()
    assert len(journal.marks()) == 1
    with pytest.raises(JournalError, match="expected an open committer"):
        committer.set_mark(Mark(ZONE, "held"))
    with pytest.raises(JournalError, match="expected an open committer"):
        committer.forget(ZONE)


def test_history_goes_by_age(journal: Journal, clock: StillClock) -> None:
    with GroupCommitter.start(journal, Retention(age=100)) as committer:
        for serial in range(1, 6):
            clock.now += 60
            committer.commit(new(snapshot(serial)))
        committer.settle()
        assert [version.serial for version in journal.versions(ZONE)] == [5, 4, 3]
        clock.now += 1e6
        committer.sweep()
        committer.settle()
        assert [version.serial for version in journal.versions(ZONE)] == [5]
