"""Files of every schema that was ever released open; files of later ones do not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from tests.journal.contents import ZONE, StillClock, held, new, snapshot
from xfer.errors import JournalSchemaError
from xfer.journal import Journal, backup, migrate, tables
from xfer.journal.sqlite import SqliteDatabase

# Schema 1 as released, with one version in it. Never edit: later schemas are reached from here.
SCHEMA_1 = """
PRAGMA application_id = 2019976562;
CREATE TABLE meta (name TEXT NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (name));
CREATE TABLE versions (id INTEGER NOT NULL, origin BLOB NOT NULL, chain TEXT NOT NULL,
    parent BIGINT, serial BIGINT NOT NULL, root BLOB NOT NULL, count BIGINT NOT NULL,
    size BIGINT NOT NULL, replaced BIGINT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL,
    created FLOAT NOT NULL, PRIMARY KEY (id));
CREATE UNIQUE INDEX versions_of_zone ON versions (origin, chain, id);
CREATE TABLE version_blocks (version INTEGER NOT NULL, digests BLOB NOT NULL,
    PRIMARY KEY (version), FOREIGN KEY(version) REFERENCES versions (id));
CREATE TABLE blocks (id INTEGER NOT NULL, digest BLOB NOT NULL, size BIGINT NOT NULL,
    runs BIGINT NOT NULL, PRIMARY KEY (id), UNIQUE (digest));
CREATE INDEX orphans ON blocks (id) WHERE runs = 0;
CREATE TABLE block_data (id INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (id),
    FOREIGN KEY(id) REFERENCES blocks (id));
CREATE TABLE zone_state (origin BLOB NOT NULL, last_check_ok FLOAT, expire_at FLOAT,
    last_attempt FLOAT, failures INTEGER NOT NULL, error_class TEXT NOT NULL, error TEXT NOT NULL,
    error_peer TEXT NOT NULL, PRIMARY KEY (origin));
INSERT INTO meta VALUES ('schema', 1), ('next_version', 8), ('next_block', 4);
"""


@pytest.fixture
def of_schema_1(tmp_path: Path) -> Path:
    """A journal as the first release left it."""
    content = snapshot(41, range(4))
    path = tmp_path / "journal.db"
    raw = sqlite3.connect(path)
    raw.executescript(SCHEMA_1)
    root, digests = content.root, b"".join(block.digest for block in content.blocks)
    version = (7, ZONE, "published", None, 41, root, 5, content.size, 0, "import", "import", 1.5)
    raw.execute(f"INSERT INTO versions VALUES ({','.join('?' * 12)})", version)
    raw.execute("INSERT INTO version_blocks VALUES (7, ?)", (digests,))
    for number, block in enumerate(content.blocks, 1):
        raw.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, 1)", (number, block.digest, len(block.data))
        )
        raw.execute("INSERT INTO block_data VALUES (?, ?)", (number, block.data))
    raw.commit()
    raw.close()
    return path


def test_a_journal_of_schema_1_opens_and_goes_on(of_schema_1: Path, clock: StillClock) -> None:
    with Journal.open(str(of_schema_1), clock) as journal:
        version = journal.latest(ZONE)
        assert version is not None
        assert (version.id, version.serial, version.created) == (7, 41, 1.5)
        assert held(journal.load(version)) == held(snapshot(41, range(4)))
        (following,) = journal.commit([new(snapshot(42, range(4)), parent=7)])
        assert following.id == 8
        assert (version.added, version.removed) == (None, None)
        assert journal.line(ZONE) == [following, version]
        assert (journal.marks(), journal.peer_states()) == ([], [])
        assert journal.verify().ok


def test_a_backup_of_schema_1_is_restored_as_it_would_have_been_opened(
    of_schema_1: Path, clock: StillClock, tmp_path: Path
) -> None:
    before = of_schema_1.read_bytes()
    done = backup.restore(of_schema_1, str(tmp_path / "new.db"), clock)
    assert done.verification.versions == 1
    with Journal.open(str(done.journal), clock, writable=False) as journal:
        version = journal.latest(ZONE)
        assert version is not None
        assert held(journal.load(version)) == held(snapshot(41, range(4)))
    assert of_schema_1.read_bytes() == before


def test_the_ladder_leads_to_what_a_new_journal_has(
    of_schema_1: Path, tmp_path: Path, clock: StillClock
) -> None:
    assert sorted(migrate.STEPS) == list(range(1, tables.SCHEMA))
    Journal.open(str(of_schema_1), clock).close()
    fresh = tmp_path / "fresh.db"
    Journal.open(str(fresh), clock).close()

    def shape(path: Path) -> dict[str, list[tuple[object, ...]]]:
        raw = sqlite3.connect(path)
        names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master ORDER BY name")]
        found = {name: raw.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in names}
        raw.close()
        return found

    assert shape(fresh) == shape(of_schema_1)


def test_steps_are_climbed_one_by_one(of_schema_1: Path) -> None:
    def to_2(conn: Connection) -> None:
        conn.exec_driver_sql("CREATE TABLE changesets (id INTEGER PRIMARY KEY)")

    def to_3(conn: Connection) -> None:
        conn.exec_driver_sql("ALTER TABLE changesets ADD COLUMN added BLOB")

    database = SqliteDatabase.open(of_schema_1, writable=True)
    with database.write("migrate") as conn:
        migrate.climb(conn, 3, {1: to_2, 2: to_3})
    with database.read("look") as conn:
        assert migrate.version_of(conn) == 3
        assert len(inspect(conn).get_columns("changesets")) == 2
    database.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(of_schema_1: Path) -> None:
    def breaks(conn: Connection) -> None:
        conn.exec_driver_sql("CREATE TABLE changesets (id INTEGER PRIMARY KEY)")
        raise RuntimeError("half-way")

    database = SqliteDatabase.open(of_schema_1, writable=True)
    with pytest.raises(RuntimeError), database.write("migrate") as conn:
        migrate.climb(conn, 2, {1: breaks})
    with database.read("look") as conn:
        assert migrate.version_of(conn) == 1
        assert "changesets" not in inspect(conn).get_table_names()
    database.close()


@pytest.mark.parametrize("writable", [True, False])
def test_a_newer_schema_is_refused(of_schema_1: Path, clock: StillClock, writable: bool) -> None:
    raw = sqlite3.connect(of_schema_1)
    raw.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    raw.commit()
    raw.close()
    with pytest.raises(JournalSchemaError, match="got schema 99: a newer xfer wrote it"):
        Journal.open(str(of_schema_1), clock, writable=writable)


def test_an_older_schema_is_not_changed_by_a_reader(of_schema_1: Path) -> None:
    with pytest.raises(
        JournalSchemaError, match="expected a journal of schema 2, got schema 1: start"
    ):
        migrate.check(1, 2)


@pytest.mark.parametrize("application", [0, 7])
def test_another_programs_database_is_refused(
    tmp_path: Path, clock: StillClock, application: int
) -> None:
    path = tmp_path / "other.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE bookmarks (url TEXT)")
    raw.execute(f"PRAGMA application_id = {application}")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(JournalSchemaError, match="got another program's database"):
        Journal.open(str(path), clock)
    if application:
        assert path.read_bytes() == before
