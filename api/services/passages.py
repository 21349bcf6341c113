"""Reads the passages behind what the stores found: the last word on what a search may return."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, select

from api.core.rag.chunk import Hit
from api.core.rag.passage import ChildChunk, Passage
from api.models.base import Base
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


SEGMENTS = Base.metadata.tables[Segment.__tablename__]
CHILDREN = Base.metadata.tables[ChildRow.__tablename__]

# The table's own columns: rows of the ORM cost more than all the rest of a read.
LIVE = (
    select(
        SEGMENTS.c.id,
        SEGMENTS.c.document_id,
        SEGMENTS.c.dataset_id,
        SEGMENTS.c.content,
        SEGMENTS.c.answer,
    )
    .join_from(SEGMENTS, Document.__table__, Document.id == SEGMENTS.c.document_id)
    .join(Dataset.__table__, Dataset.id == SEGMENTS.c.dataset_id)
    .where(SEGMENTS.c.tenant_id == bindparam("tenant_id"), SEARCHABLE)
)
WHOLE = LIVE.where(SEGMENTS.c.id.in_(bindparam("ids", expanding=True)))
PARTS = (
    LIVE.add_columns(
        CHILDREN.c.id.label("child_id"),
        CHILDREN.c.content.label("child_text"),
        CHILDREN.c.position.label("child_position"),
        CHILDREN.c.type.label("child_type"),
    )
    .join(CHILDREN, CHILDREN.c.segment_id == SEGMENTS.c.id)
    .where(CHILDREN.c.id.in_(bindparam("ids", expanding=True)))
)


class LivePassages:
    """Implements ChunkReader for the datasets a caller was let into."""

    def __init__(self, runtime: Runtime, tenant_id: str, dataset_ids: Sequence[str]) -> None:
        self._runtime = runtime
        self._tenant_id = tenant_id
        self._dataset_ids = frozenset(dataset_ids)

    def load(self, hits: Sequence[Hit]) -> Mapping[str, Passage]:
        """Return the passage of each hit that is live; see ChunkReader. Two statements at most."""
        whole = [hit.id for hit in hits if hit.id == hit.segment_id]
        parts = [hit.id for hit in hits if hit.id != hit.segment_id]
        found: dict[str, Passage] = {}
        with self._runtime.autocommit() as connection:
            if whole:
                for row in self._read(connection, WHOLE, whole):
                    found[row.id] = _to_passage(row)
            if parts:
                for row in self._read(connection, PARTS, parts):
                    found[row.child_id] = _to_passage(row, _to_child(row))
        return found

    def _read(
        self, connection: Connection, query: Select[*tuple[Any, ...]], ids: list[str]
    ) -> Iterator[Row[Any]]:
        """Yield the live rows of the caller's datasets.

        Which those are is not asked of the database: SQLite would look through all
        segments of a dataset for a few of known ids.
        """
        rows = connection.execute(query, {"tenant_id": self._tenant_id, "ids": ids}).all()
        return (row for row in rows if row.dataset_id in self._dataset_ids)


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
