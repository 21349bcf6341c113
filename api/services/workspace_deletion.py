"""A workspace deleted for good, by the operator: what is small at once, the rest by jobs, in bounded batches.

Its apps and datasets go as those that were deleted one by one (app_purge.py,
dataset_purge.py); accounts stay. Every step may be cut off and repeated. What
something that still ran writes afterwards, ``sweep_deleted_workspaces`` finds.
"""

from collections.abc import Sequence

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.errors import Conflict, NotFound
from api.models.account import Tenant
from api.models.app import App
from api.models.dataset import Dataset
from api.models.document import StoredEmbedding
from api.models.file import UploadFile
from api.models.job import JobRow
from api.models.plugin import PluginInstallation
from api.models.usage import UsageDay
from api.runtime import Runtime
from api.services import tenants
from api.services.access import is_id
from api.services.app_purge import purge_files
from api.services.jobs import REMOVALS, Job, Lease, enqueue_on_commit

ROWS_PER_BATCH = 1000
WORKSPACES_PER_SWEEP = 100

Purged = type[UsageDay | StoredEmbedding]

TABLES: tuple[Purged, ...] = (UsageDay, StoredEmbedding)


def delete_workspace(runtime: Runtime, session: Session, tenant_id: str) -> None:
    """Delete a suspended workspace: nothing begins there that would have to be waited for.

    Raises NotFound, and Conflict for one that is open.
    """
    status = _hold(session, tenant_id.lower()) if is_id(tenant_id) else None
    if status is None:
        raise NotFound(f"There is no workspace {tenant_id!r}.")
    if status != tenants.SUSPENDED:
        raise Conflict("The workspace is open: suspend it first.")
    _order_purges(runtime, session, tenant_id.lower())
    session.execute(
        delete(Tenant).where(Tenant.id == tenant_id.lower()).execution_options(synchronize_session=False)
    )


def purge_workspace(runtime: Runtime, lease: Lease) -> None:
    """Remove the packages of plugins, the files, the ledger and the stored vectors of a deleted workspace."""
    packages = lease.payload["packages"]
    assert isinstance(packages, list), "written so by whoever orders it"
    for key in packages:
        runtime.storage.delete(str(key))
    while purge_files(runtime, UploadFile.tenant_id == lease.tenant_id):
        lease.check()
    for table in TABLES:
        while _purge_rows(runtime, table, lease.tenant_id):
            lease.check()


def sweep_deleted_workspaces(runtime: Runtime) -> int:
    """Order a purge for workspaces that are gone but have rows left; return how many were found."""
    with runtime.transaction() as session:
        found = {tenant_id for table in (UploadFile, *TABLES) for tenant_id in _orphans(session, table)}
        for tenant_id in found:
            enqueue_on_commit(runtime, session, Job.PURGE_WORKSPACE, {"packages": []}, tenant_id=tenant_id)
    return len(found)


def _hold(session: Session, tenant_id: str) -> str | None:
    """Return the status of a workspace, which stays so until the transaction ends; None where it is not."""
    same = update(Tenant).where(Tenant.id == tenant_id).values(status=Tenant.status)
    return session.scalar(same.returning(Tenant.status).execution_options(synchronize_session=False))


def _order_purges(runtime: Runtime, session: Session, tenant_id: str) -> None:
    """Put the removal of all it has in the place of the jobs that wait."""
    waiting = delete(JobRow).where(JobRow.tenant_id == tenant_id, JobRow.name.not_in(REMOVALS))
    session.execute(waiting.execution_options(synchronize_session=False))
    for app_id in session.scalars(select(App.id).where(App.tenant_id == tenant_id)):
        enqueue_on_commit(runtime, session, Job.PURGE_APP, {"app_id": app_id}, tenant_id=tenant_id)
    columns = (Dataset.id, Dataset.collection_id, Dataset.next_collection_id)
    for dataset_id, *collections in session.execute(select(*columns).where(Dataset.tenant_id == tenant_id)):
        payload: JSONObject = {
            "dataset_id": dataset_id,
            "collection_ids": [one for one in collections if one],
        }
        enqueue_on_commit(runtime, session, Job.PURGE_DATASET, payload, tenant_id=tenant_id)
    packages = session.scalars(select(PluginInstallation).where(PluginInstallation.tenant_id == tenant_id))
    kept: JSONObject = {"packages": [package.storage_key for package in packages]}
    enqueue_on_commit(runtime, session, Job.PURGE_WORKSPACE, kept, tenant_id=tenant_id)


def _purge_rows(runtime: Runtime, table: Purged, tenant_id: str) -> bool:
    """Remove one batch; False when there was nothing left."""
    batch = select(table.id).where(table.tenant_id == tenant_id)
    with runtime.transaction() as session:
        ids = session.scalars(batch.limit(ROWS_PER_BATCH)).all()
        if ids:
            session.execute(delete(table).where(table.id.in_(ids)))
    return bool(ids)


def _orphans(session: Session, table: Purged | type[UploadFile]) -> Sequence[str]:
    """Return the ids of workspaces that are gone but have rows in a table."""
    is_gone = ~exists().where(Tenant.id == table.tenant_id)
    return session.scalars(
        select(table.tenant_id).where(is_gone).distinct().limit(WORKSPACES_PER_SWEEP)
    ).all()
