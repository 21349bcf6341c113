"""Whose job is next: a wake-up names one that waits, and a workspace with fewer jobs running goes first.

What must stay true: however many jobs a workspace asks for, another's next job
is no further away than the end of one that runs, or the next step of one that
had its turn; and no place stays empty while a job waits.
"""

import time
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from api.models.base import utc_now
from api.models.job import JobRow
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
    last is the longest ago.
    """
    with runtime.reading() as session:
        named = session.execute(
            select(JobRow.tenant_id, JobRow.queue).where(JobRow.id == job_id, _is_due())
        ).one_or_none()
        if named is None:
            return None
        waiting = _waiting(session, named.queue)
        if not waiting:
            return None
        next_one = min(waiting, key=lambda each: (each.running, _served_at(runtime, named.queue, each)))
        runtime.memory.put(Served(named.queue, next_one.tenant_id), time.monotonic())
        if next_one.tenant_id == named.tenant_id:
            return Turn(job_id, named.queue)
        oldest = session.scalar(
            select(JobRow.id)
            .where(JobRow.queue == named.queue, JobRow.tenant_id == next_one.tenant_id, _is_due())
            .order_by(JobRow.run_at)
            .limit(1)
        )
    return Turn(oldest or job_id, named.queue)


def give_way(runtime: Runtime, lease: Lease) -> None:
    """Raise Postpone where the job had its turn, and one of a workspace that has fewer waits as long as that.

    For jobs that take long: called when a step is written down, so that no work
    is lost and each turn is a step further.
    """
    turn_s = runtime.limits.job_turn_s
    if time.monotonic() - lease.began < turn_s:
        return
    with runtime.reading() as session:
        own = session.scalar(
            select(func.count()).where(
                JobRow.queue == lease.queue, JobRow.tenant_id == lease.tenant_id, _is_running()
            )
        )
        waiting = _waiting(session, lease.queue, for_s=turn_s)
    if any(each.running < (own or 0) for each in waiting if each.tenant_id != lease.tenant_id):
        raise Postpone(0.0, "The job goes on after one of another workspace.")


def _waiting(session: Session, queue: str, *, for_s: float = 0.0) -> list[_Waits]:
    running = func.sum(case((_is_running(), 1), else_=0))
    rows = session.execute(
        select(JobRow.tenant_id, running)
        .where(JobRow.queue == queue, JobRow.failed_at.is_(None))
        .group_by(JobRow.tenant_id)
        .having(func.sum(case((_is_due(for_s), 1), else_=0)) > 0)
    )
    return [_Waits(tenant_id, count) for tenant_id, count in rows]


def _served_at(runtime: Runtime, queue: str, waits: _Waits) -> float:
    return runtime.memory.get(Served(queue, waits.tenant_id)) or 0.0


def _is_running() -> ColumnElement[bool]:
    return and_(JobRow.leased_until.is_not(None), JobRow.leased_until >= utc_now())


def _is_due(for_s: float = 0.0) -> ColumnElement[bool]:
    now = utc_now()
    is_free = or_(JobRow.leased_until.is_(None), JobRow.leased_until < now)
    return and_(JobRow.failed_at.is_(None), JobRow.run_at <= now - timedelta(seconds=for_s), is_free)
