"""Copies of a journal: out while a daemon may be writing, and back in while none is.

Both make the copy beside its destination, verify it, bring it to disk and only then give it the
name; a run that fails or is killed leaves the destination as it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from xfer.clock import Clock
from xfer.errors import JournalDamaged, JournalError
from xfer.journal import audit, migrate
from xfer.journal.audit import Verification
from xfer.journal.lock import WriterLock
from xfer.journal.sqlite import SqliteDatabase, lock_of, path_of, sync_file, wal_of

MAGIC: Final = b"SQLite format 3\0"


@attrs.frozen
class Restored:
    """journal: the file that is in place now; aside: where the one before it is, None for none."""

    journal: Path
    aside: Path | None
    verification: Verification


def backup(database: SqliteDatabase, target: Path, *, force: bool = False) -> Verification:
    """Write a verified copy of the journal to `target`; its blocks are all read once more.

    An existing `target` is replaced with `force` only. Raises JournalDamaged where the copy does
    not verify, and JournalError for an existing target or what the file system says.
    """
    if target.exists() and not force:
        raise JournalError(
            f"{target}: expected no such file, got one: give another name, or --force"
        )
    with _speaking(target), _part(target) as part:
        database.copy_to(part)
        shutil.copymode(database.path, part)
        result = _sound(part)
        if force:
            part.replace(target)
        else:
            os.link(part, target)  # fails where somebody made a file of that name meanwhile
        sync_file(target.parent)
    return result


def restore(source: Path, url: str, clock: Clock) -> Restored:
    """Put the verified copy `source` in the place of the journal at `url`.

    The journal that was there is kept beside it, under a name with the time. Raises JournalLocked
    while a daemon holds the journal, JournalDamaged where the source does not verify (nothing has
    changed then), and JournalError for what the file system says.
    """
    journal = path_of(url)
    if not journal.parent.is_dir():
        raise JournalError(f"{journal}: expected its directory to exist, got none: create it first")
    lock = WriterLock.take(str(lock_of(journal)))
    try:
        with _speaking(journal), _part(journal) as part:
            origin = SqliteDatabase.open(source, writable=False)
            try:
                origin.copy_to(part)
            finally:
                origin.close()
            if journal.exists():
                shutil.copymode(journal, part)
            _bring_up_to_date(part)
            result = _sound(part)
            aside = _put_aside(journal, clock) if journal.exists() else None
            part.replace(journal)
            sync_file(journal.parent)
    finally:
        lock.release()
    return Restored(journal, aside, result)


def _bring_up_to_date(copy: Path) -> None:
    """A backup made by an older release gets the present schema."""
    database = SqliteDatabase.open(copy, writable=True)
    try:
        with database.write("bring the schema up to date") as conn:
            if migrate.version_of(conn):  # an empty database is no backup, and `_sound` says so
                migrate.climb(conn)
        database.checkpoint()
    finally:
        database.close()
    sync_file(copy)


def _sound(copy: Path) -> Verification:
    """Verify a fresh copy; raises JournalDamaged with the first problem."""
    database = SqliteDatabase.open(copy, writable=False)
    try:
        with database.read("read the schema version") as conn:
            migrate.check(migrate.version_of(conn))
        result = audit.verify(database)
    finally:
        database.close()
    if not result.ok:
        problems = result.problems()
        raise JournalDamaged(
            f"expected a sound journal to copy, got {len(problems)} problems, first: {problems[0]}"
        )
    return result


def _put_aside(journal: Path, clock: Clock) -> Path:
    """Give the old journal a second name, with nothing of it left in a WAL."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.wall()))
    aside = journal.with_name(f"{journal.name}.before-restore-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = journal.with_name(f"{journal.name}.before-restore-{stamp}-{number}")
    with journal.open("rb") as file:
        is_database = file.read(len(MAGIC)) == MAGIC
    if is_database:  # SQLite would remove the WAL of anything else
        try:
            database = SqliteDatabase.open(journal, writable=True)
            try:
                database.checkpoint()
            finally:
                database.close()
        except JournalError:
            pass  # too damaged to open: it is kept as it is, WAL and all
    if wal_of(journal).exists():  # would be played into the new file
        wal_of(journal).replace(wal_of(aside))
    journal.with_name(journal.name + "-shm").unlink(missing_ok=True)
    os.link(journal, aside)
    return aside


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """A name beside `target` for a copy in the making; nothing of it is left over."""
    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    names = [part, wal_of(part), part.with_name(part.name + "-shm"), lock_of(part)]
    for name in names:
        name.unlink(missing_ok=True)
    try:
        yield part
    finally:
        for name in names:
            name.unlink(missing_ok=True)


@contextmanager
def _speaking(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalError(f"{target}: expected to write it, got: {error.strerror}") from error
