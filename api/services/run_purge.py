"""Removes what runs of workflows left when it has been kept long enough, in bounded batches.

Each call does a while's work and leaves the rest to the next; each step may be
cut off and repeated, also by two workers at once. Files go before the rows that
know where they lie.
"""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, select
from sqlalchemy.orm import Session

from api.models.base import utc_now
from api.models.workflow import HumanInputForm, NodeExecution, WorkflowRun, WorkflowSnapshot
from api.runtime import Runtime
from api.services import log_blocks

ROWS_PER_BATCH = 500
WORK_S = 20.0
UNFINISHED = ("running", "paused")
SNAPSHOT_USE = timedelta(days=1)
"""How much later than its row says a snapshot may have been used (flow_rows.keep_snapshot)."""


def purge_old_runs(runtime: Runtime) -> None:
    """Remove runs that began before WORKFLOW_LOG_RETENTION_DAYS, with what their nodes did and asked.

    Runs that have not ended stay. Snapshots of drafts go when no run began with
    them for as long.
    """
    days = runtime.limits.workflow_log_retention_days
    if not days:
        return
    before, deadline = utc_now() - timedelta(days=days), time.monotonic() + WORK_S
    for step in (_purge_runs, _purge_single_nodes, _purge_snapshots):
        while step(runtime, before):
            if time.monotonic() > deadline:
                return


def purge_executions(runtime: Runtime, *where: ColumnElement[bool]) -> bool:
    """Remove one batch of what nodes did, and the files of it; False when there was nothing left."""
    with runtime.transaction() as session:
        query = select(NodeExecution.id, NodeExecution.kept_at).where(*where).limit(ROWS_PER_BATCH)
        found = session.execute(query).all()
    for row in found:
        if row.kept_at is not None:
            runtime.storage.delete(row.kept_at)
    if found:
        with runtime.transaction() as session:
            _delete(session, NodeExecution, [row.id for row in found])
    return bool(found)


def _purge_runs(runtime: Runtime, before: datetime) -> bool:
    """Remove one batch of runs, what their nodes did first."""
    is_over = (WorkflowRun.created_at < before, WorkflowRun.status.not_in(UNFINISHED))
    with runtime.transaction() as session:
        query = select(WorkflowRun.id, WorkflowRun.app_id, WorkflowRun.created_at).where(*is_over)
        found = session.execute(query.limit(ROWS_PER_BATCH)).all()
    ids = [row.id for row in found]
    while ids and purge_executions(runtime, NodeExecution.workflow_run_id.in_(ids)):
        pass
    with runtime.transaction() as session:
        session.execute(
            delete(HumanInputForm)
            .where(HumanInputForm.workflow_run_id.in_(ids))
            .execution_options(synchronize_session=False)
        )
        log_blocks.note_deletion(session, "workflow_runs", [(row.app_id, row.created_at) for row in found])
        _delete(session, WorkflowRun, ids)
    return bool(ids)


def _purge_single_nodes(runtime: Runtime, before: datetime) -> bool:
    """Remove one batch of nodes that were run alone."""
    return purge_executions(
        runtime, NodeExecution.created_at < before, NodeExecution.workflow_run_id.is_(None)
    )


def _purge_snapshots(runtime: Runtime, before: datetime) -> bool:
    """Remove one batch of snapshots no run began with since, and none that has not ended."""
    waits = exists().where(
        and_(
            WorkflowRun.status.in_(UNFINISHED),
            WorkflowRun.app_id == WorkflowSnapshot.app_id,
            WorkflowRun.graph_hash == WorkflowSnapshot.hash,
        )
    )
    old = select(WorkflowSnapshot.id).where(WorkflowSnapshot.created_at < before - SNAPSHOT_USE, ~waits)
    with runtime.transaction() as session:
        ids = session.scalars(old.limit(ROWS_PER_BATCH)).all()
        _delete(session, WorkflowSnapshot, ids)
    return bool(ids)


def _delete(
    session: Session, table: type[NodeExecution | WorkflowRun | WorkflowSnapshot], ids: Iterable[str]
) -> None:
    session.execute(delete(table).where(table.id.in_(list(ids))).execution_options(synchronize_session=False))
