"""Declared parameters that a model fills: their schema, whether a value fits, and the nearest that does."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.templates import to_text
from api.core.workflow.variables import MAX_INTEGER, ValueType, accepts, zero

TRUE, FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


class Parameter(BaseModel):
    """A value to be found; ``select`` is a string among ``options``."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1)
    type: Literal[
        "string",
        "number",
        "boolean",
        "bool",
        "select",
        "array[string]",
        "array[number]",
        "array[object]",
        "array[boolean]",
    ]
    options: list[str] | None = None
    description: str = ""
    required: bool = False

    @property
    def kind(self) -> ValueType:
        """The type of its values."""
        return {"bool": ValueType.BOOLEAN, "select": ValueType.STRING}.get(self.type) or ValueType(self.type)

    def to_schema(self) -> JSONObject:
        """Return the JSON schema of its values."""
        schema: JSONObject = {"description": self.description}
        if self.kind.is_array:
            return {**schema, "type": "array", "items": {"type": str(self.kind.element)}}
        schema["type"] = str(self.kind)
        return {**schema, "enum": list(self.options)} if self.type == "select" and self.options else schema

    def find_fault(self, value: JSONValue) -> str | None:
        """Return what is wrong with a value, None where nothing is; null is a value not found."""
        if value is None or (self.type == "select" and value == ""):
            return f"{self.name} is required and was not found." if self.required else None
        if not accepts(self.kind, value):
            return f"{self.name} is not of type {self.kind}."
        if self.type == "select" and value not in (self.options or ()):
            return f"{self.name} is not one of its options."
        return None

    def convert(self, value: JSONValue) -> JSONValue:
        """Return the value as one of the parameter's type, as near as can be; its zero where none is."""
        if self.type == "select":
            return value if value in (self.options or ()) else ""
        if not self.kind.is_array:
            found = _convert(self.kind, value)
            return zero(self.kind) if found is None else found
        element = self.kind.element
        assert element is not None, "every array here has elements of one type"
        items = [_convert(element, item) for item in (value if isinstance(value, list) else ())]
        return [item for item in items if item is not None]


def to_schema(parameters: Sequence[Parameter]) -> JSONObject:
    """Return the JSON schema of an object that holds all parameters."""
    return {
        "type": "object",
        "properties": {item.name: item.to_schema() for item in parameters},
        "required": [item.name for item in parameters if item.required],
    }


def _convert(kind: ValueType, value: JSONValue) -> JSONValue:
    """Return a single value as one of a type, None where it cannot be."""
    match kind:
        case ValueType.STRING:
            return None if value is None else to_text(value)
        case ValueType.NUMBER:
            return _number(value)
        case ValueType.BOOLEAN:
            return _boolean(value)
    return value if isinstance(value, dict) else None


def _number(value: JSONValue) -> int | float | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    try:
        number = float(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if number is None or not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) <= MAX_INTEGER else number


def _boolean(value: JSONValue) -> bool | None:
    text = to_text(value).strip().lower()
    if text in TRUE:
        return True
    return False if text in FALSE else None
