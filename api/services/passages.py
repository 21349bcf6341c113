"""Reads the passages behind what the stores found: the last word on what a search may return."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, and_, select

from api.core.rag.chunk import Hit
from api.core.rag.passage import ChildChunk, Passage
from api.models.dataset import Dataset
from api.models.document import SUMMARY, Document, Segment
from api.models.document import ChildChunk as ChildRow
from api.runtime import Runtime

SEARCHABLE = and_(
    Segment.status == "completed",
    Segment.enabled,
    Segment.version == Document.version,
    Document.indexing_status == "completed",
    Document.enabled,
    Document.archived.is_(False),
)
"""What must be true of a segment and its document, both of which must be there."""


class LivePassages:
    """Implements ChunkReader for the datasets a caller was let into."""

    def __init__(self, runtime: Runtime, tenant_id: str, dataset_ids: Sequence[str]) -> None:
        self._runtime = runtime
        self._tenant_id = tenant_id
        self._dataset_ids = dataset_ids

    def load(self, hits: Sequence[Hit]) -> Mapping[str, Passage]:
        """Return the passage of each hit that is live; see ChunkReader. Two statements at most."""
        whole = [hit.id for hit in hits if hit.id == hit.segment_id]
        parts = [hit.id for hit in hits if hit.id != hit.segment_id]
        found: dict[str, Passage] = {}
        with self._runtime.reading() as session:
            if whole:
                for row in session.execute(self._live().where(Segment.id.in_(whole))):
                    found[row.id] = _to_passage(row)
            if parts:
                query = self._live().add_columns(
                    ChildRow.id.label("child_id"),
                    ChildRow.content.label("child_text"),
                    ChildRow.position.label("child_position"),
                    ChildRow.type.label("child_type"),
                )
                joined = query.join(ChildRow, ChildRow.segment_id == Segment.id)
                for row in session.execute(joined.where(ChildRow.id.in_(parts))):
                    found[row.child_id] = _to_passage(row, _to_child(row))
        return found

    def _live(self) -> Select[*tuple[Any, ...]]:
        query: Select[*tuple[Any, ...]] = select(
            Segment.id, Segment.document_id, Segment.dataset_id, Segment.content, Segment.answer
        )
        return (
            query.join(Document, Document.id == Segment.document_id)
            .join(Dataset, Dataset.id == Segment.dataset_id)
            .where(
                Segment.tenant_id == self._tenant_id, Segment.dataset_id.in_(self._dataset_ids), SEARCHABLE
            )
        )


def _to_child(row: Row[Any]) -> ChildChunk | None:
    """Return the part of its segment that was found; none where that was the summary of the whole."""
    if row.child_type == SUMMARY:
        return None
    return ChildChunk(id=row.child_id, text=row.child_text, position=row.child_position)


def _to_passage(row: Row[Any], child: ChildChunk | None = None) -> Passage:
    return Passage(
        segment_id=row.id,
        document_id=row.document_id,
        dataset_id=row.dataset_id,
        text=row.content,
        answer=row.answer,
        child=child,
    )
