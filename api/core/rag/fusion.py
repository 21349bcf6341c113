"""Makes one ranking of several: by weighted scores, or by ranks alone.

Boundary: pure. Hits of one segment are one candidate, whichever of its texts
was found, and count for the best of them in each part. Weighted scores are
absolute: the same hit gets the same score whatever else was found, so that a
threshold means one thing. Ranks forgive parts whose scores cannot be compared;
they choose what a model is asked to rank.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from api.core.rag.chunk import Hit

# The usual constant: it keeps the first place of one part from outweighing good places in both.
RANK_OFFSET = 60


class Part(NamedTuple):
    """One way of searching: what it found, best first, and what its scores count for, 0..1."""

    weight: float
    hits: Sequence[Hit]


class Candidate(NamedTuple):
    """A segment that was found, with its hits by part. ``score`` is 0..1 where the weights add up to 1."""

    score: float
    found: tuple[Part, ...]

    @property
    def hits(self) -> Iterable[Hit]:
        """Every hit of the segment."""
        return (hit for part in self.found for hit in part.hits)


def fuse_by_weight(parts: Sequence[Part]) -> list[Candidate]:
    """Return the segments found, best first; a part that did not find a segment adds nothing to it.

    Equals keep the order in which the parts name them.
    """
    found: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        of_part: dict[tuple[str, str], list[Hit]] = {}
        for hit in part.hits:
            segment = (hit.collection, hit.segment_id)
            if segment in of_part:
                of_part[segment].append(hit)
            else:
                of_part[segment] = [hit]
        for segment, hits in of_part.items():
            found.setdefault(segment, []).append(Part(part.weight, hits))
    return by_score(map(to_candidate, found.values()))


def fuse_by_rank(parts: Sequence[Part]) -> list[Candidate]:
    """Return the segments found by reciprocal rank, best first; scores only tell places.

    First in every part is 1. Weights say how much each part has to say.
    """
    return fuse_by_weight([Part(part.weight, _rank_scores(part.hits)) for part in parts])


def to_candidate(found: Sequence[Part]) -> Candidate:
    """Return the candidate that one segment's hits make; the best hit of each part is its first."""
    score = 0.0
    for weight, hits in found:
        score += weight * hits[0].score
    return Candidate(min(1.0, score), tuple(found))


def by_score(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates best first; equals keep their order."""
    return sorted(candidates, key=attrgetter("score"), reverse=True)


def spread(hits: Iterable[Hit], *, floor: float, ceiling: float) -> list[Hit]:
    """Return hits whose cosines are stretched to 0..1 from the range in which their model tells texts apart.

    Order is kept; what lies outside ends at 0 or 1.
    """
    width = ceiling - floor
    # A search makes hundreds, and Hit._replace would take three times as long.
    return [
        Hit(collection, id_, segment_id, document_id, min(1.0, max(0.0, (score - floor) / width)))
        for collection, id_, segment_id, document_id, score in hits
    ]


def _rank_scores(hits: Sequence[Hit]) -> list[Hit]:
    return [
        hit._replace(score=(RANK_OFFSET + 1) / (RANK_OFFSET + place)) for place, hit in enumerate(hits, 1)
    ]
