"""What a request to a webhook comes to: the trigger's outputs, or why it is refused. Pure.

Whoever takes the request has read it: its body as JSON, text or the fields of a
form, by its content type, and its files kept as files of the run to be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.node import NodeConfig, Types
from api.core.workflow.variables import ValueType, accepts
from api.errors import InvalidRequest

JSON, TEXT, OCTETS = "application/json", "text/plain", "application/octet-stream"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})
RAW = "_webhook_raw"

ContentType = Literal[
    "application/json",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/octet-stream",
]


class Parameter(BaseModel):
    """Something a request may carry, under the name the workflow knows it by."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1)
    type: ValueType = ValueType.STRING
    required: bool = False


class WebhookConfig(NodeConfig):
    """Which requests are taken, what of them counts, and what they are answered with."""

    method: Literal["get", "post", "head", "put", "patch", "delete"] = "post"
    content_type: ContentType = "application/json"
    headers: list[Parameter] = Field(default_factory=list)
    params: list[Parameter] = Field(default_factory=list)
    body: list[Parameter] = Field(default_factory=list)
    status_code: int = Field(default=200, ge=200, le=399)
    response_body: str = ""
    timeout: float = Field(default=30, gt=0)

    def gives(self) -> Types:
        """Return what is declared, and the request as a whole."""
        named = {_as_variable(item.name): item.type for item in self.headers}
        return {
            **named,
            **{item.name: item.type for item in [*self.params, *self.body]},
            RAW: ValueType.OBJECT,
        }

    @field_validator("method", "content_type", mode="before")
    @classmethod
    def _lower(cls, value: JsonValue) -> JsonValue:
        return value.lower() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookCall:
    """A request as it came in. ``body`` is an object of texts for forms, null where there is none."""

    method: str
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    body: JSONValue = None
    files: Mapping[str, Sequence[JSONObject]] = field(default_factory=dict)


def outputs_of(config: WebhookConfig, call: WebhookCall) -> JSONObject:
    """Return what the trigger gives; null for what may be missing and is.

    Headers go by their names with ``_`` for ``-``, as no variable has that in
    its name. Raises InvalidRequest that names what is wrong.
    """
    if call.method.lower() != config.method:
        raise InvalidRequest(f"This webhook is called by {config.method.upper()}.", field="method")
    kind = call.content_type.partition(";")[0].strip().lower()
    if (call.body is not None or call.files) and kind != config.content_type:
        raise InvalidRequest(
            f"This webhook takes a body of type {config.content_type}.", field="content_type"
        )
    headers = {name.lower(): value for name, value in call.headers.items()}
    outputs: JSONObject = {
        _as_variable(item.name): _taken(item, headers.get(item.name.lower()), "headers", is_text=True)
        for item in config.headers
    }
    for item in config.params:
        outputs[item.name] = _taken(item, call.params.get(item.name), "query", is_text=True)
    body = _body(config, call)
    for item in config.body:
        outputs[item.name] = _taken(item, body.get(item.name), "body", is_text=kind in FORMS)
    return {**outputs, RAW: _raw(call, headers)}


def _as_variable(header: str) -> str:
    return header.replace("-", "_")


def _body(config: WebhookConfig, call: WebhookCall) -> Mapping[str, JSONValue]:
    """Return what the body holds by name; a text or a single file goes by the only name there is."""
    if config.content_type == TEXT:
        return {item.name: call.body for item in config.body[:1]}
    if config.content_type == OCTETS:
        whole: list[JSONValue] = [file for files in call.files.values() for file in files]
        return {item.name: (whole or [None])[0] for item in config.body[:1]}
    if not isinstance(call.body, dict | None):
        raise InvalidRequest("The body must be an object.", field="body", fault="invalid_type")
    files = {name: _as_declared(name, [*files], config) for name, files in call.files.items()}
    return {**(call.body or {}), **files}


def _as_declared(name: str, files: list[JSONValue], config: WebhookConfig) -> JSONValue:
    """Return the files of a field: one, or null, where one is declared, else all of them."""
    is_one = any(item.name == name and item.type is ValueType.FILE for item in config.body)
    return (files or [None])[0] if is_one else files


def _taken(item: Parameter, value: JSONValue, where: str, *, is_text: bool) -> JSONValue:
    """Return a value as it was declared. Raises InvalidRequest."""
    if value is None:
        if item.required:
            raise InvalidRequest(
                f"{item.name} is required in the {where}.", field=item.name, fault="required"
            )
        return None
    read = _read(item.type, value) if is_text and isinstance(value, str) else value
    if not accepts(item.type, read):
        raise InvalidRequest(
            f"{item.name} in the {where} must be of type {item.type}.", field=item.name, fault="invalid_type"
        )
    return read


def _read(kind: ValueType, text: str) -> JSONValue:
    """Return what a text says in a place where there are only texts; itself where it says nothing else."""
    if kind is ValueType.STRING:
        return text
    if kind is ValueType.BOOLEAN:
        word = text.strip().lower()
        return word in TRUE if word in TRUE | FALSE else text
    try:
        value: JSONValue = orjson.loads(text)
    except ValueError:
        return text
    return value


def _raw(call: WebhookCall, headers: Mapping[str, str]) -> JSONObject:
    """Return the request as a whole, without what its sender is known by elsewhere."""
    return {
        "method": call.method.upper(),
        "headers": {name: value for name, value in headers.items() if name not in CREDENTIALS},
        "query_params": dict(call.params),
        "body": call.body,
        "files": {name: [*files] for name, files in call.files.items()},
    }
