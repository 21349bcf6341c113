"""What rows say of summaries: whether a document wants them, which one a segment has."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.rag.summary import load_summary_setting
from api.core.text.process_rule import DocForm
from api.core.text.segment_hash import content_hash
from api.models.dataset import Dataset
from api.models.document import SUMMARY, ChildChunk, Document, Segment

WAITING, COMPLETED, ERROR = "waiting", "completed", "error"


def wants_summaries(dataset: Dataset, document: Document) -> bool:
    """Tell whether new segments of a document are to be summarised."""
    return (
        dataset.indexing_technique == "high_quality"
        and document.doc_form != DocForm.QA
        and load_summary_setting(dataset.summary_index_setting).enable
    )


def load_summaries(session: Session, rows: Sequence[Segment]) -> Mapping[str, ChildChunk]:
    """Return the summaries of segments, by the segment's id; no statement where none has one."""
    ids = [row.id for row in rows if row.summary_status is not None]
    if not ids:
        return {}
    found = session.scalars(
        select(ChildChunk).where(ChildChunk.segment_id.in_(ids), ChildChunk.type == SUMMARY)
    )
    return {row.segment_id: row for row in found}


def load_summarizing(session: Session, documents: Sequence[Document]) -> set[str]:
    """Return the ids of those documents of which segments wait for their summary."""
    ids = [document.id for document in documents]
    if not ids:
        return set()
    query = select(Segment.document_id).where(Segment.document_id.in_(ids), Segment.summary_status == WAITING)
    return set(session.scalars(query.distinct()))


def to_child(document: Document, segment_id: str, summary_id: str, text: str, by: str | None) -> ChildChunk:
    """Return a summary as the row it is kept in."""
    return ChildChunk(
        id=summary_id,
        tenant_id=document.tenant_id,
        dataset_id=document.dataset_id,
        document_id=document.id,
        segment_id=segment_id,
        position=0,
        content=text,
        word_count=len(text),
        hash=content_hash(text),
        type=SUMMARY,
        created_by=by,
    )
