"""The picture of vectors: near ones lie near, and it is the same every time."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.rag.projection import project

VECTORS = st.integers(1, 5).flatmap(
    lambda dim: st.lists(st.lists(st.floats(-1, 1), min_size=dim, max_size=dim), max_size=12)
)


def test_project_two_groups_lie_apart() -> None:
    groups = [[1.0, 0.0, 0.0, 0.1], [1.0, 0.1, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.9, 0.0]]
    a, b, c, d = project(groups)
    assert max(math.dist(a, b), math.dist(c, d)) < 0.2
    assert min(math.dist(one, other) for one in (a, b) for other in (c, d)) > 1.0


@given(VECTORS)
def test_project_gives_a_point_per_vector_within_the_square(vectors: list[list[float]]) -> None:
    points = project(vectors)
    assert len(points) == len(vectors)
    assert all(-1.0 <= value <= 1.0 for point in points for value in point)
    assert project(vectors) == points


def test_project_does_not_hang_on_where_the_axes_point() -> None:
    rng = random.Random(7)
    vectors = [[rng.gauss(0, 1) for _ in range(32)] for _ in range(20)]
    mirrored = [[-value for value in vector] for vector in vectors]
    plain, turned = project(vectors), project(mirrored)
    spans = [math.dist(one, other) for one in plain for other in plain]
    assert [math.dist(one, other) for one in turned for other in turned] == pytest.approx(spans, abs=1e-4)


@pytest.mark.parametrize("vectors", [[], [[0.3, 0.4]], [[0.6, 0.8]] * 4])
def test_project_nothing_to_tell_apart_lies_at_the_origin(vectors: list[list[float]]) -> None:
    assert project(vectors) == [(0.0, 0.0)] * len(vectors)


def test_project_one_dimension_has_no_second_axis() -> None:
    assert project([[0.0], [1.0], [3.0]]) == [
        pytest.approx((-0.8, 0.0)),
        pytest.approx((-0.2, 0.0)),
        pytest.approx((1.0, 0.0)),
    ]
