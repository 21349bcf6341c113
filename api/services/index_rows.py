"""What indexing reads and writes of documents, segments and vectors: one short transaction for each step.

Every write is fenced: it is made only while the job holds its lease and the
document is still there in the version the job began with. Otherwise Gone is
raised, and what was not written is as if it had never been made.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from api.core.indexing_runner import Embedded, NewSegment
from api.core.model_runtime.types import ModelRef
from api.core.text.process_rule import AUTOMATIC, DocForm, ProcessRule
from api.models.base import Base, utc_now
from api.models.dataset import Dataset, ProcessRuleRow
from api.models.document import Document, Segment
from api.models.inserts import insert_rows
from api.runtime import Runtime
from api.services import indexables, stored_embeddings, summary_rows
from api.services.indexables import Indexable
from api.services.jobs import Lease, Postpone, check_lease

SEGMENTS = Base.metadata.tables["segments"]
CHILD_CHUNKS = Base.metadata.tables["child_chunks"]
IN_PROGRESS = ("waiting", "parsing", "cleaning", "splitting", "indexing")


class Gone(Exception):
    """The document was deleted, replaced or paused while it was indexed: the job has nothing left to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A document to index, as it stood when the job looked."""

    tenant_id: str
    dataset_id: str
    document_id: str
    version: int
    status: str
    is_split: bool
    passages_done: int
    segments_made: int
    source_type: str
    source: Mapping[str, Any]
    name: str
    doc_form: DocForm
    language: str
    created_by: str | None
    rule: ProcessRule
    collection: str
    embedding: ModelRef | None
    wants_summaries: bool


def load_work(session: Session, tenant_id: str, document_id: str) -> Work | None:
    """Return what there is to do for a document; None where it or its dataset is gone."""
    row = session.execute(
        select(Document, Dataset, ProcessRuleRow)
        .join(Dataset, Dataset.id == Document.dataset_id)
        .outerjoin(ProcessRuleRow, ProcessRuleRow.id == Document.process_rule_id)
        .where(Document.tenant_id == tenant_id, Document.id == document_id)
    ).one_or_none()
    if row is None:
        return None
    document, dataset, rule = row
    made = session.scalar(
        select(func.count())
        .select_from(Segment)
        .where(Segment.document_id == document.id, Segment.version == document.version)
    )
    return Work(
        tenant_id=tenant_id,
        dataset_id=dataset.id,
        document_id=document.id,
        version=document.version,
        status=document.indexing_status,
        is_split=document.splitting_completed_at is not None,
        passages_done=document.passages_done,
        segments_made=made or 0,
        source_type=document.data_source_type,
        source=document.source,
        name=document.name,
        doc_form=DocForm(document.doc_form),
        language=document.doc_language,
        created_by=document.created_by,
        rule=AUTOMATIC if rule is None else ProcessRule.from_json({"mode": rule.mode, "rules": rule.rules}),
        collection=dataset.collection_id,
        embedding=embedding_of(dataset),
        wants_summaries=summary_rows.wants_summaries(dataset, document),
    )


def embedding_of(dataset: Dataset) -> ModelRef | None:
    """Return the model a dataset is embedded with; None where words alone find its segments."""
    if dataset.indexing_technique != "high_quality" or not dataset.embedding_model:
        return None
    return ModelRef(str(dataset.embedding_provider), dataset.embedding_model)


@contextmanager
def fenced(runtime: Runtime, lease: Lease, work: Work, **values: object) -> Iterator[Session]:
    """Yield a session in which the document has the given values; raises LeaseLost or Gone.

    A document somebody paused becomes so here.
    """
    with runtime.transaction() as session:
        check_lease(session, lease)
        is_same = (
            Document.tenant_id == work.tenant_id,
            Document.id == work.document_id,
            Document.version == work.version,
        )
        now = utc_now()
        changed = session.execute(
            update(Document)
            .where(*is_same, Document.is_paused.is_(False))
            .values({"updated_at": now, **values})
            .returning(Document.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if changed is not None:
            yield session
            return
        session.execute(
            update(Document)
            .where(*is_same, Document.is_paused.is_(True), Document.indexing_status.in_(IN_PROGRESS))
            .values(indexing_status="paused", paused_at=func.coalesce(Document.paused_at, now))
            .execution_options(synchronize_session=False)
        )
    raise Gone


def write_segments(session: Session, work: Work, segments: Sequence[NewSegment]) -> None:
    """Write new segments with their children; those that are there already stay."""
    now = utc_now()
    shared = {
        "tenant_id": work.tenant_id,
        "dataset_id": work.dataset_id,
        "document_id": work.document_id,
        "created_at": now,
        "updated_at": now,
        "created_by": work.created_by,
    }
    rows = [
        {
            **shared,
            "id": segment.id,
            "version": work.version,
            "position": segment.position,
            "content": segment.text,
            "answer": segment.answer,
            "word_count": len(segment.text) + len(segment.answer or ""),
            "tokens": segment.tokens,
            "hash": segment.hash,
            "hit_count": 0,
            "status": "waiting",
            "summary_status": summary_rows.WAITING if work.wants_summaries else None,
            "enabled": True,
        }
        for segment in segments
    ]
    children = [
        {
            **shared,
            "id": child.id,
            "segment_id": segment.id,
            "position": child.position,
            "content": child.text,
            "word_count": len(child.text),
            "hash": child.hash,
            "type": "automatic",
        }
        for segment in segments
        for child in segment.children
    ]
    for table, values in ((SEGMENTS, rows), (CHILD_CHUNKS, children)):
        insert_rows(session.connection(), table, values, skip_known=True)


def load_pending(session: Session, work: Work, limit: int) -> list[Indexable]:
    """Return the next segments not yet indexed, at most ``limit``, in order of position."""
    query = indexables.select_segments().where(*_are_of(work), Segment.status != "completed")
    ordered = query.order_by(Segment.position, Segment.id).limit(limit)
    return indexables.load(session, ordered, is_embedded=work.embedding is not None)


def write_index(
    runtime: Runtime, lease: Lease, work: Work, pending: Sequence[Indexable], embedded: Embedded
) -> None:
    """Put segments into the stores and mark them completed: those that still are what was embedded.

    Others were removed, or changed meanwhile and are taken again.
    """
    entries = [entry for segment in pending for entry in segment.to_vector_entries(embedded.vectors)]
    if runtime.vectors.joins_unit or not entries:
        _write_rows(runtime, lease, work, pending, embedded)
        return
    written = {entry.id for entry in entries}
    runtime.vectors.upsert(work.collection, entries)
    try:
        there = _write_rows(runtime, lease, work, pending, embedded)
    except Gone:
        runtime.vectors.delete(work.collection, ids=written)
        raise
    if strays := written - there:
        runtime.vectors.delete(work.collection, ids=strays)


def _write_rows(
    runtime: Runtime, lease: Lease, work: Work, pending: Sequence[Indexable], embedded: Embedded
) -> set[str]:
    """Write what belongs to one transaction; return the ids of the texts that are there."""
    with fenced(runtime, lease, work) as session:
        check_collection(session, work)
        before = {segment.id: segment for segment in pending}
        present = _load_again(session, work, list(before))
        same = [segment for segment in present if segment == before[segment.id]]
        runtime.keywords.upsert(work.collection, [segment.to_text_entry() for segment in same], unit=session)
        done = _mark_completed(session, work, same)
        if runtime.vectors.joins_unit:
            entries = [entry for segment in same for entry in segment.to_vector_entries(embedded.vectors)]
            runtime.vectors.upsert(work.collection, entries, unit=session)
        else:
            done -= _take_again(
                session, work, [segment for segment in present if segment != before[segment.id]]
            )
        session.execute(
            update(Document)
            .where(Document.tenant_id == work.tenant_id, Document.id == work.document_id)
            .values(completed_segments=Document.completed_segments + done)
            .execution_options(synchronize_session=False)
        )
        if work.embedding is not None:
            used = {text.hash for text in embedded.texts}
            stored_embeddings.keep(session, work.tenant_id, work.embedding, embedded.made, used)
    return {text.id for segment in present for text in segment.texts}


def check_collection(session: Session, work: Work) -> None:
    """Raise Gone where the dataset was deleted meanwhile, Postpone where it has another collection now.

    Until this transaction ends, it keeps the one it has.
    """
    current = session.scalar(
        select(Dataset.collection_id).where(Dataset.id == work.dataset_id).with_for_update(read=True)
    )
    if current is None:
        raise Gone
    if current != work.collection:
        raise Postpone(0.0, "The dataset was rebuilt meanwhile.")


def _load_again(session: Session, work: Work, ids: Sequence[str]) -> list[Indexable]:
    """Return those of some segments that are still there, as they are now.

    So they stay until this transaction ends: who changes one holds its document, as this does.
    """
    query = indexables.select_segments().where(*_are_of(work), Segment.id.in_(ids))
    return indexables.load(session, query, is_embedded=work.embedding is not None)


def _mark_completed(session: Session, work: Work, segments: Sequence[Indexable]) -> int:
    """Mark segments as found from now on; return how many were not marked before."""
    now = utc_now()
    values = {"status": "completed", "indexing_at": now, "completed_at": now, "error": None}
    return _change(session, work, segments, Segment.status != "completed", values)


def _take_again(session: Session, work: Work, segments: Sequence[Indexable]) -> int:
    """Have segments indexed once more whose newer vectors an older one may have replaced; return how many."""
    return _change(session, work, segments, Segment.status == "completed", {"status": "waiting"})


def _change(
    session: Session,
    work: Work,
    segments: Sequence[Indexable],
    which: ColumnElement[bool],
    values: dict[str, Any],
) -> int:
    ids = [segment.id for segment in segments]
    changed = session.scalars(
        update(Segment)
        .where(*_are_of(work), Segment.id.in_(ids), which)
        .values(values)
        .returning(Segment.id)
        .execution_options(synchronize_session=False)
    )
    return len(changed.all())


def _are_of(work: Work) -> tuple[ColumnElement[bool], ...]:
    return (
        Segment.tenant_id == work.tenant_id,
        Segment.document_id == work.document_id,
        Segment.version == work.version,
    )
