"""Tables whose rows become segments of a document: asked for, done by a job, watched.

What must stay true: a table is read whole before its first row is used, so that
a fault in it adds nothing; rows and how many are done are written together, so
that a repeated job adds nothing twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.core.ports import Queue
from api.core.rag import charsets
from api.core.rag.qa import parse_qa_csv
from api.core.rag.segment_table import parse_segments_csv
from api.core.text.process_rule import DocForm
from api.errors import AppError, InvalidRequest, NotFound, Unavailable, Unsupported
from api.models.base import utc_now
from api.models.document import Document, SegmentImport
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import document_origins, segments, turns
from api.services.access import access_file, access_import
from api.services.documents import check_mutable, open_document
from api.services.jobs import Job, Lease, check_lease, enqueue_on_commit
from api.services.segments import SegmentText

ROWS_PER_BATCH = 200
PARSE_TOTAL_S = 60.0


@dataclass(frozen=True, slots=True)
class ImportView:
    """An import as its row tells."""

    row: SegmentImport


class _Ended(Exception):
    """The import is over, or its document is: nothing is left to do."""


def start_import(
    runtime: Runtime, session: Session, principal: Principal, dataset_id: str, document_id: str, file_id: str
) -> ImportView:
    """Have the rows of an uploaded table added to a document that is indexed.

    Raises NotFound, Forbidden, ArchivedDocument, FileInUse, and Unsupported for a file that is no CSV.
    """
    document = segments.open_for_change(session, principal, dataset_id, document_id)
    segments.check_open(document)
    if access_file(session, principal, file_id).extension != "csv":
        raise Unsupported("Segments are imported from CSV files only.")
    upload = document_origins.take_upload(session, principal, file_id)
    row = SegmentImport(
        tenant_id=principal.tenant_id,
        document_id=document.id,
        version=document.version,
        upload_file_id=upload.id,
        created_by=principal.id,
    )
    session.add(row)
    session.flush()
    payload = {"import_id": row.id}
    enqueue_on_commit(
        runtime, session, Job.IMPORT_SEGMENTS, payload, tenant_id=row.tenant_id, queue=Queue.INDEXING
    )
    return ImportView(row)


def get_import(session: Session, principal: Principal, import_id: str) -> ImportView:
    """Return how far an import is; raises NotFound, and Forbidden where its dataset is not the caller's."""
    return ImportView(access_import(session, principal, import_id))


def get_latest(session: Session, principal: Principal, dataset_id: str, document_id: str) -> ImportView:
    """Return the latest import into a document; raises NotFound where there was none, Forbidden."""
    document = open_document(session, principal, dataset_id, document_id)
    row = session.scalars(
        select(SegmentImport)
        .where(SegmentImport.tenant_id == principal.tenant_id, SegmentImport.document_id == document.id)
        .order_by(SegmentImport.created_at.desc(), SegmentImport.id)
        .limit(1)
    ).one_or_none()
    if row is None:
        raise NotFound("Nothing was imported into the document.")
    return ImportView(row)


def run_import(runtime: Runtime, lease: Lease) -> None:
    """Add the rows of a table that are not yet segments; a fault no waiting mends is told at the import."""
    try:
        _import(runtime, lease)
    except _Ended:
        return
    except Unavailable:
        raise
    except AppError as error:
        lease.check()
        _end(runtime, lease, "error", error.message)


def give_up_import(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Tell at the import that it failed for good."""
    message = error.message if isinstance(error, AppError) else "The import was interrupted again and again."
    _end(runtime, lease, "error", message)


def _import(runtime: Runtime, lease: Lease) -> None:
    with runtime.transaction() as session:
        check_lease(session, lease)
        row, document = _hold(session, lease)
        row.status = "processing"
        done, form = row.rows_done, DocForm(document.doc_form)
        upload = session.get(UploadFile, row.upload_file_id)
    if upload is None:
        raise NotFound("The table is gone; upload it again.")
    with runtime.storage.open(upload.storage_key) as content:
        data = content.read()
    texts = runtime.offload.call(_parse, data, form, timeout_s=PARSE_TOTAL_S)
    for start in range(done, len(texts), ROWS_PER_BATCH):
        lease.check()
        batch = texts[start : start + ROWS_PER_BATCH]
        with runtime.transaction() as session:
            check_lease(session, lease)
            row, document = _hold(session, lease)
            segments.add_segments(runtime, session, document, batch, created_by=row.created_by)
            row.rows_done += len(batch)
        turns.give_way(runtime, lease)
    _end(runtime, lease, "completed", None)


def _parse(data: bytes, form: DocForm) -> Sequence[SegmentText]:
    """Return what the rows of a table say, all of them."""
    text = charsets.decode(data)
    if form is DocForm.QA:
        return [SegmentText(content=pair.question, answer=pair.answer) for pair in parse_qa_csv(text)]
    return [SegmentText(content=content) for content in parse_segments_csv(text)]


def _hold(session: Session, lease: Lease) -> tuple[SegmentImport, Document]:
    """Return the import and its document, held against others who change segments.

    Raises _Ended where there is nothing to do, ArchivedDocument, and
    InvalidRequest where the document has another content by now.
    """
    row = session.get(SegmentImport, str(lease.payload["import_id"]))
    if row is None or row.status in ("completed", "error"):
        raise _Ended
    document = session.scalars(
        update(Document)
        .where(Document.tenant_id == row.tenant_id, Document.id == row.document_id)
        .values(updated_at=utc_now())
        .returning(Document)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if document is None:
        raise _Ended
    if document.version != row.version:
        raise InvalidRequest("The document was replaced meanwhile; import the table again.")
    return row, check_mutable(document)


def _end(runtime: Runtime, lease: Lease, status: str, error: str | None) -> None:
    """Write how an import ended; its file goes by the hourly purge."""
    with runtime.transaction() as session:
        check_lease(session, lease)
        row = session.get(SegmentImport, str(lease.payload["import_id"]))
        if row is None or row.status in ("completed", "error"):
            return
        row.status, row.error = status, error
        session.execute(
            update(UploadFile)
            .where(UploadFile.tenant_id == row.tenant_id, UploadFile.id == row.upload_file_id)
            .values(attached_at=None)
            .execution_options(synchronize_session=False)
        )
