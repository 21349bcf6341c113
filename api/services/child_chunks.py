"""Child chunks of a segment, by hand: listed, added, changed, deleted.

A change has the whole segment indexed anew, for which the vectors of texts that
stay the same are known already.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.core.text.process_rule import DocForm
from api.core.text.segment_hash import content_hash
from api.errors import InvalidRequest
from api.models.base import new_id
from api.models.document import SUMMARY, ChildChunk, Document, Segment
from api.principal import Principal
from api.runtime import Runtime
from api.services import indexing
from api.services.access import access_child_chunk, access_segment


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildChunkView:
    """A child chunk as its row tells."""

    chunk: ChildChunk


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkText:
    """What a child chunk is to say; without an id a new one."""

    id: str | None = None
    content: str


def load_chunks(
    session: Session,
    principal: Principal,
    document: Document,
    segment_id: str,
    *,
    keyword: str,
    page: int,
    limit: int,
) -> tuple[list[ChildChunkView], int]:
    """Return one page (from 1) of a segment's children, and how many there are; raises NotFound."""
    segment = access_segment(session, principal, document, segment_id)
    query = select(ChildChunk).where(
        ChildChunk.tenant_id == document.tenant_id,
        ChildChunk.segment_id == segment.id,
        ChildChunk.type != SUMMARY,
    )
    if keyword:
        query = query.where(ChildChunk.content.icontains(keyword, autoescape=True))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(ChildChunk.position, ChildChunk.id)
    rows = session.scalars(ordered.limit(limit).offset((page - 1) * limit)).all()
    return [ChildChunkView(chunk=row) for row in rows], total


def create_chunk(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    document: Document,
    segment_id: str,
    content: str,
) -> ChildChunkView:
    """Add a child at the end of a segment; raises NotFound, InvalidRequest."""
    segment = _open(session, principal, document, segment_id)
    row = _add(session, principal, segment, content)
    indexing.reindex_segments(runtime, session, document, [segment.id])
    return ChildChunkView(chunk=row)


def update_chunk(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    document: Document,
    segment_id: str,
    *,
    text: ChunkText,
) -> ChildChunkView:
    """Change what a child says; raises NotFound, InvalidRequest."""
    segment = _open(session, principal, document, segment_id)
    row = access_child_chunk(session, principal, segment, text.id or "")
    _say(row, text.content)
    session.flush()
    indexing.reindex_segments(runtime, session, document, [segment.id])
    return ChildChunkView(chunk=row)


def replace_chunks(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    document: Document,
    segment_id: str,
    *,
    texts: Sequence[ChunkText],
) -> list[ChildChunkView]:
    """Change a segment's children into those named: others go, those without an id are new.

    Raises NotFound, InvalidRequest.
    """
    segment = _open(session, principal, document, segment_id)
    kept = {text.id: access_child_chunk(session, principal, segment, text.id) for text in texts if text.id}
    rows = session.scalars(
        select(ChildChunk).where(
            ChildChunk.tenant_id == document.tenant_id,
            ChildChunk.segment_id == segment.id,
            ChildChunk.type != SUMMARY,
        )
    ).all()
    kept_ids = {row.id for row in kept.values()}
    gone = [row for row in rows if row.id not in kept_ids]
    for row in gone:
        session.delete(row)
    session.flush()
    indexing.remove_entries(runtime, session, document, [row.id for row in gone])
    made = []
    for text in texts:
        if text.id is None:
            made.append(_add(session, principal, segment, text.content))
        else:
            _say(kept[text.id], text.content)
            made.append(kept[text.id])
    session.flush()
    indexing.reindex_segments(runtime, session, document, [segment.id])
    return [ChildChunkView(chunk=row) for row in made]


def delete_chunk(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    document: Document,
    segment_id: str,
    chunk_id: str,
) -> None:
    """Delete a child; it is not found from that moment. Raises NotFound, InvalidRequest."""
    segment = _open(session, principal, document, segment_id)
    row = access_child_chunk(session, principal, segment, chunk_id)
    session.delete(row)
    session.flush()
    indexing.remove_entries(runtime, session, document, [row.id])


def _open(session: Session, principal: Principal, document: Document, segment_id: str) -> Segment:
    if document.doc_form != DocForm.HIERARCHICAL:
        raise InvalidRequest("Only segments of hierarchical documents have child chunks.")
    return access_segment(session, principal, document, segment_id)


def _add(session: Session, principal: Principal, segment: Segment, content: str) -> ChildChunk:
    last = session.scalar(select(func.max(ChildChunk.position)).where(ChildChunk.segment_id == segment.id))
    row = ChildChunk(
        id=new_id(),
        tenant_id=segment.tenant_id,
        dataset_id=segment.dataset_id,
        document_id=segment.document_id,
        segment_id=segment.id,
        position=(last or 0) + 1,
        type="customized",
        created_by=principal.id,
    )
    _say(row, content)
    session.add(row)
    session.flush()
    return row


def _say(row: ChildChunk, content: str) -> None:
    text = content.strip()
    if not text:
        raise InvalidRequest("Content is empty.", field="content", fault="required")
    if row.content is not None and row.content != text:
        row.type = "customized"
    row.content, row.word_count, row.hash = text, len(text), content_hash(text)
