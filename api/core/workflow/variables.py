"""The values of a run and the pool that holds them.

A value is JSON. A file is a JSON object with a mark of its own, so that a pool
can be written down and read again without knowing what is in it. A pool is one
layer over another: each round of an iteration or a loop has its own, and what
it writes is gone when the round is.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import orjson

from api.core.ports import JSONObject, JSONValue

FILE_MARK = "dify_model_identity"
FILE_IDENTITY = "__dify__file__"
SYSTEM, ENVIRONMENT, CONVERSATION = "sys", "env", "conversation"
RESERVED = frozenset({SYSTEM, ENVIRONMENT, CONVERSATION, "rag"})
MASK = "********"

Selector = tuple[str, ...]
"""``(node id, variable, key, ...)``: at least two names."""


class ValueType(StrEnum):
    """The types variables are declared with. Wire: docs/wire/workflows.md#types."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    SECRET = "secret"  # noqa: S105  # the name of a type
    FILE = "file"
    ARRAY_STRING = "array[string]"
    ARRAY_NUMBER = "array[number]"
    ARRAY_OBJECT = "array[object]"
    ARRAY_BOOLEAN = "array[boolean]"
    ARRAY_FILE = "array[file]"
    ARRAY_ANY = "array[any]"
    NONE = "none"

    @property
    def is_array(self) -> bool:
        """Tell whether values of the type are lists."""
        return self.startswith("array[")

    @property
    def element(self) -> "ValueType | None":
        """The type of an array's elements; None where they may be anything, or there are none."""
        name = self[len("array[") : -1] if self.is_array else ""
        return ValueType(name) if name not in ("", "any") else None


ANY = frozenset(ValueType)
ANY_ARRAY = frozenset(kind for kind in ValueType if kind.is_array)
MAX_INTEGER = 2**63 - 1
"""JSON has no larger one that is written and read everywhere."""

ANY_FILE = frozenset({ValueType.FILE, ValueType.ARRAY_FILE})
ANY_TEXT = frozenset({ValueType.STRING, ValueType.NUMBER, ValueType.BOOLEAN})
"""What can be read as a text, without being an object or a list; a text in turn may read as a number."""

ARRAYS = {kind.element: kind for kind in ValueType if kind.element}

SYSTEM_TYPES: Mapping[str, ValueType] = {
    "files": ValueType.ARRAY_FILE,
    "user_id": ValueType.STRING,
    "app_id": ValueType.STRING,
    "workflow_id": ValueType.STRING,
    "workflow_run_id": ValueType.STRING,
    "timestamp": ValueType.NUMBER,
}
CHAT_TYPES: Mapping[str, ValueType] = {
    "query": ValueType.STRING,
    "conversation_id": ValueType.STRING,
    "dialogue_count": ValueType.NUMBER,
}
"""The variables a run brings, and those a chat brings besides."""


def type_named(name: str | None) -> ValueType | None:
    """Return the type of that name, if there is one: not all that is drawn is right."""
    return ValueType(name) if name in _NAMES else None


_NAMES = frozenset(ValueType)


class VariableRefused(Exception):
    """A value is none that a variable may hold."""


class VariableTooLarge(VariableRefused):
    """A value is larger than one variable may be."""

    def __init__(self, name: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"Variable {name} has {size_bytes:,} bytes; the limit is {limit_bytes:,}.")


class VariableNotJSON(VariableRefused):
    """A value is no JSON for all who read it: an integer of over 64 bits, half a character, great depth."""

    def __init__(self, name: str, fault: Exception) -> None:
        super().__init__(f"Variable {name} cannot be written as JSON: {fault}.")


class VariablePool:
    """Variables by node and name, over those of the ``outer`` pool.

    ``secrets`` are texts that must not be shown to anyone; ``max_bytes`` bounds
    what one variable may hold. Whoever changes a variable by what it holds has
    ``writing``, which all layers share, meanwhile.
    """

    def __init__(
        self,
        values: Mapping[str, Mapping[str, JSONValue]] | None = None,
        *,
        secrets: Iterable[str] = (),
        max_bytes: int = 10 * 1024 * 1024,
        outer: "VariablePool | None" = None,
    ) -> None:
        self._values: dict[str, dict[str, JSONValue]] = {
            key: dict(held) for key, held in (values or {}).items()
        }
        self._outer = outer
        self._max_bytes = max_bytes
        self.writing: threading.Lock = outer.writing if outer else threading.Lock()
        self.secrets = tuple(secret for secret in secrets if secret)

    def inner(self) -> "VariablePool":
        """Return a new layer over this pool."""
        return VariablePool(secrets=self.secrets, max_bytes=self._max_bytes, outer=self)

    def put(self, node_id: str, outputs: Mapping[str, JSONValue]) -> None:
        """Set what a node gave, in this layer. Raises VariableRefused; then nothing was set."""
        for name, value in outputs.items():
            self._check(f"{node_id}.{name}", value)
        self._values.setdefault(node_id, {}).update(outputs)

    def assign(self, selector: Selector, value: JSONValue) -> None:
        """Replace a variable where it is held. Raises KeyError where it is not, VariableRefused."""
        node_id, name = selector[:2]
        self._check(f"{node_id}.{name}", value)
        held = self._held(node_id)
        if held is None or name not in held:
            raise KeyError(".".join(selector))
        held[name] = value

    def has(self, selector: Sequence[str]) -> bool:
        """Tell whether the variable exists, its value null or not."""
        return self._find(selector)[0]

    def get(self, selector: Sequence[str]) -> JSONValue:
        """Return the variable's value, null where there is none."""
        return self._find(selector)[1]

    def of(self, node_id: str) -> JSONObject:
        """Return all variables of a node."""
        return dict(self._held(node_id) or {})

    def held(self) -> dict[str, JSONObject]:
        """Return all variables of this layer, by node."""
        return {node_id: dict(held) for node_id, held in self._values.items()}

    def mask(self, text: str) -> str:
        """Return the text without the workflow's secrets."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text

    def masked(self, value: JSONValue) -> JSONValue:
        """Return the value without the workflow's secrets, at any depth."""
        if not self.secrets:
            return value
        match value:
            case str():
                return self.mask(value)
            case list():
                return [self.masked(item) for item in value]
            case dict():
                return {key: self.masked(item) for key, item in value.items()}
        return value

    def _held(self, node_id: str) -> dict[str, JSONValue] | None:
        held = self._values.get(node_id)
        return self._outer._held(node_id) if held is None and self._outer else held  # noqa: SLF001

    def _find(self, selector: Sequence[str]) -> tuple[bool, JSONValue]:
        if len(selector) < 2:
            return False, None
        held = self._held(selector[0])
        if held is None or selector[1] not in held:
            return False, None
        value = held[selector[1]]
        for key in selector[2:]:
            is_there, value = _part(value, key)
            if not is_there:
                return False, None
        return True, value

    def _check(self, name: str, value: JSONValue) -> None:
        """Refuse what cannot be stored or sent; what is seen at once to be no such thing is not measured."""
        if value is None or isinstance(value, bool | float):
            return
        if isinstance(value, str) and value.isascii() and len(value) <= self._max_bytes:
            return
        try:
            size_bytes = len(value.encode()) if isinstance(value, str) else len(orjson.dumps(value))
        except (UnicodeEncodeError, orjson.JSONEncodeError) as exc:
            raise VariableNotJSON(name, exc) from exc
        if size_bytes > self._max_bytes:
            raise VariableTooLarge(name, size_bytes, self._max_bytes)


def is_file(value: JSONValue) -> bool:
    """Tell whether a value is a file."""
    return isinstance(value, dict) and value.get(FILE_MARK) == FILE_IDENTITY


def type_of(value: JSONValue) -> ValueType:
    """Return the type of a value; ``array[any]`` for an empty or a mixed list."""
    match value:
        case None:
            return ValueType.NONE
        case bool():
            return ValueType.BOOLEAN
        case int() | float():
            return ValueType.NUMBER
        case str():
            return ValueType.STRING
        case dict():
            return ValueType.FILE if is_file(value) else ValueType.OBJECT
        case list():
            kinds = {type_of(item) for item in value}
            return ARRAYS.get(kinds.pop(), ValueType.ARRAY_ANY) if len(kinds) == 1 else ValueType.ARRAY_ANY


def zero(kind: ValueType) -> JSONValue:
    """Return what an emptied variable of the type holds."""
    if kind.is_array:
        return []
    zeros: dict[ValueType, JSONValue] = {
        ValueType.STRING: "",
        ValueType.SECRET: "",
        ValueType.NUMBER: 0,
        ValueType.BOOLEAN: False,
        ValueType.OBJECT: {},
    }
    return zeros.get(kind)


def accepts(kind: ValueType, value: JSONValue) -> bool:
    """Tell whether a variable of the type may hold the value; null fits none but ``none``."""
    match kind:
        case ValueType.ARRAY_ANY:
            return isinstance(value, list)
        case ValueType.OBJECT:
            return isinstance(value, dict)
        case ValueType.SECRET:
            return isinstance(value, str)
    if kind.is_array:
        return isinstance(value, list) and all(accepts(kind.element or kind, item) for item in value)
    return type_of(value) is kind


def _part(value: JSONValue, key: str) -> tuple[bool, JSONValue]:
    """Tell whether an object or a file has a part, and return it."""
    if not isinstance(value, dict):
        return False, None
    if is_file(value):
        key = {"name": "filename"}.get(key, key)
    return key in value, value.get(key)
