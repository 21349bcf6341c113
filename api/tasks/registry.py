"""Which function runs which job, and the one way a job is run.

Knows no queue technology. One of the four places where every exception is
caught: a job that raises is put back, and its worker goes on.
"""

import logging
from collections.abc import Callable

from api.logs import request_id
from api.runtime import Runtime
from api.services import jobs
from api.services.jobs import Job, Lease

logger = logging.getLogger(__name__)

Task = Callable[[Runtime, Lease], None]
TASKS: dict[Job, Task] = {}


def task(job: Job) -> Callable[[Task], Task]:
    """Register the function that runs a job; it must bear being run twice."""

    def register(function: Task) -> Task:
        TASKS[job] = function
        return function

    return register


def run_job(runtime: Runtime, job_id: str) -> None:
    """Lease the job and run it; nothing happens when it is done or held by another worker."""
    with runtime.transaction() as session:
        lease = jobs.lease_job(session, job_id)
    if lease is None:
        return
    request_id.set(str(lease.payload.get(jobs.REQUEST_ID) or job_id))
    try:
        TASKS[lease.name](runtime, lease)
    except Exception as exc:
        logger.exception("job failed", extra={"job_id": job_id, "job": lease.name.value})
        with runtime.transaction() as session:
            jobs.fail_job(session, lease, f"{type(exc).__name__}: {exc}")
        return
    with runtime.transaction() as session:
        jobs.finish_job(session, lease)
