"""A collection's vectors in memory, searched exactly: one product of a matrix and a vector.

Boundary: numpy alone; knows no database. What must stay true: a snapshot is
never changed under a search. Rows are only added, behind the end of every
snapshot there is; what is replaced or removed is masked in the next snapshot.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from api.backends.vectors.local_tables import Mark
from api.core.rag.chunk import Hit

Row: TypeAlias = tuple[str, str, str, bytes]
"""Id, segment's id, document's id, and the vector as little-endian floats of 32 bits."""

GROWTH = 1.25
MAX_TIES = 1_000
BYTES_BESIDE_VECTOR = 300
"""What a row's ids and their places take, about."""


class Matrix:
    """Rows of vectors of one dimension, with their ids. Add rows from one thread at a time."""

    def __init__(self, collection: str, dimension: int, capacity: int) -> None:
        self.collection = collection
        self.dimension = dimension
        self.vectors: NDArray[np.float32] = np.empty((capacity, dimension), np.float32)
        self.document_codes: NDArray[np.int32] = np.empty(capacity, np.int32)
        self.ids: list[str] = []
        self.segment_ids: list[str] = []
        self.documents: list[str] = []
        self.code_by_document: dict[str, int] = {}
        self.row_by_id: dict[str, int] = {}

    def add(self, rows: Sequence[Row]) -> list[int]:
        """Add rows behind the others; return the places of those they replace."""
        start, end = len(self.ids), len(self.ids) + len(rows)
        if end > len(self.vectors):
            self._grow(end)
        block = np.frombuffer(b"".join(row[3] for row in rows), "<f4")
        self.vectors[start:end] = block.reshape(len(rows), self.dimension)
        replaced = []
        for place, (entry_id, segment_id, document_id, _) in enumerate(rows, start):
            if entry_id in self.row_by_id:
                replaced.append(self.row_by_id[entry_id])
            self.row_by_id[entry_id] = place
            self.document_codes[place] = self._code(document_id)
            self.ids.append(entry_id)
            self.segment_ids.append(entry_id if segment_id == entry_id else segment_id)
        return replaced

    def _grow(self, needed: int) -> None:
        capacity = max(needed, int(len(self.vectors) * GROWTH), 64)
        vectors = np.empty((capacity, self.dimension), np.float32)
        codes = np.empty(capacity, np.int32)
        vectors[: len(self.ids)] = self.vectors[: len(self.ids)]
        codes[: len(self.ids)] = self.document_codes[: len(self.ids)]
        self.vectors, self.document_codes = vectors, codes

    def _code(self, document_id: str) -> int:
        code = self.code_by_document.get(document_id)
        if code is None:
            code = len(self.documents)
            self.documents.append(document_id)  # first, because a search may look right now
            self.code_by_document[document_id] = code
        return code


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The first ``count`` rows of a matrix, but for the ``dead`` ones: a collection at one mark."""

    matrix: Matrix
    mark: Mark
    count: int
    dead: NDArray[np.bool_] | None = None

    def is_at(self, mark: Mark) -> bool:
        """Tell whether it shows the collection as it is at the mark, or later."""
        return self.mark.generation == mark.generation and self.mark.version >= mark.version

    def may_advance(self, mark: Mark) -> bool:
        """Tell whether it can be brought to the mark by what changed; not when a quarter of it is dead."""
        is_worn = self.dead is not None and 4 * int(self.dead.sum()) > self.count
        is_newest = self.count == len(self.matrix.ids)
        return self.mark.generation == mark.generation and is_newest and not is_worn

    def size_bytes(self) -> int:
        """Return the memory it takes, about."""
        return size_bytes(len(self.matrix.vectors), self.matrix.dimension)


def size_bytes(rows: int, dimension: int) -> int:
    """Return the memory that many rows take, about."""
    return rows * (4 * dimension + BYTES_BESIDE_VECTOR)


def read(mark: Mark, count: int, blocks: Iterable[Sequence[Row]]) -> Snapshot:
    """Return a snapshot of all rows of a collection, about ``count``, with some room for more."""
    matrix = Matrix(mark.collection, mark.dimension, count + count // 20)
    for rows in blocks:
        matrix.add(rows)
    return Snapshot(matrix=matrix, mark=mark, count=len(matrix.ids))


def advance(before: Snapshot, rows: Sequence[Row], kept: Collection[str] | None, mark: Mark) -> Snapshot:
    """Return the snapshot after ``before``: with ``rows`` new or replaced, and only ``kept`` ids left.

    ``kept`` is None when nothing was removed. Only one thread at a time may
    advance the newest snapshot of a matrix.
    """
    matrix = before.matrix
    dead_rows = matrix.add(rows)
    if kept is not None:
        gone = [entry_id for entry_id in matrix.row_by_id if entry_id not in kept]
        dead_rows += [matrix.row_by_id.pop(entry_id) for entry_id in gone]
    dead = before.dead
    if dead_rows or dead is not None:
        dead = np.zeros(len(matrix.ids), np.bool_)
        if before.dead is not None:
            dead[: before.count] = before.dead
        dead[dead_rows] = True
    return Snapshot(matrix=matrix, mark=mark, count=len(matrix.ids), dead=dead)


def nearest(
    snapshots: Iterable[Snapshot],
    vector: Sequence[float],
    top_k: int,
    min_score: float,
    documents: Collection[str] | None,
) -> list[Hit]:
    """Return the ``top_k`` nearest of all snapshots, and those as near as the last, in no order.

    See VectorStore.search.
    """
    query = np.asarray(vector, np.float32)
    searched = [snapshot for snapshot in snapshots if snapshot.count]
    if not searched:
        return []
    # One choice among the rows of all: each costs as much as a thousand comparisons.
    scores = np.concatenate([_scores(snapshot, query, documents) for snapshot in searched])
    ends = list(accumulate(snapshot.count for snapshot in searched))
    place = max(0, len(scores) - top_k)
    least = np.partition(scores, place)[place]
    # Those as near as the last are told from each other by their ids, unless they are very many.
    rows = np.concatenate([np.flatnonzero(scores > least), np.flatnonzero(scores == least)[:MAX_TIES]])
    hits = []
    for row, score in zip(rows.tolist(), scores[rows].tolist(), strict=True):
        # What is not wanted is -inf; of the others, rounding aside, a score is -1..1.
        if score != -np.inf and (kept := min(1.0, max(0.0, score))) >= min_score:
            place = bisect_right(ends, row)
            hits.append(_to_hit(kept, searched[place], row - ends[place] + searched[place].count))
    return hits


def _scores(
    snapshot: Snapshot, query: NDArray[np.float32], documents: Collection[str] | None
) -> NDArray[np.float32]:
    """Return how near each row is, -inf for those that are dead or not wanted."""
    matrix, count = snapshot.matrix, snapshot.count
    # Not a product by BLAS: its threads would spin for 20 ms of CPU after each, and one alone is slower.
    scores: NDArray[np.float32] = np.vecdot(matrix.vectors[:count], query)
    if documents is not None:
        codes = [
            code for document in documents if (code := matrix.code_by_document.get(document)) is not None
        ]
        is_wanted = np.zeros(len(matrix.documents), np.bool_)
        is_wanted[codes] = True
        scores[~is_wanted[matrix.document_codes[:count]]] = -np.inf
    if snapshot.dead is not None:
        scores[snapshot.dead] = -np.inf
    return scores


def _to_hit(score: float, snapshot: Snapshot, row: int) -> Hit:
    matrix = snapshot.matrix
    return Hit(
        collection=matrix.collection,
        id=matrix.ids[row],
        segment_id=matrix.segment_ids[row],
        document_id=matrix.documents[matrix.document_codes[row]],
        score=score,
    )
