"""Tells what pydantic found wrong with a client's JSON in the words of our errors."""

from collections.abc import Mapping

from pydantic import ValidationError

from api.errors import FaultType, InvalidRequest

FAULTS: Mapping[str, FaultType] = {
    "missing": "required",
    "literal_error": "invalid_choice",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "too_long": "too_long",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
}


def to_invalid_request(error: ValidationError, field: str) -> InvalidRequest:
    """Return the error for the first fault found, named by its path below ``field``."""
    fault = error.errors()[0]
    path = ".".join(str(part) for part in (field, *fault["loc"]))
    kind = fault["type"]
    found = FAULTS.get(kind, "invalid_type" if kind.endswith("_type") else "invalid_value")
    return InvalidRequest(f"{path}: {fault['msg'].removeprefix('Value error, ')}.", field=path, fault=found)
