"""Jobs that begin runs of workflows, or let them go on."""

from api.runtime import Runtime
from api.services import flow_resumption, trigger_runs
from api.services.jobs import Job, Lease
from api.tasks.registry import task


@task(Job.RESUME_RUN)
def resume_run(runtime: Runtime, lease: Lease) -> None:
    """Let a run go on whose forms were answered, or expired."""
    flow_resumption.resume(runtime, lease)


@task(Job.RUN_TRIGGER)
def run_trigger(runtime: Runtime, lease: Lease) -> None:
    """Begin the run of a schedule that is due."""
    trigger_runs.run_schedule(runtime, lease)
