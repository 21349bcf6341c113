"""Has documents and segments indexed, and takes what was indexed away; the work is done by jobs.

What the stores hold in this database changes with the caller's transaction.
Whatever a store holds beyond that is harmless: a search reads the rows and
returns only what is there, enabled and indexed.
"""

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from api.core.ports import JSONObject, Queue
from api.errors import InvalidRequest
from api.models.base import utc_now
from api.models.dataset import Dataset
from api.models.document import ChildChunk, Document, Segment
from api.runtime import Runtime
from api.services import index_rows, jobs
from api.services.jobs import Job


def request_indexing(runtime: Runtime, session: Session, document: Document) -> None:
    """Have a document indexed, from its beginning or from where it stands, once this is committed."""
    if document.indexing_status != "completed":
        document.indexing_status = "waiting"
    document.error = None
    document.stopped_at = None
    session.flush()
    _enqueue(runtime, session, Job.INDEX_DOCUMENT, document)


def pause(runtime: Runtime, session: Session, document: Document) -> None:
    """Have a document's indexing stop at its next step; raises InvalidRequest unless it is under way."""
    del runtime
    if document.indexing_status not in index_rows.IN_PROGRESS:
        raise InvalidRequest("Only a document that is being indexed can be paused.", fault="invalid_value")
    document.is_paused = True
    document.paused_at = utc_now()
    session.flush()


def resume(runtime: Runtime, session: Session, document: Document) -> None:
    """Have a paused document's indexing go on; raises InvalidRequest unless it is paused."""
    if not document.is_paused:
        raise InvalidRequest("The document is not paused.", fault="invalid_value")
    document.is_paused = False
    document.paused_at = None
    request_indexing(runtime, session, document)


def retry(runtime: Runtime, session: Session, document: Document) -> None:
    """Have a document that failed, or was paused, tried again; nothing happens for any other."""
    if document.indexing_status not in ("error", "paused"):
        return
    document.is_paused = False
    document.paused_at = None
    request_indexing(runtime, session, document)


def restart(runtime: Runtime, session: Session, document: Document) -> None:
    """Have a document whose content was replaced indexed anew, as its next version.

    It is found again when that is complete; what was indexed of it before goes.
    """
    document.version += 1
    document.passages_done = 0
    document.total_segments = document.completed_segments = 0
    document.word_count = document.tokens = 0
    document.is_paused = False
    for step in ("processing_started_at", "parsing_completed_at", "cleaning_completed_at"):
        setattr(document, step, None)
    document.splitting_completed_at = document.completed_at = document.paused_at = None
    document.indexing_status = "waiting"
    request_indexing(runtime, session, document)


def reindex_segments(runtime: Runtime, session: Session, document: Document, ids: Sequence[str]) -> None:
    """Have segments that were made or changed by hand indexed; until then they are not found."""
    session.execute(
        update(Segment)
        .where(Segment.tenant_id == document.tenant_id, Segment.id.in_(ids))
        .values(status="waiting", completed_at=None, error=None)
    )
    _count(session, document)
    _enqueue(runtime, session, Job.INDEX_DOCUMENT, document)


def remove_segments(runtime: Runtime, session: Session, document: Document, ids: Sequence[str]) -> None:
    """Remove segments, their children and what the stores hold of them."""
    session.execute(delete(Segment).where(Segment.tenant_id == document.tenant_id, Segment.id.in_(ids)))
    gone = session.scalars(
        delete(ChildChunk)
        .where(ChildChunk.tenant_id == document.tenant_id, ChildChunk.segment_id.in_(ids))
        .returning(ChildChunk.id)
    ).all()
    remove_entries(runtime, session, document, [*ids, *gone])
    _count(session, document)


def remove_entries(runtime: Runtime, session: Session, document: Document, ids: Sequence[str]) -> None:
    """Remove entries of the stores whose rows are gone or changed; at once, or by a job where that waits."""
    collection = session.scalar(select(Dataset.collection_id).where(Dataset.id == document.dataset_id))
    if collection is None or not ids:
        return
    runtime.keywords.delete(collection, ids=ids, unit=session)
    if runtime.vectors.joins_unit:
        runtime.vectors.delete(collection, ids=ids, unit=session)
    else:
        payload: JSONObject = {"collection": collection, "ids": list(ids)}
        jobs.enqueue_on_commit(
            runtime, session, Job.FORGET_ENTRIES, payload, tenant_id=document.tenant_id, queue=Queue.INDEXING
        )


def hold(session: Session, documents: Sequence[Document]) -> None:
    """Hold documents against all who write their entries, until this transaction ends.

    Those hold a document before its collection. Who takes several away, and with
    the first of them the collection, has to hold all of them before that too.
    """
    ids = sorted(document.id for document in documents)
    session.execute(select(Document.id).where(Document.id.in_(ids)).order_by(Document.id).with_for_update())


def remove_document(runtime: Runtime, session: Session, document: Document) -> None:
    """Remove a document: its row and what the stores hold of it at once, the rest by a job.

    The caller holds it.
    """
    collection = session.scalar(select(Dataset.collection_id).where(Dataset.id == document.dataset_id))
    payload: JSONObject = {
        "document_id": document.id,
        "collection": collection,
        "upload_file_id": document.source.get("upload_file_id"),
    }
    if collection is not None:
        runtime.keywords.delete(collection, document_id=document.id, unit=session)
        if runtime.vectors.joins_unit:
            runtime.vectors.delete(collection, document_id=document.id, unit=session)
    session.delete(document)
    session.flush()
    jobs.enqueue_on_commit(
        runtime, session, Job.PURGE_DOCUMENT, payload, tenant_id=document.tenant_id, queue=Queue.INDEXING
    )


def _enqueue(runtime: Runtime, session: Session, job: Job, document: Document) -> None:
    payload = {"document_id": document.id}
    jobs.enqueue_on_commit(runtime, session, job, payload, tenant_id=document.tenant_id, queue=Queue.INDEXING)


def _count(session: Session, document: Document) -> None:
    """Count a document's segments anew after some came or went."""
    session.flush()
    here = (Segment.document_id == document.id, Segment.version == document.version)
    total, words, tokens = session.execute(
        select(func.count(), func.sum(Segment.word_count), func.sum(Segment.tokens)).where(*here)
    ).one()
    document.total_segments = total
    document.word_count, document.tokens = int(words or 0), int(tokens or 0)
    document.completed_segments = (
        session.scalar(select(func.count()).where(*here, Segment.status == "completed")) or 0
    )
    session.flush()
