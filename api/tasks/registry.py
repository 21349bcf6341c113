"""Which function runs which job, and the one way a job is run.

Knows no queue technology. One of the four places where every exception is
caught: a job that raises is put back, and its worker goes on.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from api import traces
from api.logs import request_id
from api.principal import works_for
from api.runtime import Runtime
from api.services import jobs, leases, turns
from api.services.jobs import MAX_ATTEMPTS, Job, Lease, LeaseLost, Postpone, WorkerLost

logger = logging.getLogger(__name__)

Task = Callable[[Runtime, Lease], None]
GiveUp = Callable[[Runtime, Lease, Exception], None]
TASKS: dict[Job, Task] = {}
GIVE_UPS: dict[Job, GiveUp] = {}


def task(job: Job, *, give_up: GiveUp | None = None) -> Callable[[Task], Task]:
    """Register the function that runs a job; it must bear being run twice.

    ``give_up`` is called with the last error of a job that now fails for good, to
    tell whoever waits for it; it too must bear being run twice.
    """

    def register(function: Task) -> Task:
        TASKS[job] = function
        if give_up is not None:
            GIVE_UPS[job] = give_up
        return function

    return register


def run_woken(runtime: Runtime, job_id: str) -> None:
    """Run a job for a wake-up: the one it names, or first another workspace's whose turn it is."""
    turn = turns.whose_turn(runtime, job_id)
    if turn is None:
        return
    if turn.job_id != job_id:
        runtime.queue.enqueue(job_id, queue=turn.queue)  # its turn comes
    run_job(runtime, turn.job_id)


def run_job(runtime: Runtime, job_id: str) -> None:
    """Lease the job and run it; nothing happens when it is done or held by another worker."""
    with runtime.autocommit() as connection:
        lease = jobs.lease_job(connection, job_id, runtime.limits.job_lease_s)
    if lease is None:
        return
    works_for.set(lease.tenant_id)
    request_id.set(str(lease.payload.get(jobs.REQUEST_ID) or job_id))
    with leases.keep_lease(runtime, lease), _traced(runtime, lease) as span:
        error = _attempt(runtime, lease)
        if error is not None and not isinstance(error, Postpone):
            span.fail(type(error).__name__)
        _conclude(runtime, lease, error)


@contextmanager
def _traced(runtime: Runtime, lease: Lease) -> Iterator[traces.Span]:
    """Have an attempt told as a span, in the trace of what asked for the job."""
    facts = {
        "slipway.job": lease.name.value,
        "slipway.job_id": lease.job_id,
        "slipway.queue": lease.queue,
        "slipway.attempt": lease.attempt,
        "slipway.tenant_id": lease.tenant_id,
        "slipway.request_id": request_id.get(),
    }
    carrier = lease.payload.get(jobs.TRACE)
    named = {name: str(value) for name, value in carrier.items()} if isinstance(carrier, dict) else {}
    begun = runtime.tracer.begin(f"job {lease.name.value}", "consumer", facts, named)
    with traces.ending(begun), traces.within(begun):
        yield begun


def _attempt(runtime: Runtime, lease: Lease) -> Exception | None:
    """Run the job; return how it failed, or why it was ended early."""
    if lease.failures >= MAX_ATTEMPTS:
        return WorkerLost(f"{lease.failures} attempts failed, the last because its worker died.")
    try:
        TASKS[lease.name](runtime, lease)
    except Exception as exc:
        if isinstance(exc, Postpone | LeaseLost) or lease.cancel.failure is not None:
            return lease.cancel.failure or exc
        logger.exception("job failed", extra={"job_id": lease.job_id, "job": lease.name.value})
        return exc
    return None


def _conclude(runtime: Runtime, lease: Lease, error: Exception | None) -> None:
    """Write how the attempt ended; one whose lease was lost writes nothing."""
    if error is not None and not isinstance(error, LeaseLost | Postpone):
        _give_up_if_last(runtime, lease, error)
    if error is None:
        with runtime.autocommit() as connection:
            jobs.finish_job(connection, lease)
        return
    with runtime.transaction() as session:
        match error:
            case LeaseLost():
                pass
            case Postpone():
                jobs.postpone_job(runtime, session, lease, error)
            case _:
                jobs.fail_job(session, lease, f"{type(error).__name__}: {error}")


def _give_up_if_last(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Before the job is marked: a worker that dies in between leaves it to another."""
    if not lease.is_last or lease.name not in GIVE_UPS:
        return
    try:
        GIVE_UPS[lease.name](runtime, lease, error)
    except Exception:
        logger.exception("giving up failed", extra={"job_id": lease.job_id, "job": lease.name.value})
