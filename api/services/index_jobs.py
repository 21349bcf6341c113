"""The jobs that index documents, and those that remove what was indexed.

A job goes on where the last one stopped: segments are written before they are
embedded, under ids that follow from their content and place, and each step is a
transaction fenced by the job's lease (index_rows.py). So a repeated delivery
makes nothing twice, and a killed worker loses at most the batch it was at.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from sqlalchemy import delete, select, update

from api.core.indexing_runner import (
    Embedded,
    Embedding,
    IndexEvent,
    IndexJob,
    Parsed,
    SegmentsMade,
    SplitDone,
    Unembedded,
    run_indexing,
)
from api.core.model_runtime.provider import is_generative
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import EmbedKind, ModelRef
from api.core.ports import Cancel
from api.core.rag import charsets, qa
from api.core.text.process_rule import DocForm
from api.errors import AppError, CompletionFailed, InvalidRequest, NotFound, RateLimited, Unavailable
from api.models.account import Tenant
from api.models.base import utc_now
from api.models.document import ChildChunk, Document, Segment
from api.models.file import UploadFile
from api.runtime import Runtime
from api.services import (
    document_files,
    index_rows,
    providers,
    remote_texts,
    stored_embeddings,
    summaries,
    turns,
)
from api.services.index_rows import Gone, Work, fenced
from api.services.indexables import Indexable
from api.services.jobs import Lease
from api.services.ledger import Tally
from api.services.summary_rows import WAITING

MIN_BATCH, MAX_BATCH = 16, 256
ROWS_PER_BATCH = 500
TABLES_OF_PAIRS = ("csv",)
MAY_PASS = (Unavailable, RateLimited, CompletionFailed)
"""Faults of others that a later attempt may not meet; the rest is for a person to mend."""


def index_document(runtime: Runtime, lease: Lease) -> None:
    """Index what is not yet indexed of a document; a fault that no waiting mends is told at the document."""
    with runtime.reading() as session:
        work = index_rows.load_work(session, lease.tenant_id, str(lease.payload["document_id"]))
    if work is None or work.status in ("error", "paused"):
        return
    try:
        _index(runtime, lease, work)
    except Gone:
        return
    except MAY_PASS:
        lease.check()
        raise
    except AppError as error:
        lease.check()
        _tell_failure(runtime, lease, work, error)


def give_up_document(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Tell at the document that its indexing failed for good."""
    with runtime.reading() as session:
        work = index_rows.load_work(session, lease.tenant_id, str(lease.payload["document_id"]))
    if work is not None:
        _tell_failure(runtime, lease, work, error)


def _tell_failure(runtime: Runtime, lease: Lease, work: Work, error: Exception) -> None:
    """Mark the document, or where it is searchable already the segments left over, as failed."""
    reason = error.message if isinstance(error, AppError) else "Indexing was interrupted again and again."
    now = utc_now()
    try:
        if work.status != "completed":
            with fenced(
                runtime, lease, work, indexing_status="error", error=reason, stopped_at=now
            ) as session:
                return
        with fenced(runtime, lease, work) as session:
            session.execute(
                update(Segment)
                .where(Segment.document_id == work.document_id, Segment.status != "completed")
                .values(status="error", error=reason)
            )
    except Gone:
        return


def _index(runtime: Runtime, lease: Lease, work: Work) -> None:
    if work.is_split and work.status == "waiting":  # resumed or tried again after it was split
        with fenced(runtime, lease, work, indexing_status="indexing"):
            pass
    models = make_models(Tally(runtime=runtime, tenant_id=work.tenant_id, dataset_id=work.dataset_id))
    batch = _batch_size(models, work)
    pending: Sequence[Indexable] = ()

    def next_texts() -> Sequence[Unembedded]:
        nonlocal pending
        with runtime.reading() as session:
            pending = index_rows.load_pending(session, work, batch)
        texts = [text for segment in pending for text in segment.texts]
        if pending and not texts:  # parents without children are found by words alone
            index_rows.write_index(runtime, lease, work, pending, Embedded((), {}, {}))
            return next_texts()
        return texts

    job = _to_job(runtime, lease, work, models, next_texts)
    for event in run_indexing(job, lease.cancel):
        _write(runtime, lease, work, pending, event)
        if _is_kept(work, event):
            turns.give_way(runtime, lease)
    lease.check()
    _complete(runtime, lease, work)


def _is_kept(work: Work, event: IndexEvent) -> bool:
    """Tell whether a job that began here would repeat little: the document is split, or models were asked."""
    is_asked = isinstance(event, SegmentsMade) and work.doc_form is DocForm.QA
    return is_asked or isinstance(event, SplitDone | Embedded)


def _to_job(
    runtime: Runtime,
    lease: Lease,
    work: Work,
    models: ModelRuntime,
    next_texts: Callable[[], Sequence[Unembedded]],
) -> IndexJob:
    embedding = None
    if work.embedding is not None:
        embedding = make_embedding(runtime, models, work.tenant_id, work.embedding, lease.cancel)
    return IndexJob(
        document_id=work.document_id,
        version=work.version,
        doc_form=work.doc_form,
        rule=work.rule,
        read=partial(_read, runtime, lease, work),
        read_pairs=partial(_read_pairs, runtime, lease, work) if _holds_pairs(runtime, work) else None,
        pending=next_texts,
        ask_pairs=partial(_ask_pairs, runtime, lease, work, models),
        embedding=embedding,
        passages_done=work.passages_done,
        segments_made=work.segments_made,
        is_split=work.is_split or work.status == "completed",
    )


def _write(
    runtime: Runtime, lease: Lease, work: Work, pending: Sequence[Indexable], event: IndexEvent
) -> None:
    """Write one step down; from here on a new job would begin after it."""
    lease.check()
    now = utc_now()
    match event:
        case Parsed():
            with fenced(
                runtime,
                lease,
                work,
                indexing_status="splitting",
                cleaning_completed_at=now,
                word_count=event.words,
            ):
                pass
        case SegmentsMade():
            with fenced(
                runtime,
                lease,
                work,
                passages_done=event.passages_done,
                total_segments=Document.total_segments + len(event.segments),
                tokens=Document.tokens + sum(segment.tokens for segment in event.segments),
            ) as session:
                index_rows.write_segments(session, work, event.segments)
        case SplitDone():
            with fenced(runtime, lease, work, indexing_status="indexing", splitting_completed_at=now):
                pass
        case Embedded():
            index_rows.write_index(runtime, lease, work, pending, event)


def _complete(runtime: Runtime, lease: Lease, work: Work) -> None:
    """Mark the document as searchable, and remove what older versions of it left."""
    if work.status != "completed":
        with fenced(runtime, lease, work, indexing_status="completed", completed_at=utc_now(), error=None):
            pass
    _remove_older(runtime, lease, work)
    _request_summaries(runtime, lease, work)


def _request_summaries(runtime: Runtime, lease: Lease, work: Work) -> None:
    """Have the summaries written that new and changed segments wait for."""
    waits = select(Segment.id).where(
        Segment.document_id == work.document_id,
        Segment.version == work.version,
        Segment.summary_status == WAITING,
    )
    with runtime.reading() as session:
        is_waiting = session.scalar(waits.limit(1)) is not None
    if is_waiting:
        with fenced(runtime, lease, work) as session:
            summaries.enqueue_summaries(runtime, session, work.tenant_id, work.document_id)


def _remove_older(runtime: Runtime, lease: Lease, work: Work) -> None:
    """Remove segments of older versions, in batches, from stores and tables."""
    while True:
        with runtime.reading() as session:
            old = session.scalars(
                select(Segment.id)
                .where(Segment.document_id == work.document_id, Segment.version < work.version)
                .limit(ROWS_PER_BATCH)
            ).all()
            children = session.scalars(select(ChildChunk.id).where(ChildChunk.segment_id.in_(old))).all()
        if not old:
            return
        ids = [*old, *children]
        if not runtime.vectors.joins_unit:
            runtime.vectors.delete(work.collection, ids=ids)
        with fenced(runtime, lease, work) as session:
            # Words before vectors, as everywhere: who changes a collection of either holds it.
            runtime.keywords.delete(work.collection, ids=ids, unit=session)
            if runtime.vectors.joins_unit:
                runtime.vectors.delete(work.collection, ids=ids, unit=session)
            session.execute(delete(ChildChunk).where(ChildChunk.id.in_(children)))
            session.execute(delete(Segment).where(Segment.id.in_(old)))


def _read(runtime: Runtime, lease: Lease, work: Work) -> str:
    """Return the text of the document's file; a document whose text lies elsewhere gets its file now."""
    with _parsing(runtime, lease, work):
        is_unread = remote_texts.is_unread(work)
        upload = remote_texts.read_first(runtime, lease, work) if is_unread else _upload(runtime, work)
        with runtime.storage.open(upload.storage_key) as content:
            return runtime.extractor.extract(content, upload.extension, cancel=lease.cancel)


@contextmanager
def _parsing(runtime: Runtime, lease: Lease, work: Work) -> Iterator[None]:
    """Tell at the document that its file is being read, and afterwards that it was."""
    with fenced(runtime, lease, work, indexing_status="parsing", processing_started_at=utc_now()):
        pass
    yield
    with fenced(runtime, lease, work, indexing_status="cleaning", parsing_completed_at=utc_now()):
        pass


def _holds_pairs(runtime: Runtime, work: Work) -> bool:
    """Tell whether the file is a table of questions and answers."""
    may_be_table = work.doc_form is DocForm.QA and not remote_texts.is_unread(work)
    return may_be_table and _upload(runtime, work).extension in TABLES_OF_PAIRS


def _read_pairs(runtime: Runtime, lease: Lease, work: Work) -> Sequence[qa.Pair]:
    upload = _upload(runtime, work)
    with _parsing(runtime, lease, work), runtime.storage.open(upload.storage_key) as content:
        return qa.parse_qa_csv(charsets.decode(content.read()))


def _upload(runtime: Runtime, work: Work) -> UploadFile:
    with runtime.reading() as session:
        row = session.scalars(
            select(UploadFile).where(
                UploadFile.tenant_id == work.tenant_id, UploadFile.id == work.source.get("upload_file_id")
            )
        ).one_or_none()
    if row is None:
        raise NotFound("The file of the document is gone; upload it again.")
    return row


def _ask_pairs(
    runtime: Runtime, lease: Lease, work: Work, models: ModelRuntime, text: str
) -> Sequence[qa.Pair]:
    with runtime.reading() as session:
        ref = providers.default_chat_model(runtime, session, work.tenant_id)
    if not is_generative(ref.provider):
        raise InvalidRequest(
            "Questions and answers are written by a chat model; connect a model provider first."
        )
    chat = partial(models.chat, work.tenant_id, ref)
    return qa.make_pairs(text, chat, model=ref.model, language=work.language, cancel=lease.cancel)


def make_models(tally: Tally) -> ModelRuntime:
    """Return the way to the models of a tally's workspace, as it is configured now."""
    with tally.runtime.reading() as session:
        version = session.scalar(select(Tenant.providers_version).where(Tenant.id == tally.tenant_id))
    return providers.model_runtime(tally, version or 0)


def make_embedding(
    runtime: Runtime, models: ModelRuntime, tenant_id: str, ref: ModelRef, cancel: Cancel
) -> Embedding:
    """Return how texts of a workspace become vectors: from what is kept, and by the model."""

    def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return models.embed(tenant_id, ref, texts, EmbedKind.PASSAGE, cancel).vectors

    return Embedding(recall=partial(stored_embeddings.recall, runtime, tenant_id, ref), embed=embed)


def _batch_size(models: ModelRuntime, work: Work) -> int:
    """Return how many segments one check-point covers: as many as the model takes at once."""
    if work.embedding is None:
        return MAX_BATCH
    schema = models.schema(work.tenant_id, work.embedding)
    return min(MAX_BATCH, max(MIN_BATCH, schema.max_chunks * schema.parallel_calls))


def forget_entries(runtime: Runtime, lease: Lease) -> None:
    """Remove entries from a store that takes no part in transactions."""
    ids = [str(entry) for entry in _as_list(lease.payload["ids"])]
    runtime.vectors.delete(str(lease.payload["collection"]), ids=ids)


def purge_document(runtime: Runtime, lease: Lease) -> None:
    """Remove what a deleted document left, in batches."""
    document_id, collection = str(lease.payload["document_id"]), lease.payload["collection"]
    if collection is not None:
        with runtime.transaction() as session:
            runtime.keywords.delete(str(collection), document_id=document_id, unit=session)
        runtime.vectors.delete(str(collection), document_id=document_id)
    for table in (ChildChunk, Segment):
        for _ in _delete_batches(runtime, lease, table, document_id):
            lease.check()
    upload_id = lease.payload["upload_file_id"]
    if upload_id is not None:
        _delete_upload(runtime, lease.tenant_id, document_id, str(upload_id))


def _delete_batches(
    runtime: Runtime, lease: Lease, table: type[Segment | ChildChunk], document_id: str
) -> Iterator[int]:
    while True:
        with runtime.transaction() as session:
            ids = session.scalars(
                select(table.id)
                .where(table.tenant_id == lease.tenant_id, table.document_id == document_id)
                .limit(ROWS_PER_BATCH)
            ).all()
            session.execute(delete(table).where(table.id.in_(ids)))
        yield len(ids)
        if len(ids) < ROWS_PER_BATCH:
            return


def _delete_upload(runtime: Runtime, tenant_id: str, document_id: str, upload_id: str) -> None:
    """Remove a file that no other document is made of: first its bytes, so that none are without a row."""
    is_it = (UploadFile.tenant_id == tenant_id, UploadFile.id == upload_id)
    with runtime.reading() as session:
        key = session.scalar(select(UploadFile.storage_key).where(*is_it))
        is_shared = document_files.find_shared(session, tenant_id, [upload_id], besides=[document_id])
    if key is None or is_shared:
        return
    runtime.storage.delete(key)
    with runtime.transaction() as session:
        session.execute(delete(UploadFile).where(*is_it))


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
