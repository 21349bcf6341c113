"""The ledger: what runs took of models, by key, end user, app, model and day, to the token.

A run notes each call of a model on its tab (core/model_runtime/metering.py); its
recorder adds the tab to the ledger with the statements that end the run, so that
either both are written or neither. On PostgreSQL that is the same statement.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Update, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from api.core.model_runtime.metering import Spent, Tab
from api.models.base import Base, new_id, utc_now
from api.models.types import joins_inserts
from api.models.usage import NOBODY, UsageDay
from api.principal import Principal
from api.runtime import Runtime

USAGE = Base.metadata.tables["usage_days"]
KEYS = ("tenant_id", "day", "app_id", "key_id", "actor_id", "provider", "model", "currency")
SUMS = ("calls", "prompt_tokens", "completion_tokens", "total_price")
PREFIX = "spent_"  # sets the ledger's parameters apart from those of the statement it is joined with


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Whose a run is, and the tab of what it takes of models."""

    tenant_id: str
    app_id: str
    actor_id: str
    key_id: str | None = None
    tab: Tab = field(default_factory=Tab)

    def to_row(self, spent: Spent) -> dict[str, Any]:
        """Return the row that one model's part is added by."""
        now = utc_now()
        row = {
            "id": new_id(),
            "created_at": now,
            "tenant_id": self.tenant_id,
            "day": now.date(),
            "app_id": self.app_id,
            "key_id": self.key_id or NOBODY,
            "actor_id": self.actor_id,
            "provider": spent.ref.provider,
            "model": spent.ref.model,
            "currency": spent.currency,
            "calls": spent.calls,
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "total_price": spent.total_price,
        }
        return {PREFIX + name: value for name, value in row.items()}


@contextmanager
def settled(tally: Tally | None) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """Give the rows a run adds to the ledger; where that fails they stay on its tab."""
    taken = () if tally is None else tally.tab.take()
    try:
        yield () if tally is None else tuple(tally.to_row(spent) for spent in taken)
    except BaseException:
        if tally is not None:
            tally.tab.add(taken)
        raise


@contextmanager
def metered(runtime: Runtime, tally: Tally) -> Iterator[Tab]:
    """Give a tab for calls outside of a run; what is on it is added to the ledger, also where they fail."""
    try:
        yield tally.tab
    finally:
        with settled(tally) as rows:
            if rows:
                with runtime.writing() as connection:
                    add(connection, rows)


def _adding(insert: Any) -> Any:
    """Return a dialect's statement that adds one row to what there is."""
    names = ("id", "created_at", *KEYS, *SUMS)
    values = {name: bindparam(PREFIX + name, type_=USAGE.c[name].type) for name in names}
    made = insert(USAGE).values(values)
    sums = {name: USAGE.c[name] + made.excluded[name] for name in SUMS}
    return made.on_conflict_do_update(index_elements=KEYS, set_=sums)


# Built once: every run's end uses one of these.
_ADD_POSTGRES: Insert = _adding(postgresql.insert)
_ADD_SQLITE: Insert = _adding(sqlite.insert)


def is_one_statement(engine: Engine, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether :func:`end_run` takes one statement for these rows."""
    return not rows or (len(rows) == 1 and joins_inserts(engine))


def end_run(
    connection: Connection, end: Update, values: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Run the statement that ends a run, and add what it took to the ledger."""
    if len(rows) == 1 and joins_inserts(connection):
        connection.execute(_joined(end), {**values, **rows[0]})
        return
    connection.execute(end, values)
    add(connection, rows)


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to the ledger, in their order, which is the same for all who add."""
    if rows:
        statement = _ADD_POSTGRES if joins_inserts(connection) else _ADD_SQLITE
        connection.execute(statement, [dict(row) for row in rows])


@lru_cache(maxsize=16)
def _joined(end: Update) -> Update:
    return end.add_cte(_ADD_POSTGRES.cte("ledger"))


# -- shown ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which rows to show: of days from ``start`` to ``end``, both included, of one app."""

    start: date | None = None
    end: date | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """A row of the ledger; ``key_id`` is None where no API key was used."""

    day: date
    app_id: str
    key_id: str | None
    actor_id: str
    provider: str
    model: str
    currency: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    total_price: Decimal


def load_usage(
    session: Session, principal: Principal, chosen: LedgerFilter, *, page: int, limit: int
) -> tuple[list[LedgerRow], int]:
    """Return one page of the ledger of the caller's workspace, newest first, and how many rows it has."""
    query = select(UsageDay).where(UsageDay.tenant_id == principal.tenant_id)
    if chosen.start is not None:
        query = query.where(UsageDay.day >= chosen.start)
    if chosen.end is not None:
        query = query.where(UsageDay.day <= chosen.end)
    if chosen.app_id is not None:
        query = query.where(UsageDay.app_id == chosen.app_id)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    order = (UsageDay.day.desc(), UsageDay.created_at.desc(), UsageDay.id)
    rows = session.scalars(query.order_by(*order).limit(limit).offset((page - 1) * limit))
    return [_to_ledger_row(row) for row in rows], total


def _to_ledger_row(row: UsageDay) -> LedgerRow:
    return LedgerRow(
        day=row.day,
        app_id=row.app_id,
        key_id=None if row.key_id == NOBODY else row.key_id,
        actor_id=row.actor_id,
        provider=row.provider,
        model=row.model,
        currency=row.currency,
        calls=row.calls,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        total_price=row.total_price,
    )
