"""Blocks in the database: stored once under their SHA-256, read in order, collected when orphaned.

One that was made of a stored block by a few splices is stored as these, resting on the other one
(`xfer.zone.block`): a thousand edits all over a large zone then cost what they say, not the zone.
What rests on a block counts as one of its runs, so it stays as long.

Everything here works inside a transaction of the caller's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from sqlalchemy import Connection, bindparam, delete, func, insert, literal, or_, select, update

from xfer.errors import ZoneError
from xfer.journal.prepared import Prepared
from xfer.journal.tables import block_data, blocks, meta
from xfer.journal.versions import DIGEST_SIZE, StoredBlock

READ_AT_ONCE: Final = 32
"""Blocks fetched by one statement while loading: about 2 MB."""
NAMES_AT_ONCE: Final = 500
FEW: Final = 16
"""Digests that are looked up one by one."""
COLLECT_AT_ONCE: Final = 64
"""Orphans deleted in one transaction: about 4 MB."""

# Statements are built once: building one takes as long as running it.
_SIZE: Final = Prepared(
    select(blocks.c.digest, blocks.c.size).where(blocks.c.digest == bindparam("d"))
)
_SIZES: Final = select(blocks.c.digest, blocks.c.size).where(
    blocks.c.digest.in_(bindparam("digests", expanding=True))
)
_COUNTED: Final = select(blocks.c.digest).where(
    blocks.c.digest.in_(bindparam("digests", expanding=True)), blocks.c.runs > 0
)
_NUMBERS: Final = Prepared(
    select(meta.c.name, meta.c.value).where(
        or_(meta.c.name == "next_version", meta.c.name == "next_block")
    )
)
_SET_NUMBER: Final = Prepared(
    update(meta).where(meta.c.name == bindparam("which")).values(value=bindparam("number"))
)
_ADD: Final = Prepared(insert(blocks))
_ADD_DATA: Final = Prepared(insert(block_data))
_COUNT: Final = Prepared(
    update(blocks)
    .where(blocks.c.digest == bindparam("d"))
    .values(runs=blocks.c.runs + bindparam("n"))
)
_NUMBER: Final = Prepared(select(blocks.c.id).where(blocks.c.digest == bindparam("d")))
_BLOCK: Final = blocks.alias()
_UNDER: Final = (
    select(blocks.c.digest, blocks.c.base, literal(0).label("deep"))
    .where(blocks.c.id == bindparam("which"))
    .cte("under", recursive=True)
)
_DOWN: Final = _UNDER.union_all(
    select(_BLOCK.c.digest, _BLOCK.c.base, _UNDER.c.deep + 1)
    .join_from(_UNDER, _BLOCK, _BLOCK.c.id == _UNDER.c.base)
    .where(_UNDER.c.deep < 100)  # many times what is stored; a damaged row may lead in a circle
)
_DEPTH: Final = Prepared(select(func.max(_DOWN.c.deep)))
_CHAIN: Final = Prepared(select(_DOWN.c.digest))
_REST: Final = Prepared(
    update(blocks)
    .where(blocks.c.id == bindparam("which"))
    .values(runs=blocks.c.runs + bindparam("n"))
)
_READ: Final = (
    select(blocks.c.id, blocks.c.digest, blocks.c.base, block_data.c.data)
    .join_from(blocks, block_data)
    .where(blocks.c.digest.in_(bindparam("digests", expanding=True)))
)
_BELOW: Final = (
    select(blocks.c.id, blocks.c.digest, blocks.c.base, block_data.c.data)
    .join_from(blocks, block_data)
    .where(blocks.c.id.in_(bindparam("ids", expanding=True)))
)


def weight(block: StoredBlock) -> int:
    """Octets that storing a block takes, where the one it was made of is stored."""
    return len(block.patch) or len(block.data)


def split(digests: bytes) -> list[bytes]:
    """A version's stored list as digests."""
    return [digests[i : i + DIGEST_SIZE] for i in range(0, len(digests), DIGEST_SIZE)]


def pieces(items: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """The sequence in runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def sizes(conn: Connection, digests: Collection[bytes]) -> dict[bytes, int]:
    """digest → octets, for those of `digests` that are stored."""
    found: dict[bytes, int] = {}
    if len(digests) <= FEW:
        for digest in digests:
            found.update(_SIZE.rows(conn, d=digest))
        return found
    for some in pieces(list(digests), NAMES_AT_ONCE):
        found.update(tuple(row) for row in conn.execute(_SIZES, {"digests": some}))
    return found


def counted(conn: Connection, digests: Collection[bytes]) -> set[bytes]:
    """Those of `digests` that some version holds."""
    found: set[bytes] = set()
    for some in pieces(list(digests), NAMES_AT_ONCE):
        found.update(conn.scalars(_COUNTED, {"digests": some}))
    return found


def next_numbers(conn: Connection) -> tuple[int, int]:
    """The ids that the next version and the next block get."""
    found: dict[str, int] = dict(_NUMBERS.rows(conn))
    return found["next_version"], found["next_block"]


def set_next_numbers(conn: Connection, version: int, block: int) -> None:
    """Store what `next_numbers` will say."""
    _SET_NUMBER.run(
        conn,
        [{"which": "next_version", "number": version}, {"which": "next_block", "number": block}],
    )


def add(
    conn: Connection, new: Mapping[bytes, StoredBlock], spoiled: Collection[bytes] = ()
) -> None:
    """Store blocks that are not stored yet, as orphans until a version counts them.

    spoiled: as in `insert_numbered`.
    """
    if new:
        version, block = next_numbers(conn)
        set_next_numbers(conn, version, insert_numbered(conn, new, block, {}, spoiled))


def insert_numbered(
    conn: Connection,
    new: Mapping[bytes, StoredBlock],
    first: int,
    runs: Mapping[bytes, int],
    spoiled: Collection[bytes] = (),
) -> int:
    """Store blocks that are not stored yet under ids from `first` on, with their runs.

    spoiled: digests of stored blocks that are damaged, on which nothing may rest.
    Returns the next id, for `set_next_numbers`.
    """
    from xfer.zone.block import deepest

    if not new:
        return first
    placed: dict[bytes, tuple[int, int]] = {}  # id and depth
    rows: list[dict[str, object]] = []
    data: list[dict[str, object]] = []
    resting: Counter[int] = Counter()
    for number, (digest, block) in enumerate(new.items(), first):
        base, depth = None, 0
        if block.patch and block.base not in spoiled:
            below = placed.get(block.base) or _stored(conn, block.base)
            # A block that came again, by AXFR or from a file, does not know what it rests on.
            if below is not None and below[1] < deepest(block.base):
                base, depth = below[0], below[1] + 1
        stored = block.data if base is None else block.patch
        placed[digest] = (number, depth)
        rows.append(
            {
                "id": number,
                "digest": digest,
                "size": len(stored),
                "runs": runs.get(digest, 0),
                "base": base,
            }
        )
        data.append({"id": number, "data": stored})
        if base is not None:
            resting[base] += 1
    _ADD.run(conn, rows)
    _ADD_DATA.run(conn, data)
    _rest(conn, resting)
    return first + len(new)


def _stored(conn: Connection, digest: bytes) -> tuple[int, int] | None:
    """The id of a stored block, and how many patches it is made by."""
    for (number,) in _NUMBER.rows(conn, d=digest):
        ((depth,),) = _DEPTH.rows(conn, which=number)
        return int(number), int(depth)
    return None


def under(conn: Connection, digest: bytes) -> list[bytes]:
    """Digests of a stored block and of all that it rests on."""
    for (number,) in _NUMBER.rows(conn, d=digest):
        return [found for (found,) in _CHAIN.rows(conn, which=number)]
    return []


def _rest(conn: Connection, change: Mapping[int, int]) -> None:
    """Add to the number of runs of each block, by id, as others come to rest on it or go."""
    if change:
        _REST.run(conn, [{"which": number, "n": n} for number, n in change.items()])


def replace(conn: Connection, new: Mapping[bytes, StoredBlock]) -> None:
    """Write the data of stored blocks anew, whole; those that are not stored are passed over."""
    for digest, block in new.items():
        row = conn.execute(
            select(blocks.c.id, blocks.c.base).where(blocks.c.digest == digest)
        ).first()
        if row is None:
            continue
        size = len(block.data)
        conn.execute(delete(block_data).where(block_data.c.id == row.id))
        conn.execute(insert(block_data), [{"id": row.id, "data": block.data}])
        conn.execute(update(blocks).where(blocks.c.id == row.id).values(size=size, base=None))
        if row.base is not None:
            _rest(conn, {row.base: -1})


def count(conn: Connection, change: Mapping[bytes, int]) -> None:
    """Add to the number of runs of each block."""
    rows = [{"d": digest, "n": number} for digest, number in change.items() if number]
    if rows:
        _COUNT.run(conn, rows)


Read = tuple[bytes, bytes | None, int]
"""Of a block: digest, data, None for data that is not there, and how many patches made it."""


def read(conn: Connection, digests: Sequence[bytes], at_once: int = READ_AT_ONCE) -> Iterator[Read]:
    """Each block in the given order, as a whole. Its data may be damaged.

    at_once: how many by one statement.
    """
    for some in pieces(digests, at_once):
        rows = conn.execute(_READ, {"digests": some}).all()
        found = {digest: (data, depth) for digest, data, depth in _whole(conn, rows)}
        for digest in some:
            yield (digest, *found.pop(digest, (None, 0)))


def read_numbered(conn: Connection, number: int) -> Read | None:
    """The block with that id, as `read` has it; None where its data is missing."""
    for found in _whole(conn, conn.execute(_BELOW, {"ids": [number]}).all()):
        return found
    return None


def _whole(conn: Connection, rows: Sequence[Any]) -> Iterator[Read]:
    """Blocks that were read as they are stored, with their patches applied."""
    stored: dict[int, Any] = {row.id: row for row in rows}
    below = _bases(rows) - stored.keys()
    while below:
        more: list[Any] = []
        for start in range(0, len(ids := sorted(below)), NAMES_AT_ONCE):
            more += conn.execute(_BELOW, {"ids": ids[start : start + NAMES_AT_ONCE]})
        stored.update((row.id, row) for row in more)
        below = _bases(more) - stored.keys()
    for row in rows:
        patches: list[bytes] = []
        at = row
        while at is not None and at.base is not None:
            patches.append(at.data)
            at = stored.get(at.base) if at.base < at.id else None
        data: bytes | None = None if at is None else at.data
        if data is not None and patches:
            data = _patched(data, patches[::-1])
        yield row.digest, data, len(patches)


def _bases(rows: Iterable[Any]) -> set[int]:
    """What blocks rest on. Always older: a damaged row must not lead round in a circle."""
    return {row.base for row in rows if row.base is not None and row.base < row.id}


def _patched(data: bytes, patches: Sequence[bytes]) -> bytes:
    """The data after one patch on the other; the first one that fits nothing is as damaged."""
    from xfer.zone.block import patched

    for patch in patches:
        try:
            data = patched(data, patch)
        except ZoneError:
            return patch
    return data


def orphans(conn: Connection, below: int, limit: int) -> list[tuple[int, bytes, int]]:
    """The next orphans by (id, digest, octets), downwards from ids below `below`, 0 for the top.

    Downwards, because what goes may leave behind what it rested on, which is older.
    """
    query = select(blocks.c.id, blocks.c.digest, blocks.c.size).where(blocks.c.runs == 0)
    if below:
        query = query.where(blocks.c.id < below)
    rows = conn.execute(query.order_by(blocks.c.id.desc()).limit(limit))
    return [(row.id, row.digest, row.size) for row in rows]


def remove(conn: Connection, ids: Sequence[int]) -> int:
    """Delete blocks with their data; returns the highest id of what they rested on, 0 for none."""
    if not ids:
        return 0
    rested = Counter(
        conn.scalars(select(blocks.c.base).where(blocks.c.id.in_(ids), blocks.c.base.is_not(None)))
    )
    conn.execute(delete(block_data).where(block_data.c.id.in_(ids)))
    conn.execute(delete(blocks).where(blocks.c.id.in_(ids)))
    _rest(conn, {number: -n for number, n in rested.items() if number is not None})
    return max((number for number in rested if number is not None), default=0)


@attrs.define(eq=False)
class Pins:
    """Digests that a running write-ahead counts on, so that they are not collected. Thread-safe."""

    _mutex: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _holders: Counter[bytes] = attrs.field(factory=Counter, init=False)

    def hold(self, digests: Iterable[bytes]) -> None:
        """One more holder for each."""
        with self._mutex:
            self._holders.update(list(digests))  # of a mapping it would add the values

    def drop(self, digests: Iterable[bytes]) -> None:
        """One holder less for each."""
        with self._mutex:
            for digest in digests:
                self._holders[digest] -= 1
                if self._holders[digest] <= 0:
                    del self._holders[digest]

    def __contains__(self, digest: bytes) -> bool:
        with self._mutex:
            return digest in self._holders
