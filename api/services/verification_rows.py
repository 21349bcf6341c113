"""What a comparison of rows and stores speaks of, and what rows say: which entries may be, which must be."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from api.core.indexing_runner import Unembedded
from api.core.model_runtime.types import ModelRef
from api.core.rag.vector_store import KeywordIndex, VectorStore
from api.core.text.process_rule import DocForm
from api.models.dataset import Dataset
from api.models.document import SUMMARY, ChildChunk, Document, Segment
from api.runtime import Runtime
from api.services import indexables
from api.services.index_rows import embedding_of
from api.services.indexables import Indexable


class Store(StrEnum):
    """The stores of passages."""

    VECTORS = "vectors"
    KEYWORDS = "keywords"

    def of(self, runtime: Runtime) -> VectorStore | KeywordIndex:
        """Return the one of a process."""
        return runtime.vectors if self is Store.VECTORS else runtime.keywords


class Fault(StrEnum):
    """What may be wrong: an entry without a row, a row without its entry, a collection without a dataset."""

    ORPHAN = "orphan"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What became of a finding: it stays wrong, it is mended, or it need not be wrong and was left alone."""

    WRONG = "wrong"
    MENDED = "mended"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong; ``entry_id`` is the entry's, or the name of an unknown collection."""

    fault: Fault
    store: Store
    entry_id: str
    dataset_id: str | None = None
    document_id: str | None = None
    segment_id: str | None = None
    outcome: Outcome = Outcome.WRONG
    note: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it still is."""
        return self.outcome is Outcome.WRONG

    def to_line(self) -> str:
        """Return it as an operator reads it, and a program splits it: words, and ``name=id``."""
        ids = {"dataset": self.dataset_id, "document": self.document_id, "segment": self.segment_id}
        named = [f"{name}={found}" for name, found in ids.items() if found]
        named.append(f"{'collection' if self.fault is Fault.UNKNOWN else 'entry'}={self.entry_id}")
        note = f" ({self.note})" if self.note else ""
        return " ".join([self.outcome, self.fault, self.store, *named]) + note


@dataclass(slots=True, kw_only=True)
class Checked:
    """What was compared of a dataset, and how many findings there were."""

    dataset_id: str
    tenant_id: str
    segments: int = 0
    orphans: int = 0
    missing: int = 0
    mended: int = 0

    @property
    def is_wrong(self) -> bool:
        """Never: what is wrong was told before."""
        return False

    def to_line(self) -> str:
        """Return the sums, as an operator reads them."""
        return (
            f"checked dataset={self.dataset_id} workspace={self.tenant_id}: {self.segments} segments,"
            f" {self.orphans} orphans, {self.missing} missing, {self.mended} mended"
        )

    def count(self, finding: Finding) -> None:
        """Count a finding of this dataset."""
        self.orphans += finding.fault is Fault.ORPHAN
        self.missing += finding.fault is Fault.MISSING
        self.mended += finding.outcome is Outcome.MENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A dataset as it stood when it was looked at."""

    tenant_id: str
    dataset_id: str
    collection: str
    embedding: ModelRef | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """An indexed segment and what the stores lack of it: its words, vectors of ``texts``."""

    segment: Indexable
    lacks_words: bool
    texts: tuple[Unembedded, ...]


def to_target(row: Dataset) -> Target:
    """Return a dataset as it is compared."""
    return Target(
        tenant_id=row.tenant_id,
        dataset_id=row.id,
        collection=row.collection_id,
        embedding=embedding_of(row),
    )


def is_current(session: Session, target: Target, *, is_held: bool = False) -> bool:
    """Tell whether the dataset is there and as it was; ``is_held`` keeps it so until the transaction ends."""
    query = select(Dataset).where(Dataset.tenant_id == target.tenant_id, Dataset.id == target.dataset_id)
    row = session.scalars(query.with_for_update(read=True) if is_held else query).one_or_none()
    if row is None:
        return False
    return (row.collection_id, embedding_of(row)) == (target.collection, target.embedding)


def find_orphans(session: Session, target: Target, store: Store, ids: Collection[str]) -> set[str]:
    """Return those entries that no row stands for; none where the dataset is no longer as it was.

    A row that waits for its indexing stands for its entry too, and so does one of an older version.
    """
    orphans = set(ids) - _find_rows(session, target, store, ids)
    return orphans if orphans and is_current(session, target) else set()


def _find_rows(session: Session, target: Target, store: Store, ids: Collection[str]) -> set[str]:
    if store is Store.VECTORS and target.embedding is None:
        return set()
    whole = _of_dataset(select(Segment.id), target).where(Segment.id.in_(ids))
    if store is Store.KEYWORDS:
        return set(session.scalars(whole))
    is_parent = Document.doc_form == DocForm.HIERARCHICAL
    parts = _of_dataset(select(ChildChunk.id), target).where(
        ChildChunk.segment_id == Segment.id,
        ChildChunk.id.in_(ids),
        or_(is_parent, ChildChunk.type == SUMMARY),
    )
    return {*session.scalars(whole.where(~is_parent)), *session.scalars(parts)}


def load_indexed(session: Session, target: Target, *, after: str, limit: int) -> list[Indexable]:
    """Return the next segments of which there must be entries, in order of their ids."""
    query = _indexed(target).order_by(Segment.id).limit(limit)
    if after:
        query = query.where(Segment.id > after)
    return indexables.load(session, query, is_embedded=target.embedding is not None)


def keep_same(session: Session, target: Target, gaps: Sequence[Gap], *, is_held: bool = False) -> list[Gap]:
    """Return those gaps whose segment is still indexed, in the same dataset, and says the same."""
    if not is_current(session, target, is_held=is_held):
        return []
    query = _indexed(target).where(Segment.id.in_([gap.segment.id for gap in gaps]))
    found = indexables.load(session, query, is_embedded=target.embedding is not None)
    now = {segment.id: segment for segment in found}
    return [gap for gap in gaps if now.get(gap.segment.id) == gap.segment]


def _indexed(target: Target) -> Select[*tuple[Any, ...]]:
    return indexables.select_segments().where(
        Segment.tenant_id == target.tenant_id,
        Segment.dataset_id == target.dataset_id,
        Segment.version == Document.version,
        Segment.status == "completed",
    )


def _of_dataset(query: Select[tuple[str]], target: Target) -> Select[tuple[str]]:
    """Narrow a query of segments or their parts to those of a dataset whose document is there."""
    return query.where(
        Segment.tenant_id == target.tenant_id,
        Segment.dataset_id == target.dataset_id,
        Document.id == Segment.document_id,
    )
