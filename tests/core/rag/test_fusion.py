"""One ranking of several: what holds whatever was found."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.rag.chunk import Hit
from api.core.rag.fusion import Candidate, Part, fuse_by_rank, fuse_by_weight, spread, to_candidate


def hit(id_: str, score: float, *, segment: str = "", collection: str = "c") -> Hit:
    return Hit(collection=collection, id=id_, segment_id=segment or id_, document_id="d", score=score)


def ids(candidates: list[Candidate]) -> list[str]:
    return [next(iter(candidate.hits)).segment_id for candidate in candidates]


def ranked(scores: dict[str, float]) -> list[Hit]:
    return sorted((hit(id_, score) for id_, score in scores.items()), key=lambda found: -found.score)


SCORES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1), max_size=8)
PARTS = st.builds(
    lambda weight, semantic, keyword: [Part(weight, ranked(semantic)), Part(1 - weight, ranked(keyword))],
    st.floats(0, 1),
    SCORES,
    SCORES,
)


def test_fuse_by_weight_adds_what_each_part_says() -> None:
    found = fuse_by_weight([Part(0.7, [hit("a", 1.0), hit("b", 0.5)]), Part(0.3, [hit("b", 1.0)])])
    assert ids(found) == ["a", "b"]
    assert [candidate.score for candidate in found] == pytest.approx([0.7, 0.65])


def test_fuse_by_weight_children_count_as_their_best() -> None:
    children = [hit("x", 0.75, segment="s"), hit("y", 0.5, segment="s")]
    [found] = fuse_by_weight([Part(0.5, children), Part(0.5, [hit("s", 0.25)])])
    assert found.score == pytest.approx(0.5)
    assert [one.id for one in found.hits] == ["x", "y", "s"]


def test_fuse_same_segment_of_two_collections_stays_two() -> None:
    found = fuse_by_weight([Part(1.0, [hit("a", 0.5), hit("a", 0.25, collection="other")])])
    assert [candidate.score for candidate in found] == [0.5, 0.25]


def test_fuse_by_rank_looks_at_places_only() -> None:
    parts = [Part(0.5, [hit("a", 0.02), hit("b", 0.01)]), Part(0.5, [hit("b", 0.99), hit("a", 0.98)])]
    first, second = fuse_by_rank(parts)
    assert ids([first, second]) == ["a", "b"]
    assert first.score == pytest.approx(second.score)


def test_fuse_by_rank_first_everywhere_is_one() -> None:
    [found] = fuse_by_rank([Part(0.5, [hit("a", 0.1)]), Part(0.5, [hit("a", 0.2)])])
    assert found.score == pytest.approx(1.0)


def test_fuse_nothing_gives_nothing() -> None:
    assert fuse_by_weight([]) == fuse_by_rank([Part(1.0, [])]) == []


@given(PARTS)
def test_fusion_names_each_segment_once_and_in_order(parts: list[Part]) -> None:
    expected = {found.id for part in parts for found in part.hits}
    for fused in (fuse_by_weight(parts), fuse_by_rank(parts)):
        assert sorted(ids(fused)) == sorted(expected)
        scores = [candidate.score for candidate in fused]
        assert scores == sorted(scores, reverse=True)
        assert all(0.0 <= score <= 1.0 for score in scores)


@given(PARTS)
def test_fuse_by_weight_score_does_not_hang_on_what_else_was_found(parts: list[Part]) -> None:
    for candidate in fuse_by_weight(parts):
        alone = [Part(part.weight, part.hits) for part in candidate.found]
        assert fuse_by_weight(alone) == [candidate]
        assert to_candidate(alone) == candidate


@given(SCORES)
def test_fusion_of_one_part_keeps_its_order(scores: dict[str, float]) -> None:
    hits = ranked(scores)
    for fuse in (fuse_by_weight, fuse_by_rank):
        assert ids(fuse([Part(1.0, hits)])) == [found.id for found in hits]


@given(SCORES, st.floats(0, 0.9), st.floats(0.01, 0.1))
def test_spread_stays_in_range_and_in_order(scores: dict[str, float], floor: float, width: float) -> None:
    hits = ranked(scores)
    found = spread(hits, floor=floor, ceiling=floor + width)
    assert [one.id for one in found] == [one.id for one in hits]
    values = [one.score for one in found]
    assert values == sorted(values, reverse=True)
    assert all(0.0 <= value <= 1.0 for value in values)


def test_spread_floor_is_nothing_and_ceiling_is_all() -> None:
    found = spread([hit("a", 0.95), hit("b", 0.825), hit("c", 0.7)], floor=0.7, ceiling=0.95)
    assert [one.score for one in found] == pytest.approx([1.0, 0.5, 0.0])
    [same] = spread([hit("a", 0.3)], floor=0.0, ceiling=1.0)
    assert math.isclose(same.score, 0.3)
