"""Statements on the path that a NOTIFY waits for: written in Core, run by the driver itself.

SQLAlchemy looks its compiled form up, makes a context and a result for each execution, which takes
several times as long as SQLite takes to run it. These are compiled once a dialect, and take and
give plain values: what Core's types would convert has no place in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.base import Executable


class Prepared:
    """One statement; its parameters are given by name, all of them or those without a default."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def rows(self, conn: Connection, **values: object) -> list[Any]:
        """Run it; all rows as tuples."""
        form = self._form(conn)
        cursor = conn.connection.cursor()
        try:
            cursor.execute(form.text, form.given(values))
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def run(self, conn: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Run it once for each of `rows`."""
        form = self._form(conn)
        cursor = conn.connection.cursor()
        try:
            if len(rows) == 1:
                cursor.execute(form.text, form.given(rows[0]))
            else:
                cursor.executemany(form.text, [form.given(row) for row in rows])
        finally:
            cursor.close()

    def _form(self, conn: Connection) -> _Form:
        form = self._forms.get(conn.dialect.name)
        if form is None:
            form = self._forms[conn.dialect.name] = _Form(self._statement, conn)
        return form


class _Form:
    """The statement in one dialect. names: of its parameters in order; None where it has names."""

    def __init__(self, statement: Executable, conn: Connection) -> None:
        compiled: Any = statement.compile(dialect=conn.dialect)  # type: ignore[attr-defined]
        self.text = str(compiled)
        names: list[str] | None = compiled.positiontup
        self.names = None if names is None else tuple(names)
        self.defaults = {
            name: value for name, value in compiled.params.items() if value is not None
        }

    def given(self, values: Mapping[str, object]) -> Any:
        """The parameters as the driver wants them."""
        if self.defaults:
            values = {**self.defaults, **values}
        if self.names is None:
            return values
        return tuple([values[name] for name in self.names])
