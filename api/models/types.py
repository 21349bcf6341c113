"""Column types that behave alike on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    String,
    Text,
    Tuple,
    literal,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

T = TypeVar("T")


class _PostgresId(postgresql.UUID[str]):
    """PostgreSQL's uuid, whose values stay text: the driver reads them so (backends/database.py)."""

    def __init__(self) -> None:
        super().__init__(as_uuid=False)

    def bind_processor(self, dialect: Dialect) -> None:
        """Send the text as it is."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Give the driver's text as it is."""


Id: TypeEngine[str] = String(36).with_variant(_PostgresId(), "postgresql")
"""A lowercase UUID as text; ids are checked before they come here (services/access.py)."""

Json: TypeEngine[Any] = JSON(none_as_null=True)
"""A JSON value, kept as it was written: key order included. None is SQL NULL."""


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC instant with microseconds. Refuses naive values, which have no instant."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite keeps no zone, so it gets none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Return what makes an aware UTC value of the driver's: one call, for lists read many."""
        del coltype
        return _read_text if dialect.name == "sqlite" else _read_instant


def _read_text(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored + "+00:00")


def _read_instant(given: datetime | None) -> datetime | None:
    return None if given is None else given.astimezone(UTC)


class UnixSeconds(FunctionElement[int]):
    """An instant in whole Unix seconds, made by the database: for lists read many, cheaper than by us."""

    type = BigInteger()
    inherit_cache = True


@compiles(UnixSeconds, "sqlite")
def _seconds_of_text(element: UnixSeconds, compiler: SQLCompiler, **kw: Any) -> str:
    # Cut, because SQLite rounds to milliseconds first: a late one would be the next second's.
    instant = compiler.process(element.clauses, **kw)
    return f"CAST(strftime('%s', substr({instant}, 1, 19)) AS INTEGER)"


@compiles(UnixSeconds, "postgresql")
def _seconds_of_instant(element: UnixSeconds, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST(floor(EXTRACT(epoch FROM {compiler.process(element.clauses, **kw)})) AS BIGINT)"


class AsciiLower(FunctionElement[str]):
    """A text with its letters A to Z in lower case: SQLite knows no others, PostgreSQL is thrice as fast."""

    type = Text()
    inherit_cache = True


@compiles(AsciiLower, "sqlite")
def _lower_by_itself(element: AsciiLower, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(AsciiLower, "postgresql")
def _lower_by_bytes(element: AsciiLower, compiler: SQLCompiler, **kw: Any) -> str:
    return f'lower({compiler.process(element.clauses, **kw)} COLLATE "C")'


class Unindexed(FunctionElement[Any]):
    """A column by which SQLite looks for no rows.

    It has no statistics, and would rather read all rows of an app than those of a few hundred ids.
    """

    inherit_cache = True


@compiles(Unindexed, "sqlite")
def _with_plus(element: Unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    return f"+{compiler.process(element.clauses, **kw)}"  # https://sqlite.org/optoverview.html#uplus


@compiles(Unindexed, "postgresql")
def _as_it_is(element: Unindexed, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


def unindexed(column: InstrumentedAttribute[T]) -> ColumnElement[T]:
    """Return a column as it is, by which no rows are looked for; it compares as the column does."""
    return type_coerce(Unindexed(column), column.type)


def contains(column: ColumnElement[str] | InstrumentedAttribute[str], part: str) -> ColumnElement[bool]:
    """Return the condition that a text has a part, whatever the case of its letters A to Z."""
    lowered = "".join(letter.lower() if letter.isascii() else letter for letter in part)
    return AsciiLower(column).contains(lowered, autoescape=True)


def position_of(at: datetime, row_id: str) -> Tuple:
    """Return a place in a list ordered by time and id, typed as its columns are, to compare with them."""
    return tuple_(literal(at, UTCDateTime()), literal(row_id, Id))


def joins_inserts(bind: Connection | Engine) -> bool:
    """Tell whether a database takes two inserts as one statement (``WITH … INSERT``)."""
    return bind.dialect.name == "postgresql"


def insert_for(session: Session) -> Callable[..., postgresql.Insert]:
    """Return the INSERT of the session's database that knows ``ON CONFLICT``; both spell it alike."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert
    return cast("Callable[..., postgresql.Insert]", sqlite.insert)
