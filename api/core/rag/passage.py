"""What a search is about and what it returns: sources, passages, and how passages are read.

Boundary: values and one protocol; services implement it over their rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from api.core.model_runtime.types import ModelRef
from api.core.rag.chunk import Hit
from api.core.rag.retrieval_model import SearchMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset to search: its collection, and what it was embedded with.

    ``embedding`` is None where there are only keywords; such a dataset is
    searched by them whatever the method. ``search_method`` is the dataset's own
    where it differs from the settings'. Only ``documents`` are searched where
    they are given.
    """

    tenant_id: str
    collection: str
    embedding: ModelRef | None = None
    search_method: SearchMethod | None = None
    documents: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildChunk:
    """A part of a segment that is searched on its own; ``position`` counts from 1 within it."""

    id: str
    text: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A live segment: what an entry of a store stands for.

    ``answer`` is set for pairs of question and answer, of which ``text`` is the
    question; ``child`` where the entry is a child chunk of the segment.
    """

    segment_id: str
    document_id: str
    dataset_id: str
    text: str
    answer: str | None = None
    child: ChildChunk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChild:
    """A child chunk that was found, and how near it is, 0..1."""

    chunk: ChildChunk
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A segment that was found. ``score`` is 0..1; ``children`` are those found of it, best first.

    ``collection`` and ``entry_id`` name its nearest entry in the stores.
    """

    passage: Passage
    score: float
    children: tuple[FoundChild, ...]
    collection: str
    entry_id: str


class ChunkReader(Protocol):
    """Reads the passages behind hits; the last word on what may be returned."""

    def load(self, hits: Sequence[Hit]) -> Mapping[str, Passage]:
        """Return the passage of each hit by the hit's id, and none for what is not live.

        Live is what exists now, is enabled and indexed, in a document and a
        dataset of which the same is true. One call is one bulk read.
        """
        ...
