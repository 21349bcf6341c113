"""Parameters of tools and agents as they are drawn: constants, variables, templates. Pure.

A parameter is ``{"type": "constant" | "variable" | "mixed", "value": ...}`` or,
in files of old, its bare value.
"""

from collections.abc import Iterator, Mapping

from api.core.ports import JSONObject, JSONValue
from api.core.workflow import templates
from api.core.workflow.variables import Selector, VariablePool

KINDS = ("constant", "variable", "mixed")


def fill(parameters: Mapping[str, JSONValue], variables: VariablePool) -> JSONObject:
    """Return the values of parameters; those that have none are left out, so that defaults count."""
    values = {name: _value(drawn, variables) for name, drawn in parameters.items()}
    return {name: value for name, value in values.items() if value is not None}


def references(parameters: Mapping[str, JSONValue]) -> Iterator[Selector]:
    """Yield the variables parameters are made of; none where one was left unchosen."""
    for drawn in parameters.values():
        selector = _selector(drawn)
        if selector is None:
            yield from _inside(drawn)
        elif selector:
            yield selector


def _value(drawn: JSONValue, variables: VariablePool) -> JSONValue:
    selector = _selector(drawn)
    return _rendered(_bare(drawn), variables) if selector is None else variables.get(selector)


def _selector(drawn: JSONValue) -> Selector | None:
    """Return the variable a parameter is; None where it is none."""
    value = _bare(drawn)
    if isinstance(drawn, dict) and drawn.get("type") == "variable" and isinstance(value, list):
        return tuple(str(name) for name in value)
    return None


def _bare(drawn: JSONValue) -> JSONValue:
    """Return what is drawn without the word for what it is."""
    is_named = isinstance(drawn, dict) and "value" in drawn and drawn.get("type") in KINDS
    return drawn["value"] if isinstance(drawn, dict) and is_named else drawn


def _rendered(value: JSONValue, variables: VariablePool) -> JSONValue:
    match value:
        case str():
            return templates.render(value, variables)
        case list():
            return [_rendered(item, variables) for item in value]
        case dict():
            return {key: _rendered(item, variables) for key, item in value.items()}
    return value


def _inside(value: JSONValue) -> Iterator[Selector]:
    match value:
        case str():
            yield from templates.references(value)
        case list():
            for item in value:
                yield from _inside(item)
        case dict():
            for item in value.values():
                yield from _inside(item)
"""Declared parameters that a model fills: their schema, whether a value fits, and the nearest that does."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.templates import to_text
from api.core.workflow.variables import ValueType, accepts, zero

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
    return int(number) if number.is_integer() else number


def _boolean(value: JSONValue) -> bool | None:
    text = to_text(value).strip().lower()
    if text in TRUE:
        return True
    return False if text in FALSE else None
