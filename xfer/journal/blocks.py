"""Blocks in the database: stored once under their SHA-256, read in order, collected when orphaned.

Everything here works inside a transaction of the caller's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs
from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

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
_READ: Final = (
    select(blocks.c.digest, block_data.c.data)
    .join_from(blocks, block_data)
    .where(blocks.c.digest.in_(bindparam("digests", expanding=True)))
)


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


def add(conn: Connection, new: Mapping[bytes, StoredBlock]) -> None:
    """Store blocks that are not stored yet, as orphans until a version counts them."""
    if new:
        version, block = next_numbers(conn)
        set_next_numbers(conn, version, insert_numbered(conn, new, block, {}))


def insert_numbered(
    conn: Connection, new: Mapping[bytes, StoredBlock], first: int, runs: Mapping[bytes, int]
) -> int:
    """Store blocks that are not stored yet under ids from `first` on, with their runs.

    Returns the next id, for `set_next_numbers`.
    """
    if new:
        numbered = list(enumerate(new.items(), first))
        _ADD.run(
            conn,
            [
                {
                    "id": number,
                    "digest": digest,
                    "size": len(block.data),
                    "runs": runs.get(digest, 0),
                }
                for number, (digest, block) in numbered
            ],
        )
        _ADD_DATA.run(conn, [{"id": number, "data": block.data} for number, (_, block) in numbered])
    return first + len(new)


def replace(conn: Connection, new: Mapping[bytes, StoredBlock]) -> None:
    """Write the data of stored blocks anew; those that are not stored are passed over."""
    for digest, block in new.items():
        number = conn.scalar(select(blocks.c.id).where(blocks.c.digest == digest))
        if number is None:
            continue
        size = len(block.data)
        conn.execute(delete(block_data).where(block_data.c.id == number))
        conn.execute(insert(block_data), [{"id": number, "data": block.data}])
        conn.execute(update(blocks).where(blocks.c.id == number).values(size=size))


def count(conn: Connection, change: Mapping[bytes, int]) -> None:
    """Add to the number of runs of each block."""
    rows = [{"d": digest, "n": number} for digest, number in change.items() if number]
    if rows:
        _COUNT.run(conn, rows)


def read(
    conn: Connection, digests: Sequence[bytes], at_once: int = READ_AT_ONCE
) -> Iterator[tuple[bytes, bytes | None]]:
    """Each digest with its data, in the given order; None for data that is not there.

    at_once: how many by one statement.
    """
    for some in pieces(digests, at_once):
        found: dict[bytes, bytes] = dict(map(tuple, conn.execute(_READ, {"digests": some})))
        for digest in some:
            yield digest, found.pop(digest, None)


def orphans(conn: Connection, after: int, limit: int) -> list[tuple[int, bytes, int]]:
    """The next orphans by (id, digest, octets), ids above `after`."""
    rows = conn.execute(
        select(blocks.c.id, blocks.c.digest, blocks.c.size)
        .where(blocks.c.runs == 0, blocks.c.id > after)
        .order_by(blocks.c.id)
        .limit(limit)
    )
    return [(row.id, row.digest, row.size) for row in rows]


def remove(conn: Connection, ids: Sequence[int]) -> None:
    """Delete blocks with their data."""
    if ids:
        conn.execute(delete(block_data).where(block_data.c.id.in_(ids)))
        conn.execute(delete(blocks).where(blocks.c.id.in_(ids)))


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
