"""Removes what a deleted dataset leaves in the large tables, the storage and the stores, in bounded batches.

Every step may be cut off and repeated, also by two workers at once. Documents
go first: from then on no indexing job can write (index_rows.py), so what is
removed after them stays removed.
"""

from sqlalchemy import delete, select

from api.models.document import ChildChunk, DatasetQuery, Document, Segment
from api.models.file import UploadFile
from api.runtime import Runtime
from api.services.jobs import Lease

ROWS_PER_BATCH = 500

Purged = type[ChildChunk] | type[Segment] | type[DatasetQuery]

TABLES: tuple[Purged, ...] = (ChildChunk, Segment, DatasetQuery)


def purge_dataset(runtime: Runtime, lease: Lease) -> None:
    """Remove documents with their files, segments, child chunks, queries and collections of a dataset."""
    dataset_id, collections = str(lease.payload["dataset_id"]), lease.payload["collection_ids"]
    assert isinstance(collections, list), "written so by delete_dataset"
    while _purge_documents(runtime, lease.tenant_id, dataset_id):
        lease.check()
    for table in TABLES:
        while _purge_rows(runtime, table, lease.tenant_id, dataset_id):
            lease.check()
    for collection in collections:
        runtime.vectors.drop(str(collection))
        runtime.keywords.drop(str(collection))


def _purge_documents(runtime: Runtime, tenant_id: str, dataset_id: str) -> bool:
    """Remove one batch of documents: first the bytes of their files, then the rows that know of them."""
    with runtime.reading() as session:
        documents = session.execute(
            select(Document.id, Document.source)
            .where(Document.tenant_id == tenant_id, Document.dataset_id == dataset_id)
            .limit(ROWS_PER_BATCH)
        ).all()
        named = [row.source["upload_file_id"] for row in documents if row.source.get("upload_file_id")]
        files = session.execute(
            select(UploadFile.id, UploadFile.storage_key).where(
                UploadFile.tenant_id == tenant_id, UploadFile.id.in_(named)
            )
        ).all()
    for file in files:
        runtime.storage.delete(file.storage_key)
    with runtime.transaction() as session:
        session.execute(delete(UploadFile).where(UploadFile.id.in_([file.id for file in files])))
        session.execute(delete(Document).where(Document.id.in_([row.id for row in documents])))
    return bool(documents)


def _purge_rows(runtime: Runtime, table: Purged, tenant_id: str, dataset_id: str) -> bool:
    """Remove one batch; False when there was nothing left."""
    batch = select(table.id).where(table.tenant_id == tenant_id, table.dataset_id == dataset_id)
    with runtime.transaction() as session:
        ids = session.scalars(batch.limit(ROWS_PER_BATCH)).all()
        if ids:
            session.execute(delete(table).where(table.id.in_(ids)))
    return bool(ids)
