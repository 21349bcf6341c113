"""Ranks short texts against a question by the words they share (Okapi BM25).

Boundary: pure. :func:`rank` is made for the sentences of one prompt; a stored
corpus (api/core/rag/keyword_search.py) shares the formula alone.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.core.text.words import terms

SATURATION = 1.2
LENGTH_WEIGHT = 0.5

# In a handful of texts every word is rare or common by chance; weights are
# taken as if there were at least this many.
_MIN_TEXTS = 10


@dataclass(frozen=True, slots=True)
class Match:
    """A text that shares words with the question.

    ``index`` is its place among the texts, ``score`` is above 0, without an
    upper bound and higher is nearer, ``coverage`` is the share of the
    question's weight found in the text, 0..1.
    """

    index: int
    score: float
    coverage: float


def rank(question: str, texts: Sequence[str]) -> list[Match]:
    """Return the texts that share a word with ``question``, best first, ties in their given order."""
    asked = set(terms(question))
    counted = [Counter(terms(text)) for text in texts]
    weights = _weigh(asked, counted)
    mean_length = max(1.0, sum(map(Counter.total, counted)) / max(1, len(counted)))
    matches = [
        Match(index, _score(weights, counts, mean_length), _cover(weights, counts))
        for index, counts in enumerate(counted)
        if asked & counts.keys()
    ]
    return sorted(matches, key=lambda match: -match.score)


def rarity(found: int, size: int) -> float:
    """Return how much a word tells that ``found`` of ``size`` texts have; above 0."""
    return math.log(1 + (size - found + 0.5) / (found + 0.5))


def saturation(count: int, relative_length: float) -> float:
    """Return what a word's ``count`` in a text is worth, 0..1; ``relative_length`` is 1 for a usual text."""
    length = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative_length
    return count / (count + SATURATION * length)


def _weigh(asked: set[str], counted: Sequence[Counter[str]]) -> dict[str, float]:
    size = max(_MIN_TEXTS, len(counted))
    found = Counter(term for counts in counted for term in counts if term in asked)
    return {term: rarity(found[term], size) for term in sorted(asked)}


def _score(weights: Mapping[str, float], counts: Counter[str], mean_length: float) -> float:
    relative_length = counts.total() / mean_length
    return sum(
        weights[term] * saturation(count, relative_length)
        for term, count in counts.items()
        if term in weights
    )


def _cover(weights: Mapping[str, float], counts: Counter[str]) -> float:
    return math.fsum(weights[term] for term in counts if term in weights) / math.fsum(weights.values())
