"""YAML of app files as JSON, and back.

Files come from strangers, so the reader builds nothing but JSON values, counts
what it builds, aliases at the size of what they stand for, and stops at bounds.
What YAML takes for a date stays the text it is written as.
"""

import math
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.resolver import Resolver

from api.core.ports import JSONValue

MAX_BYTES = 10 * 1024 * 1024
MAX_VALUES = 500_000
CHARS_A_VALUE = 100
MAX_DEPTH = 100
MAX_INTEGER = 2**63 - 1
TAG = "tag:yaml.org,2002:"
OTHER_BREAKS = re.compile("[\x85\u2028\u2029]")
TEXTS = frozenset({TAG + name for name in ("str", "timestamp", "binary", "merge", "value")})


class BadYAML(Exception):
    """The text is no YAML, or not of a kind an app's file is made of; the message says where."""


def load_yaml(text: str) -> JSONValue:
    """Return the one document of a text as JSON. Raises BadYAML."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise BadYAML(f"The file has more than {MAX_BYTES // 1024 // 1024} MB.")
    try:
        return _Reader(text).document()
    except yaml.YAMLError as exc:
        raise BadYAML(_reason(exc)) from None
    except UnicodeEncodeError:
        raise BadYAML("The file holds characters that are no text.") from None


def dump_yaml(value: JSONValue) -> str:
    """Return a value as YAML that people can read: in its own order, all scripts as they are, no anchors."""
    text: str = yaml.dump(value, Dumper=_Writer, allow_unicode=True, sort_keys=False, width=120)
    return text


class _Writer(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML is untyped
    """Writes a value that occurs twice out twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return data is not None


def _quoted(writer: _Writer, text: str) -> Any:
    """Return a text's node; breaks that YAML would read as others are escaped."""
    return writer.represent_scalar(TAG + "str", text, style='"' if OTHER_BREAKS.search(text) else None)


_Writer.add_representer(str, _quoted)


class _Reader:
    """Builds values from the events of a parser, without going deeper than it may."""

    def __init__(self, text: str) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=loader))
        self._scalars = SafeConstructor()
        self._resolver = Resolver()
        self._anchors: dict[str, tuple[JSONValue, int]] = {}
        self._count = 0

    def document(self) -> JSONValue:
        """Return the first document's value; null for an empty text. Raises BadYAML for a second."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                value = self._value(next(self._events), 0)
                rest = [event for event in self._events if isinstance(event, yaml.DocumentStartEvent)]
                if rest:
                    raise BadYAML("The file holds more than one document.")
                return value
        return None

    def _value(self, event: Any, depth: int) -> JSONValue:
        if depth > MAX_DEPTH:
            raise BadYAML(f"The file is nested more than {MAX_DEPTH} deep.")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count
        value = self._built(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _built(self, event: Any, depth: int) -> JSONValue:
        if isinstance(event, yaml.ScalarEvent):
            self._add(_weight(event.value))
            return self._scalar(event)
        self._add(1)
        if event.tag not in (None, "!", TAG + "map", TAG + "seq"):
            raise BadYAML(f"Values of type {event.tag} are not read{_where(event)}.")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._mapping(depth)

    def _sequence(self, depth: int) -> JSONValue:
        items: list[JSONValue] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> JSONValue:
        found: dict[str, JSONValue] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise BadYAML(f"A key is no text{_where(event)}.")
            self._add(_weight(event.value))
            found[event.value] = self._value(next(self._events), depth + 1)
        return found

    def _alias(self, event: Any) -> JSONValue:
        if event.anchor not in self._anchors:
            raise BadYAML(f"The alias {event.anchor!r} stands for nothing{_where(event)}.")
        value, size = self._anchors[event.anchor]
        self._add(size)
        return deepcopy(value)

    def _scalar(self, event: Any) -> JSONValue:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag in TEXTS:
            return str(event.value)
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            return self._plain(tag, node)
        except (ValueError, KeyError, OverflowError, IndexError, ConstructorError):
            raise BadYAML(f"{event.value[:50]!r} cannot be read{_where(event)}.") from None

    def _plain(self, tag: str, node: Any) -> JSONValue:
        match tag.removeprefix(TAG):
            case "null":
                return None
            case "bool":
                return bool(self._scalars.construct_yaml_bool(node))
            case "int":
                return _bounded(int(self._scalars.construct_yaml_int(node)))
            case "float":
                return _finite(float(self._scalars.construct_yaml_float(node)))
        raise ValueError(tag)

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise BadYAML(f"The file holds more than {MAX_VALUES:,} values.")


def _weight(text: str) -> int:
    """Return for how many values a text counts, so that long ones cannot be repeated without end."""
    return 1 + len(text) // CHARS_A_VALUE


def _bounded(value: int) -> int:
    if abs(value) > MAX_INTEGER:
        raise ValueError(value)
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return value


def _where(event: Any) -> str:
    mark = event.start_mark
    return f" (line {mark.line + 1})" if mark is not None else ""


def _reason(exc: yaml.YAMLError) -> str:
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or "it cannot be read"
    where = f" (line {mark.line + 1})" if mark is not None else ""
    return f"The file is no valid YAML: {problem}{where}."
