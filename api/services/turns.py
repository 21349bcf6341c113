"""Whose job is next: a wake-up names one that waits, and a workspace with fewer jobs running goes first.

What must stay true: however many jobs a workspace asks for, another's next job
is no further away than the end of one that runs, or the next step of one that
had its turn; and no place stays empty while a job waits.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CTE, ColumnElement, ScalarSelect, and_, func, literal, or_, select
from sqlalchemy.orm import Session

from api.models.base import utc_now
from api.models.job import JobRow
from api.models.types import Id
from api.runtime import Runtime
from api.services.jobs import Lease, Postpone


@dataclass(frozen=True, slots=True)
class Served:
    """Key under which a process remembers when it last gave a workspace a turn in a queue."""

    queue: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The job to run next, and its queue."""

    job_id: str
    queue: str


@dataclass(frozen=True, slots=True)
class _Waits:
    """A workspace with jobs that are due, and how many of its jobs run now."""

    tenant_id: str
    running: int


def whose_turn(runtime: Runtime, job_id: str) -> Turn | None:
    """Return the job to run for a wake-up; None where the job it names runs, is not due, or is done.

    It is the named one, unless a workspace of which fewer jobs of that queue run
    has one that is due; of those with equally many it is that one's turn whose
    last is the longest ago. Cheap however many jobs wait: it looks once at each
    workspace.
    """
    now = utc_now()
    with runtime.reading() as session:
        named = session.execute(
            select(JobRow.tenant_id, JobRow.queue).where(JobRow.id == job_id, or_(*_is_due(now)))
        ).one_or_none()
        waiting = _waiting(session, named.queue, now) if named is not None else []
        if named is None or not waiting:
            return None
        next_one = min(waiting, key=lambda each: (each.running, _served_at(runtime, named.queue, each)))
        runtime.memory.put(Served(named.queue, next_one.tenant_id), time.monotonic())
        if next_one.tenant_id == named.tenant_id:
            return Turn(job_id, named.queue)
        oldest = _oldest(session, named.queue, next_one.tenant_id, now)
    return Turn(oldest or job_id, named.queue)


def give_way(runtime: Runtime, lease: Lease) -> None:
    """Raise Postpone where the job had its turn, and one of a workspace that has fewer waits as long as that.

    For jobs that take long: called when a step is written down, so that no work
    is lost and each turn is a step further.
    """
    turn_s = runtime.limits.job_turn_s
    if time.monotonic() - lease.began < turn_s:
        return
    now = utc_now()
    with runtime.reading() as session:
        own = session.scalar(select(_running(lease.queue, literal(lease.tenant_id, Id), now)))
        waiting = _waiting(session, lease.queue, now, since=now - timedelta(seconds=turn_s))
    if any(each.running < (own or 0) for each in waiting if each.tenant_id != lease.tenant_id):
        raise Postpone(0.0, "The job goes on after one of another workspace.")


def _waiting(session: Session, queue: str, now: datetime, *, since: datetime | None = None) -> list[_Waits]:
    """Return the workspaces that have jobs of a queue which are due since an instant."""
    tenants = _tenants(queue)
    # In order, and not EXISTS: for the others PostgreSQL would read all jobs.
    of_tenant = select(literal(1)).where(JobRow.queue == queue, JobRow.tenant_id == tenants.c.tenant_id)
    one = of_tenant.order_by(JobRow.run_at).limit(1)
    is_waiting = [one.where(due).scalar_subquery().is_not(None) for due in _is_due(now, since or now)]
    rows = session.execute(
        select(tenants.c.tenant_id, _running(queue, tenants.c.tenant_id, now)).where(or_(*is_waiting))
    )
    return [_Waits(tenant_id, count) for tenant_id, count in rows]


def _tenants(queue: str) -> CTE:
    """Return the workspaces with jobs of a queue, each found from the one before it, then None."""
    first = select(JobRow.tenant_id).where(JobRow.queue == queue, JobRow.failed_at.is_(None))
    ordered = first.order_by(JobRow.tenant_id).limit(1)
    known = select(ordered.scalar_subquery().label("tenant_id")).cte(recursive=True)
    following = ordered.where(JobRow.tenant_id > known.c.tenant_id).scalar_subquery()
    return known.union_all(select(following).where(known.c.tenant_id.is_not(None)))


def _running(queue: str, tenant_id: ColumnElement[str], now: datetime) -> ScalarSelect[int]:
    """Return how many jobs of a queue run for a workspace, in the whole installation."""
    return (
        select(func.count())
        .where(
            JobRow.queue == queue,
            JobRow.failed_at.is_(None),
            JobRow.tenant_id == tenant_id,
            JobRow.leased_until >= now,
        )
        .scalar_subquery()
    )


def _oldest(session: Session, queue: str, tenant_id: str, now: datetime) -> str | None:
    """Return the job of a workspace that is due the longest; one whose worker died comes last."""
    of_tenant = select(JobRow.id).where(JobRow.queue == queue, JobRow.tenant_id == tenant_id)
    found = (
        session.scalar(of_tenant.where(is_due).order_by(JobRow.run_at).limit(1)) for is_due in _is_due(now)
    )
    return next(filter(None, found), None)


def _served_at(runtime: Runtime, queue: str, waits: _Waits) -> float:
    return runtime.memory.get(Served(queue, waits.tenant_id)) or 0.0


def _is_due(now: datetime, since: datetime | None = None) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return when a job may be run, each a look into the index: it is free, or its worker died."""
    is_live = and_(JobRow.failed_at.is_(None), JobRow.run_at <= (since or now))
    return and_(is_live, JobRow.leased_until.is_(None)), and_(is_live, JobRow.leased_until < now)
