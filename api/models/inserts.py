"""Inserts many rows at once.

SQLite takes them one by one for next to nothing. PostgreSQL's driver would bind
and send each row by itself, at a cost for every value: so there the rows go as
one JSON text, which the database takes apart.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, Insert, Table, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite

ROWS = "rows"
"""The parameter that holds the rows of :func:`from_json`, as :func:`to_recordset` makes it."""

# A NUL, which PostgreSQL keeps in no column, after any number of escaped backslashes.
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, skip_known: bool = False
) -> None:
    """Insert rows of the same keys in one statement; with ``skip_known`` those that are there stay.

    Columns that are not named get what the database has for them: a default
    that only Python knows is not applied. On PostgreSQL, NULs in text are left out.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        statement = from_json(table, tuple(rows[0]), skip_known=skip_known)
        connection.execute(statement, {ROWS: to_recordset(rows)})
    elif skip_known:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))
    else:
        connection.execute(table.insert(), list(rows))


@lru_cache(maxsize=64)
def from_json(table: Table, keys: tuple[str, ...], *, skip_known: bool = False) -> Insert:
    """Return PostgreSQL's INSERT of the rows in the parameter ``rows``; made once, for that takes long."""
    columns = [column(key, table.c[key].type) for key in keys]
    sent = cast(bindparam(ROWS, type_=Text()), postgresql.JSON)
    given = func.json_to_recordset(sent).table_valued(*columns)
    # Told plainly: a name given by the compiler would be another one within a WITH.
    rows = given.render_derived(name="given", with_types=True)
    insert = postgresql.insert(table).from_select(keys, select(*rows.c), include_defaults=False)
    return insert.on_conflict_do_nothing() if skip_known else insert


def to_recordset(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a JSON text for PostgreSQL, without NULs."""
    text = orjson.dumps(rows, default=_to_text)
    if b"\\u0000" in text:
        text = NUL.sub(rb"\1", text)
    return text.decode()


def _to_text(value: object) -> str:
    """Return what orjson does not know as PostgreSQL reads it."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no value of a column")
