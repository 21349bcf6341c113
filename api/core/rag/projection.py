"""Draws vectors on a plane, so that near ones lie near: the two main axes of where they differ.

Boundary: pure and deterministic; the same vectors give the same picture.
"""

from collections.abc import Sequence

DECIMALS = 6


def project(vectors: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return a point (x, y) per vector, each coordinate in -1..1.

    Vectors are n × dim; fewer than two, or equal ones, all lie at the origin.
    """
    if len(vectors) < 2:
        return [(0.0, 0.0)] * len(vectors)
    import numpy as np  # 12 MB that only a process that draws needs

    matrix = np.asarray(vectors, dtype=np.float64)
    centred = matrix - matrix.mean(axis=0)
    axes, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(matrix), 2))
    for axis in range(min(2, len(lengths))):
        column = axes[:, axis] * lengths[axis]
        # An axis has no direction of its own: the farthest point lies on its positive side.
        farthest = column[np.argmax(np.round(np.abs(column), DECIMALS))]
        points[:, axis] = column if farthest >= 0 else -column
    largest = np.abs(points).max()
    if largest > 10.0**-DECIMALS:
        points /= largest
    return [(round(float(x), DECIMALS) + 0.0, round(float(y), DECIMALS) + 0.0) for x, y in points]
