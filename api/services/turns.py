"""Whose job is next: a wake-up names one that waits, and a workspace with fewer jobs running goes first.

What must stay true: however many jobs a workspace asks for, another's next job
is no further away than the end of one that runs, or the next step of one that
had its turn; and no place stays empty while a job waits.
"""

import time
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import CTE, ColumnElement, ScalarSelect, Select, and_, bindparam, func, literal, or_, select

from api.models.base import utc_now
from api.models.types import Id, UTCDateTime
from api.runtime import Runtime
from api.services.jobs import JOBS, Lease, Postpone

# Statements are built once: each wake-up needs two of them.
QUEUE = bindparam("of_queue", type_=JOBS.c.queue.type)
NOW = bindparam("now", type_=UTCDateTime())
SINCE = bindparam("since", type_=UTCDateTime())
_IS_LIVE = and_(JOBS.c.failed_at.is_(None), JOBS.c.run_at <= SINCE)
IS_DUE = (and_(_IS_LIVE, JOBS.c.leased_until.is_(None)), and_(_IS_LIVE, JOBS.c.leased_until < NOW))
"""When a job may be run, each a look into the index: it is free, or its worker died."""


def _tenants() -> CTE:
    """Return the workspaces with jobs of the queue, each found from the one before it, then None."""
    first = select(JOBS.c.tenant_id).where(JOBS.c.queue == QUEUE, JOBS.c.failed_at.is_(None))
    ordered = first.order_by(JOBS.c.tenant_id).limit(1)
    known = select(ordered.scalar_subquery().label("tenant_id")).cte(recursive=True)
    following = ordered.where(JOBS.c.tenant_id > known.c.tenant_id).scalar_subquery()
    return known.union_all(select(following).where(known.c.tenant_id.is_not(None)))


def _running(tenant_id: ColumnElement[str]) -> ScalarSelect[int]:
    """Return how many jobs of the queue run for a workspace, in the whole installation."""
    return (
        select(func.count())
        .where(
            JOBS.c.queue == QUEUE,
            JOBS.c.failed_at.is_(None),
            JOBS.c.tenant_id == tenant_id,
            JOBS.c.leased_until >= NOW,
        )
        .scalar_subquery()
    )


def _waiting() -> Select[str, int]:
    """Return the workspaces that have jobs of the queue which are due since an instant."""
    tenants = _tenants()
    # In order, and not EXISTS: for the others PostgreSQL would read all jobs.
    of_tenant = select(literal(1)).where(JOBS.c.queue == QUEUE, JOBS.c.tenant_id == tenants.c.tenant_id)
    one = of_tenant.order_by(JOBS.c.run_at).limit(1)
    is_waiting = [one.where(is_due).scalar_subquery().is_not(None) for is_due in IS_DUE]
    return select(tenants.c.tenant_id, _running(tenants.c.tenant_id)).where(or_(*is_waiting))


def _oldest() -> list[Select[str]]:
    """Return the job of a workspace that is due the longest; one whose worker died comes last."""
    of_tenant = select(JOBS.c.id).where(JOBS.c.queue == QUEUE, JOBS.c.tenant_id == bindparam("tenant_id"))
    return [of_tenant.where(is_due).order_by(JOBS.c.run_at).limit(1) for is_due in IS_DUE]


NAMED = select(JOBS.c.tenant_id, JOBS.c.queue).where(JOBS.c.id == bindparam("job_id"), or_(*IS_DUE))
WAITING = _waiting()
OLDEST = _oldest()
OWN = select(_running(bindparam("tenant_id", type_=Id)))


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
    at = {"now": now, "since": now}
    with runtime.autocommit() as connection:
        named = connection.execute(NAMED, {**at, "job_id": job_id}).one_or_none()
        if named is None:
            return None
        at_queue = {**at, "of_queue": named.queue}
        waiting = [_Waits(*row) for row in connection.execute(WAITING, at_queue)]
        if not waiting:
            return None
        next_one = min(waiting, key=lambda each: (each.running, _served_at(runtime, named.queue, each)))
        runtime.memory.put(Served(named.queue, next_one.tenant_id), time.monotonic())
        if next_one.tenant_id == named.tenant_id:
            return Turn(job_id, named.queue)
        of_tenant = {**at_queue, "tenant_id": next_one.tenant_id}
        oldest = next(filter(None, (connection.scalar(query, of_tenant) for query in OLDEST)), None)
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
    at = {"now": now, "since": now - timedelta(seconds=turn_s), "of_queue": lease.queue}
    with runtime.autocommit() as connection:
        own = connection.scalar(OWN, {**at, "tenant_id": lease.tenant_id})
        waiting = [_Waits(*row) for row in connection.execute(WAITING, at)]
    if any(each.running < (own or 0) for each in waiting if each.tenant_id != lease.tenant_id):
        raise Postpone(0.0, "The job goes on after one of another workspace.")


def _served_at(runtime: Runtime, queue: str, waits: _Waits) -> float:
    return runtime.memory.get(Served(queue, waits.tenant_id)) or 0.0
