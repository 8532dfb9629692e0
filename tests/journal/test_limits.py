"""No room and no permission: a clear error, and nothing half applied."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.journal.contents import ZONE, StillClock, held, new, snapshot
from xfer.errors import JournalError, JournalLocked
from xfer.journal import Journal, sqlite

ROOT = Path(__file__).parents[2]

# Files may grow to 3 MB: that stands for a full disk, and needs no other file system.
FILLER = """
import resource, sys
from tests.journal.contents import StillClock, new, snapshot, wide
from xfer.errors import JournalError
from xfer.journal import GroupCommitter, Journal, Retention

journal = Journal.open(sys.argv[1], StillClock())
(first,) = journal.commit([new(snapshot(1, range(8)))])
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
with GroupCommitter.start(journal, Retention(floor=1 << 30)) as committer:
    serial, parent = 1, first.id
    try:
        while True:
            serial += 1
            parent = committer.commit(new(wide(serial, seed=serial), parent=parent)).id
    except JournalError as error:
        print(serial - 1, type(error).__name__, error)
    # The room that is left is enough for a small zone, and reading goes on.
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(committer.commit(new(snapshot(77), parent=parent)).serial)
"""


def test_a_full_disk_loses_nothing_that_was_durable(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    done = subprocess.run(
        [sys.executable, "-c", FILLER, path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    said, after = done.stdout.splitlines()
    serial, kind, message = said.split(" ", 2)
    assert kind == "JournalError"
    assert message.startswith(f"{path}: expected to write blocks ahead, got: ")
    assert "nothing of it was kept" in message
    assert after == "77"
    with Journal.open(path, StillClock()) as journal:
        newest, before, *_ = journal.versions(ZONE)
        assert (newest.serial, before.serial) == (77, int(serial))
        assert held(journal.load(newest)) == held(snapshot(77))
        journal.load(before)
        assert journal.verify().ok


@pytest.mark.parametrize("error", [13, 10, 8, 5, 1])
def test_what_sqlite_reports_becomes_a_sentence(error: int) -> None:
    cause = sqlite3.OperationalError("reason")
    cause.sqlite_errorcode = error
    found = sqlite.explain(Path("/var/journal.db"), "commit versions", cause)
    assert isinstance(found, JournalError)
    assert str(found).startswith("/var/journal.db: expected to commit versions, got: reason")


def test_a_journal_that_may_not_be_written(clock: StillClock) -> None:
    """root may write anything, so this runs as nobody where the tests run as root."""
    program = (
        "import os, sys\n"
        "from tests.journal.contents import StillClock\n"
        "from xfer.errors import JournalError\n"
        "from xfer.journal import Journal\n"
        "import xfer.zone.snapshot, sqlalchemy.dialects.sqlite.pysqlite\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: Journal.open(sys.argv[1], StillClock())\n"
        "except JournalError as error: print(error)\n"
    )
    # Not below tmp_path, whose parent any other test run that starts closes for all but its user.
    with tempfile.TemporaryDirectory(prefix="xfer-") as directory:
        path = Path(directory) / "journal.db"
        with Journal.open(str(path), clock) as journal:
            journal.commit([new(snapshot(1))])
        path.chmod(0o444)
        path.with_name("journal.db.lock").chmod(0o666)
        path.parent.chmod(0o555)
        try:
            done = subprocess.run(
                [sys.executable, "-c", program, str(path)],
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
            )
            assert os.access(path, os.R_OK)
        finally:
            path.parent.chmod(0o755)
    assert done.stdout.startswith(f"{path}: expected to open the journal, got: ")
    assert "check the owner and mode" in done.stdout


def test_a_database_held_by_another_program_fails_all_at_once(
    url: str, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.0)
    with Journal.open(url, clock) as journal:
        other = sqlite3.connect(journal.database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        members = [new(snapshot(1, origin=bytes((1, 97 + n, 0)))) for n in range(3)]
        outcomes = journal.commit_each(members)
        assert all(isinstance(outcome, JournalLocked) for outcome in outcomes)
        assert "another program holds the database" in str(outcomes[0])
        assert journal.latest_all() == []
        other.execute("ROLLBACK")
        other.close()
        assert journal.commit_each(members) == sorted(
            journal.latest_all(), key=lambda version: version.id
        )
