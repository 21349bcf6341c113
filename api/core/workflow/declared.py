"""The variables a workflow declares: those of its environment, and those each conversation has.

Secrets never leave in clear: what is shown is a mask, and a mask that comes
back keeps what is stored. Wire: docs/wire/workflows.md#variables.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from api.core.ports import JSONObject, JSONValue
from api.core.rag.faults import to_invalid_request
from api.core.workflow.variables import CONVERSATION, ENVIRONMENT, ValueType, accepts, zero
from api.errors import Duplicate, InvalidRequest

ENVIRONMENT_TYPES = frozenset({ValueType.STRING, ValueType.NUMBER, ValueType.SECRET})
CONVERSATION_TYPES = frozenset(
    {
        ValueType.STRING,
        ValueType.NUMBER,
        ValueType.OBJECT,
        ValueType.BOOLEAN,
        ValueType.ARRAY_STRING,
        ValueType.ARRAY_NUMBER,
        ValueType.ARRAY_OBJECT,
        ValueType.ARRAY_BOOLEAN,
    }
)
SHOWN_SECRET = "*" * 20
MASKS = frozenset({SHOWN_SECRET, "[__HIDDEN__]"})
MAX_VALUE_BYTES = 200 * 1024
MAX_VARIABLES = 500
NAME = re.compile(r"(?![0-9])[A-Za-z0-9_\u4e00-\u9fff\U0001F300-\U0001FAFF\u2600-\u27BF\uFE0F]{1,100}")
NOTHING_KEPT: Mapping[str, str] = MappingProxyType({})


class DeclaredVariable(BaseModel):
    """A variable with the value it begins with; without one it begins empty."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(default_factory=lambda: str(uuid.uuid4()), min_length=1, max_length=64)
    name: str
    value_type: ValueType
    value: JsonValue = Field(default=None, repr=False)
    description: str = Field(default="", max_length=4096)

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, raw: object) -> object:
        return (
            {key: value for key, value in raw.items() if value is not None} if isinstance(raw, dict) else raw
        )

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is not a valid variable name")
        return name

    @field_validator("value")
    @classmethod
    def _is_not_too_large(cls, value: JsonValue) -> JsonValue:
        if len(orjson.dumps(value)) > MAX_VALUE_BYTES:
            raise ValueError(f"a value has at most {MAX_VALUE_BYTES:,} bytes")
        return value

    @property
    def begins_with(self) -> JSONValue:
        """What the variable holds before anything was assigned to it."""
        return zero(self.value_type) if self.value is None else self.value

    def to_json(self, scope: str) -> JSONObject:
        """Return the variable as it is stored and exported, its secret in clear."""
        return {
            "id": self.id,
            "name": self.name,
            "value_type": str(self.value_type),
            "value": self.begins_with,
            "description": self.description,
            "selector": [scope, self.name],
        }


Declared = tuple[DeclaredVariable, ...]


def read_environment(raw: JSONValue, kept: Mapping[str, str] = NOTHING_KEPT) -> Declared:
    """Return environment variables. Raises InvalidRequest.

    ``kept`` are the stored secrets by the ids of their variables: one whose
    value comes back as a mask stays as it is, and is empty where none is stored.
    """
    items = [_unmasked(item, kept) for item in raw] if isinstance(raw, list) else raw
    return _read(items, "environment_variables", ENVIRONMENT_TYPES)


def read_conversation(raw: JSONValue) -> Declared:
    """Return conversation variables. Raises InvalidRequest."""
    return _read(raw, "conversation_variables", CONVERSATION_TYPES)


def show_environment(variables: Iterable[DeclaredVariable]) -> list[JSONObject]:
    """Return environment variables for people: secrets as a mask, nothing where none is set."""
    return [{**item.to_json(ENVIRONMENT), "value": _masked(item, SHOWN_SECRET)} for item in variables]


def export_environment(variables: Iterable[DeclaredVariable], *, has_secrets: bool) -> list[JSONObject]:
    """Return environment variables for a file, without the secrets unless they are wanted."""
    return [
        item.to_json(ENVIRONMENT) | ({} if has_secrets else {"value": _masked(item, "")})
        for item in variables
    ]


def show_conversation(variables: Iterable[DeclaredVariable]) -> list[JSONObject]:
    """Return conversation variables as they are stored, shown and exported."""
    return [item.to_json(CONVERSATION) for item in variables]


def secrets_of(variables: Iterable[DeclaredVariable]) -> dict[str, str]:
    """Return the secrets by the ids of their variables."""
    return {item.id: str(item.begins_with) for item in variables if item.value_type is ValueType.SECRET}


def types_of(variables: Iterable[DeclaredVariable]) -> dict[str, ValueType | None]:
    """Return the types of variables by their names."""
    return {item.name: item.value_type for item in variables}


def _masked(item: DeclaredVariable, mask: str) -> JSONValue:
    is_secret = item.value_type is ValueType.SECRET and item.begins_with != ""
    return mask if is_secret else item.begins_with


def _unmasked(item: JSONValue, kept: Mapping[str, str]) -> JSONValue:
    if not isinstance(item, dict) or item.get("value_type") != ValueType.SECRET:
        return item
    value = item.get("value")
    if not isinstance(value, str) or value not in MASKS:
        return item
    return {**item, "value": kept.get(str(item.get("id")), "")}


def _read(raw: JSONValue, field: str, kinds: frozenset[ValueType]) -> Declared:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise InvalidRequest(f"{field} must be a list", field=field, fault="invalid_type")
    if len(raw) > MAX_VARIABLES:
        raise InvalidRequest(f"{field}: at most {MAX_VARIABLES} variables", field=field, fault="too_long")
    found: list[DeclaredVariable] = []
    for place, item in enumerate(raw):
        variable = _variable(item, f"{field}.{place}", kinds)
        if any(other.name == variable.name for other in found):
            raise Duplicate(f"{field}: {variable.name!r} is there twice", field=f"{field}.{place}.name")
        if any(other.id == variable.id for other in found):
            raise Duplicate(
                f"{field}: two variables have the id {variable.id!r}", field=f"{field}.{place}.id"
            )
        found.append(variable)
    return tuple(found)


def _variable(item: JSONValue, field: str, kinds: frozenset[ValueType]) -> DeclaredVariable:
    try:
        variable = DeclaredVariable.model_validate(item)
    except ValidationError as exc:
        raise to_invalid_request(exc, field) from None
    if variable.value_type not in kinds:
        reason = f"{field}.value_type: {variable.value_type} is not one of {', '.join(sorted(kinds))}"
        raise InvalidRequest(reason, field=f"{field}.value_type", fault="invalid_choice")
    if not accepts(variable.value_type, variable.begins_with):
        reason = f"{field}.value: the value of {variable.name!r} is not of type {variable.value_type}"
        raise InvalidRequest(reason, field=f"{field}.value", fault="invalid_type")
    return variable
