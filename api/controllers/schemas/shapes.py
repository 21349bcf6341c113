"""Types of values that have parts: objects with checked keys, JSON within a form, lists within a query."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from api.controllers.http.parsing import Integer, Object, Text, check_depth, check_text
from api.core.ports import JSONObject
from api.errors import InvalidRequest

Check = Callable[[Any], object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """A JSON object whose known keys pass a check each; others are dropped, and null counts as absent."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)

    def __call__(self, value: object) -> dict[str, Any]:
        raw = Object()(value)
        for name in self.required:
            if raw.get(name) is None:
                raise InvalidRequest(f"Parameter {name!r} is required", field=name, fault="required")
        checks = {**self.optional, **self.required}
        return {name: _check(name, checks[name], raw[name]) for name in checks if raw.get(name) is not None}

    @property
    def __schema__(self) -> dict[str, object]:
        checks = {**self.required, **self.optional}
        properties = {
            name: getattr(check, "__schema__", {"type": "string"}) for name, check in checks.items()
        }
        required = {"required": list(self.required)} if self.required else {}
        return {"type": "object", "properties": properties, **required}


def _check(name: str, check: Check, value: object) -> object:
    """Return a checked value; a fault names its key."""
    try:
        return check(value)
    except InvalidRequest as error:
        if error.fault == "required" and error.field is None:
            raise InvalidRequest(f"Parameter {name!r} is required", field=name, fault="required") from None
        message = error.message.replace("The value", f"Parameter {name!r}", 1)
        raise InvalidRequest(message, field=error.field or name, fault=error.fault) from None


@dataclass(frozen=True, slots=True, eq=False)
class JSONText:
    """A JSON object as a text field of a form holds it, whose parts pass ``shape``; blank is none."""

    shape: Callable[[Any], dict[str, Any]] = field(default_factory=Object)

    def __call__(self, value: object) -> JSONObject:
        text = Text()(value)
        if not text.strip():
            return {}
        raw = text.encode("utf-8", "replace")
        check_depth(raw)
        try:
            found = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise InvalidRequest("The value must be valid JSON", fault="invalid_format") from None
        check_text(found)
        return self.shape(found)

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "string", "description": "A JSON object as text."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one of a repeated query parameter holds: a word, or several with commas between them."""

    check: Check = field(default_factory=Text)

    def __call__(self, value: object) -> tuple[object, ...]:
        return tuple(self.check(word.strip()) for word in Text()(value).split(",") if word.strip())

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capped:
    """A whole number of a query from ``minimum`` on; a larger one than ``maximum`` is as good as that."""

    minimum: int = 1
    maximum: int = 100

    def __call__(self, value: object) -> int:
        return min(Integer(minimum=self.minimum, is_text=True)(value), self.maximum)

    @property
    def __schema__(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.minimum}
