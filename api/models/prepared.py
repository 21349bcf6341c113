"""Statements that every run makes: compiled once, then given to the driver with their values.

SQLAlchemy finds what it compiled by a statement's parts, and works out its
parameters, each time one runs. For thirty parameters that takes a fifth as long
as all the rest does, the database's answer included.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler

Converter = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as one dialect's driver takes it: its text and its parameters, in their order.

    ``fixed`` are the values the statement itself holds, ``converters`` belong to
    types; where the driver takes parameters by place, ``is_positional`` is set.
    """

    text: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    converters: tuple[tuple[str, Converter], ...]
    is_positional: bool

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any] | tuple[Any, ...]:
        """Return the parameters for the driver; raises KeyError where one has no value."""
        given = {**values, **self.fixed}
        bound = {name: given[name] for name in self.names}
        for name, convert in self.converters:
            bound[name] = convert(bound[name])
        return tuple([bound[name] for name in self.names]) if self.is_positional else bound


def run_prepared(connection: Connection, statement: Insert | Update, values: Mapping[str, Any]) -> None:
    """Run a statement with values by the names of its parameters or of its table's columns.

    As ``Connection.execute`` does, but for statements only that live as long as
    the program, give no rows and leave no value to a default.
    """
    prepared = _prepare(statement, connection.dialect, tuple(values))
    connection.exec_driver_sql(prepared.text, prepared.bind(values))


@lru_cache(maxsize=256)
def _prepare(statement: Insert | Update, dialect: Dialect, names: tuple[str, ...]) -> Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    assert not compiled.prefetch, f"{statement.table} leaves values to defaults"
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    processors = {n: bind.type.dialect_impl(dialect).bind_processor(dialect) for n, bind in binds.items()}
    return Prepared(
        text=str(compiled),
        names=tuple(compiled.positiontup or binds),
        fixed={name: bind.effective_value for name, bind in binds.items() if not bind.required},
        converters=tuple((name, convert) for name, convert in processors.items() if convert is not None),
        is_positional=compiled.positional,
    )
