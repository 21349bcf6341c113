"""Removes what a deleted dataset leaves in the large tables, the storage and the stores, in bounded batches.

Every step may be cut off and repeated, also by two workers at once. Documents
go first: from then on no indexing job can write (index_rows.py), so what is
removed after them stays removed. A search that was going when its dataset was
deleted may still write itself down; ``sweep_deleted_datasets`` finds that.
"""

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.models.dataset import Dataset
from api.models.document import ChildChunk, DatasetQuery, Document, Segment
from api.models.file import UploadFile
from api.runtime import Runtime
from api.services import document_files, turns
from api.services.jobs import Job, Lease, enqueue_on_commit

ROWS_PER_BATCH = 500
DATASETS_PER_SWEEP = 100

Purged = type[ChildChunk] | type[Segment] | type[DatasetQuery]

TABLES: tuple[Purged, ...] = (ChildChunk, Segment, DatasetQuery)


def purge_dataset(runtime: Runtime, lease: Lease) -> None:
    """Remove documents with their files, segments, child chunks, queries and collections of a dataset."""
    dataset_id, collections = str(lease.payload["dataset_id"]), lease.payload["collection_ids"]
    assert isinstance(collections, list), "written so by delete_dataset"
    while _purge_documents(runtime, lease.tenant_id, dataset_id):
        lease.check()
        turns.give_way(runtime, lease)
    for table in TABLES:
        while _purge_rows(runtime, table, lease.tenant_id, dataset_id):
            lease.check()
            turns.give_way(runtime, lease)
    for collection in collections:
        runtime.vectors.drop(str(collection))
        runtime.keywords.drop(str(collection))


def sweep_deleted_datasets(runtime: Runtime) -> int:
    """Order a purge for datasets that are gone but have rows left; return how many were found."""
    with runtime.transaction() as session:
        found = {pair for table in (Document, *TABLES) for pair in _orphans(session, table)}
        for tenant_id, dataset_id in found:
            payload: JSONObject = {"dataset_id": dataset_id, "collection_ids": []}
            enqueue_on_commit(runtime, session, Job.PURGE_DATASET, payload, tenant_id=tenant_id)
    return len(found)


def _purge_documents(runtime: Runtime, tenant_id: str, dataset_id: str) -> bool:
    """Remove one batch of documents: first the bytes of their files, then the rows that know of them.

    A file that another document is made of too stays for that one.
    """
    with runtime.reading() as session:
        documents = session.execute(
            select(Document.id, Document.source)
            .where(Document.tenant_id == tenant_id, Document.dataset_id == dataset_id)
            .limit(ROWS_PER_BATCH)
        ).all()
        ids = [row.id for row in documents]
        named = {row.source["upload_file_id"] for row in documents if row.source.get("upload_file_id")}
        named -= document_files.find_shared(session, tenant_id, named, besides=ids)
        files = session.execute(
            select(UploadFile.id, UploadFile.storage_key).where(
                UploadFile.tenant_id == tenant_id, UploadFile.id.in_(named)
            )
        ).all()
    for file in files:
        runtime.storage.delete(file.storage_key)
    with runtime.transaction() as session:
        session.execute(delete(UploadFile).where(UploadFile.id.in_([file.id for file in files])))
        session.execute(delete(Document).where(Document.id.in_(ids)))
    return bool(documents)


def _purge_rows(runtime: Runtime, table: Purged, tenant_id: str, dataset_id: str) -> bool:
    """Remove one batch; False when there was nothing left."""
    batch = select(table.id).where(table.tenant_id == tenant_id, table.dataset_id == dataset_id)
    with runtime.transaction() as session:
        ids = session.scalars(batch.limit(ROWS_PER_BATCH)).all()
        if ids:
            session.execute(delete(table).where(table.id.in_(ids)))
    return bool(ids)


def _orphans(session: Session, table: Purged | type[Document]) -> list[tuple[str, str]]:
    """Return workspace and id of datasets that are gone but have rows in a table."""
    is_gone = ~exists().where(Dataset.id == table.dataset_id)
    query = select(table.tenant_id, table.dataset_id).where(is_gone).distinct()
    return [(row.tenant_id, row.dataset_id) for row in session.execute(query.limit(DATASETS_PER_SWEEP))]
