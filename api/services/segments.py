"""Segments of a document, by hand: listed, added, changed, switched, deleted; and their child chunks.

Whatever changes a text has it indexed anew, and it is not found until that is
done. What must stay true: ids of rows made here are random, so that they never
meet those that indexing derives from content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from api.core.text.process_rule import DocForm
from api.core.text.segment_hash import content_hash
from api.core.text.splitter import split
from api.core.text.tokens import count_tokens
from api.errors import InvalidRequest, NotFound
from api.models.base import new_id, utc_now
from api.models.dataset import ProcessRuleRow
from api.models.document import SUMMARY, ChildChunk, Document, Segment
from api.principal import Principal
from api.runtime import Runtime
from api.services import indexing, summaries
from api.services.access import access_segment
from api.services.documents import InvalidAction, check_mutable, open_document, to_rule
from api.services.summary_rows import load_summaries


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentText:
    """What a segment says; None leaves it as it is."""

    content: str | None = None
    answer: str | None = None
    keywords: tuple[str, ...] | None = None
    enabled: bool | None = None
    regenerate_child_chunks: bool = False
    summary: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFilter:
    """Which segments to list."""

    keyword: str = ""
    enabled: bool | None = None
    statuses: tuple[str, ...] = ()
    hit_count_gte: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentView:
    """A segment with its summary and its children, in their order."""

    segment: Segment
    summary: ChildChunk | None = None
    children: Sequence[ChildChunk] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPage:
    """Segments of one document, and how many there are in all."""

    views: Sequence[SegmentView]
    doc_form: str
    total: int


def load_segments(
    session: Session, document: Document, chosen: SegmentFilter, *, page: int, limit: int
) -> SegmentPage:
    """Return one page (from 1) of the segments of a document the caller was let into."""
    query = select(Segment).where(
        Segment.tenant_id == document.tenant_id,
        Segment.document_id == document.id,
        Segment.version == document.version,
        Segment.hit_count >= chosen.hit_count_gte,
    )
    if chosen.keyword:
        query = query.where(
            or_(
                Segment.content.icontains(chosen.keyword, autoescape=True),
                Segment.answer.icontains(chosen.keyword, autoescape=True),
            )
        )
    if chosen.enabled is not None:
        query = query.where(Segment.enabled.is_(chosen.enabled))
    if chosen.statuses:
        query = query.where(Segment.status.in_(chosen.statuses))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = session.scalars(
        query.order_by(Segment.position, Segment.id).limit(limit).offset((page - 1) * limit)
    ).all()
    return SegmentPage(views=to_views(session, document, rows), doc_form=document.doc_form, total=total)


def to_views(session: Session, document: Document, rows: Sequence[Segment]) -> list[SegmentView]:
    """Return segments of one document with what is shown beside them, in two statements at most."""
    children: dict[str, list[ChildChunk]] = {row.id: [] for row in rows}
    if document.doc_form == DocForm.HIERARCHICAL:
        found = session.scalars(
            select(ChildChunk)
            .where(
                ChildChunk.tenant_id == document.tenant_id,
                ChildChunk.segment_id.in_(children),
                ChildChunk.type != SUMMARY,
            )
            .order_by(ChildChunk.position, ChildChunk.id)
        )
        for child in found:
            children[child.segment_id].append(child)
    known = load_summaries(session, rows)
    return [SegmentView(segment=row, summary=known.get(row.id), children=children[row.id]) for row in rows]


def open_for_change(session: Session, principal: Principal, dataset_id: str, document_id: str) -> Document:
    """Return a document whose segments the caller may change, held against others who do.

    Raises NotFound, Forbidden, ArchivedDocument.
    """
    document = check_mutable(open_document(session, principal, dataset_id, document_id, may_edit=True))
    session.execute(
        update(Document)
        .where(Document.tenant_id == principal.tenant_id, Document.id == document.id)
        .values(updated_at=utc_now())
        .execution_options(synchronize_session=False)
    )
    session.refresh(document)
    return document


def create_segments(
    runtime: Runtime, session: Session, principal: Principal, document: Document, texts: Sequence[SegmentText]
) -> SegmentPage:
    """Add segments at the end of a document that is indexed.

    Raises NotFound for a document that is not completed or disabled, InvalidRequest for an empty text.
    """
    check_open(document)
    rows = add_segments(runtime, session, document, texts, created_by=principal.id)
    return _page(session, document, rows)


def check_open(document: Document) -> None:
    """Raise NotFound for a document that takes no segments: not completed, or disabled."""
    if document.indexing_status != "completed":
        raise NotFound("Document is not completed.")
    if not document.enabled:
        raise NotFound("Document is disabled.")


def add_segments(
    runtime: Runtime, session: Session, document: Document, texts: Sequence[SegmentText], *, created_by: str
) -> list[Segment]:
    """Add segments at the end of a document that is held, and have them indexed; raises InvalidRequest."""
    last = session.scalar(
        select(func.max(Segment.position)).where(
            Segment.document_id == document.id, Segment.version == document.version
        )
    )
    rows = []
    summary_status = summaries.status_of_new(session, document)
    for position, text in enumerate(texts, (last or 0) + 1):
        row = Segment(
            id=new_id(),
            tenant_id=document.tenant_id,
            dataset_id=document.dataset_id,
            document_id=document.id,
            version=document.version,
            position=position,
            created_by=created_by,
            enabled=text.enabled is not False,
            summary_status=summary_status,
        )
        _say(document, row, text)
        session.add(row)
        if document.doc_form == DocForm.HIERARCHICAL:
            session.add_all(_split(session, document, row, created_by=created_by))
        rows.append(row)
    session.flush()
    indexing.reindex_segments(runtime, session, document, [row.id for row in rows])
    return rows


def update_segment(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    document: Document,
    segment_id: str,
    text: SegmentText,
) -> SegmentPage:
    """Change what a segment says; with ``regenerate_child_chunks`` its children are made anew.

    Raises NotFound, InvalidRequest.
    """
    row = access_segment(session, principal, document, segment_id)
    before = (row.hash, row.answer, row.keywords)
    _say(document, row, text)
    row.updated_by = principal.id
    if text.enabled is not None:
        _switch(principal, row, is_on=text.enabled)
    is_regenerated = text.regenerate_child_chunks and document.doc_form == DocForm.HIERARCHICAL
    if is_regenerated:
        _regenerate(runtime, session, principal, document, row)
    is_changed = is_regenerated or before != (row.hash, row.answer, row.keywords)
    if text.summary is not None or before[0] != row.hash:
        by = principal.id
        is_changed |= summaries.follow_change(runtime, session, document, row, text.summary, by=by)
    session.flush()
    if is_changed:
        indexing.reindex_segments(runtime, session, document, [row.id])
    return _page(session, document, [row])


def get_segment(session: Session, principal: Principal, document: Document, segment_id: str) -> SegmentPage:
    """Return one segment of a document the caller was let into; raises NotFound."""
    return _page(session, document, [access_segment(session, principal, document, segment_id)])


def delete_segments(
    runtime: Runtime, session: Session, principal: Principal, document: Document, ids: Sequence[str]
) -> None:
    """Delete segments, all or none; raises NotFound."""
    rows = [access_segment(session, principal, document, found) for found in dict.fromkeys(ids)]
    indexing.remove_segments(runtime, session, document, [row.id for row in rows])


def switch_segments(
    session: Session, principal: Principal, document: Document, ids: Sequence[str], action: str
) -> None:
    """Enable or disable segments, all or none; searches see it at once. Raises InvalidAction, NotFound."""
    is_on = SWITCHES.get(action)
    if is_on is None:
        raise InvalidAction(f"The action must be one of: {', '.join(SWITCHES)}.")
    for found in dict.fromkeys(ids):
        _switch(principal, access_segment(session, principal, document, found), is_on=is_on)
    session.flush()


SWITCHES: Mapping[str, bool] = {"enable": True, "disable": False}


def _page(session: Session, document: Document, rows: Sequence[Segment]) -> SegmentPage:
    for row in rows:
        session.refresh(row)
    views = to_views(session, document, rows)
    return SegmentPage(views=views, doc_form=document.doc_form, total=len(rows))


def _switch(principal: Principal, row: Segment, *, is_on: bool) -> None:
    row.enabled = is_on
    row.disabled_at = None if is_on else utc_now()
    row.disabled_by = None if is_on else principal.id


def _say(document: Document, row: Segment, text: SegmentText) -> None:
    """Give a segment its text and what is counted of it; raises InvalidRequest where something is missing."""
    content = (row.content if text.content is None else text.content).strip()
    if not content:
        raise InvalidRequest("Content is empty.", field="content", fault="required")
    if document.doc_form == DocForm.QA:
        answer = row.answer if text.answer is None else text.answer.strip()
        if not answer:
            raise InvalidRequest("Answer is required.", field="answer", fault="required")
        row.answer = answer
    row.content = content
    row.hash = content_hash(content)
    row.word_count = len(content) + len(row.answer or "")
    row.tokens = count_tokens(content)
    if text.keywords is not None:
        row.keywords = list(text.keywords) or None


def _split(session: Session, document: Document, row: Segment, *, created_by: str) -> list[ChildChunk]:
    """Return children of a segment, cut by its document's rule."""
    stored = session.get(ProcessRuleRow, document.process_rule_id) if document.process_rule_id else None
    passages = split(row.content, to_rule(stored), DocForm.HIERARCHICAL)
    texts = [text for passage in passages for text in passage.children]
    return [
        ChildChunk(
            tenant_id=document.tenant_id,
            dataset_id=document.dataset_id,
            document_id=document.id,
            segment_id=row.id,
            position=position,
            content=text,
            word_count=len(text),
            hash=content_hash(text),
            created_by=created_by,
        )
        for position, text in enumerate(texts, 1)
    ]


def _regenerate(
    runtime: Runtime, session: Session, principal: Principal, document: Document, row: Segment
) -> None:
    gone = session.scalars(
        delete(ChildChunk)
        .where(
            ChildChunk.tenant_id == document.tenant_id,
            ChildChunk.segment_id == row.id,
            ChildChunk.type != SUMMARY,
        )
        .returning(ChildChunk.id)
    ).all()
    indexing.remove_entries(runtime, session, document, gone)
    session.add_all(_split(session, document, row, created_by=principal.id))
