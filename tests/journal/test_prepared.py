"""Prepared statements do what Core's execution of them does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select

from xfer.errors import JournalError
from xfer.journal.prepared import Prepared
from xfer.journal.sqlite import OF_A_VALUE, SqliteDatabase
from xfer.journal.tables import meta, metadata

ADD = Prepared(insert(meta))
FIRST = Prepared(select(meta.c.name, meta.c.value).order_by(meta.c.name).limit(1))
NAMED = Prepared(select(meta.c.value).where(meta.c.name == bindparam("wanted")))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase.open(tmp_path / "j.db", writable=True)
    with opened.write("make tables") as conn:
        metadata.create_all(conn)
    yield opened
    opened.close()


def test_rows_one_by_one_and_together(database: SqliteDatabase) -> None:
    with database.write("fill") as conn:
        ADD.run(conn, [{"name": "b", "value": 2}])
        ADD.run(conn, [{"value": 1, "name": "a"}, {"name": "c", "value": 3}])
    with database.read("look") as conn:
        assert FIRST.rows(conn) == [("a", 1)]
        assert NAMED.rows(conn, wanted="c") == [(3,)]
        assert NAMED.rows(conn, wanted="d") == []
        assert conn.execute(select(meta.c.name, meta.c.value)).all() == [
            ("b", 2),
            ("a", 1),
            ("c", 3),
        ]


def test_they_belong_to_the_transaction(database: SqliteDatabase) -> None:
    with pytest.raises(RuntimeError), database.write("fill") as conn:
        ADD.run(conn, [{"name": "a", "value": 1}])
        raise RuntimeError("undo")
    with database.read("look") as conn:
        assert FIRST.rows(conn) == []


def test_what_the_driver_says_of_a_value(database: SqliteDatabase) -> None:
    with (
        pytest.raises(JournalError, match="expected to fill") as caught,
        database.write("fill") as conn,
    ):
        ADD.run(conn, [{"name": "a", "value": 1}, {"name": "a", "value": 2}])
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    assert isinstance(caught.value.__cause__, OF_A_VALUE)


def test_a_parameter_that_is_missing(database: SqliteDatabase) -> None:
    with pytest.raises(KeyError, match="value"), database.write("fill") as conn:
        ADD.run(conn, [{"name": "a"}])
