"""Tables: SQL over CSV, and what is in its columns.

A table lives in memory for one call. SQL may only read it: the database is told
so, and whatever else it could do (files, other tables) is refused by its authorizer.
"""

import csv
import io
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from slipway_plugin import Call, ToolFailed, serve

MAX_COLUMNS = 500
MAX_SHOWN_CHARS = 200
FREQUENT = 5
EXACT = 2**53
"""Larger whole numbers are not told exactly in JSON; they are codes, most of the time."""
READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)

Value = int | float | str | None


def query(call: Call) -> Iterator[object]:
    """Yield the rows that SQL gives, as a Markdown table and as objects."""
    columns, rows = _read(call.arguments["csv"])
    most = int(call.arguments.get("max_rows") or 100)
    database = sqlite3.connect(":memory:")
    names = ", ".join(_quoted(name) for name in columns)
    database.execute(f"CREATE TABLE t ({names})")
    places = ", ".join("?" * len(columns))
    database.executemany(f"INSERT INTO t VALUES ({places})", rows)  # noqa: S608  # nothing but question marks
    database.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY
    )
    try:
        cursor = database.execute(call.arguments["sql"])
        found = cursor.fetchmany(most + 1)
    except (sqlite3.Error, sqlite3.Warning) as exc:
        raise ToolFailed(f"The query cannot be run: {exc}. The columns are: {', '.join(columns)}.") from exc
    if cursor.description is None:
        raise ToolFailed("The query is no SELECT.")
    names_found = _distinct([str(column[0]) for column in cursor.description])
    shown = [tuple(map(_plain, row)) for row in found[:most]]
    yield _markdown(names_found, shown)
    yield {
        "columns": names_found,
        "rows": [dict(zip(names_found, row, strict=True)) for row in shown],
        "is_cut": len(found) > most,
    }


def summarise(call: Call) -> Iterator[object]:
    """Yield what is in each column, as a Markdown table and as objects."""
    columns, rows = _read(call.arguments["csv"])
    told = [_summary(name, [row[place] for row in rows]) for place, name in enumerate(columns)]
    heads = ["column", "type", "missing", "different", "min", "max", "mean", "frequent"]
    lines = [
        tuple(
            ", ".join(f"{each['value']} ({each['count']})" for each in column[head])
            if head == "frequent"
            else column[head]
            for head in heads
        )
        for column in told
    ]
    yield f"{len(rows)} rows\n\n{_markdown(heads, lines)}"
    yield {"rows": len(rows), "columns": told}


def _read(text: str) -> tuple[list[str], list[tuple[Value, ...]]]:
    """Return the names of the columns, and the rows, as long as these."""
    text = text.lstrip("\ufeff").strip("\r\n")
    head = text.partition("\n")[0]
    delimiter = max(",;\t|", key=head.count)
    try:
        lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if line]
    except csv.Error as exc:
        raise ToolFailed(f"The table cannot be read: {exc}.") from exc
    if len(lines) < 2:
        raise ToolFailed("The table has no rows; its first line names the columns.")
    columns = _distinct([name.strip() or f"column {place}" for place, name in enumerate(lines[0], 1)])
    if len(columns) > MAX_COLUMNS:
        raise ToolFailed(f"The table has more than {MAX_COLUMNS} columns.")
    width = len(columns)
    return columns, [tuple(_value(cell) for cell in (line + [""] * width)[:width]) for line in lines[1:]]


def _value(cell: str) -> Value:
    """Return a cell as the number it is, if it is one; an empty one is missing."""
    text = cell.strip()
    if not text:
        return None
    if (text[0] == "0" and text[1:2].isdigit()) or text[0] == "+":
        return text  # a code or a telephone number, whose digits count
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number) or "_" in text:
        return text
    if text.lstrip("-").isdigit():
        return int(text) if abs(number) < EXACT else text
    return number


def _summary(name: str, values: list[Value]) -> dict[str, Any]:
    there = [value for value in values if value is not None]
    numbers = [value for value in there if not isinstance(value, str)]
    is_number = bool(numbers) and len(numbers) == len(there)
    return {
        "column": name,
        "type": "number" if is_number else "text" if there else "empty",
        "missing": len(values) - len(there),
        "different": len(set(there)),
        "min": min(numbers) if is_number else None,
        "max": max(numbers) if is_number else None,
        "mean": round(fmean(numbers), 6) if is_number else None,
        "frequent": [
            {"value": _plain(value), "count": count} for value, count in Counter(there).most_common(FREQUENT)
        ],
    }


def _distinct(names: list[str]) -> list[str]:
    """Return names of which no two are the same, whatever their case."""
    taken: set[str] = set()
    found = []
    for name in names:
        number, free = 2, name
        while free.lower() in taken:
            number, free = number + 1, f"{name} {number}"
        taken.add(free.lower())
        found.append(free)
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(value: object) -> Value:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value  # type: ignore[return-value]


def _markdown(heads: list[str], rows: list[tuple[Value, ...]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text.replace("|", "\\|").replace("\r", " ").replace("\n", " ")[:MAX_SHOWN_CHARS]


if __name__ == "__main__":
    csv.field_size_limit(10**7)
    serve({"query": query, "summarise": summarise})
