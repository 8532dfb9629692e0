"""All that is SQLite's own: URL, connections and their settings, errors, files, copies.

Settings, and why: WAL, so that readers and the one writer do not wait for each other;
synchronous=FULL, so that a commit that returned is on disk; pages of 4 kB, because a tiny zone's
commit writes whole pages; a page cache of 2 MB a connection and no memory map, because block data
is read once and would only push the daemon's resident memory up; automatic checkpoints at 16 MB of
WAL, so that a large zone's blocks are not written twice in the middle of its write-ahead.
"""

from __future__ import annotations

import os
import sqlite3
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import attrs
from sqlalchemy import Connection, Engine, Insert, QueuePool, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
)

from xfer.config_journal import NoJournal, sqlite_path
from xfer.errors import (
    JournalDamaged,
    JournalError,
    JournalLocked,
    JournalSchemaError,
)
from xfer.journal.turns import Turns

APPLICATION_ID: Final = 0x78666572  # "xfer"
PAGE_SIZE: Final = 4096
CACHE_KIB: Final = 2048
CHECKPOINT_BYTES: Final = 16 << 20
BUSY_SECONDS: Final = 10.0
IDLE_CONNECTIONS: Final = 3
OF_A_VALUE: Final = (
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What the database raises because of one row, not because of its own state; by SQLAlchemy, and
by the driver where a statement is its own (`prepared`)."""


def path_of(url: str) -> Path:
    """The file of `sqlite:///var/lib/xfer/journal.db`, or of a path; see `config_journal`.

    Raises JournalError where it names none.
    """
    try:
        return sqlite_path(url)
    except NoJournal as error:
        raise JournalError(f"{url}: {error}") from None


def explain(path: Path, doing: str, error: Exception) -> JournalError:
    """The journal's own error for what SQLite reported while `doing` something with the file."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    primary = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    said = f"{path}: expected to {doing}, got: {cause}"
    if primary == sqlite3.SQLITE_NOTADB:
        return JournalSchemaError(
            f"{path}: expected a journal, got a file that is no SQLite database"
        )
    if primary == sqlite3.SQLITE_CORRUPT:
        return JournalDamaged(f"{said}; run `xfer journal verify`, and restore a backup")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalLocked(f"{said}; another program holds the database")
    if primary == sqlite3.SQLITE_FULL:
        return JournalError(f"{said}; nothing of it was kept: free some space on that file system")
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return JournalError(f"{said}; check the owner and mode of the file and its directory")
    if primary == sqlite3.SQLITE_IOERR:
        return JournalError(f"{said}; nothing of it was kept: check the disk and its limits")
    return JournalError(said)


@attrs.define(eq=False)
class SqliteDatabase:
    """A file with pooled connections; `read` and `write` hand out transactions.

    Thread-safe. One writing transaction runs at a time, in the order of asking.
    """

    path: Path
    _readers: Engine
    _writers: Engine
    _turns: Turns = attrs.field(factory=Turns, init=False)

    @classmethod
    def open(cls, path: Path, *, writable: bool) -> SqliteDatabase:
        """Open, and with `writable` create where missing; says nothing about the schema yet.

        Raises JournalError where the file is missing or cannot be opened, JournalSchemaError where
        it is another program's or no database.
        """
        if not writable and not path.exists():
            raise JournalError(f"{path}: expected a journal, got no such file")
        if writable and not path.parent.is_dir():
            raise JournalError(
                f"{path}: expected its directory to exist, got none: create it first"
            )
        mode = "rwc" if writable else "rw" if os.access(path, os.W_OK) else "ro"
        try:
            _identify(path, mode)
        except sqlite3.Error as error:
            raise explain(path, "open the journal", error) from error
        engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, mode, writable),
            poolclass=QueuePool,
            pool_size=IDLE_CONNECTIONS,
            max_overflow=-1,
        )
        event.listen(engine, "begin", _begin)
        database = cls(path, engine, engine.execution_options(xfer_write=True))
        try:
            with database.explained("open the journal"):
                engine.connect().close()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Turn what SQLite raises inside into the journal's errors."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            raise explain(self.path, doing, error) from error

    @contextmanager
    def read(self, doing: str) -> Iterator[Connection]:
        """A transaction that sees one state of the database throughout."""
        with self.explained(doing), self._readers.connect() as conn:
            conn.begin()  # ends in a rollback: a commit would complain of damage once more
            yield conn

    @contextmanager
    def write(self, doing: str) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends, and undone when it raises."""
        with self._turns, self.explained(doing), self._writers.begin() as conn:
            yield conn

    def close(self) -> None:
        """Close all connections; the last one moves the WAL into the file."""
        self._readers.dispose()

    def checkpoint(self) -> None:
        """Move the WAL into the file and empty it, waiting at most the busy time for readers."""
        with self._turns, self.explained("write the WAL back"), self._readers.connect() as conn:
            raw = _raw(conn)
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def sizes(self) -> tuple[int, int, int]:
        """Octets of the file, of its WAL, and of the free pages inside the file."""
        with self.read("read the journal's size") as conn:
            free = conn.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
            page = conn.exec_driver_sql("PRAGMA page_size").scalar() or 0
        return size_of(self.path), size_of(wal_of(self.path)), free * page

    def damage(self) -> list[str]:
        """What SQLite's own check says about the file's structure; empty when sound."""
        try:
            with self.read("check the file's structure") as conn:
                rows = conn.exec_driver_sql("PRAGMA quick_check(20)").scalars().all()
        except JournalDamaged as error:
            return [str(error)]
        return [str(row) for row in rows if row != "ok"]

    def copy_to(self, target: Path) -> None:
        """A consistent, compact copy in `target`, which must not exist, while others write.

        VACUUM INTO rather than the online backup API: it is one read transaction, so it never
        starts over when a daemon in another process commits, and the copy has no free pages.
        """
        with self.explained(f"copy the journal to {target}"), self._readers.connect() as conn:
            raw = _raw(conn)
            (only,) = raw.execute("PRAGMA query_only").fetchone()
            raw.execute("PRAGMA query_only = OFF")  # counts the new file as a write to this one
            try:
                raw.execute("VACUUM INTO ?", (str(target),))
            finally:
                raw.execute(f"PRAGMA query_only = {only}")
        sync_file(target)


def _identify(path: Path, mode: str) -> None:
    """Raise JournalSchemaError for another program's database, before anything in it is changed.

    A new one gets our application id.
    """
    raw = _bare(path, mode)
    try:
        (number,) = raw.execute("PRAGMA application_id").fetchone()
        (entries,) = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if number == APPLICATION_ID:
            return
        if number or entries:
            raise JournalSchemaError(
                f"{path}: expected a journal, got another program's database "
                f"(application id {number}, {entries} schema entries)"
            )
        if mode == "rwc":
            raw.execute(f"PRAGMA page_size = {PAGE_SIZE}")
            raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    finally:
        raw.close()


def _bare(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{urllib.parse.quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # we say BEGIN ourselves, see _begin
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )


def _connect(path: Path, mode: str, writable: bool) -> sqlite3.Connection:
    raw = _bare(path, mode)
    try:
        raw.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
        raw.execute("PRAGMA mmap_size = 0")
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA synchronous = FULL")
        if writable:
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_BYTES // PAGE_SIZE}")
            raw.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_BYTES}")
        else:
            raw.execute("PRAGMA query_only = ON")
    except BaseException:
        raw.close()
        raise
    return raw


def upsert(table: Table) -> Insert:
    """A statement that inserts a row, in place of the one with the same primary key if any."""
    statement = sqlite_insert(table)
    keys = list(table.primary_key.columns)
    rest = {c.name: statement.excluded[c.name] for c in table.columns if c not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)


def _raw(conn: Connection) -> sqlite3.Connection:
    """SQLite's own connection, for what must run outside a transaction."""
    return cast(sqlite3.Connection, conn.connection.dbapi_connection)


def _begin(conn: Connection) -> None:
    # IMMEDIATE takes the write lock at once; one that asks for it later may be refused half-way.
    options: Any = conn.get_execution_options()
    conn.exec_driver_sql("BEGIN IMMEDIATE" if options.get("xfer_write") else "BEGIN")


def wal_of(path: Path) -> Path:
    """The write-ahead log beside a database."""
    return path.with_name(path.name + "-wal")


def lock_of(path: Path) -> Path:
    """The writer lock beside a database."""
    return path.with_name(path.name + ".lock")


def size_of(path: Path) -> int:
    """Octets of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def sync_file(path: Path) -> None:
    """Bring a file, or a directory's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
