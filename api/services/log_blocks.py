"""Makes the index of logs (log_index.py), in the background: whole blocks of rows, by their time.

A row is indexed once, when so many have come that they fill a block, and again
only where rows of its block were deleted or had not ended. Every step may be cut
off and repeated, also by two workers at once: a block is written in one
transaction, which only one of them gets through.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, tuple_, update
from sqlalchemy.orm import Session

from api.core.apps.spec import FLOW_MODES, AppMode
from api.core.parallel import give_way
from api.core.text import grams
from api.models.app import App
from api.models.base import utc_now
from api.models.conversation import Message
from api.models.inserts import insert_rows
from api.models.log_index import LOG_GRAMS, LOG_PLACES, PLACES, LogBlock
from api.models.types import insert_for, position_of
from api.models.workflow import NO_TEST, WorkflowRun
from api.runtime import Runtime
from api.services.log_index import TABLES, Kind

WORK_S = 20.0
SETTLE_S = 60.0
"""A row's time is told before it is written: so long after it none may come before another."""
ROWS_PER_READ = 256
INDEX_TIMEOUT_S = 120.0
UNFINISHED = ("running", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """Rows of one kind of an app."""

    tenant_id: str
    app_id: str
    kind: Kind

    @property
    def has(self) -> tuple[ColumnElement[bool] | Any, ...]:
        """The conditions that a row is of this log, as its table's index knows them.

        The app's id alone is one workspace's. Messages of tests are among the others.
        """
        of_app = TABLES[self.kind].app_id == self.app_id
        return (of_app, NO_TEST) if self.kind == "workflow_runs" else (of_app,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row, its time, what stands in it, and whether it may still change."""

    id: str
    at: datetime
    texts: tuple[str, ...]
    is_open: bool


def index_logs(runtime: Runtime) -> None:
    """Make the blocks that are full by now; leaves off after a while."""
    deadline = time.monotonic() + WORK_S
    last = ""
    while True:
        with runtime.reading() as session:
            query = select(App.id, App.tenant_id, App.mode).order_by(App.id).limit(ROWS_PER_READ)
            apps = session.execute(query.where(App.id > last) if last else query).all()
        for app in apps:
            for kind in _kinds(AppMode(app.mode)):
                log = _Log(tenant_id=app.tenant_id, app_id=app.id, kind=kind)
                while _add_block(runtime, log):
                    if time.monotonic() > deadline:
                        return
            give_way()
        if len(apps) < ROWS_PER_READ:
            return
        last = apps[-1].id


def settle_logs(runtime: Runtime) -> None:
    """Make those blocks anew of which rows were deleted or have ended; leaves off after a while."""
    deadline = time.monotonic() + WORK_S
    is_due = (LogBlock.removals != LogBlock.settled) | LogBlock.open.is_not(None)
    last = 0
    while time.monotonic() < deadline:
        with runtime.reading() as session:
            block = session.scalars(
                select(LogBlock).where(is_due, LogBlock.id > last).order_by(LogBlock.id).limit(1)
            ).one_or_none()
        if block is None:
            return
        last = block.id
        _make_anew(runtime, block)


def note_deletion(session: Session, kind: Kind, rows: Iterable[tuple[str, datetime]]) -> None:
    """Have the blocks made anew in which rows are that are deleted now: of each its app, and its time."""
    times: dict[str, list[datetime]] = {}
    for app_id, at in rows:
        times.setdefault(app_id, []).append(at)
    for app_id, deleted in times.items():
        query = select(LogBlock.id, LogBlock.first_at, LogBlock.last_at).where(
            LogBlock.app_id == app_id,
            LogBlock.kind == kind,
            LogBlock.last_at >= min(deleted),
            LogBlock.first_at <= max(deleted),
        )
        touched = [
            row.id
            for row in session.execute(query)
            if any(row.first_at <= at <= row.last_at for at in deleted)
        ]
        if touched:
            session.execute(
                update(LogBlock)
                .where(LogBlock.id.in_(touched))
                .values(removals=LogBlock.removals + 1)
                .execution_options(synchronize_session=False)
            )


def drop_app(runtime: Runtime, tenant_id: str, app_id: str) -> None:
    """Remove the index of an app's logs, block by block."""
    query = select(LogBlock.id).where(LogBlock.tenant_id == tenant_id, LogBlock.app_id == app_id).limit(1)
    while True:
        with runtime.transaction() as session:
            block_id = session.scalar(query)
            if block_id is None:
                return
            _drop(session, block_id)


def _kinds(mode: AppMode) -> tuple[Kind, ...]:
    if mode not in FLOW_MODES:
        return ("messages",)
    return ("workflow_runs",) if mode is AppMode.WORKFLOW else ("messages", "workflow_runs")


def _add_block(runtime: Runtime, log: _Log) -> bool:
    """Make the next block of a log; False where there are too few rows for one."""
    with runtime.reading() as session:
        last = session.scalars(
            select(LogBlock)
            .where(LogBlock.app_id == log.app_id, LogBlock.kind == log.kind)
            .order_by(LogBlock.number.desc())
            .limit(1)
        ).one_or_none()
        ids = _next_ids(session, log, last)
    if not ids:
        return False
    rows = _read_rows(runtime, log, ids)
    if len(rows) < len(ids):  # some were deleted just now: it is begun once more, without them
        return True
    chunks = runtime.offload.call(grams.index, [row.texts for row in rows], timeout_s=INDEX_TIMEOUT_S)
    values = {
        "tenant_id": log.tenant_id,
        "app_id": log.app_id,
        "kind": log.kind,
        "number": 0 if last is None else last.number + 1,
        "first_at": rows[0].at,
        "last_at": rows[-1].at,
        "last_id": rows[-1].id,
        "open": _open_among(rows, {row.id: place for place, row in enumerate(rows)}),
    }
    with runtime.transaction() as session:
        added = (
            insert_for(session)(LogBlock.__table__)
            .values(values)
            .on_conflict_do_nothing(index_elements=["app_id", "kind", "number"])
        )
        block_id = session.scalar(added.returning(LogBlock.id))
        if block_id is not None:  # else another worker has made it
            _write(session, block_id, enumerate(rows), chunks)
    return True


def _next_ids(session: Session, log: _Log, last: LogBlock | None) -> Sequence[str]:
    """Return the ids of the rows behind the last block that fill another one; none where they are too few."""
    table = TABLES[log.kind]
    is_past = table.created_at < utc_now() - timedelta(seconds=SETTLE_S)
    query = select(table.id).where(*log.has, is_past).order_by(table.created_at, table.id)
    if last is not None:
        query = query.where(tuple_(table.created_at, table.id) > position_of(last.last_at, last.last_id))
    if session.scalar(query.offset(PLACES - 1).limit(1)) is None:
        return ()
    return session.scalars(query.limit(PLACES)).all()


def _read_rows(runtime: Runtime, log: _Log, ids: Sequence[str]) -> list[_Row]:
    """Return rows in the order of their ids, without those that are gone."""
    found: dict[str, _Row] = {}
    for start in range(0, len(ids), ROWS_PER_READ):
        with runtime.reading() as session:
            found.update(_load(session, log, ids[start : start + ROWS_PER_READ]))
        give_way()
    return [found[row_id] for row_id in ids if row_id in found]


def _load(session: Session, log: _Log, ids: Sequence[str]) -> Mapping[str, _Row]:
    if log.kind == "messages":
        query = select(Message.id, Message.created_at, Message.status, Message.query, Message.answer)
        query = query.where(Message.id.in_(ids))
    else:
        query = select(WorkflowRun.id, WorkflowRun.created_at, WorkflowRun.status, WorkflowRun.searchable)  # type: ignore[assignment]  # fewer texts
        query = query.where(WorkflowRun.id.in_(ids))
    return {
        row_id: _Row(id=row_id, at=at, texts=tuple(texts), is_open=status in UNFINISHED)
        for row_id, at, status, *texts in session.execute(query)
    }


def _write(
    session: Session, block_id: int, placed: Iterable[tuple[int, _Row]], chunks: Iterable[tuple[str, bytes]]
) -> None:
    """Write what is in a block, in the order of its keys."""
    connection = session.connection()
    places = [{"number": block_id * PLACES + place, "row_id": row.id} for place, row in placed]
    insert_rows(connection, LOG_PLACES, places)
    held = [{"block_id": block_id, "first": first, "chunk": chunk} for first, chunk in chunks]
    insert_rows(connection, LOG_GRAMS, held)


def _make_anew(runtime: Runtime, block: LogBlock) -> None:
    """Make a block of what is left of its rows, which keep their places; none is left of an empty one."""
    log = _Log(tenant_id=block.tenant_id, app_id=block.app_id, kind=block.kind)  # type: ignore[arg-type]  # one of them
    first = block.id * PLACES
    with runtime.reading() as session:
        within = LOG_PLACES.c.number.between(first, first + PLACES - 1)
        place_of = {
            row_id: number - first for number, row_id in session.execute(select(LOG_PLACES).where(within))
        }
    rows = _read_rows(runtime, log, list(place_of))
    if block.removals == block.settled and _open_among(rows, place_of) == block.open:
        return
    texts: list[tuple[str, ...]] = [()] * (max(place_of.values(), default=-1) + 1)
    for row in rows:
        texts[place_of[row.id]] = row.texts
    chunks = runtime.offload.call(grams.index, texts, timeout_s=INDEX_TIMEOUT_S)
    with runtime.transaction() as session:
        claimed = session.execute(
            update(LogBlock)
            .where(
                LogBlock.id == block.id,
                LogBlock.removals == block.removals,
                LogBlock.settled == block.settled,
            )
            .values(settled=block.removals, open=_open_among(rows, place_of))
            .execution_options(synchronize_session=False)
        )
        if not claimed.rowcount:  # type: ignore[attr-defined]  # of a cursor
            return
        _drop(session, block.id, is_kept=bool(rows))
        _write(session, block.id, ((place_of[row.id], row) for row in rows), chunks)


def _drop(session: Session, block_id: int, *, is_kept: bool = False) -> None:
    """Remove what is in a block, and the block itself unless it ``is_kept``."""
    first = block_id * PLACES
    session.execute(delete(LOG_GRAMS).where(LOG_GRAMS.c.block_id == block_id))
    session.execute(delete(LOG_PLACES).where(LOG_PLACES.c.number.between(first, first + PLACES - 1)))
    if not is_kept:
        session.execute(delete(LogBlock).where(LogBlock.id == block_id))


def _open_among(rows: Sequence[_Row], place_of: Mapping[str, int]) -> bytes | None:
    """Return the places of rows that may still change; None where there is none."""
    places = sorted(place_of[row.id] for row in rows if row.is_open)
    return grams.pack(places, PLACES) if places else None
