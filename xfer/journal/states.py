"""What is kept beside the versions: zone states, what is known of peers, marks.

Everything here works inside a transaction of the caller's. A row is replaced as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, select, tuple_

from xfer.errors import JournalDamaged, JournalError
from xfer.journal import comments
from xfer.journal.prepared import Prepared
from xfer.journal.sqlite import upsert
from xfer.journal.tables import marks, peer_states, zone_state
from xfer.journal.versions import JSON, Mark, PeerState, ZoneState
from xfer.wire import names

DATA_CHARACTERS: Final = 65536
"""Length of one peer's or mark's data as JSON: it is for facts, not for content."""
ROWS_AT_ONCE: Final = 100

# Statements are built once: building one takes as long as running it.
_FIELDS: Final = tuple(column.name for column in zone_state.c)
_SAVE_ZONE: Final = Prepared(upsert(zone_state))
_SAVE_PEER: Final = Prepared(upsert(peer_states))
_SET_MARK: Final = Prepared(upsert(marks))

PeerKey = tuple[bytes, str, str]
"""Origin, peer, role."""
MarkKey = tuple[bytes, str]
"""Origin, name."""


def encode(whose: str, data: Mapping[str, JSON]) -> str:
    """The data as JSON. Raises JournalError where it is no JSON, or too long."""
    try:
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise JournalError(f"{whose}: expected data that JSON can hold, got: {error}") from None
    if len(text) > DATA_CHARACTERS:
        raise JournalError(
            f"{whose}: expected at most {DATA_CHARACTERS} characters of data, got {len(text)}"
        )
    return text


def decode(whose: str, text: str) -> dict[str, JSON]:
    """What `encode` was given. Raises JournalDamaged."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise JournalDamaged(f"{whose}: expected data as JSON, got: {error}") from None
    if not isinstance(data, dict):
        raise JournalDamaged(f"{whose}: expected a JSON object, got {type(data).__name__}")
    return data


def peer_row(state: PeerState) -> tuple[PeerKey, str]:
    """Key and JSON of a peer's state. Raises JournalError."""
    key = (state.origin, state.peer, state.role)
    return key, encode(of_peer(state.origin, state.peer), state.data)


def mark_row(mark: Mark) -> tuple[MarkKey, str]:
    """Key and JSON of a mark. Raises JournalError."""
    return (mark.origin, mark.name), encode(of_mark(mark.origin, mark.name), mark.data)


def of_peer(origin: bytes, peer: str) -> str:
    """A peer's state in an error."""
    return f"{names.to_text(origin)}: state of peer {peer!r}"


def of_mark(origin: bytes, name: str) -> str:
    """A mark in an error."""
    return f"{names.to_text(origin)}: mark {name!r}"


def save_zones(conn: Connection, states: Iterable[ZoneState]) -> None:
    """Store zone states, each in place of the one before."""
    rows = [{name: getattr(state, name) for name in _FIELDS} for state in states]
    if rows:
        _SAVE_ZONE.run(conn, rows)


def save_peers(conn: Connection, states: Mapping[PeerKey, str]) -> None:
    """Store peers' data as JSON, each in place of the one before; "{}" only removes that."""
    _remove(conn, peer_states, [key for key, data in states.items() if data == "{}"])
    rows = [
        {"origin": origin, "peer": peer, "role": role, "data": data}
        for (origin, peer, role), data in states.items()
        if data != "{}"
    ]
    if rows:
        _SAVE_PEER.run(conn, rows)


def peers(conn: Connection, origin: bytes | None) -> list[PeerState]:
    """What is known of the peers of a zone, or of all zones.

    A row that cannot be read is passed over: it is advice, and `verify` tells of it.
    """
    query = select(peer_states)
    if origin is not None:
        query = query.where(peer_states.c.origin == origin)
    found = []
    for row in conn.execute(query):
        try:
            data = decode(of_peer(row.origin, row.peer), row.data)
            found.append(PeerState(row.origin, row.peer, row.role, data))
        except (JournalDamaged, ValueError):
            continue
    return found


def set_marks(conn: Connection, new: Mapping[MarkKey, str]) -> None:
    """Store marks' data as JSON, each in place of the one before."""
    rows = [{"origin": origin, "name": name, "data": data} for (origin, name), data in new.items()]
    if rows:
        _SET_MARK.run(conn, rows)


def clear_marks(conn: Connection, keys: Sequence[MarkKey]) -> None:
    """Remove marks; those that are not there are passed over."""
    _remove(conn, marks, keys)


def read_marks(conn: Connection, origin: bytes | None) -> list[Mark]:
    """The marks of a zone, or of all zones.

    Where the data of one cannot be read, it has none: that there is a mark holds nevertheless, and
    `verify` tells of it.
    """
    query = select(marks)
    if origin is not None:
        query = query.where(marks.c.origin == origin)
    found = []
    for row in conn.execute(query):
        try:
            data = decode("a mark", row.data)
        except JournalDamaged:
            data = {}
        found.append(Mark(row.origin, row.name, data))
    return found


def forget(conn: Connection, origin: bytes) -> None:
    """Remove all rows of a zone."""
    for table in (zone_state, peer_states, marks):
        conn.execute(delete(table).where(table.c.origin == origin))
    comments.forget(conn, origin)


def _remove(conn: Connection, table: Table, keys: Sequence[tuple[Any, ...]]) -> None:
    key = tuple_(*table.primary_key.columns)
    for start in range(0, len(keys), ROWS_AT_ONCE):
        conn.execute(delete(table).where(key.in_(keys[start : start + ROWS_AT_ONCE])))
