"""Keeps the lease of a job while it runs, and gives it back when its process ends first.

What must stay true: a lease lives as long as its worker, however long the job
takes, and a worker that lost it (it was paused, or cut off from the database)
learns of it before it can write.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import tuple_, update

from api.errors import Unavailable
from api.models.base import utc_now
from api.models.job import JobRow
from api.runtime import Runtime
from api.services.jobs import Lease, LeaseLost, Postpone, check_lease

logger = logging.getLogger(__name__)

BEATS_PER_LEASE = 3


@contextmanager
def keep_lease(runtime: Runtime, lease: Lease) -> Iterator[None]:
    """Extend the lease, on a thread, until the block ends; set ``lease.cancel`` where it is lost."""
    key = (lease.job_id, lease.attempt)
    is_over = threading.Event()
    runtime.live_jobs[key] = lease.cancel
    threading.Thread(
        target=_beat, args=(runtime, lease, is_over), name=f"lease-{lease.job_id}", daemon=True
    ).start()
    try:
        yield
    finally:
        is_over.set()
        runtime.live_jobs.pop(key, None)


def _beat(runtime: Runtime, lease: Lease, is_over: threading.Event) -> None:
    while not is_over.wait(lease.length_s / BEATS_PER_LEASE):
        try:
            with runtime.transaction() as session:
                check_lease(session, lease)
        except Unavailable:
            continue  # nobody else can take the job either, while the database is away
        except LeaseLost as lost:
            if not is_over.is_set():
                runtime.metrics.count("lease_losses")
                logger.warning("lease lost", extra={"job_id": lease.job_id, "job": lease.name.value})
                lease.cancel.set(lost)
            return


def end_jobs(runtime: Runtime) -> None:
    """Ask the jobs of this process to end where they can go on later."""
    for cancel in list(runtime.live_jobs.values()):
        cancel.set(Postpone(0.0, "The worker is shutting down."))


def give_back(runtime: Runtime) -> None:
    """Give the leases of jobs that did not end back, so that another worker goes on at once.

    What such a job still does is fenced off. Raises Unavailable.
    """
    left = list(runtime.live_jobs)
    if not left:
        return
    with runtime.transaction() as session:
        given = session.execute(
            update(JobRow)
            .where(tuple_(JobRow.id, JobRow.attempt).in_(left), JobRow.leased_until.is_not(None))
            .values(leased_until=None, run_at=utc_now())
            .returning(JobRow.id, JobRow.queue)
        ).all()
    for job_id, queue in given:
        logger.warning("job given back by the shutdown", extra={"job_id": job_id})
        runtime.queue.enqueue(job_id, queue=queue)
