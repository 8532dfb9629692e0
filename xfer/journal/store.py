"""The journal: open it, write blocks ahead, flip versions, forget old ones.

All calls are synchronous and thread-safe, meant for worker threads; SQLite releases the GIL while
it works. What `commit` returned is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from xfer.clock import Clock
from xfer.errors import JournalError, JournalLocked
from xfer.journal import blocks, comments, flip, history, migrate, states
from xfer.journal.lock import WriterLock
from xfer.journal.reading import Reading
from xfer.journal.sqlite import OF_A_VALUE, SqliteDatabase, lock_of, path_of
from xfer.journal.versions import (
    PUBLISHED,
    Mark,
    NewVersion,
    PeerState,
    Retention,
    StoredBlock,
    StoredContent,
    Version,
    ZoneState,
)
from xfer.wire import names

WRITE_AHEAD_BYTES: Final = 2 << 20
"""Block data in one write-ahead transaction: other zones' commits wait no longer than for that."""
GATHER_BYTES: Final = 256 << 10
"""Block data for which a write-ahead opens a transaction; below flip.INLINE_BYTES."""


@attrs.define(eq=False)
class WriteAhead:
    """Blocks written before their version; `collect` spares them until `close`."""

    _journal: Journal
    _base: frozenset[bytes]  # digests of a version that is stored
    _held: set[bytes] = attrs.field(factory=set, init=False)
    _gathered: list[StoredBlock] = attrs.field(factory=list, init=False)
    _octets: int = attrs.field(default=0, init=False)
    _wrote: bool = attrs.field(default=False, init=False)

    def write(self, new: Sequence[StoredBlock]) -> None:
        """Store those blocks that are not stored yet, in transactions of at most 2 MB.

        Less than 256 kB waits for more, or for the commit, which brings it along: so a tiny zone
        costs one transaction. Raises JournalError; what was stored before that is harmless.
        """
        base, held = self._base, self._held
        fresh = {
            block.digest: block
            for block in new
            if block.digest not in base and block.digest not in held
        }
        if not fresh:
            return
        self._journal.pins.hold(fresh.keys())
        self._held.update(fresh.keys())
        self._gathered.extend(fresh.values())
        self._octets += sum([blocks.weight(block) for block in fresh.values()])
        self._journal.mend(fresh)
        if self._octets >= GATHER_BYTES:
            self._wrote = self._journal.write_blocks(self._gathered) or self._wrote
            self._gathered = []
            self._octets = 0

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
class Journal(Reading):
    """Every version of every zone, in one database; what it can say is in `Reading`.

    pins: digests that may not be collected now; on_let_go: called, in any thread, when blocks that
    were written ahead may have become orphans.
    """

    clock: Clock
    _lock: WriterLock | None
    pins: blocks.Pins = attrs.field(factory=blocks.Pins, init=False)
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

    def write_ahead(self, base: StoredContent | None = None) -> WriteAhead:
        """Start writing the blocks of a version to come; `with` it, and commit before its end.

        base: the zone's newest stored version, whose blocks then cost nothing, not even a look.
        """
        self._must_write()
        stored = () if base is None else [block.digest for block in base.blocks]
        return WriteAhead(self, frozenset(stored))

    def write_blocks(self, new: Sequence[StoredBlock]) -> bool:
        """Store blocks without a hold on them: `collect` may remove them again before a commit.

        Blocks that are stored already, or come twice, are written once. Returns whether there were
        others. Raises JournalError.
        """
        self._must_write()
        with self.database.read("look for blocks") as conn:
            # Whoever pinned them before may rely on this: what a version holds now is no orphan
            # of any collection that runs already.
            stored = blocks.counted(conn, [block.digest for block in new])
        unstored = [block for block in new if block.digest not in stored]
        for some in _portions(unstored):
            with self.database.write("write blocks ahead") as conn:
                lacking = {block.digest: block for block in some}
                for digest in blocks.sizes(conn, lacking):
                    del lacking[digest]
                blocks.add(conn, lacking, self.damaged)
        return bool(unstored)

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
            for outcome in flip.flip(conn, new, self.clock.wall(), self.damaged):
                if isinstance(outcome, JournalError):
                    raise outcome
                made.append(outcome)
        return made

    def commit_each(self, new: Sequence[NewVersion]) -> list[Version | JournalError]:
        """Like `commit`, but each for itself: a version that fails has its error in its place."""
        self._must_write()
        try:
            with self.database.write("commit versions") as conn:
                return flip.flip(conn, new, self.clock.wall(), self.damaged)
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

    def commit_along(
        self,
        new: Sequence[NewVersion],
        zones: Iterable[ZoneState],
        peers: Mapping[states.PeerKey, str],
    ) -> list[Version | JournalError]:
        """Like `commit_each`, in one transaction with states; raises where that fails as a whole.

        The states count from after the versions.
        """
        self._must_write()
        with self.database.write("commit versions with states") as conn:
            outcomes = flip.flip(conn, new, self.clock.wall(), self.damaged)
            states.save_zones(conn, zones)
            states.save_peers(conn, peers)
        return outcomes

    def save_states(self, zones: Iterable[ZoneState], peers: Iterable[PeerState] = ()) -> None:
        """Store states of zones and peers, each in place of the one before, in one transaction."""
        self._must_write()
        with self.database.write("save states of zones and peers") as conn:
            states.save_zones(conn, zones)
            states.save_peers(conn, dict(states.peer_row(state) for state in peers))

    def set_mark(self, mark: Mark) -> None:
        """Set a mark, in place of the one of that zone and name; durable on return."""
        self.change_marks(dict([states.mark_row(mark)]))

    def clear_mark(self, origin: bytes, name: str) -> None:
        """Remove a mark, if it is there; durable on return."""
        self.change_marks({(origin, name): None})

    def change_marks(self, change: Mapping[states.MarkKey, str | None]) -> None:
        """Set marks to data as JSON (`states.mark_row`), or clear them with None."""
        self._must_write()
        with self.database.write("set marks") as conn:
            states.clear_marks(conn, [key for key, data in change.items() if data is None])
            states.set_marks(conn, {k: data for k, data in change.items() if data is not None})

    def change_comments(
        self, origin: bytes, new: Mapping[bytes, str], gone: Sequence[bytes] = ()
    ) -> None:
        """Set and remove comments of records, in transactions of a thousand; durable on return."""
        self._must_write()
        changed, removed = list(new.items()), list(gone)
        step = comments.ROWS_AT_ONCE
        for start in range(0, max(len(changed), len(removed)), step):
            with self.database.write("change comments of records") as conn:
                some = dict(changed[start : start + step])
                comments.change(conn, origin, some, removed[start : start + step])

    # -- forgetting

    def prune(self, origin: bytes, keep: Retention, chain: str = PUBLISHED) -> int:
        """Forget the oldest versions beyond what `keep` allows; returns how many.

        Their blocks become orphans where no other version holds them, and go at the next `collect`.
        """
        self._must_write()
        forgotten = 0
        while True:
            with self.database.write("prune a zone's history") as conn:
                some = history.prune_some(conn, origin, chain, keep, self.clock.wall())
            if not some:
                return forgotten
            forgotten += some

    def prune_some(
        self, zones: Sequence[tuple[bytes, str]], keep: Retention
    ) -> list[tuple[bytes, str]]:
        """One transaction of `prune` for several zones; returns those that need another."""
        self._must_write()
        with self.database.write("prune the history of zones") as conn:
            return history.prune_several(conn, zones, keep, self.clock.wall())

    def forget(self, origin: bytes) -> None:
        """Forget a zone: all its versions, its state, its peers' and its marks.

        In many transactions; what is beside the versions goes last.
        """
        while self.forget_some(origin):
            pass

    def forget_some(self, origin: bytes) -> bool:
        """One transaction of `forget`; returns whether there is more to do."""
        self._must_write()
        with self.database.write("forget a zone") as conn:
            if history.forget_some(conn, origin):
                return True
            states.forget(conn, origin)
        return False

    def overgrown(
        self, zones: Sequence[tuple[bytes, str]], keep: Retention
    ) -> list[tuple[bytes, str]]:
        """Those of the zones, by origin and chain, from which `prune` would take something."""
        with self.database.read("measure the history of zones") as conn:
            return history.overgrown(conn, zones, keep, self.clock.wall())

    def collect(self) -> int:
        """Delete all orphaned blocks that nothing pins; returns their octets."""
        freed, position = self.collect_some(0)
        while position is not None:
            more, position = self.collect_some(position)
            freed += more
        return freed

    def collect_some(self, position: int) -> tuple[int, int | None]:
        """One transaction of `collect`, about 4 MB, from position 0 on: octets, and the next
        position or None."""
        self._must_write()
        with self.database.write("collect orphaned blocks") as conn:
            found = blocks.orphans(conn, position, blocks.COLLECT_AT_ONCE)
            loose = [(number, size) for number, digest, size in found if digest not in self.pins]
            under = blocks.remove(conn, [number for number, _ in loose])
        return sum(size for _, size in loose), max(found[-1][0], under + 1) if found else None

    # -- inside

    def _must_write(self) -> None:
        if self._lock is None:
            raise JournalLocked(
                f"{self.database.path}: expected a journal open for writing, got a reader"
            )


def _portions(new: Sequence[StoredBlock]) -> Iterator[list[StoredBlock]]:
    """The blocks in runs of at most WRITE_AHEAD_BYTES, or one block that is larger."""
    some: list[StoredBlock] = []
    room = WRITE_AHEAD_BYTES
    for block in new:
        if some and blocks.weight(block) > room:
            yield some
            some, room = [], WRITE_AHEAD_BYTES
        some.append(block)
        room -= blocks.weight(block)
    if some:
        yield some
