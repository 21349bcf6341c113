"""Says whether a value is as a JSON schema wants it.

Boundary: pure. Nothing is fetched for a reference, and patterns are not looked
at: an author's regular expression could hold a thread for hours. What must stay
true: a check costs a bounded amount of work, as few references to each other can
stand for a schema of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from api.core.ports import JSONObject, JSONValue

if TYPE_CHECKING:
    from jsonschema import ValidationError

MAX_FAULT_CHARS = 500
MAX_WORK = 1_000_000
"""A second or two; five times what an answer of ten thousand values takes."""
MAX_SCHEMA_NODES = 20_000
STEP_WORK = 10
FAULT_WORK = 50


class SchemaBroken(Exception):
    """What should be a schema is none, or none that can be used; the message says why."""


def find_fault(value: JSONValue, schema: JSONObject) -> str | None:
    """Return what is wrong with a value, None where nothing is. Raises SchemaBroken."""
    # Loaded with the first schema: it takes 3 MB that most servers never need.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, best_match
    from jsonschema.validators import extend
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        plain = _plain(schema)
        work = _Work(plain)
        Draft202012Validator.check_schema(plain)
        counted = extend(Draft202012Validator, work.counted(Draft202012Validator.VALIDATORS))
        fault = best_match(counted(plain, registry=Registry()).iter_errors(value))
    except SchemaError as exc:
        raise SchemaBroken(exc.message[:MAX_FAULT_CHARS]) from exc
    except (Unresolvable, RecursionError) as exc:
        raise SchemaBroken("A reference in it leads nowhere.") from exc
    if fault is None:
        return None
    where = ".".join(str(part) for part in fault.absolute_path)
    return f"{where}: {fault.message}"[:MAX_FAULT_CHARS] if where else str(fault.message)[:MAX_FAULT_CHARS]


def _plain(schema: JSONValue) -> JSONValue:
    """Return the schema without its regular expressions, and without parts in other dialects.

    A part that names a dialect is checked by that one's own rules, which count nothing.
    """
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(item)
        for key, item in schema.items()
        if key != "patternProperties" and not (key in ("pattern", "$schema") and isinstance(item, str))
    }


Check = Callable[[Any, Any, Any, Any], "Iterator[ValidationError] | None"]
"""How jsonschema checks one keyword: validator, the keyword's value, instance, the schema around it."""


class _Work:
    """Counts what one check costs; a unit is about half a microsecond."""

    def __init__(self, schema: JSONValue) -> None:
        self._left = MAX_WORK
        self._nodes: dict[int, int] = {}
        if self._count_nodes(schema) > MAX_SCHEMA_NODES:
            raise SchemaBroken(f"It has more than {MAX_SCHEMA_NODES:,} parts.")

    def counted(self, checks: Mapping[str, Check]) -> dict[str, Check]:
        """Return the checks of all keywords, each counting what it does."""
        own = {**checks, "uniqueItems": _check_unique}
        return {keyword: self._counted(keyword, check) for keyword, check in own.items()}

    def _counted(self, keyword: str, check: Check) -> Check:
        def checked(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            self._spend(STEP_WORK + self._cost(keyword, wanted, instance))
            for fault in check(validator, wanted, instance, schema) or ():
                # A message quotes the whole of a value, and those within ``anyOf`` are kept.
                self._spend(FAULT_WORK + len(fault.message) // 10)
                yield fault

        return checked

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise SchemaBroken("To check a value against it takes too many steps.")

    def _cost(self, keyword: str, wanted: JSONValue, instance: JSONValue) -> int:
        """Return how much a check looks at, besides what checks within it count for themselves."""
        match keyword:
            case "const" | "enum":
                return self._count_nodes(wanted)
            case "uniqueItems":
                return self._count_nodes(instance)
            case "unevaluatedItems" | "unevaluatedProperties":
                return _width(instance) ** 2 // 50  # each is looked for in a list
        return _width(wanted) + _width(instance)

    def _count_nodes(self, value: JSONValue) -> int:
        if not isinstance(value, list | dict):
            return 1
        if id(value) not in self._nodes:
            parts = value.values() if isinstance(value, dict) else value
            self._nodes[id(value)] = 1 + sum(map(self._count_nodes, parts))
        return self._nodes[id(value)]


def _width(value: JSONValue) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _check_unique(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Check ``uniqueItems`` in one pass; jsonschema compares objects each with each."""
    from jsonschema import ValidationError

    if wanted and isinstance(instance, list) and len({*map(_frozen, instance)}) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _frozen(value: JSONValue) -> Hashable:
    """Return what is equal for equal values: 1 and 1.0 are, 1 and true are not."""
    match value:
        case bool():
            return ("bool", value)
        case list():
            return ("list", *map(_frozen, value))
        case dict():
            return ("dict", frozenset((name, _frozen(item)) for name, item in value.items()))
    return value
