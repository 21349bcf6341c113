"""What the stores are to hold of a segment: read here for all that write it, copy it or compare it.

Words find a segment by its content, its answer and the keywords it was given.
By meaning it is found by its children in hierarchical documents and by its own
content in others, and in both by its summary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from api.core.indexing_runner import Unembedded
from api.core.rag.chunk import TextEntry, VectorEntry
from api.core.text.process_rule import DocForm
from api.models.document import ChildChunk, Document, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexable:
    """A segment with the text that words find it by, and those that are embedded.

    Equal ones are indexed alike. Where nothing is embedded ``texts`` is the segment's own alone.
    """

    id: str
    document_id: str
    words: str
    texts: tuple[Unembedded, ...]

    def to_text_entry(self) -> TextEntry:
        """Return its entry of the keyword index."""
        return TextEntry(id=self.id, segment_id=self.id, document_id=self.document_id, text=self.words)

    def to_vector_entries(self, vectors: Mapping[str, Sequence[float]]) -> list[VectorEntry]:
        """Return its entries of the store of vectors: those of its texts that have one, by the text's id."""
        return [
            VectorEntry(id=text.id, segment_id=self.id, document_id=self.document_id, vector=vectors[text.id])
            for text in self.texts
            if text.id in vectors
        ]


def select_segments() -> Select[*tuple[Any, ...]]:
    """Return the query of segments and their documents, for callers to narrow, order and limit."""
    query: Select[*tuple[Any, ...]] = select(
        Segment.id,
        Segment.document_id,
        Segment.content,
        Segment.answer,
        Segment.hash,
        Segment.keywords,
        Segment.summary_status,
        Document.doc_form,
    )
    return query.join(Document, Document.id == Segment.document_id)


def load(session: Session, query: Select[*tuple[Any, ...]], *, is_embedded: bool) -> list[Indexable]:
    """Return the segments of ``select_segments``, in its order, as they are now; two statements at most."""
    rows = session.execute(query).all()
    # Segments that are searched whole have a child at most where they have a summary.
    parents = [row.id for row in rows if _is_parent(row) or row.summary_status is not None]
    children = _load_children(session, parents) if is_embedded and parents else {}
    return [
        Indexable(
            id=row.id,
            document_id=row.document_id,
            words="\n".join(filter(None, (row.content, row.answer, *(row.keywords or ())))),
            texts=(
                *([] if is_embedded and _is_parent(row) else [_own_text(row)]),
                *children.get(row.id, ()),
            ),
        )
        for row in rows
    ]


def _is_parent(row: Row[Any]) -> bool:
    return bool(row.doc_form == DocForm.HIERARCHICAL)


def _own_text(row: Row[Any]) -> Unembedded:
    return Unembedded(id=row.id, segment_id=row.id, text=row.content, hash=row.hash)


def _load_children(session: Session, parents: Sequence[str]) -> dict[str, list[Unembedded]]:
    """Return the texts of children and summaries, by the id of their segment."""
    found = session.execute(
        select(ChildChunk.id, ChildChunk.segment_id, ChildChunk.content, ChildChunk.hash)
        .where(ChildChunk.segment_id.in_(parents))
        .order_by(ChildChunk.segment_id, ChildChunk.position, ChildChunk.id)
    )
    children: dict[str, list[Unembedded]] = {}
    for row in found:
        text = Unembedded(id=row.id, segment_id=row.segment_id, text=row.content, hash=row.hash)
        children.setdefault(row.segment_id, []).append(text)
    return children
