"""Jobs that remove what a deletion left behind."""

from api.runtime import Runtime
from api.services import app_purge
from api.services.jobs import Job, Lease
from api.tasks.registry import task


@task(Job.PURGE_APP)
def purge_app(runtime: Runtime, lease: Lease) -> None:
    """Remove what a deleted app left."""
    app_purge.purge_app(runtime, lease.tenant_id, str(lease.payload["app_id"]))
