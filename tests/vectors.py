"""Entries with vectors for tests, and what a search of them must find."""

import itertools
import random
import uuid
from collections.abc import Sequence

import numpy as np
import pytest

from api.core.rag.chunk import Hit, VectorEntry

DIMENSION = 16
SEEDS = itertools.count()
UNDELETABLE = "00000000-0000-4000-8000-00000000dead"
"""A document whose entries our double of Weaviate says it cannot delete."""


def new_id() -> str:
    return str(uuid.uuid4())


def make_vector(seed: object, dimension: int = DIMENSION) -> list[float]:
    """Return a vector of unit length; any two have a positive cosine."""
    numbers = random.Random(str(seed))
    vector = np.array([numbers.gauss(2, 1) for _ in range(dimension)])
    unit: list[float] = (vector / np.linalg.norm(vector)).tolist()
    return unit


def make_entry(seed: object, document_id: str | None = None, dimension: int = DIMENSION) -> VectorEntry:
    return VectorEntry(
        id=new_id(),
        segment_id=new_id(),
        document_id=document_id or new_id(),
        vector=make_vector(seed, dimension),
    )


def make_entries(count: int, document_id: str | None = None, dimension: int = DIMENSION) -> list[VectorEntry]:
    return [make_entry(next(SEEDS), document_id, dimension) for _ in range(count)]


def nearest(entries: Sequence[VectorEntry], vector: Sequence[float], top_k: int) -> list[tuple[str, float]]:
    """Return what a search must find: ids and cosines, best first."""
    scored = [(entry.id, max(0.0, float(np.dot(entry.vector, vector)))) for entry in entries]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:top_k]


def found(hits: Sequence[Hit]) -> list[tuple[str, object]]:
    return [(hit.id, pytest.approx(hit.score, abs=2e-6)) for hit in hits]


def ids_of(hits: Sequence[Hit]) -> list[str]:
    return [hit.id for hit in hits]
