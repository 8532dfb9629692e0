"""Schema versions: a ladder of steps, each taking the schema one version up in one transaction.

A new, empty database stands at 0 and gets the present schema at once. A file of an older release
climbs the steps; one of a newer release is refused, because guessing could lose versions.
A step is frozen once released: it spells its own DDL, and never uses `tables.py`, which moves on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, inspect, select

from xfer.errors import JournalSchemaError
from xfer.journal import tables

Step = Callable[[Connection], None]


def _to_2(conn: Connection) -> None:
    """How many records a version added and removed; what is known of peers; marks."""
    for statement in (
        "ALTER TABLE versions ADD COLUMN added BIGINT",
        "ALTER TABLE versions ADD COLUMN removed BIGINT",
        "CREATE TABLE peer_states (origin BLOB NOT NULL, peer TEXT NOT NULL, role TEXT NOT NULL,"
        " data TEXT NOT NULL, PRIMARY KEY (origin, peer, role))",
        "CREATE TABLE marks (origin BLOB NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,"
        " PRIMARY KEY (origin, name))",
    ):
        conn.exec_driver_sql(statement)


def _to_3(conn: Connection) -> None:
    """Comments of records."""
    conn.exec_driver_sql(
        "CREATE TABLE comments (origin BLOB NOT NULL, record BLOB NOT NULL, text TEXT NOT NULL,"
        " PRIMARY KEY (origin, record)) WITHOUT ROWID"
    )


def _to_4(conn: Connection) -> None:
    """Blocks that rest on others; what a version changed."""
    for statement in (
        "ALTER TABLE blocks ADD COLUMN base BIGINT",
        "CREATE TABLE version_changes (version INTEGER NOT NULL, digests BLOB NOT NULL,"
        " removed BLOB NOT NULL, added BLOB NOT NULL, PRIMARY KEY (version),"
        " FOREIGN KEY(version) REFERENCES versions (id))",
    ):
        conn.exec_driver_sql(statement)


STEPS: Final[Mapping[int, Step]] = {1: _to_2, 2: _to_3, 3: _to_4}
"""From which version → the step that leads to the next one."""


def version_of(conn: Connection) -> int:
    """The schema version of the database; 0 for an empty one.

    Raises JournalSchemaError where there are tables, but not the journal's.
    """
    found = set(inspect(conn).get_table_names())
    if not found:
        return 0
    if "meta" not in found:
        raise JournalSchemaError(
            f"expected a journal, got a database of something else (tables {sorted(found)[:3]})"
        )
    number = conn.scalar(select(tables.meta.c.value).where(tables.meta.c.name == "schema"))
    if number is None:
        raise JournalSchemaError("expected a schema version in the journal's meta table, got none")
    return int(number)


def check(number: int, target: int = tables.SCHEMA) -> None:
    """Raise JournalSchemaError for a schema that this release cannot read as it stands."""
    if number > target:
        raise JournalSchemaError(
            f"expected a journal of schema {target} or older, got schema {number}: "
            "a newer xfer wrote it; use that release, or restore a backup made before the upgrade"
        )
    if number < target:
        what = f"schema {number}" if number else "an empty database"
        raise JournalSchemaError(
            f"expected a journal of schema {target}, got {what}: "
            "start `xfer serve` once with it, which brings it up to date"
        )


def climb(conn: Connection, target: int = tables.SCHEMA, steps: Mapping[int, Step] = STEPS) -> None:
    """Bring the database to schema `target`, within the caller's writing transaction."""
    number = version_of(conn)
    if number == 0:
        tables.metadata.create_all(conn)
        conn.execute(
            tables.meta.insert(),
            [
                {"name": "schema", "value": target},
                {"name": "next_version", "value": 1},
                {"name": "next_block", "value": 1},
            ],
        )
        return
    while number < target:
        steps[number](conn)
        number += 1
        conn.execute(
            tables.meta.update().where(tables.meta.c.name == "schema").values(value=number)
        )
    check(number, target)
