"""Vectors of unit length, in the precision they are stored in, so that all stores give one score.

Plain Python: writing vectors needs no numpy, and a process that only writes
does not load it.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from api.errors import InvalidRequest

UnitVector: TypeAlias = "array[float]"
"""Floats of 32 bits whose squares add up to 1."""


def to_unit(vector: Sequence[float]) -> UnitVector:
    """Return the vector scaled to unit length.

    Raises InvalidRequest for one without a direction: empty, all zeros, or with
    a number that is not finite.
    """
    length = math.hypot(*vector)
    if not math.isfinite(length) or length == 0.0:
        raise InvalidRequest("The embedding model returned a vector without a direction.")
    return array("f", [number / length for number in vector])


def to_units(vectors: Iterable[Sequence[float]]) -> list[UnitVector]:
    """Return the vectors scaled to unit length; raises InvalidRequest where two differ in dimension."""
    units = [to_unit(vector) for vector in vectors]
    for unit in units:
        check_dimension(len(unit), len(units[0]))
    return units


def check_dimension(given: int, wanted: int) -> None:
    """Raise InvalidRequest where a vector's dimension is not that of the others."""
    if given != wanted:
        raise InvalidRequest(
            f"The vector has {given} dimensions where the collection's have {wanted}; "
            "was the embedding model changed?"
        )
