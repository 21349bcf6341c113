"""Conditions on the metadata of documents: which documents a search may look at.

Boundary: pure. A field has a string, a number or a time, which is seconds since
1970 or an ISO 8601 text, in UTC where it names no zone. What must stay true:
each negative operator is the opposite of its positive one, so that a document
without the field passes ``is not`` and fails ``is``.
Wire: ``metadata_filtering_conditions`` of the knowledge API.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from api.core.ports import JSONObject
from api.core.rag.faults import to_invalid_request

Operator: TypeAlias = Literal[
    "contains",
    "not contains",
    "start with",
    "end with",
    "is",
    "is not",
    "empty",
    "not empty",
    "in",
    "not in",
    "=",
    "≠",
    ">",
    "<",
    "≥",
    "≤",
    "before",
    "after",
]
Scalar: TypeAlias = str | int | float
Scalars: TypeAlias = Annotated[tuple[Scalar, ...], Field(strict=False)]
Stored: TypeAlias = str | int | float | datetime | None
"""A metadata value of a document."""

UNARY: frozenset[Operator] = frozenset({"empty", "not empty"})
OPPOSITES: Mapping[Operator, Operator] = {
    "not contains": "contains",
    "is not": "is",
    "not empty": "empty",
    "not in": "in",
    "≠": "=",
}
NUMERIC: Mapping[Operator, Callable[[float, float], bool]] = {
    "=": lambda found, wanted: found == wanted,
    ">": lambda found, wanted: found > wanted,
    "<": lambda found, wanted: found < wanted,
    "≥": lambda found, wanted: found >= wanted,
    "≤": lambda found, wanted: found <= wanted,
}
TEMPORAL: Mapping[Operator, Callable[[float, float], bool]] = {
    "before": lambda found, wanted: found < wanted,
    "after": lambda found, wanted: found > wanted,
}
TEXTUAL: Mapping[Operator, Callable[[str, str], bool]] = {
    "contains": lambda found, wanted: wanted in found,
    "start with": str.startswith,
    "end with": str.endswith,
    "is": lambda found, wanted: found == wanted,
}


class Condition(BaseModel):
    """One comparison of a field. Without a value it says nothing, as a row of a form not filled in."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: str = Field(min_length=1)
    comparison_operator: Operator
    value: Scalar | Scalars | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _value_is_plain(cls, value: object) -> object:
        members = value if isinstance(value, (list, tuple)) else (value,)
        if value is not None and not all(type(member) in (str, int, float) for member in members):
            raise ValueError("a value is a text, a number or a list of them")
        return value

    @model_validator(mode="after")
    def _value_fits(self) -> "Condition":
        if self.is_blank:
            return self
        operator = OPPOSITES.get(self.comparison_operator, self.comparison_operator)
        if operator in NUMERIC and to_number(self.value) is None:
            raise ValueError(f"{self.comparison_operator!r} compares with a number, not {self.value!r}")
        if operator in TEMPORAL and to_seconds(self.value) is None:
            raise ValueError(f"{self.comparison_operator!r} compares with a time, not {self.value!r}")
        return self

    @property
    def is_blank(self) -> bool:
        """Tell whether the condition lacks the value it compares with."""
        return self.value is None and self.comparison_operator not in UNARY

    def holds(self, found: Stored) -> bool:
        """Tell whether a document's value of the field, None where it has none, meets the condition."""
        positive = OPPOSITES.get(self.comparison_operator)
        if positive is not None:
            return not _holds(positive, found, self.value)
        return _holds(self.comparison_operator, found, self.value)


class MetadataFilter(BaseModel):
    """Conditions that must all be met, or any; a filter without conditions lets everything pass."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    logical_operator: Literal["and", "or"] = "and"
    conditions: tuple[Condition, ...] = Field((), strict=False)

    @property
    def is_empty(self) -> bool:
        """Tell whether no condition says anything."""
        return all(condition.is_blank for condition in self.conditions)

    def matches(self, metadata: Mapping[str, Stored]) -> bool:
        """Tell whether a document with this metadata, values by field name, may be searched."""
        met = [
            condition.holds(metadata.get(condition.name))
            for condition in self.conditions
            if not condition.is_blank
        ]
        return all(met) if self.logical_operator == "and" or not met else any(met)


def load_conditions(
    raw: JSONObject | None, field: str = "metadata_filtering_conditions"
) -> MetadataFilter | None:
    """Return a client's conditions, None where they say nothing.

    Raises InvalidRequest naming the key at fault below ``field``.
    """
    if raw is None:
        return None
    try:
        found = MetadataFilter.model_validate(raw)
    except ValidationError as exc:
        raise to_invalid_request(exc, field) from None
    return None if found.is_empty else found


def _holds(operator: Operator, found: Stored, wanted: Scalar | Sequence[Scalar] | None) -> bool:
    if operator == "empty":
        return found is None or found == ""
    if found is None:
        return False
    if operator == "in":
        return any(_is_same(found, one) for one in _listed(wanted))
    if operator in NUMERIC or operator in TEMPORAL:
        return _compare(operator, found, wanted)
    if operator == "is":
        return any(_is_same(found, one) for one in _several(wanted))
    return any(TEXTUAL[operator](_text(found), _text(one)) for one in _several(wanted))


def _compare(operator: Operator, found: Stored, wanted: object) -> bool:
    meets, read = (NUMERIC[operator], to_number) if operator in NUMERIC else (TEMPORAL[operator], to_seconds)
    left, right = read(found), read(wanted)
    return left is not None and right is not None and meets(left, right)


def _is_same(found: Stored, wanted: Scalar) -> bool:
    """Tell whether two values are the same text, or the same number however written."""
    if _text(found) == _text(wanted):
        return True
    if isinstance(found, str):
        return False
    number = to_number(found)
    return number is not None and number == to_number(wanted)


def _several(wanted: Scalar | Sequence[Scalar] | None) -> Sequence[Scalar]:
    if wanted is None or isinstance(wanted, (str, int, float)):
        return () if wanted is None else (wanted,)
    return wanted


def _listed(wanted: Scalar | Sequence[Scalar] | None) -> Sequence[Scalar]:
    """Return the members of a list, which a text may write with commas between them."""
    if isinstance(wanted, str):
        return [part.strip() for part in wanted.split(",")]
    return _several(wanted)


def _text(value: Stored) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def to_number(value: object) -> float | None:
    """Return a number, or the one a text writes; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def to_seconds(value: object) -> float | None:
    """Return the seconds since 1970 of a time, None for what is none."""
    if isinstance(value, str) and to_number(value) is None:
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return to_number(value)
