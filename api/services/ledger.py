"""The ledger: what models took, by key, end user, app or dataset, model and day, to the token.

Every call of a model is added up by the tally of whoever made it (core/model_runtime
does that, in one place). Those of a run are added to the ledger with the statements
that end the run, so that either both are written or neither; on PostgreSQL that is
the same statement. So are those of a search with what notes it. All others are
added as they end.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, Update, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from api.core.model_runtime.metering import Spent, Tab
from api.errors import Unavailable
from api.models.base import Base, new_id, utc_now
from api.models.prepared import run_prepared
from api.models.types import joins_inserts
from api.models.usage import NOBODY, UsageDay
from api.principal import Principal
from api.runtime import Runtime

logger = logging.getLogger(__name__)

USAGE = Base.metadata.tables["usage_days"]
KEYS = ("tenant_id", "day", "app_id", "key_id", "actor_id", "provider", "model", "currency")
SUMS = ("calls", "prompt_tokens", "completion_tokens", "total_price")
STORE_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
Statement = TypeVar("Statement", Insert, Update)
PREFIX = "spent_"  # sets the ledger's parameters apart from those of the statement it is joined with


@dataclass(kw_only=True)
class Tally:
    """Whose calls of models are, and what of them is not in the ledger yet: a Book.

    At most one of ``app_id`` and ``dataset_id`` is set. Calls of a run or a search
    ``wait`` for the statement that ends it, which takes them by ``settled``; the
    others, and what ends after that, are written at once.
    """

    runtime: Runtime
    tenant_id: str
    app_id: str | None = None
    dataset_id: str | None = None
    actor_id: str | None = None
    key_id: str | None = None
    wait: bool = False
    tab: Tab = field(default_factory=Tab)

    def add(self, entries: Iterable[Spent]) -> None:
        """Take in calls. Where the database is away they are written later, for some ten minutes."""
        spent = tuple(entries)
        for one in spent:
            self.runtime.metrics.count_tokens(one.prompt_tokens, one.completion_tokens)
        self.tab.add(spent)
        if not self.wait:
            self._write_soon()

    def end(self) -> None:
        """Write what ended beside the run or after it, and from now on everything at once."""
        self.wait = False
        self._write_soon()

    def to_row(self, spent: Spent) -> dict[str, Any]:
        """Return the row that one model's part is added by."""
        now = utc_now()
        row = {
            "id": new_id(),
            "created_at": now,
            "tenant_id": self.tenant_id,
            "day": now.date(),
            "app_id": self.app_id or self.dataset_id or NOBODY,
            "is_dataset": self.dataset_id is not None,
            "key_id": self.key_id or NOBODY,
            "actor_id": self.actor_id or NOBODY,
            "provider": spent.ref.provider,
            "model": spent.ref.model,
            "currency": spent.currency,
            "calls": spent.calls,
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "total_price": spent.total_price,
        }
        return {PREFIX + name: value for name, value in row.items()}

    def _write_soon(self) -> None:
        try:
            self._write()
        except Unavailable:
            logger.warning("usage not stored yet", extra={"tenant_id": self.tenant_id})
            threading.Thread(target=self._write_later, name="store-usage", daemon=True).start()

    def _write_later(self) -> None:
        for pause_s in STORE_AGAIN_S:
            time.sleep(pause_s)
            try:
                self._write()
            except Unavailable:
                continue
            return
        logger.error("usage not stored", extra={"tenant_id": self.tenant_id})

    def _write(self) -> None:
        with settled(self) as rows:
            if rows:
                with self.runtime.writing() if len(rows) > 1 else self.runtime.autocommit() as connection:
                    add(connection, rows)


@contextmanager
def settled(tally: Tally | None) -> Iterator[tuple[Mapping[str, Any], ...]]:
    """Give the rows a run adds to the ledger; where that fails they stay with its tally."""
    taken = () if tally is None else tally.tab.take()
    try:
        yield () if tally is None else tuple(tally.to_row(spent) for spent in taken)
    except BaseException:
        if tally is not None:
            tally.tab.add(taken)
        raise


def _adding(insert: Any) -> Any:
    """Return a dialect's statement that adds one row to what there is."""
    names = ("id", "created_at", "is_dataset", *KEYS, *SUMS)
    values = {name: bindparam(PREFIX + name, type_=USAGE.c[name].type) for name in names}
    made = insert(USAGE).values(values)
    sums = {name: USAGE.c[name] + made.excluded[name] for name in SUMS}
    return made.on_conflict_do_update(index_elements=KEYS, set_=sums)


# Built once: every run's end uses one of these.
_ADD_POSTGRES: Insert = _adding(postgresql.insert)
_ADD_SQLITE: Insert = _adding(sqlite.insert)


def is_one_statement(engine: Engine, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether :func:`write_with` takes one statement for these rows."""
    return not rows or (len(rows) == 1 and joins_inserts(engine))


def write_with(
    connection: Connection, statement: Statement, values: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Run a statement, such as the one that ends a run, and add what was taken to the ledger."""
    if len(rows) == 1 and joins_inserts(connection):
        run_prepared(connection, _joined(statement), {**values, **rows[0]})
        return
    run_prepared(connection, statement, values)
    add(connection, rows)


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to the ledger, in their order, which is the same for all who add."""
    statement = _ADD_POSTGRES if joins_inserts(connection) else _ADD_SQLITE
    for row in rows:
        run_prepared(connection, statement, row)


@lru_cache(maxsize=16)
def _joined(statement: Statement) -> Statement:
    return statement.add_cte(_ADD_POSTGRES.cte("ledger"))


# -- shown ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which rows to show: of days from ``start`` to ``end``, both included, of one app, of one dataset."""

    start: date | None = None
    end: date | None = None
    app_id: str | None = None
    dataset_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """A row of the ledger; None is what the calls had none of."""

    day: date
    app_id: str | None
    dataset_id: str | None
    key_id: str | None
    actor_id: str | None
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
    for chosen_id, is_dataset in ((chosen.app_id, False), (chosen.dataset_id, True)):
        if chosen_id is not None:
            query = query.where(UsageDay.app_id == chosen_id, UsageDay.is_dataset.is_(is_dataset))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    order = (UsageDay.day.desc(), UsageDay.created_at.desc(), UsageDay.id)
    rows = session.scalars(query.order_by(*order).limit(limit).offset((page - 1) * limit))
    return [_to_ledger_row(row) for row in rows], total


def _to_ledger_row(row: UsageDay) -> LedgerRow:
    return LedgerRow(
        day=row.day,
        app_id=None if row.is_dataset else _known(row.app_id),
        dataset_id=row.app_id if row.is_dataset else None,
        key_id=_known(row.key_id),
        actor_id=_known(row.actor_id),
        provider=row.provider,
        model=row.model,
        currency=row.currency,
        calls=row.calls,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        total_price=row.total_price,
    )


def _known(stored_id: str) -> str | None:
    return None if stored_id == NOBODY else stored_id
