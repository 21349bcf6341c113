"""Work for later: a row written with the change it follows, and the lease under which it is done.

The queue backend only wakes a worker with the row's id, so a lost or repeated
wake-up loses and doubles nothing: whoever holds the lease runs the job, and a
worker whose lease ran out can no longer write its end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from api.core.ports import JSONObject, JSONValue
from api.logs import request_id
from api.models.base import Base, new_id, utc_now
from api.models.job import JobRow
from api.runtime import Runtime, on_commit

INSERT_JOB = Base.metadata.tables["jobs"].insert()
REQUEST_ID = "request_id"
LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 5
BACK_OFF = timedelta(seconds=2)


class Job(StrEnum):
    """Every kind of background work, by name; tasks/registry.py says what each one calls."""

    NAME_CONVERSATION = "name_conversation"
    PURGE_APP = "purge_app"
    PURGE_CONVERSATION = "purge_conversation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to run one attempt of a job until its time is up."""

    job_id: str
    tenant_id: str
    name: Job
    payload: JSONObject
    attempt: int


def enqueue_on_commit(
    runtime: Runtime,
    session: Session,
    job: Job,
    payload: Mapping[str, JSONValue],
    *,
    tenant_id: str,
    queue: str = "default",
) -> None:
    """Write the job with the caller's transaction and wake a worker once that is committed."""
    job_id = new_id()
    now = utc_now()
    row = {
        "id": job_id,
        "tenant_id": tenant_id,
        "created_at": now,
        "name": job.value,
        "queue": queue,
        "payload": {**payload, REQUEST_ID: request_id.get()},
        "run_at": now,
        "attempt": 0,
    }
    session.execute(INSERT_JOB, row)
    on_commit(session, lambda: runtime.queue.enqueue(job_id, queue=queue))


def lease_job(session: Session, job_id: str) -> Lease | None:
    """Take the job for one attempt; None when it is done, not yet due, failed for good or held by another."""
    now = utc_now()
    is_free = or_(JobRow.leased_until.is_(None), JobRow.leased_until < now)
    row = session.execute(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.failed_at.is_(None), JobRow.run_at <= now, is_free)
        .values(leased_until=now + LEASE, attempt=JobRow.attempt + 1)
        .returning(JobRow.tenant_id, JobRow.name, JobRow.payload, JobRow.attempt)
    ).one_or_none()
    if row is None:
        return None
    return Lease(
        job_id=job_id, tenant_id=row.tenant_id, name=Job(row.name), payload=row.payload, attempt=row.attempt
    )


def finish_job(session: Session, lease: Lease) -> None:
    """Remove a job that is done, unless its lease was lost meanwhile."""
    session.execute(delete(JobRow).where(JobRow.id == lease.job_id, JobRow.attempt == lease.attempt))


def fail_job(session: Session, lease: Lease, error: str) -> None:
    """Put a job that raised back for later, with growing pauses; the last attempt fails for good."""
    now = utc_now()
    is_over = lease.attempt >= MAX_ATTEMPTS
    session.execute(
        update(JobRow)
        .where(JobRow.id == lease.job_id, JobRow.attempt == lease.attempt)
        .values(
            leased_until=None,
            last_error=error[:1000],
            run_at=now + BACK_OFF * 2**lease.attempt,
            failed_at=now if is_over else None,
        )
    )


def wake_due_jobs(runtime: Runtime, *, limit: int = 100) -> int:
    """Wake workers for jobs that are due and unheld (lost wake-ups, retries, dead workers)."""
    now = utc_now()
    with runtime.transaction() as session:
        due = session.execute(
            select(JobRow.id, JobRow.queue)
            .where(
                JobRow.failed_at.is_(None),
                JobRow.run_at <= now,
                or_(JobRow.leased_until.is_(None), JobRow.leased_until < now),
            )
            .order_by(JobRow.run_at)
            .limit(limit)
        ).all()
    for job_id, queue in due:
        runtime.queue.enqueue(job_id, queue=queue)
    return len(due)
