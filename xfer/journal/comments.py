"""Comments of a zone's records, beside its versions: rows of a record's identity and its comment.

They hold for every version that has the record, so that a rollback brings a record back with its
comment. Everything here works inside a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, select

from xfer.journal.sqlite import upsert
from xfer.journal.tables import comments

ROWS_AT_ONCE: Final = 1000

_SET: Final = upsert(comments)
_REMOVE: Final = delete(comments).where(
    comments.c.origin == bindparam("of_zone"), comments.c.record == bindparam("of_record")
)


def read(
    conn: Connection, origin: bytes, low: bytes, high: bytes | None, limit: int
) -> list[tuple[bytes, str]]:
    """Identity and comment of up to `limit` records, in order; low: the first that is wanted;
    high: the first that is not, None for no end; limit: -1 for all."""
    query = select(comments.c.record, comments.c.text).where(
        comments.c.origin == origin, comments.c.record >= low
    )
    if high is not None:
        query = query.where(comments.c.record < high)
    query = query.order_by(comments.c.record)
    rows = conn.execute(query if limit < 0 else query.limit(limit))
    return [(row.record, row.text) for row in rows]


def change(
    conn: Connection, origin: bytes, new: Mapping[bytes, str], gone: Sequence[bytes]
) -> None:
    """Set comments, each in place of the one before, and remove others."""
    if new:
        conn.execute(
            _SET, [{"origin": origin, "record": r, "text": text} for r, text in new.items()]
        )
    if gone:
        conn.execute(_REMOVE, [{"of_zone": origin, "of_record": record} for record in gone])


def forget(conn: Connection, origin: bytes) -> None:
    """Remove all comments of a zone."""
    conn.execute(delete(comments).where(comments.c.origin == origin))
