"""Work for later: a row written with the change it follows, and the lease under which it is done.

The queue backend only wakes a worker with the row's id, so a lost or repeated
wake-up loses and doubles nothing: whoever holds the lease runs the job, and a
worker whose lease was lost can no longer write. services/leases.py keeps a
lease while its job runs.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from api import traces
from api.core.ports import Cancel, JSONObject, JSONValue, Queue
from api.logs import request_id
from api.models.base import Base, new_id, utc_now
from api.models.job import JobRow
from api.runtime import Runtime, on_commit

JOBS = Base.metadata.tables["jobs"]
# Built once: each message that is titled needs all of them.
INSERT_JOB = JOBS.insert()
NEW_JOB = "job_"  # sets the job's parameters apart from those of the statement it is joined with
_KEY = JOBS.c.id == bindparam("job_key")
_NOW = bindparam("now", type_=JOBS.c.run_at.type)
LEASE_JOB = (
    JOBS.update()
    .where(
        _KEY,
        JOBS.c.failed_at.is_(None),
        JOBS.c.run_at <= _NOW,
        or_(JOBS.c.leased_until.is_(None), JOBS.c.leased_until < _NOW),
    )
    .values(
        leased_until=bindparam("until"),
        attempt=JOBS.c.attempt + 1,
        failures=JOBS.c.failures + case((JOBS.c.leased_until.is_(None), 0), else_=1),
    )
    .returning(*(JOBS.c[name] for name in ("tenant_id", "name", "queue", "payload", "attempt", "failures")))
)
FINISH_JOB = JOBS.delete().where(
    _KEY, JOBS.c.attempt == bindparam("held_attempt"), JOBS.c.leased_until.is_not(None)
)
REQUEST_ID = "request_id"
TRACE = "trace"
MAX_ATTEMPTS = 5
BACK_OFF = timedelta(seconds=2)


class Job(StrEnum):
    """Every kind of background work, by name; tasks/registry.py says what each one calls."""

    CRAWL_WEBSITE = "crawl_website"
    FORGET_ENTRIES = "forget_entries"
    IMPORT_ANNOTATIONS = "import_annotations"
    IMPORT_SEGMENTS = "import_segments"
    INDEX_ANNOTATIONS = "index_annotations"
    INDEX_DOCUMENT = "index_document"
    NAME_CONVERSATION = "name_conversation"
    PURGE_APP = "purge_app"
    PURGE_CONVERSATION = "purge_conversation"
    PURGE_DATASET = "purge_dataset"
    PURGE_DOCUMENT = "purge_document"
    PURGE_WORKSPACE = "purge_workspace"
    REBUILD_DATASET = "rebuild_dataset"
    RESUME_RUN = "resume_run"
    RUN_TRIGGER = "run_trigger"
    SEND_MAIL = "send_mail"
    SUMMARIZE_DOCUMENT = "summarize_document"
    SWITCH_ANNOTATIONS = "switch_annotations"
    SYNC_DOCUMENT = "sync_document"


REMOVALS = (
    Job.FORGET_ENTRIES,
    Job.PURGE_APP,
    Job.PURGE_CONVERSATION,
    Job.PURGE_DATASET,
    Job.PURGE_DOCUMENT,
    Job.PURGE_WORKSPACE,
)
"""The jobs that remove what was deleted."""


class LeaseLost(Exception):
    """Another worker may have the job by now: what this one still does must not be stored."""


class WorkerLost(Exception):
    """The job's workers died again and again, so perhaps of the job itself."""


class Postpone(Exception):
    """Raised by a job that wants to be run again ``delay_s`` seconds later, without having failed."""

    def __init__(self, delay_s: float, reason: str) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to run one attempt of a job, for ``length_s`` seconds from when it was last extended.

    ``began`` is a ``time.monotonic()`` instant. ``cancel`` is set when the attempt
    must end early, with LeaseLost or, at a shutdown, with Postpone as its failure. A
    job that takes long looks at it between steps (:meth:`check`) and hands it to what waits.
    """

    job_id: str
    tenant_id: str
    name: Job
    queue: str
    payload: JSONObject
    attempt: int
    failures: int = 0
    length_s: float
    cancel: Cancel = field(default_factory=Cancel, compare=False, repr=False)
    began: float = field(default_factory=time.monotonic, compare=False, repr=False)

    @property
    def is_last(self) -> bool:
        """Whether the job fails for good when this attempt does."""
        return self.failures + 1 >= MAX_ATTEMPTS

    def check(self) -> None:
        """Raise LeaseLost or Postpone where this attempt must end now."""
        if self.cancel.failure is not None:
            raise self.cancel.failure


def enqueue_on_commit(
    runtime: Runtime,
    session: Session,
    job: Job,
    payload: Mapping[str, JSONValue],
    *,
    tenant_id: str,
    queue: Queue = Queue.DEFAULT,
) -> None:
    """Write the job with the caller's transaction and wake a worker once that is committed."""
    row = to_row(job, payload, tenant_id=tenant_id, queue=queue)
    session.execute(INSERT_JOB, row)
    on_commit(session, lambda: runtime.queue.enqueue(row["id"], queue=queue.value))


def to_row(
    job: Job, payload: Mapping[str, JSONValue], *, tenant_id: str, queue: Queue = Queue.DEFAULT
) -> dict[str, Any]:
    """Return the row of a new job. Whoever writes it wakes a worker once it is committed."""
    now = utc_now()
    return {
        "id": new_id(),
        "tenant_id": tenant_id,
        "created_at": now,
        "name": job.value,
        "queue": queue.value,
        "payload": {**payload, REQUEST_ID: request_id.get(), **_trace()},
        "run_at": now,
        "attempt": 0,
        "failures": 0,
    }


def inserted_with(statement: Update) -> Update:
    """Return a statement that writes a job too, its values by their columns' names after NEW_JOB."""
    names = ("id", "tenant_id", "created_at", "name", "queue", "payload", "run_at", "attempt", "failures")
    values = {name: bindparam(NEW_JOB + name, type_=JOBS.c[name].type) for name in names}
    return statement.add_cte(INSERT_JOB.values(values).cte("job"))


def _trace() -> JSONObject:
    """Return how a job goes on with the trace of what asked for it; nothing where there is none."""
    carrier = traces.current.get().carrier()
    return {TRACE: dict(carrier)} if carrier else {}


def lease_job(session: Session | Connection, job_id: str, length_s: float) -> Lease | None:
    """Take the job for one attempt; None when it is done, not yet due, failed for good or held by another.

    A lease that ran out instead of being given back counts as a failure.
    """
    now = utc_now()
    asked = {"job_key": job_id, "now": now, "until": now + timedelta(seconds=length_s)}
    row = session.execute(LEASE_JOB, asked).one_or_none()
    if row is None:
        return None
    return Lease(
        job_id=job_id,
        tenant_id=row.tenant_id,
        name=Job(row.name),
        queue=row.queue,
        payload=row.payload,
        attempt=row.attempt,
        failures=row.failures,
        length_s=length_s,
    )


def check_lease(session: Session, lease: Lease) -> None:
    """Extend the lease, and hold the job's row until the transaction ends; raises LeaseLost.

    Called first in each transaction in which a job writes, it fences off a worker
    whose job another one took meanwhile.
    """
    until = utc_now() + timedelta(seconds=lease.length_s)
    held = session.execute(
        update(JobRow).where(_is_held_by(lease)).values(leased_until=until).returning(JobRow.id)
    ).one_or_none()
    if held is None:
        raise LeaseLost(f"The lease of attempt {lease.attempt} of job {lease.job_id!r} is lost.")


def finish_job(session: Session | Connection, lease: Lease) -> None:
    """Remove a job that is done, unless its lease was lost meanwhile."""
    session.execute(FINISH_JOB, {"job_key": lease.job_id, "held_attempt": lease.attempt})


def fail_job(session: Session, lease: Lease, error: str) -> None:
    """Put a job that raised back for later, with growing pauses; the last attempt fails for good."""
    now = utc_now()
    failures = lease.failures + 1
    session.execute(
        update(JobRow)
        .where(_is_held_by(lease))
        .values(
            leased_until=None,
            failures=failures,
            last_error=error[:1000],
            run_at=now + BACK_OFF * 2**failures,
            failed_at=now if lease.is_last else None,
        )
    )


def postpone_job(runtime: Runtime, session: Session, lease: Lease, postpone: Postpone) -> None:
    """Give the job back, to be run again when it asked for; that is no failure."""
    session.execute(
        update(JobRow)
        .where(_is_held_by(lease))
        .values(
            leased_until=None,
            last_error=str(postpone)[:1000],
            run_at=utc_now() + timedelta(seconds=postpone.delay_s),
        )
    )
    on_commit(
        session, lambda: runtime.queue.enqueue(lease.job_id, queue=lease.queue, delay_s=postpone.delay_s)
    )


def wake_due_jobs(runtime: Runtime, *, limit: int = 100) -> int:
    """Wake workers for jobs that are due and unheld (lost wake-ups, retries, dead workers)."""
    with runtime.transaction() as session:
        due = session.execute(
            select(JobRow.id, JobRow.queue).where(*_is_due(utc_now())).order_by(JobRow.run_at).limit(limit)
        ).all()
    for job_id, queue in due:
        runtime.queue.enqueue(job_id, queue=queue)
    return len(due)


def find_due(session: Session, names: Collection[Job]) -> str | None:
    """Return the id of one of these jobs that is due and unheld, the longest due first; None without any."""
    query = select(JobRow.id).where(JobRow.name.in_(names), *_is_due(utc_now()))
    return session.scalar(query.order_by(JobRow.run_at).limit(1))


def count_failed(session: Session, names: Collection[Job]) -> int:
    """Return how many of these jobs have failed, for good or so far."""
    failed = select(func.count()).select_from(JobRow).where(JobRow.name.in_(names), JobRow.failures > 0)
    return session.scalar(failed) or 0


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    is_free = or_(JobRow.leased_until.is_(None), JobRow.leased_until < now)
    return JobRow.failed_at.is_(None), JobRow.run_at <= now, is_free


def _is_held_by(lease: Lease) -> ColumnElement[bool]:
    """Tell the row whose latest attempt is this lease's, and was not given back."""
    return and_(JobRow.id == lease.job_id, JobRow.attempt == lease.attempt, JobRow.leased_until.is_not(None))
