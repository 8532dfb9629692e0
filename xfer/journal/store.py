"""The journal: open it, write blocks ahead, flip versions, load them, forget old ones.

All calls are synchronous and thread-safe, meant for worker threads; SQLite releases the GIL while
it works. What `commit` returned is on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import Connection, Select, func, select
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, ProgrammingError

from xfer.clock import Clock
from xfer.errors import JournalDamaged, JournalError, JournalLocked, ZoneError
from xfer.journal import audit, backup, blocks, flip, history, migrate
from xfer.journal.audit import Figures, Verification
from xfer.journal.lock import WriterLock
from xfer.journal.sqlite import SqliteDatabase, lock_of, path_of
from xfer.journal.tables import version_blocks, versions, zone_state
from xfer.journal.versions import (
    PUBLISHED,
    NewVersion,
    Retention,
    StoredBlock,
    Version,
    ZoneState,
)
from xfer.wire import names

if TYPE_CHECKING:
    from xfer.zone.block import Block
    from xfer.zone.snapshot import Snapshot

WRITE_AHEAD_BYTES: Final = 2 << 20
"""Block data in one write-ahead transaction: other zones' commits wait no longer than for that."""
GATHER_BYTES: Final = 256 << 10
"""Block data for which a write-ahead opens a transaction; below flip.INLINE_BYTES."""
OF_A_VALUE: Final = (DataError, IntegrityError, InterfaceError, ProgrammingError)
"""What the database raises because of one row, not because of its own state."""


@attrs.frozen
class Readable:
    """The newest version of a zone that can be read, and what was wrong with newer ones."""

    version: Version
    snapshot: Snapshot = attrs.field(repr=False)
    damaged: tuple[JournalDamaged, ...] = ()


@attrs.define(eq=False)
class WriteAhead:
    """Blocks written before their version; `collect` spares them until `close`."""

    _journal: Journal
    _held: set[bytes] = attrs.field(factory=set, init=False)
    _gathered: list[StoredBlock] = attrs.field(factory=list, init=False)
    _wrote: bool = attrs.field(default=False, init=False)

    def write(self, new: Sequence[StoredBlock]) -> None:
        """Store those blocks that are not stored yet, in transactions of at most 2 MB.

        Less than 256 kB waits for more, or for the commit, which brings it along: so a tiny zone
        costs one transaction. Raises JournalError; what was stored before that is harmless.
        """
        fresh = {block.digest: block for block in new if block.digest not in self._held}
        self._journal.pins.hold(fresh.keys())
        self._held.update(fresh.keys())
        self._gathered.extend(fresh.values())
        self._journal.mend(fresh)
        if sum(len(block.data) for block in self._gathered) >= GATHER_BYTES:
            self._journal.write_blocks(self._gathered)
            self._gathered = []
            self._wrote = True

    def close(self) -> None:
        """Let go of the blocks: either a version has them now, or they are orphans."""
        self._journal.pins.drop(self._held)
        self._held = set()
        self._gathered = []
        if self._wrote and self._journal.on_let_go is not None:
            self._journal.on_let_go()

    def __enter__(self) -> WriteAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@attrs.define(eq=False)
class Journal:
    """Every version of every zone, in one database.

    database: the file; pins: digests that may not be collected now; damaged: digests of blocks that
    were found damaged, until they are written anew; on_let_go: called, in any thread, when blocks
    that were written ahead may have become orphans.
    """

    database: SqliteDatabase
    clock: Clock
    _lock: WriterLock | None
    pins: blocks.Pins = attrs.field(factory=blocks.Pins, init=False)
    damaged: set[bytes] = attrs.field(factory=set, init=False)
    on_let_go: Callable[[], None] | None = attrs.field(default=None, init=False)

    @classmethod
    def open(cls, url: str, clock: Clock, *, writable: bool = True) -> Journal:
        """Open the journal at `url`, and with `writable` create or migrate it where needed.

        url: `sqlite:///absolute/path`, `sqlite:relative/path`, or a path. A writable journal
        belongs to this process until `close`; others may open it read-only meanwhile.
        Raises JournalLocked, JournalSchemaError, or JournalError saying what is in the way.
        """
        path = path_of(url)
        if not writable:
            database = SqliteDatabase.open(path, writable=False)
            try:
                with database.read("read the schema version") as conn:
                    migrate.check(migrate.version_of(conn))
            except BaseException:
                database.close()
                raise
            return cls(database, clock, None)
        if not path.parent.is_dir():
            raise JournalError(
                f"{path}: expected its directory to exist, got none: create it first"
            )
        lock = WriterLock.take(str(lock_of(path)))
        try:
            database = SqliteDatabase.open(path, writable=True)
            try:
                with database.write("bring the schema up to date") as conn:
                    migrate.climb(conn)
            except BaseException:
                database.close()
                raise
        except BaseException:
            lock.release()
            raise
        return cls(database, clock, lock)

    def close(self) -> None:
        """Close the database and let the next writer in."""
        self.database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def write_ahead(self) -> WriteAhead:
        """Start writing the blocks of a version to come; `with` it, and commit before its end."""
        self._must_write()
        return WriteAhead(self)

    def write_blocks(self, new: Sequence[StoredBlock]) -> None:
        """Store blocks without a hold on them: `collect` may remove them again before a commit.

        Blocks that are stored already, or come twice, are written once. Raises JournalError.
        """
        self._must_write()
        for some in _portions(new):
            with self.database.write("write blocks ahead") as conn:
                lacking = {block.digest: block for block in some}
                for digest in blocks.sizes(conn, lacking):
                    del lacking[digest]
                blocks.add(conn, lacking)

    def mend(self, new: Mapping[bytes, StoredBlock]) -> None:
        """Write those blocks anew that were found damaged; new: by digest.

        They count as stored, so the version that brings them again would be as damaged.
        """
        found = {digest: new[digest] for digest in self.damaged.intersection(new)}
        if not found:
            return
        self._must_write()
        with self.database.write("mend damaged blocks") as conn:
            blocks.replace(conn, found)
        self.damaged.difference_update(found)

    def commit(self, new: Sequence[NewVersion]) -> list[Version]:
        """Make versions durable, all or none, in one small transaction.

        Their blocks must have been written ahead, except for up to 1 MB a version.
        Raises JournalError for the first that is not sound, or for what the database says.
        """
        self._must_write()
        with self.database.write("commit versions") as conn:
            made = []
            for outcome in flip.flip(conn, new, self.clock.wall()):
                if isinstance(outcome, JournalError):
                    raise outcome
                made.append(outcome)
        return made

    def commit_each(self, new: Sequence[NewVersion]) -> list[Version | JournalError]:
        """Like `commit`, but each for itself: a version that fails has its error in its place."""
        self._must_write()
        try:
            with self.database.write("commit versions") as conn:
                return flip.flip(conn, new, self.clock.wall())
        except JournalError as error:
            # A full disk or a locked file hits all alike; retrying each would only take longer.
            if len(new) == 1 or not isinstance(error.__cause__, OF_A_VALUE):
                return [error] * len(new)
        except Exception as error:  # a member whose values the database cannot take
            if len(new) == 1:
                return [
                    JournalError(
                        f"expected to commit {names.to_text(new[0].origin)}, got {error!r}"
                    )
                ]
        return [self.commit_each([one])[0] for one in new]

    def save_states(self, states: Iterable[ZoneState]) -> None:
        """Store zone states, each in place of the one before, in one transaction."""
        self._must_write()
        with self.database.write("save zone states") as conn:
            flip.save_states(conn, states)

    # -- reading

    def latest(self, origin: bytes, chain: str = PUBLISHED) -> Version | None:
        """The newest version of a zone, None where there is none."""
        return next(iter(self.versions(origin, chain, limit=1)), None)

    def latest_all(self, chain: str = PUBLISHED) -> list[Version]:
        """The newest version of every zone, by origin."""
        newest = (
            select(func.max(versions.c.id))
            .where(versions.c.chain == chain)
            .group_by(versions.c.origin)
        )
        return self._versions(
            select(versions).where(versions.c.id.in_(newest)).order_by(versions.c.origin)
        )

    def versions(self, origin: bytes, chain: str = PUBLISHED, limit: int = -1) -> list[Version]:
        """The kept versions of a zone, newest first; `limit` many, -1 for all."""
        query = select(versions).where(versions.c.origin == origin, versions.c.chain == chain)
        query = query.order_by(versions.c.id.desc())
        return self._versions(query if limit < 0 else query.limit(limit))

    def states(self) -> list[ZoneState]:
        """The saved state of every zone that has one."""
        with self.database.read("read zone states") as conn:
            return [ZoneState(*row) for row in conn.execute(select(zone_state))]

    def state(self, origin: bytes) -> ZoneState | None:
        """The saved state of one zone."""
        with self.database.read("read a zone's state") as conn:
            row = conn.execute(select(zone_state).where(zone_state.c.origin == origin)).first()
            return None if row is None else ZoneState(*row)

    def load(self, version: Version) -> Snapshot:
        """The content of a version, checked against the blocks' digests and the root.

        Raises JournalDamaged, naming zone, version and block, where that fails, and JournalError
        where the version has been pruned.
        """
        from xfer.zone.snapshot import Snapshot

        with _naming(version), self.database.read("load its blocks") as conn:
            content = [self._checked(*pair) for pair in blocks.read(conn, _digests(conn, version))]
        try:
            snapshot = Snapshot(version.origin, content)
        except ZoneError as error:
            raise JournalDamaged(f"{version}: {error}") from error
        if snapshot.root != version.root or snapshot.count != version.count:
            raise JournalDamaged(
                f"{version}: expected root {version.root.hex()} over {version.count} records, "
                f"got {snapshot.root.hex()} over {snapshot.count}"
            )
        return snapshot

    def latest_readable(self, origin: bytes, chain: str = PUBLISHED) -> Readable | None:
        """The newest version that loads, skipping damaged ones; None where there is no version.

        Raises JournalDamaged where there are versions, and none of them can be read.
        """
        damaged: list[JournalDamaged] = []
        newest = self.versions(origin, chain, limit=1)  # nearly always enough
        older = (version for version in self.versions(origin, chain) if version not in newest)
        for version in itertools.chain(newest, older):
            try:
                return Readable(version, self.load(version), tuple(damaged))
            except JournalDamaged as error:
                damaged.append(error)
        if damaged:
            raise damaged[0]
        return None

    # -- forgetting

    def prune(self, origin: bytes, keep: Retention, chain: str = PUBLISHED) -> int:
        """Forget the oldest versions beyond what `keep` allows; returns how many.

        Their blocks become orphans where no other version holds them, and go at the next `collect`.
        """
        self._must_write()
        forgotten = 0
        while True:
            with self.database.write("prune a zone's history") as conn:
                some = history.prune_some(conn, origin, chain, keep)
            if not some:
                return forgotten
            forgotten += some

    def overgrown(
        self, zones: Sequence[tuple[bytes, str]], keep: Retention
    ) -> list[tuple[bytes, str]]:
        """Those of the zones, by origin and chain, from which `prune` would take something."""
        with self.database.read("measure the history of zones") as conn:
            return history.overgrown(conn, zones, keep)

    def collect(self) -> int:
        """Delete all orphaned blocks that nothing pins; returns their octets."""
        freed, position = self.collect_some(0)
        while position is not None:
            more, position = self.collect_some(position)
            freed += more
        return freed

    def collect_some(self, position: int) -> tuple[int, int | None]:
        """One transaction of `collect`, about 4 MB, from 0 on: (octets, next position or None)."""
        self._must_write()
        with self.database.write("collect orphaned blocks") as conn:
            found = blocks.orphans(conn, position, blocks.COLLECT_AT_ONCE)
            loose = [(number, size) for number, digest, size in found if digest not in self.pins]
            blocks.remove(conn, [number for number, _ in loose])
        return sum(size for _, size in loose), found[-1][0] if found else None

    # -- looking after it

    def verify(self) -> Verification:
        """Read everything and check it; see `audit.verify`."""
        return audit.verify(self.database)

    def stats(self) -> Figures:
        """The journal in numbers; see `audit.measure`."""
        return audit.measure(self.database)

    def backup(self, target: Path, *, force: bool = False) -> Verification:
        """A verified copy in `target`; see `backup.backup`."""
        return backup.backup(self.database, target, force=force)

    # -- inside

    def _must_write(self) -> None:
        if self._lock is None:
            raise JournalLocked(
                f"{self.database.path}: expected a journal open for writing, got a reader"
            )

    def _checked(self, digest: bytes, data: bytes | None) -> Block:
        try:
            return _checked(digest, data)
        except JournalDamaged:
            self.damaged.add(digest)
            raise

    def _versions(self, query: Select[Any]) -> list[Version]:
        with self.database.read("read versions") as conn:
            return [Version(*row) for row in conn.execute(query)]


@contextmanager
def _naming(version: Version) -> Iterator[None]:
    """Put the version in front of damage that the database itself reports."""
    try:
        yield
    except JournalDamaged as error:
        raise JournalDamaged(f"{version}: {error}") from error


def _digests(conn: Connection, version: Version) -> list[bytes]:
    stored = conn.scalar(
        select(version_blocks.c.digests).where(version_blocks.c.version == version.id)
    )
    if stored is None:
        raise JournalError(f"{version}: expected a kept version, got one that has been pruned")
    return blocks.split(stored)


def _checked(digest: bytes, data: bytes | None) -> Block:
    """The block with that digest; raises JournalDamaged where the data is not its own."""
    from xfer.zone.block import Block

    if data is None:
        raise JournalDamaged(f"expected block {digest.hex()}, got none")
    try:
        block = Block.load(data)
    except ZoneError as error:
        raise JournalDamaged(f"expected block {digest.hex()}, got damaged data: {error}") from error
    if block.digest != digest:
        raise JournalDamaged(
            f"expected block {digest.hex()}, got data with SHA-256 {block.digest.hex()}"
        )
    return block


def _portions(new: Sequence[StoredBlock]) -> Iterator[list[StoredBlock]]:
    """The blocks in runs of at most WRITE_AHEAD_BYTES, or one block that is larger."""
    some: list[StoredBlock] = []
    room = WRITE_AHEAD_BYTES
    for block in new:
        if some and len(block.data) > room:
            yield some
            some, room = [], WRITE_AHEAD_BYTES
        some.append(block)
        room -= len(block.data)
    if some:
        yield some
