"""What a journal can say: versions, their content, states, marks, and how it is.

All calls are synchronous and thread-safe, meant for worker threads; each sees one state of the
database.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, union

from xfer.errors import JournalDamaged, JournalError, ZoneError
from xfer.journal import audit, backup, blocks, changes, comments, states
from xfer.journal.audit import Figures, Verification
from xfer.journal.sqlite import SqliteDatabase
from xfer.journal.tables import marks, peer_states, version_blocks, versions, zone_state
from xfer.journal.versions import PUBLISHED, Mark, PeerState, Version, ZoneState
from xfer.wire.serial import newer

if TYPE_CHECKING:
    from xfer.zone.block import Block
    from xfer.zone.changeset import Changeset
    from xfer.zone.snapshot import Snapshot

_DIGESTS_EACH = select(version_blocks.c.version, version_blocks.c.digests).where(
    version_blocks.c.version.in_(bindparam("ids", expanding=True))
)


@attrs.frozen
class Readable:
    """The newest version of a zone that can be read, and what was wrong with newer ones."""

    version: Version
    snapshot: Snapshot = attrs.field(repr=False)
    damaged: tuple[JournalDamaged, ...] = ()


@attrs.define(eq=False)
class Reading:
    """The reading side of `Journal`.

    database: the file; damaged: digests of blocks that were found damaged, and of what these rest
    on, until they are written anew.
    """

    database: SqliteDatabase
    damaged: set[bytes] = attrs.field(factory=set, init=False)

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

    def with_history(self) -> list[tuple[bytes, str]]:
        """Origin and chain of those zones that have older versions besides the newest."""
        query = select(versions.c.origin, versions.c.chain).group_by(
            versions.c.origin, versions.c.chain
        )
        with self.database.read("look for zones with a history") as conn:
            rows = conn.execute(query.having(func.count() > 1))
            return [(row.origin, row.chain) for row in rows]

    def versions(self, origin: bytes, chain: str = PUBLISHED, limit: int = -1) -> list[Version]:
        """The kept versions of a zone, newest first; `limit` many, -1 for all."""
        query = select(versions).where(versions.c.origin == origin, versions.c.chain == chain)
        query = query.order_by(versions.c.id.desc())
        return self._versions(query if limit < 0 else query.limit(limit))

    def line(self, origin: bytes, chain: str = PUBLISHED) -> list[Version]:
        """The newest version of a zone and those it came from, newest first.

        Ends where the next parent is not the version before, or the serial does not rise from it
        (RFC 1982), which no chain of IXFRs may cross.
        """
        found: list[Version] = []
        for version in self.versions(origin, chain):
            if found and not (
                found[-1].parent == version.id and newer(found[-1].serial, version.serial)
            ):
                break
            found.append(version)
        return found

    def at(self, origin: bytes, when: float, chain: str = PUBLISHED) -> Version | None:
        """The version that was newest at `when` (Unix seconds); None for before the oldest kept."""
        return self._newest_where(origin, chain, versions.c.created <= when)

    def with_serial(self, origin: bytes, serial: int, chain: str = PUBLISHED) -> Version | None:
        """The newest version of a zone with that serial."""
        return self._newest_where(origin, chain, versions.c.serial == serial)

    def with_id(self, number: int) -> Version | None:
        """The version with that id, whatever its zone."""
        return next(iter(self._versions(select(versions).where(versions.c.id == number))), None)

    def states(self) -> list[ZoneState]:
        """The saved state of every zone that has one."""
        with self.database.read("read zone states") as conn:
            return [ZoneState(*row) for row in conn.execute(select(zone_state))]

    def state(self, origin: bytes) -> ZoneState | None:
        """The saved state of one zone."""
        with self.database.read("read a zone's state") as conn:
            row = conn.execute(select(zone_state).where(zone_state.c.origin == origin)).first()
            return None if row is None else ZoneState(*row)

    def peer_states(self, origin: bytes | None = None) -> list[PeerState]:
        """What is known of the peers of a zone, or of all; what cannot be read is left out."""
        with self.database.read("read states of peers") as conn:
            return states.peers(conn, origin)

    def marks(self, origin: bytes | None = None) -> list[Mark]:
        """The marks of a zone, or of all zones; without data where that cannot be read."""
        with self.database.read("read marks") as conn:
            return states.read_marks(conn, origin)

    def comments(
        self, origin: bytes, low: bytes = b"", high: bytes | None = None, limit: int = -1
    ) -> list[tuple[bytes, str]]:
        """Comments of records: identity (`xfer.zone.comments`) and text, in order of identities.

        low: the first that is wanted; high: the first that is not, None for no end; limit: at most
        so many, -1 for all.
        """
        with self.database.read("read comments of records") as conn:
            return comments.read(conn, origin, low, high, limit)

    def origins(self) -> set[bytes]:
        """The zones of which anything is kept: versions, a state, peers' states or marks."""
        kept = union(
            *(select(table.c.origin) for table in (versions, zone_state, peer_states, marks))
        )
        with self.database.read("list the zones") as conn:
            return set(conn.execute(kept).scalars())

    def load(self, version: Version, held: Snapshot | None = None) -> Snapshot:
        """The content of a version, checked against the blocks' digests and the root.

        held: another version of the zone, whose blocks need not be read again where both have them.
        Raises JournalDamaged, naming zone, version and block, where that fails, and JournalError
        where the version has been pruned.
        """
        from xfer.zone.snapshot import Snapshot

        have = {} if held is None else {block.digest: block for block in held.blocks}
        with _naming(version), self.database.read("load its blocks") as conn:
            digests = _digests(conn, version)
            lacking = [digest for digest in digests if digest not in have]
            read: dict[bytes, Block] = {}
            problem: JournalDamaged | None = None
            for digest, data, depth in blocks.read(conn, lacking):
                try:
                    read[digest] = self._checked(digest, data, depth)
                except JournalDamaged as error:
                    # All are looked at: who brings them again mends those that are known.
                    problem = problem or error
                    self.damaged.update(blocks.under(conn, digest))
            if problem is not None:
                raise problem
        try:
            snapshot = Snapshot(version.origin, [have.get(d) or read[d] for d in digests])
        except ZoneError as error:
            raise JournalDamaged(f"{version}: {error}") from error
        if snapshot.root != version.root or snapshot.count != version.count:
            raise JournalDamaged(
                f"{version}: expected root {version.root.hex()} over {version.count} records, "
                f"got {snapshot.root.hex()} over {snapshot.count}"
            )
        return snapshot

    def changes(self, version: Version) -> Changeset | None:
        """What it changed in its parent, None where that is not stored: then `load` and compare.

        Raises JournalDamaged where it is not what was stored.
        """
        with self.database.read("read what a version changed") as conn:
            return changes.read(conn, version)

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

    def load_each(self, some: Sequence[Version]) -> list[Snapshot | None]:
        """The contents of many small versions, in their order, as `load` has them, with two
        statements for all.

        None for what cannot be had: `load` or `latest_readable` of it says why.
        """
        from xfer.zone.snapshot import Snapshot

        with self.database.read("load blocks of many zones") as conn:
            rows = conn.execute(_DIGESTS_EACH, {"ids": [version.id for version in some]})
            digests: dict[int, list[bytes]] = {row[0]: blocks.split(row[1]) for row in rows}
            wanted = list(dict.fromkeys(d for listed in digests.values() for d in listed))
            read: dict[bytes, Block] = {}
            for digest, data, depth in blocks.read(conn, wanted, blocks.NAMES_AT_ONCE):
                with suppress(JournalDamaged):
                    read[digest] = self._checked(digest, data, depth)
        found: list[Snapshot | None] = []
        for version in some:
            snapshot = None
            with suppress(ZoneError, KeyError):
                snapshot = Snapshot(version.origin, [read[d] for d in digests[version.id]])
                if snapshot.root != version.root or snapshot.count != version.count:
                    snapshot = None
            found.append(snapshot)
        return found

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

    def _checked(self, digest: bytes, data: bytes | None, depth: int) -> Block:
        try:
            block = _checked(digest, data)
        except JournalDamaged:
            self.damaged.add(digest)
            raise
        block.depth = depth
        return block

    def _versions(self, query: Select[Any]) -> list[Version]:
        with self.database.read("read versions") as conn:
            return [Version(*row) for row in conn.execute(query)]

    def _newest_where(
        self, origin: bytes, chain: str, which: ColumnElement[bool]
    ) -> Version | None:
        query = select(versions).where(versions.c.origin == origin, versions.c.chain == chain)
        found = self._versions(query.where(which).order_by(versions.c.id.desc()).limit(1))
        return found[0] if found else None


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
