"""Summaries of segments: wanted by a dataset, asked for, written by hand, watched.

A summary is a child chunk of its own type, so that it is searched, rebuilt and
removed as those are; what is found by it is its segment. Models write them in
jobs (summary_jobs.py). Wire: docs/wire/segments.md#summaries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from api.core.ports import Queue
from api.core.rag.summary import load_summary_setting
from api.core.text.process_rule import DocForm
from api.errors import InvalidRequest
from api.models.base import new_id
from api.models.dataset import Dataset
from api.models.document import SUMMARY, ChildChunk, Document, Segment
from api.principal import Principal
from api.runtime import Runtime
from api.services import indexing
from api.services.access import access_document
from api.services.documents import open_dataset, open_document
from api.services.jobs import Job, enqueue_on_commit
from api.services.summary_rows import COMPLETED, WAITING, load_summaries, to_child, wants_summaries

MAX_TOLD = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryView:
    """Where the summary of a segment stands; ``summary`` is the one it has, if any."""

    segment: Segment
    summary: ChildChunk | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryReport:
    """Where the summaries of a document stand: how many by status, None for none, and the first 1,000."""

    counts: Mapping[str | None, int]
    views: Sequence[SummaryView]


def request_summaries(
    runtime: Runtime, session: Session, principal: Principal, dataset_id: str, document_ids: Sequence[str]
) -> None:
    """Have the segments of documents summarised, also those that have a summary, which stays until then.

    Documents that are not indexed yet follow by themselves. Raises NotFound,
    Forbidden, and InvalidRequest where the dataset wants no summaries or a
    document cannot have them.
    """
    dataset = open_dataset(session, principal, dataset_id, may_edit=True)
    if dataset.indexing_technique != "high_quality":
        raise InvalidRequest("Summaries are made in datasets of the technique high_quality only.")
    if not load_summary_setting(dataset.summary_index_setting).enable:
        raise InvalidRequest("Summaries are not enabled for this dataset; see summary_index_setting.")
    asked = dict.fromkeys(text.lower() for text in document_ids)
    documents = [access_document(session, principal, dataset, document_id) for document_id in asked]
    for document in documents:
        if not wants_summaries(dataset, document):
            raise InvalidRequest(f"The document {document.name!r} of questions and answers has no summaries.")
    for document in documents:
        session.execute(
            update(Segment)
            .where(Segment.document_id == document.id, Segment.version == document.version)
            .values(summary_status=WAITING, summary_error=None, updated_at=Segment.updated_at)
            .execution_options(synchronize_session=False)
        )
        enqueue_summaries(runtime, session, document.tenant_id, document.id)


def enqueue_summaries(runtime: Runtime, session: Session, tenant_id: str, document_id: str) -> None:
    """Have a model write the summaries a document waits for, once this is committed."""
    payload = {"document_id": document_id}
    enqueue_on_commit(
        runtime, session, Job.SUMMARIZE_DOCUMENT, payload, tenant_id=tenant_id, queue=Queue.SUMMARIES
    )


def load_report(session: Session, principal: Principal, dataset_id: str, document_id: str) -> SummaryReport:
    """Return where the summaries of a document stand; raises NotFound, Forbidden."""
    document = open_document(session, principal, dataset_id, document_id)
    here = (
        Segment.tenant_id == document.tenant_id,
        Segment.document_id == document.id,
        Segment.version == document.version,
    )
    counted = session.execute(
        select(Segment.summary_status, func.count()).where(*here).group_by(Segment.summary_status)
    )
    rows = session.scalars(
        select(Segment).where(*here).order_by(Segment.position, Segment.id).limit(MAX_TOLD)
    ).all()
    known = load_summaries(session, rows)
    return SummaryReport(
        counts={row[0]: row[1] for row in counted},
        views=[SummaryView(segment=row, summary=known.get(row.id)) for row in rows],
    )


def status_of_new(session: Session, document: Document) -> str | None:
    """Return the summary status that a new or changed segment of a document begins with."""
    dataset = session.get_one(Dataset, document.dataset_id)
    return WAITING if wants_summaries(dataset, document) else None


def follow_change(
    runtime: Runtime, session: Session, document: Document, row: Segment, said: str | None, *, by: str
) -> bool:
    """Give a segment the summary that is written by hand; tell whether it is another one.

    ``said`` is None where its text changed without a summary: the one it has
    goes, and the next is written where the dataset wants that. Blank takes it
    away. Raises InvalidRequest for questions and answers, which have none.
    """
    text = (said or "").strip()
    if text and document.doc_form == DocForm.QA:
        raise InvalidRequest("Questions and answers have no summaries.", field="summary")
    present = load_summaries(session, [row]).get(row.id)
    if text and present is not None and present.content == text:
        row.summary_status, row.summary_error = COMPLETED, None
        return False
    remove_summaries(runtime, session, document, [row.id])
    row.summary_error = None
    if not text:
        row.summary_status = status_of_new(session, document) if said is None else None
        return False
    row.summary_status = COMPLETED
    session.add(to_child(document, row.id, new_id(), text, by))
    return True


def remove_summaries(runtime: Runtime, session: Session, document: Document, ids: Sequence[str]) -> None:
    """Remove the summaries of segments, and what the stores hold of them."""
    gone = session.scalars(
        delete(ChildChunk)
        .where(
            ChildChunk.tenant_id == document.tenant_id,
            ChildChunk.segment_id.in_(ids),
            ChildChunk.type == SUMMARY,
        )
        .returning(ChildChunk.id)
    ).all()
    indexing.remove_entries(runtime, session, document, gone)
