"""What the stores of knowledge hold and find: entries in, hits out.

Boundary: values only. Texts of passages are rows of the database; the stores
know them by id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One searchable text's place: its own id, and the segment and document it belongs to.

    ``id`` is the segment's own where segments are searched whole, the child
    chunk's where those are searched.
    """

    id: str
    segment_id: str
    document_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorEntry(Entry):
    """An entry with its vector, of unit length; all of a collection have one dimension."""

    vector: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEntry(Entry):
    """An entry with the text that full-text search finds it by."""

    text: str


class Hit(NamedTuple):
    """An entry that was found. ``score`` is 0..1, higher is nearer, and means the same on every store.

    A tuple, because a search makes hundreds.
    """

    collection: str
    id: str
    segment_id: str
    document_id: str
    score: float
