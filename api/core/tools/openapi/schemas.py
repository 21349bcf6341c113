"""JSON Schemas of a document as parameters of tools: the first level alone, which is what is filled in."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from api.core.ports import JSONObject, JSONValue
from api.core.tools.openapi.document import BadDocument, Document
from api.core.tools.tool import ParameterType, Words

MAX_MERGED = 50
"""Schemas that one is put together of."""

MAX_OPTIONS = 500
MAX_WORDS_CHARS = 2000
TYPES: dict[str, ParameterType] = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
    "file": "file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a schema says of a value. ``properties`` are those of an object."""

    type: ParameterType
    description: str = ""
    default: JSONValue = None
    options: tuple[tuple[str, Words], ...] = ()
    properties: dict[str, JSONValue] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    minimum: float | None = None
    maximum: float | None = None


def to_shape(document: Document, schema: JSONValue) -> Shape:
    """Return what a schema, and those it is put together of, say. Raises BadDocument."""
    merged = merge(document, schema)
    properties = merged.get("properties")
    kind = _type(document, merged)
    options = _options(document, merged) if kind == "string" else ()
    required = merged.get("required")
    return Shape(
        type="select" if options else kind,
        description=text_of(merged.get("description") or merged.get("title")),
        default=_default(kind, merged.get("default"), {word for word, _ in options}),
        options=options,
        properties=properties if kind == "object" and isinstance(properties, dict) else {},
        required=frozenset(str(name) for name in required) if isinstance(required, list) else frozenset(),
        minimum=_bound(kind, merged.get("minimum")),
        maximum=_bound(kind, merged.get("maximum")),
    )


def merge(document: Document, schema: JSONValue) -> JSONObject:
    """Return a schema as one: all of ``allOf``, and the first of ``anyOf`` or ``oneOf`` that is one."""
    merged: JSONObject = {}
    for part in _parts(document, schema):
        document.spend(len(part))
        for key, value in part.items():
            known = merged.get(key)
            if isinstance(value, dict | list):
                document.spend(len(value))
            if key == "properties" and isinstance(known, dict) and isinstance(value, dict):
                merged[key] = {**value, **known}
            elif key == "required" and isinstance(known, list) and isinstance(value, list):
                merged[key] = [*known, *value]
            else:
                merged.setdefault(key, value)
    return merged


def text_of(value: JSONValue) -> str:
    """Return a text of the document as it is shown; nothing where there is none."""
    return value.strip()[:MAX_WORDS_CHARS] if isinstance(value, str) else ""


def _parts(document: Document, schema: JSONValue) -> Iterator[JSONObject]:
    """Yield the schemas one is put together of, the outer ones first."""
    waiting = [schema]
    for _ in range(MAX_MERGED):
        if not waiting:
            return
        part = document.resolve(waiting.pop(0))
        yield {key: value for key, value in part.items() if key not in ("allOf", "anyOf", "oneOf")}
        listed = part.get("allOf")
        waiting += listed if isinstance(listed, list) else []
        for key in ("anyOf", "oneOf"):
            choices = part.get(key)
            waiting += [_first(document, choices)] if isinstance(choices, list) else []
    raise BadDocument(f"A schema is put together of more than {MAX_MERGED} others.")


def _first(document: Document, choices: list[JSONValue]) -> JSONValue:
    return next((each for each in choices if document.resolve(each).get("type") != "null"), {})


def _type(document: Document, schema: JSONObject) -> ParameterType:
    named = schema.get("type")
    if isinstance(named, list):
        named = next((each for each in named if each != "null"), None)
    if not isinstance(named, str):
        named = "object" if "properties" in schema else "array" if "items" in schema else "string"
    if named == "string" and is_binary(schema):
        return "file"
    if named == "array" and is_binary(merge(document, schema.get("items"))):
        return "files"
    return TYPES.get(named, "string")


def is_binary(schema: JSONObject) -> bool:
    """Tell whether a schema is that of a file's bytes."""
    return schema.get("format") == "binary" or "contentMediaType" in schema or schema.get("type") == "file"


def _options(document: Document, schema: JSONObject) -> tuple[tuple[str, Words], ...]:
    listed = schema.get("enum")
    if not isinstance(listed, list) or len(listed) > MAX_OPTIONS:
        return ()
    document.spend(len(listed))
    words = dict.fromkeys(each for each in listed if isinstance(each, str))
    return tuple((word, Words(word)) for word in words)


def _default(kind: ParameterType, value: JSONValue, options: set[str]) -> JSONValue:
    """Return a default that fits its type; any other is as good as none."""
    match kind, value:
        case "string", str() if value in options or (not options and len(value) <= MAX_WORDS_CHARS):
            return value
        case "number", int() | float() if not isinstance(value, bool):
            return value
        case "boolean", bool():
            return value
        case ("array", list()) | ("object", dict()) if len(orjson.dumps(value)) <= MAX_WORDS_CHARS:
            return value
    return None


def _bound(kind: ParameterType, value: JSONValue) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if kind == "number" and is_number and isinstance(value, int | float) else None
