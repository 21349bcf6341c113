"""Documents made to follow their page: read again, and indexed anew where the text is another.

What was indexed stays searchable while the page is read, and where it cannot be
read; then the document tells why in its ``error``.
"""

from sqlalchemy import select

from api.core.ports import JSONObject, Queue
from api.errors import AppError, InvalidRequest
from api.models.document import Document
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import document_sources, index_rows, indexing, jobs, kept_texts, remote_texts
from api.services.documents import DocumentIndexing, check_mutable, open_document
from api.services.index_jobs import MAY_PASS
from api.services.index_rows import Gone, Work, fenced
from api.services.jobs import Job, Lease
from api.services.remote_texts import RemoteText

SYNCABLE = ("completed", "error")


def request_sync(
    runtime: Runtime, principal: Principal, dataset_id: str, document_id: str, source_type: str
) -> None:
    """Have a document's page read again; raises NotFound, Forbidden, ArchivedDocument.

    Raises InvalidRequest for a document of another type, DocumentIndexing for
    one on its way into the index, or paused there.
    """
    with runtime.transaction() as session:
        document = check_mutable(open_document(session, principal, dataset_id, document_id, may_edit=True))
        if document.data_source_type != source_type:
            message = f"The document is of the type {document.data_source_type!r}, not {source_type!r}."
            raise InvalidRequest(message, field="document_id")
        if document.indexing_status not in SYNCABLE or document.is_paused:
            raise DocumentIndexing("The document is being indexed, or is paused there; sync it afterwards.")
        payload: JSONObject = {"document_id": document.id}
        jobs.enqueue_on_commit(
            runtime,
            session,
            Job.SYNC_DOCUMENT,
            payload,
            tenant_id=principal.tenant_id,
            queue=Queue.INDEXING,
        )


def sync_document(runtime: Runtime, lease: Lease) -> None:
    """Run the job of a sync; what stands in its way is told at the document."""
    work = _load(runtime, lease)
    if work is None or work.status not in SYNCABLE:
        return
    try:
        _take_over(runtime, lease, work, remote_texts.read(runtime, work, lease.cancel))
    except Gone:
        return
    except MAY_PASS:
        lease.check()
        raise
    except AppError as error:
        lease.check()
        _tell(runtime, lease, work, error.message)


def give_up_sync(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Tell at the document that it could not be synced."""
    work = _load(runtime, lease)
    if work is not None:
        message = "Reading the page again was interrupted again and again."
        _tell(runtime, lease, work, error.message if isinstance(error, AppError) else message)


def _load(runtime: Runtime, lease: Lease) -> Work | None:
    with runtime.reading() as session:
        return index_rows.load_work(session, lease.tenant_id, str(lease.payload["document_id"]))


def _take_over(runtime: Runtime, lease: Lease, work: Work, text: RemoteText) -> None:
    """Have a text indexed, unless it is the one the document is indexed by already."""
    if work.status == "completed" and kept_texts.digest(text.markdown) == _kept_digest(runtime, work):
        with fenced(runtime, lease, work, source={**work.source, **text.changes}, error=None):
            return
    with (
        remote_texts.stored(runtime, work, text) as (row, source),
        fenced(runtime, lease, work) as session,
    ):
        session.add(row)
        document = session.get_one(Document, work.document_id)
        document_sources.release_file(session, document)
        document.source = source
        indexing.restart(runtime, session, document)


def _kept_digest(runtime: Runtime, work: Work) -> str | None:
    """Return the digest of the text a document has; None where it was never read."""
    with runtime.reading() as session:
        return session.scalar(
            select(UploadFile.sha256).where(
                UploadFile.tenant_id == work.tenant_id, UploadFile.id == work.source.get("upload_file_id")
            )
        )


def _tell(runtime: Runtime, lease: Lease, work: Work, message: str) -> None:
    """Tell at the document why its page was not read again."""
    try:
        with fenced(runtime, lease, work, error=message):
            pass
    except Gone:
        return
