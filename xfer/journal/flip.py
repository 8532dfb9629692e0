"""The transaction that makes versions of written-ahead blocks: checked, shared by many zones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select

from xfer.errors import JournalError
from xfer.journal import blocks, changes, states
from xfer.journal.prepared import Prepared
from xfer.journal.tables import version_blocks, versions
from xfer.journal.versions import DIGEST_SIZE, NewVersion, StoredBlock, Version, ZoneState
from xfer.wire import names

INLINE_BYTES: Final = 1 << 20
"""Blocks of one version that may be stored in the flipping transaction itself: a tiny zone then
costs one transaction instead of two."""
ZONES_AT_ONCE: Final = 200
FEW_ZONES: Final = 4

# Statements are built once: building one takes as long as running it.
_NEWEST: Final = (
    select(versions.c.id, versions.c.origin, versions.c.chain, version_blocks.c.digests)
    .join_from(versions, version_blocks)
    .where(
        versions.c.id.in_(
            select(func.max(versions.c.id))
            .where(versions.c.origin.in_(bindparam("origins", expanding=True)))
            .group_by(versions.c.origin, versions.c.chain)
        )
    )
)
_NEWEST_OF_ONE: Final = Prepared(
    select(versions.c.id, versions.c.origin, versions.c.chain, version_blocks.c.digests)
    .join_from(versions, version_blocks)
    .where(
        versions.c.origin == bindparam("an_origin"),
        versions.c.chain == bindparam("a_chain"),
    )
    .order_by(versions.c.id.desc())
    .limit(1)
)
"""Does not look through the zone's history, as _NEWEST does."""
_ORIGINS: Final = select(versions.c.id, versions.c.origin).where(
    versions.c.id.in_(bindparam("ids", expanding=True))
)
_FIELDS: Final = tuple(column.name for column in versions.c)
_ADD_VERSIONS: Final = Prepared(insert(versions))
_ADD_LISTS: Final = Prepared(insert(version_blocks))


def flip(
    conn: Connection, members: Sequence[NewVersion], now: float, spoiled: Collection[bytes] = ()
) -> list[Version | JournalError]:
    """Insert those members that are sound; for each, its Version or why it was left out.

    spoiled: digests of stored blocks that are damaged, on which no new one may rest.

    A member is left out when its parent is not a version of the same zone, when its serial, root or
    digests are no such thing, or when blocks of more than INLINE_BYTES are not stored.
    """
    previous, parents = _previous(conn, members)
    _parents(conn, members, parents)
    number, block_number = blocks.next_numbers(conn)
    runs: Counter[bytes] = Counter()
    missing: dict[bytes, StoredBlock] = {}
    known = _known(conn, members, previous)
    outcome: list[Version | JournalError] = []
    lists: list[dict[str, object]] = []
    changed: dict[int, changes.Packed] = {}
    checked: dict[bytes, ZoneState] = {}
    marks: dict[states.MarkKey, str] = {}
    for new in members:
        try:
            content = _content(new)
            if new.parent is not None and parents.get(new.parent) != new.origin:
                raise JournalError(
                    f"{_named(new)}: expected a parent among the zone's versions, got {new.parent}"
                )
            key = (new.origin, new.chain)
            before = previous.get(key, frozenset())
            added = [digest for digest in content if digest not in before]
            gone = before.difference(content)
            lacking = {d: content[d] for d in added if d not in known and d not in missing}
            room = sum(blocks.weight(block) for block in lacking.values())
            if room > INLINE_BYTES:
                raise JournalError(
                    f"{_named(new)}: expected its blocks written ahead, got {len(lacking)} of "
                    f"{len(content)} blocks ({room} octets) that are not stored"
                )
            own = _marks(new)
            packed = changes.pack(new) if new.parent is not None else None
        except JournalError as error:
            outcome.append(error)
            continue
        missing.update(lacking)
        known.update((digest, blocks.weight(block)) for digest, block in lacking.items())
        runs.update(added)
        previous[key] = frozenset(content)
        version = Version(
            id=number,
            origin=new.origin,
            chain=new.chain,
            parent=new.parent,
            serial=new.serial,
            root=new.snapshot.root,
            count=new.snapshot.count,
            size=new.snapshot.size,
            replaced=sum(known[digest] for digest in gone if digest in known)
            + changes.octets(packed),
            source=new.source,
            kind=new.kind,
            created=now,
            added=new.added,
            removed=new.removed,
        )
        parents[number] = new.origin
        lists.append({"version": number, "digests": b"".join(content)})
        if packed is not None:
            changed[number] = packed
        outcome.append(version)
        number += 1
        marks.update(own)
        if new.sets_state:
            at = now if new.received_at is None else new.received_at
            checked[new.origin] = ZoneState(
                new.origin, last_check_ok=at, expire_at=new.expire_at, last_attempt=at
            )
    made = [version for version in outcome if isinstance(version, Version)]
    if made:
        block_number = blocks.insert_numbered(conn, missing, block_number, runs, spoiled)
        blocks.count(conn, {d: n for d, n in runs.items() if d not in missing})
        _ADD_VERSIONS.run(conn, [_row(version) for version in made])
        _ADD_LISTS.run(conn, lists)
        changes.add(conn, changed)
        blocks.set_next_numbers(conn, number, block_number)
        states.save_zones(conn, checked.values())
        states.set_marks(conn, marks)
    return outcome


def _named(new: NewVersion) -> str:
    return f"{names.to_text(new.origin)} serial {new.serial}"


def _row(version: Version) -> dict[str, object]:
    return {name: getattr(version, name) for name in _FIELDS}


def _marks(new: NewVersion) -> dict[states.MarkKey, str]:
    for mark in new.marks:
        if mark.origin != new.origin:
            raise JournalError(
                f"{_named(new)}: expected marks of its zone, got one of "
                f"{names.to_text(mark.origin)}"
            )
    return dict(states.mark_row(mark) for mark in new.marks)


def _content(new: NewVersion) -> dict[bytes, StoredBlock]:
    """digest → block, in order; raises JournalError for what cannot be stored."""
    content = {block.digest: block for block in new.snapshot.blocks}
    if not content or len(content) != len(new.snapshot.blocks):
        raise JournalError(
            f"{_named(new)}: expected one or more different blocks, "
            f"got {len(new.snapshot.blocks)} with {len(content)} digests"
        )
    for what in (new.snapshot.root, *content):
        if len(what) != DIGEST_SIZE:
            raise JournalError(
                f"{_named(new)}: expected digests of {DIGEST_SIZE} octets, got one of {len(what)}"
            )
    if not 0 <= new.serial < 1 << 32:
        raise JournalError(
            f"{names.to_text(new.origin)}: expected a serial of 32 bits, got {new.serial}"
        )
    return content


def _previous(
    conn: Connection, members: Sequence[NewVersion]
) -> tuple[dict[tuple[bytes, str], frozenset[bytes]], dict[int, bytes]]:
    """Of the members' zones: (origin, chain) → digests of its newest version; its id → origin."""
    found: dict[tuple[bytes, str], frozenset[bytes]] = {}
    ids: dict[int, bytes] = {}
    zones = {(new.origin, new.chain) for new in members}
    rows: list[Any] = []
    if len(zones) <= FEW_ZONES:
        for origin, chain in zones:
            rows += _NEWEST_OF_ONE.rows(conn, an_origin=origin, a_chain=chain)
    else:
        for some in blocks.pieces(list({origin for origin, _ in zones}), ZONES_AT_ONCE):
            rows += conn.execute(_NEWEST, {"origins": some}).all()
    for number, origin, chain, digests in rows:
        found[origin, chain] = frozenset(blocks.split(digests))
        ids[number] = origin
    return found, ids


def _known(
    conn: Connection,
    members: Sequence[NewVersion],
    previous: Mapping[tuple[bytes, str], frozenset[bytes]],
) -> dict[bytes, int]:
    """digest → octets, of the stored blocks in which members differ from what their zones have.

    That holds for several members of one zone as well: whatever two of them differ in, one of them
    has unlike the zone's newest stored version.
    """
    wanted: set[bytes] = set()
    for new in members:
        content = {block.digest for block in new.snapshot.blocks}
        wanted |= content ^ previous.get((new.origin, new.chain), frozenset())
    return blocks.sizes(conn, wanted)


def _parents(conn: Connection, members: Sequence[NewVersion], known: dict[int, bytes]) -> None:
    """Complete id → origin by the versions that members name as their parents."""
    ids = [new.parent for new in members if new.parent is not None and new.parent not in known]
    for start in range(0, len(ids), blocks.NAMES_AT_ONCE):
        some = ids[start : start + blocks.NAMES_AT_ONCE]
        known.update((row.id, row.origin) for row in conn.execute(_ORIGINS, {"ids": some}))
