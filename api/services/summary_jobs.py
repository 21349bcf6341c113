"""The job that has a model write the summaries a document waits for, a few segments at a time.

A summary, its vector and the status of its segment are written together, and
only if the segment still says what was summarised; so a repeated job loses at
most the calls of the batch it was at. No connection is held while a model is
waited for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from api.core.indexing_runner import Embedded, Unembedded, embed_texts
from api.core.model_runtime.provider import is_generative
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import ModelRef
from api.core.parallel import run_all
from api.core.ports import Cancel
from api.core.rag.chunk import VectorEntry
from api.core.rag.summary import SummarySetting, load_summary_setting, make_summary
from api.core.text.segment_hash import content_hash
from api.errors import AppError, CompletionFailed, InvalidRequest, RateLimited, Unavailable
from api.models.base import new_id, utc_now
from api.models.dataset import Dataset
from api.models.document import Document, Segment
from api.runtime import Runtime
from api.services import index_jobs, index_rows, providers, stored_embeddings, summaries, turns
from api.services.index_rows import Gone, Work, fenced
from api.services.jobs import Lease
from api.services.ledger import Tally
from api.services.summary_rows import COMPLETED, ERROR, WAITING, to_child

SEGMENTS_PER_BATCH = 8
MAX_CALLS = 4
MAY_PASS = (Unavailable, RateLimited)
"""Faults of others that a later attempt may not meet; what a model refuses is told at its segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A segment to summarise, as it was read."""

    id: str
    content: str
    hash: str


@dataclass(frozen=True, slots=True)
class _Batch:
    """What became of some segments: their summaries as texts to embed, and reasons why others have none."""

    made: Sequence[Unembedded]
    refused: Mapping[str, str]
    hash_of: Mapping[str, str]


def summarize_document(runtime: Runtime, lease: Lease) -> None:
    """Write the summaries a document waits for; a fault no waiting mends is told at its segments."""
    found = _load(runtime, lease)
    if found is None:
        return
    work, setting = found
    try:
        _summarize(runtime, lease, work, setting)
    except Gone:
        return
    except MAY_PASS:
        lease.check()
        raise
    except AppError as error:
        lease.check()
        _end_rest(runtime, lease, work, ERROR, error.message)


def give_up_summaries(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Tell at the segments that wait that they will have no summary."""
    found = _load(runtime, lease)
    if found is not None:
        message = (
            error.message if isinstance(error, AppError) else "Summarising was interrupted again and again."
        )
        _end_rest(runtime, lease, found[0], ERROR, message)


def _load(runtime: Runtime, lease: Lease) -> tuple[Work, SummarySetting] | None:
    with runtime.reading() as session:
        work = index_rows.load_work(session, lease.tenant_id, str(lease.payload["document_id"]))
        if work is None:
            return None
        raw = session.scalar(select(Dataset.summary_index_setting).where(Dataset.id == work.dataset_id))
    return work, load_summary_setting(raw)


def _summarize(runtime: Runtime, lease: Lease, work: Work, setting: SummarySetting) -> None:
    if not setting.enable or work.embedding is None:
        _end_rest(runtime, lease, work, None, None)
        return
    models = index_jobs.make_models(
        Tally(runtime=runtime, tenant_id=work.tenant_id, dataset_id=work.dataset_id)
    )
    ref = setting.ref or _default_model(runtime, lease.tenant_id)
    embedding = index_jobs.make_embedding(runtime, models, lease.tenant_id, work.embedding, lease.cancel)
    while asked := _load_waiting(runtime, work):
        lease.check()
        batch = _ask(lease, models, ref, setting, asked)
        lease.check()
        embedded = embed_texts(embedding, batch.made) if batch.made else Embedded((), {}, {})
        lease.check()
        _write(runtime, lease, work, batch, embedded)
        turns.give_way(runtime, lease)


def _default_model(runtime: Runtime, tenant_id: str) -> ModelRef:
    with runtime.reading() as session:
        ref = providers.default_chat_model(runtime, session, tenant_id)
    if not is_generative(ref.provider):
        raise InvalidRequest("Summaries are written by a chat model; connect a model provider first.")
    return ref


def _load_waiting(runtime: Runtime, work: Work) -> list[_Asked]:
    with runtime.reading() as session:
        rows = session.execute(
            select(Segment.id, Segment.content, Segment.hash)
            .where(*_waits(work), Segment.status == "completed")
            .order_by(Segment.position, Segment.id)
            .limit(SEGMENTS_PER_BATCH)
        )
        return [_Asked(id=row.id, content=row.content, hash=row.hash) for row in rows]


def _ask(
    lease: Lease, models: ModelRuntime, ref: ModelRef, setting: SummarySetting, asked: Sequence[_Asked]
) -> _Batch:
    """Have a model summarise some segments side by side; one it refuses does not hold up the others."""
    chat = partial(models.chat, lease.tenant_id, ref)

    def one(segment: _Asked, cancel: Cancel) -> str | CompletionFailed:
        try:
            return make_summary(
                segment.content, chat, model=ref.model, prompt=setting.summary_prompt, cancel=cancel
            )
        except CompletionFailed as refusal:
            return refusal

    calls: list[Callable[[Cancel], str | CompletionFailed]] = [partial(one, segment) for segment in asked]
    answers = list(zip(asked, run_all(calls, lease.cancel, max_threads=MAX_CALLS), strict=True))
    return _Batch(
        made=[
            Unembedded(id=new_id(), segment_id=segment.id, text=answer, hash=content_hash(answer))
            for segment, answer in answers
            if isinstance(answer, str)
        ],
        refused={
            segment.id: answer.message for segment, answer in answers if isinstance(answer, CompletionFailed)
        },
        hash_of={segment.id: segment.hash for segment in asked},
    )


def _write(runtime: Runtime, lease: Lease, work: Work, batch: _Batch, embedded: Embedded) -> None:
    """Keep the summaries of the segments that are still what was summarised; others are asked for anew."""
    entries = [
        VectorEntry(
            id=text.id,
            segment_id=text.segment_id,
            document_id=work.document_id,
            vector=embedded.vectors[text.id],
        )
        for text in batch.made
    ]
    if runtime.vectors.joins_unit or not entries:
        _write_rows(runtime, lease, work, batch, embedded, entries)
        return
    kept: set[str] = set()
    runtime.vectors.upsert(work.collection, entries)
    try:
        kept = _write_rows(runtime, lease, work, batch, embedded, ())
    finally:
        strays = [entry.id for entry in entries if entry.segment_id not in kept]
        if strays:
            runtime.vectors.delete(work.collection, ids=strays)


def _write_rows(
    runtime: Runtime,
    lease: Lease,
    work: Work,
    batch: _Batch,
    embedded: Embedded,
    entries: Sequence[VectorEntry],
) -> set[str]:
    """Write what belongs to one transaction; return the segments that got their summary."""
    with fenced(runtime, lease, work) as session:
        index_rows.check_collection(session, work)
        document = session.get_one(Document, work.document_id)
        for segment_id, reason in batch.refused.items():
            _mark(session, work, segment_id, batch.hash_of[segment_id], ERROR, reason)
        kept = {
            text.segment_id
            for text in batch.made
            if _mark(session, work, text.segment_id, batch.hash_of[text.segment_id], COMPLETED, None)
        }
        summaries.remove_summaries(runtime, session, document, list(kept))
        session.add_all(
            to_child(document, text.segment_id, text.id, text.text, work.created_by)
            for text in batch.made
            if text.segment_id in kept
        )
        session.flush()
        fitting = [entry for entry in entries if entry.segment_id in kept]
        if fitting:
            runtime.vectors.upsert(work.collection, fitting, unit=session)
        if work.embedding is not None:
            used = {text.hash for text in embedded.texts}
            stored_embeddings.keep(session, work.tenant_id, work.embedding, embedded.made, used)
    return kept


def _mark(
    session: Session, work: Work, segment_id: str, digest: str, status: str, reason: str | None
) -> bool:
    """Write where a segment's summary stands, if it still waits and says the same; tell whether it did.

    It counts as indexed anew: a rebuild that copied it before takes it over once more.
    """
    marked = session.scalar(
        update(Segment)
        .where(*_waits(work), Segment.id == segment_id, Segment.hash == digest, Segment.status == "completed")
        .values(
            summary_status=status,
            summary_error=reason,
            completed_at=utc_now(),
            updated_at=Segment.updated_at,
        )
        .returning(Segment.id)
        .execution_options(synchronize_session=False)
    )
    return marked is not None


def _end_rest(runtime: Runtime, lease: Lease, work: Work, status: str | None, reason: str | None) -> None:
    """Have no segment of the document wait for a summary any more."""
    try:
        with fenced(runtime, lease, work) as session:
            session.execute(
                update(Segment)
                .where(*_waits(work))
                .values(summary_status=status, summary_error=reason, updated_at=Segment.updated_at)
                .execution_options(synchronize_session=False)
            )
    except Gone:
        return


def _waits(work: Work) -> tuple[ColumnElement[bool], ...]:
    return (
        Segment.tenant_id == work.tenant_id,
        Segment.document_id == work.document_id,
        Segment.version == work.version,
        Segment.summary_status == WAITING,
    )
