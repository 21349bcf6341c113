"""Inserts many rows at once.

SQLite takes them one by one for next to nothing. PostgreSQL's driver would bind
and send each row by itself, at a hundred values of Python for every four rows:
so there the rows go as one JSON text, which the database takes apart.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

# A NUL, which PostgreSQL keeps in no column, after any number of escaped backslashes.
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, skip_known: bool = False
) -> None:
    """Insert rows of the same keys in one statement; with ``skip_known`` those that are there stay.

    Columns that are not named get what the database has for them: a default
    that only Python knows is not applied. NULs in text are left out.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        statement = _from_json(table, tuple(rows[0]), skip_known=skip_known)
        connection.exec_driver_sql(statement, (_to_json(rows),))
    elif skip_known:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))
    else:
        connection.execute(table.insert(), list(rows))


@lru_cache(maxsize=64)
def _from_json(table: Table, keys: tuple[str, ...], *, skip_known: bool) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    names = ", ".join(f'"{key}"' for key in keys)
    typed = ", ".join(f'"{key}" {table.c[key].type.compile(dialect)}' for key in keys)
    ending = "ON CONFLICT DO NOTHING" if skip_known else ""
    return (
        f'INSERT INTO "{table.name}" ({names})'  # noqa: S608  # names of tables and columns, none a user's
        f" SELECT {names} FROM json_to_recordset(%s) AS r({typed}) {ending}"
    )


def _to_json(rows: Sequence[Mapping[str, Any]]) -> str:
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
