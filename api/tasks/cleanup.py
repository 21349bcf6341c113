"""Jobs that remove what a deletion left behind."""

from api.runtime import Runtime
from api.services import app_purge, jobs, workspace_deletion
from api.services.jobs import REMOVALS, Job, Lease
from api.tasks.registry import run_job, task
from api.tasks.schedule import PURGES


def purge_now(runtime: Runtime) -> int:
    """Remove what the schedule removes in time; return how many removals failed, now or before."""
    for _, purge in PURGES:
        purge(runtime)
    while True:
        with runtime.reading() as session:
            job_id = jobs.find_due(session, REMOVALS)
            if job_id is None:
                return jobs.count_failed(session, REMOVALS)
        run_job(runtime, job_id)


@task(Job.PURGE_APP)
def purge_app(runtime: Runtime, lease: Lease) -> None:
    """Remove what a deleted app left."""
    app_purge.purge_app(runtime, lease.tenant_id, str(lease.payload["app_id"]))


@task(Job.PURGE_WORKSPACE)
def purge_workspace(runtime: Runtime, lease: Lease) -> None:
    """Remove what a deleted workspace left."""
    workspace_deletion.purge_workspace(runtime, lease)
