"""Look at a journal without changing it: `verify` reads everything, `measure` only sums up.

Both see one state of the database, so they may run while a daemon writes; its WAL cannot shrink
meanwhile.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs
from sqlalchemy import Connection, Select, Table, func, select

from xfer.errors import JournalDamaged, ZoneError
from xfer.journal import blocks, changes, states
from xfer.journal.sqlite import SqliteDatabase
from xfer.journal.tables import blocks as block_table
from xfer.journal.tables import marks, peer_states, version_blocks, version_changes, versions
from xfer.journal.versions import DIGEST_SIZE, ROLES, Version
from xfer.wire import names

_ROWS_AT_ONCE = 500


@attrs.frozen
class DamagedBlock:
    """A block that cannot be used. digest: hexadecimal; versions: those that need it."""

    digest: str
    problem: str
    versions: tuple[str, ...] = ()


@attrs.frozen
class Verification:
    """What `verify` found; `ok` is the verdict.

    file: problems of the database's structure; damaged: blocks; broken: versions whose own list,
    root or record count is wrong; counts: blocks whose use is counted wrongly; orphans: blocks that
    no version holds, which is no damage; peers, marks: how many there are; unreadable: those of
    them that cannot be read.
    """

    versions: int
    blocks: int
    octets: int
    orphans: int
    orphan_octets: int
    file: tuple[str, ...] = ()
    damaged: tuple[DamagedBlock, ...] = ()
    broken: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    peers: int = 0
    marks: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything can be read as it was stored."""
        return not (self.file or self.damaged or self.broken or self.counts or self.unreadable)

    def problems(self) -> list[str]:
        """One sentence for each problem, as an operator should read it."""
        found = [f"the file's structure is damaged: {line}" for line in self.file]
        for block in self.damaged:
            hit = ", ".join(block.versions) or "no version"
            found.append(f"block {block.digest}: {block.problem}; it hits {hit}")
        return [*found, *self.broken, *self.counts, *self.unreadable]


@attrs.frozen
class ZoneFigures:
    """One zone's part of the journal; sizes in octets, times in Unix seconds.

    newest: size of its newest version; history: of blocks that only its older versions need, which
    is what keeping them costs;
    shared: what its versions would need more if each was stored apart.
    """

    zone: str
    chain: str
    versions: int
    serial: int
    records: int
    newest: int
    history: int
    shared: int
    oldest_created: float
    newest_created: float


@attrs.frozen
class Figures:
    """The journal in numbers; octets throughout.

    free: unused room inside the file; peers, marks: rows about them.
    """

    file: int
    wal: int
    free: int
    blocks: int
    block_octets: int
    orphans: int
    orphan_octets: int
    zones: tuple[ZoneFigures, ...]
    peers: int = 0
    marks: int = 0


@attrs.define(eq=False)
class _Found:
    """What a verification has come upon so far, by digest where that makes sense."""

    counts: dict[bytes, int] = attrs.field(factory=dict)
    ids: dict[int, bytes] = attrs.field(factory=dict)
    resting: list[int] = attrs.field(factory=list)
    records: dict[bytes, int] = attrs.field(factory=dict)
    damaged: dict[bytes, str] = attrs.field(factory=dict)
    needed: dict[bytes, list[str]] = attrs.field(factory=dict)
    runs: Counter[bytes] = attrs.field(factory=Counter)
    broken: list[str] = attrs.field(factory=list)
    unreadable: list[str] = attrs.field(factory=list)
    peers: int = 0
    marks: int = 0
    octets: int = 0
    orphan_octets: int = 0
    versions: int = 0


def verify(database: SqliteDatabase) -> Verification:
    """Check the file's structure, every block's digest, and every version's list and root.

    Raises JournalError where the database cannot be read at all.
    """
    structure = database.damage()
    found = _Found()
    with database.read("verify the journal") as conn:
        for part in (_blocks, _versions, _changes, _beside):
            try:
                with database.explained("verify the journal"):
                    part(database, conn, found)
            except JournalDamaged as error:
                structure.append(str(error))
    return Verification(
        versions=found.versions,
        blocks=len(found.counts),
        octets=found.octets,
        orphans=sum(1 for runs in found.counts.values() if runs == 0),
        orphan_octets=found.orphan_octets,
        file=tuple(structure),
        damaged=tuple(
            DamagedBlock(digest.hex(), problem, tuple(found.needed.get(digest, [])))
            for digest, problem in found.damaged.items()
        ),
        broken=tuple(found.broken),
        counts=() if structure else tuple(_miscounted(found.counts, found.runs)),
        peers=found.peers,
        marks=found.marks,
        unreadable=tuple(found.unreadable),
    )


def _blocks(database: SqliteDatabase, conn: Connection, found: _Found) -> None:
    for row in _rows(conn, select(block_table).order_by(block_table.c.id)):
        found.counts[row.digest] = row.runs
        found.ids[row.id] = row.digest
        if row.base is not None:
            found.resting.append(row.base)
        found.octets += row.size
        if row.runs == 0:
            found.orphan_octets += row.size
        result = _check_block(database, conn, row.id, row.digest)
        if isinstance(result, str):
            found.damaged[row.digest] = result
        else:
            found.records[row.digest] = result
    found.runs.update(found.ids[base] for base in found.resting if base in found.ids)


def _versions(database: SqliteDatabase, conn: Connection, found: _Found) -> None:
    last: tuple[bytes, str] | None = None
    before: frozenset[bytes] = frozenset()
    for version, stored in _lists(conn):
        found.versions += 1
        digests = blocks.split(stored)
        if (version.origin, version.chain) != last:
            last, before = (version.origin, version.chain), frozenset()
        content = frozenset(digests)
        found.runs.update(content - before)
        before = content
        for digest in digests:
            if digest not in found.counts:
                found.damaged.setdefault(digest, "expected its data, got none")
            if digest in found.damaged:
                found.needed.setdefault(digest, []).append(str(version))
        problem = _check_version(version, stored, digests, found.records)
        if problem:
            found.broken.append(f"{version}: {problem}")


def _changes(database: SqliteDatabase, conn: Connection, found: _Found) -> None:
    query = select(*versions.c, version_changes).join_from(version_changes, versions)
    width = len(versions.c)
    for row in _rows(conn, query.order_by(versions.c.id)):
        try:
            changes.unpack(Version(*row[:width]), *row[width + 1 :])
        except JournalDamaged as error:
            found.broken.append(str(error))


def _beside(database: SqliteDatabase, conn: Connection, found: _Found) -> None:
    for row in _rows(conn, select(peer_states)):
        found.peers += 1
        whose = states.of_peer(row.origin, row.peer)
        if row.role not in ROLES:
            found.unreadable.append(f"{whose}: expected a role of {ROLES}, got {row.role!r}")
        _try(whose, row.data, found)
    for row in _rows(conn, select(marks)):
        found.marks += 1
        _try(states.of_mark(row.origin, row.name), row.data, found)


def _try(whose: str, data: str, found: _Found) -> None:
    try:
        states.decode(whose, data)
    except JournalDamaged as error:
        found.unreadable.append(str(error))


def _check_block(
    database: SqliteDatabase, conn: Connection, number: int, digest: bytes
) -> int | str:
    """Records of a sound block, or what is wrong with it."""
    from xfer.zone.block import Block

    try:
        with database.explained("read a block"):
            read = blocks.read_numbered(conn, number)
    except JournalDamaged:
        return "expected its data, got a damaged page of the file"
    data = None if read is None else read[1]
    if data is None:
        return "expected its data, got none"
    found = hashlib.sha256(data).digest()
    if found != digest:
        return f"expected data with that SHA-256, got {found.hex()}"
    try:
        return Block.load(data).count
    except ZoneError as error:
        return str(error)


def _check_version(
    version: Version, stored: bytes, digests: list[bytes], records: dict[bytes, int]
) -> str:
    """What is wrong with a version beyond damaged blocks; "" where nothing is."""
    if not stored or len(stored) % DIGEST_SIZE:
        return f"expected a list of digests, got {len(stored)} octets"
    root = hashlib.sha256(stored).digest()
    if root != version.root:
        return f"expected root {version.root.hex()}, got {root.hex()}"
    if all(digest in records for digest in digests):
        count = sum(records[digest] for digest in digests)
        if count != version.count:
            return f"expected {version.count} records, got {count}"
    return ""


def _miscounted(counts: dict[bytes, int], runs: Counter[bytes]) -> list[str]:
    return [
        f"block {digest.hex()}: expected to be counted {runs[digest]} times, got {number}"
        for digest, number in counts.items()
        if number != runs[digest]
    ]


def _lists(conn: Connection) -> Iterator[tuple[Version, bytes]]:
    """Every version with its stored list, each chain from its oldest on."""
    query = (
        select(*versions.c, version_blocks.c.digests)
        .join_from(versions, version_blocks, isouter=True)
        .order_by(versions.c.origin, versions.c.chain, versions.c.id)
    )
    for row in _rows(conn, query):
        yield Version(*row[:-1]), row[-1] or b""


def measure(database: SqliteDatabase) -> Figures:
    """Sum up what is stored, zone by zone; reads no block. Raises JournalError."""
    file, wal, free = database.sizes()
    zones: list[ZoneFigures] = []
    with database.read("measure the journal") as conn:
        stored, octets = _sum(conn, orphans=False)
        orphans, loose = _sum(conn, orphans=True)
        chain: list[Version] = []
        query = select(versions).order_by(versions.c.origin, versions.c.chain, versions.c.id)
        for row in _rows(conn, query):
            version = Version(*row)
            if chain and (chain[0].origin, chain[0].chain) != (version.origin, version.chain):
                zones.append(_figures(chain))
                chain = []
            chain.append(version)
        if chain:
            zones.append(_figures(chain))
        peers, marked = _number(conn, peer_states), _number(conn, marks)
    return Figures(file, wal, free, stored, octets, orphans, loose, tuple(zones), peers, marked)


def _figures(chain: list[Version]) -> ZoneFigures:
    newest = chain[-1]
    history = sum(version.replaced for version in chain[1:])
    return ZoneFigures(
        zone=names.to_text(newest.origin),
        chain=newest.chain,
        versions=len(chain),
        serial=newest.serial,
        records=newest.count,
        newest=newest.size,
        history=history,
        shared=sum(version.size for version in chain) - newest.size - history,
        oldest_created=chain[0].created,
        newest_created=newest.created,
    )


def _sum(conn: Connection, *, orphans: bool) -> tuple[int, int]:
    """Number and octets of all blocks, or of those that no version holds."""
    query = select(func.count(), func.sum(block_table.c.size))
    row = conn.execute(query.where(block_table.c.runs == 0) if orphans else query).one()
    return row[0], row[1] or 0


def _number(conn: Connection, table: Table) -> int:
    return conn.scalar(select(func.count()).select_from(table)) or 0


def _rows(conn: Connection, query: Select[Any]) -> Iterator[Any]:
    """The rows one after the other, without holding them all."""
    return iter(conn.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}))
