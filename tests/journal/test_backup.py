"""Backups are whole, verified, and never in the way of what was there."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.journal.contents import ZONE, StillClock, held, new, snapshot, wide
from tests.journal.test_damage import flip_byte
from xfer.errors import JournalDamaged, JournalError, JournalLocked, JournalSchemaError
from xfer.journal import GroupCommitter, Journal, backup


@pytest.fixture
def filled(journal: Journal) -> Journal:
    (first,) = journal.commit([new(snapshot(1, range(8)))])
    journal.commit([new(snapshot(2, range(9)), parent=first.id, expire_at=9.0)])
    return journal


def beside(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


def test_a_backup_made_while_writing_is_one_state_of_the_journal(
    journal: Journal, url: str, clock: StillClock, tmp_path: Path
) -> None:
    stop = threading.Event()
    with GroupCommitter.start(journal) as committer:
        parent = committer.commit(new(snapshot(1))).id

        def write() -> None:
            serial, last = 1, parent
            while not stop.is_set():
                serial += 1
                last = committer.commit(new(wide(serial, seed=serial), parent=last)).id

        thread = threading.Thread(target=write)
        thread.start()
        try:
            with Journal.open(url, clock, writable=False) as reader:
                for number in range(4):
                    reader.backup(tmp_path / f"copy{number}")
        finally:
            stop.set()
            thread.join()
    serials = []
    for number in range(4):
        with Journal.open(str(tmp_path / f"copy{number}"), clock, writable=False) as copy:
            latest = copy.latest(ZONE)
            assert latest is not None
            copy.load(latest)
            serials.append(latest.serial)
    assert serials == sorted(serials)


def test_backup_and_restore_bring_everything_back(
    filled: Journal, url: str, clock: StillClock, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    result = filled.backup(copy)
    assert (result.ok, result.versions) == (True, 2)
    (third,) = filled.commit([new(snapshot(3, range(30)), parent=2)])
    path = filled.database.path
    filled.close()

    done = backup.restore(copy, url, clock)
    assert done.journal == path
    assert done.aside == path.with_name("journal.db.before-restore-20270115T080000Z")
    with Journal.open(url, clock) as journal:
        assert [version.serial for version in journal.versions(ZONE)] == [2, 1]
        state = journal.state(ZONE)
        assert state is not None
        assert state.expire_at == 9.0
        for version in journal.versions(ZONE):
            assert held(journal.load(version)) == held(
                snapshot(version.serial, range(7 + version.serial))
            )
    with Journal.open(str(done.aside), clock, writable=False) as aside:
        assert aside.latest(ZONE) == third
        assert aside.verify().ok
    assert beside(path) == {
        "copy.db",
        "journal.db",
        "journal.db.lock",
        "journal.db.before-restore-20270115T080000Z",
    }


def test_restoring_twice_keeps_both_old_journals(
    filled: Journal, url: str, clock: StillClock, tmp_path: Path
) -> None:
    filled.backup(tmp_path / "copy.db")
    filled.close()
    first = backup.restore(tmp_path / "copy.db", url, clock)
    second = backup.restore(tmp_path / "copy.db", url, clock)
    assert first.aside != second.aside
    assert second.aside is not None
    assert second.aside.name.endswith("Z-2")


def test_restoring_where_there_is_no_journal(
    filled: Journal, clock: StillClock, tmp_path: Path
) -> None:
    filled.backup(tmp_path / "copy.db")
    done = backup.restore(tmp_path / "copy.db", str(tmp_path / "fresh.db"), clock)
    assert done.aside is None
    with Journal.open(str(tmp_path / "fresh.db"), clock) as journal:
        assert journal.latest_all() == filled.latest_all()


def test_a_journal_left_by_a_crash_is_put_aside_with_its_wal(
    filled: Journal, url: str, clock: StillClock, tmp_path: Path
) -> None:
    filled.backup(tmp_path / "copy.db")
    path = filled.database.path
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("journal.db", "journal.db-wal"):  # as they stand after kill -9
        (crashed / name).write_bytes((path.parent / name).read_bytes())
    assert (crashed / "journal.db-wal").stat().st_size > 0
    done = backup.restore(tmp_path / "copy.db", str(crashed / "journal.db"), clock)
    with Journal.open(str(done.aside), clock, writable=False) as aside:
        assert aside.latest_all() == filled.latest_all()
    with Journal.open(str(done.journal), clock) as journal:
        assert journal.latest_all() == filled.latest_all()


def test_a_hopeless_journal_is_put_aside_as_it_is(
    filled: Journal, clock: StillClock, tmp_path: Path
) -> None:
    filled.backup(tmp_path / "copy.db")
    ruin = tmp_path / "ruin.db"
    ruin.write_bytes(b"ruin" * 2000)
    (tmp_path / "ruin.db-wal").write_bytes(b"wal")
    done = backup.restore(tmp_path / "copy.db", str(ruin), clock)
    assert done.aside is not None
    assert done.aside.read_bytes() == b"ruin" * 2000
    assert done.aside.with_name(done.aside.name + "-wal").read_bytes() == b"wal"
    with Journal.open(str(ruin), clock) as journal:
        assert journal.verify().ok


def test_an_existing_file_is_replaced_by_force_only(filled: Journal, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(JournalError, match=r"copy\.db: expected no such file, got one"):
        filled.backup(target)
    assert target.read_text() == "precious"
    assert filled.backup(target, force=True).ok
    assert target.read_bytes().startswith(b"SQLite")


def test_a_damaged_journal_is_not_taken_for_a_backup(
    filled: Journal, url: str, clock: StillClock, tmp_path: Path
) -> None:
    path = filled.database.path
    filled.close()
    flip_byte(path, snapshot(2, range(9)).blocks[-1].data[-12:])
    before = beside(path)
    with Journal.open(url, clock, writable=False) as reader:
        with pytest.raises(
            JournalDamaged, match="expected a sound journal to copy, got 1 problems"
        ):
            reader.backup(tmp_path / "copy.db")
        with pytest.raises(JournalDamaged):
            backup.restore(path, str(tmp_path / "other.db"), clock)
    assert beside(path) - {"other.db.lock", "journal.db-wal", "journal.db-shm"} == before


def test_a_restore_of_something_else_changes_nothing(
    filled: Journal, url: str, clock: StillClock, tmp_path: Path
) -> None:
    filled.close()
    zone_file = tmp_path / "zone.txt"
    zone_file.write_text("example. SOA\n" * 100)
    with pytest.raises(JournalSchemaError, match="expected a journal"):
        backup.restore(zone_file, url, clock)
    with pytest.raises(JournalError, match="got no such file"):
        backup.restore(tmp_path / "none", url, clock)
    with Journal.open(url, clock) as journal:
        assert len(journal.versions(ZONE)) == 2


def test_restore_is_refused_while_a_daemon_holds_the_journal(
    filled: Journal, url: str, clock: StillClock, tmp_path: Path
) -> None:
    filled.backup(tmp_path / "copy.db")
    with pytest.raises(JournalLocked, match="lock held by process"):
        backup.restore(tmp_path / "copy.db", url, clock)


def test_a_directory_that_cannot_be_written_is_named(filled: Journal, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="unable to open database"):
        filled.backup(tmp_path / "none" / "copy.db")
