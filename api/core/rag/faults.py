"""Tells what pydantic found wrong with a client's JSON in the words of our errors."""

from collections.abc import Mapping

from pydantic import ValidationError

from api.errors import FaultType, InvalidRequest

FAULTS: Mapping[str, FaultType] = {
    "missing": "required",
    "literal_error": "invalid_choice",
    "enum": "invalid_choice",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "too_long": "too_long",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
}


def fault_of(kind: str) -> FaultType:
    """Return our word for a kind of error of pydantic's."""
    return FAULTS.get(kind, "invalid_type" if kind.endswith("_type") else "invalid_value")


def to_invalid_request(error: ValidationError, field: str) -> InvalidRequest:
    """Return the error for the first fault found, named by its path below ``field``."""
    fault = error.errors()[0]
    path = ".".join(str(part) for part in (field, *fault["loc"]))
    message = f"{path}: {fault['msg'].removeprefix('Value error, ')}."
    return InvalidRequest(message, field=path, fault=fault_of(fault["type"]))
