"""Blocks in the database: stored once under their SHA-256, read in order, collected when orphaned.

Everything here works inside a transaction of the caller's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from xfer.journal.tables import block_data, blocks, meta
from xfer.journal.versions import DIGEST_SIZE, StoredBlock

READ_AT_ONCE: Final = 32
"""Blocks fetched by one statement while loading: about 2 MB."""
NAMES_AT_ONCE: Final = 500
COLLECT_AT_ONCE: Final = 64
"""Orphans deleted in one transaction: about 4 MB."""


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
    for some in pieces(list(digests), NAMES_AT_ONCE):
        rows = conn.execute(select(blocks.c.digest, blocks.c.size).where(blocks.c.digest.in_(some)))
        found.update((row.digest, row.size) for row in rows)
    return found


def add(conn: Connection, new: Mapping[bytes, StoredBlock]) -> None:
    """Store blocks that are not stored yet, as orphans until a version counts them."""
    if not new:
        return
    here = meta.c.name == "next_block"
    first = conn.scalar(select(meta.c.value).where(here)) or 1
    conn.execute(update(meta).where(here).values(value=first + len(new)))
    numbered = list(enumerate(new.items(), first))
    conn.execute(
        insert(blocks),
        [
            {"id": number, "digest": digest, "size": len(block.data), "runs": 0}
            for number, (digest, block) in numbered
        ],
    )
    conn.execute(
        insert(block_data), [{"id": number, "data": block.data} for number, (_, block) in numbered]
    )


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
        conn.execute(
            update(blocks)
            .where(blocks.c.digest == bindparam("d"))
            .values(runs=blocks.c.runs + bindparam("n")),
            rows,
        )


def read(conn: Connection, digests: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Each digest with its data, in the given order; None for data that is not there."""
    joined = select(blocks.c.digest, block_data.c.data).join_from(blocks, block_data)
    for some in pieces(digests, READ_AT_ONCE):
        rows = conn.execute(joined.where(blocks.c.digest.in_(some)))
        found = {row.digest: row.data for row in rows}
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
