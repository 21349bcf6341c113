"""What an API says of itself: flask-restx's Swagger 2, made complete.

flask-restx documents parsers and models. What every door shares is added here
from where it is enforced: a method's guard says who may call it and that calls
are counted, its parameters say which errors it can answer with.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, cast

from flask import Response, redirect
from flask_restx import Resource, fields
from flask_restx.model import ModelBase
from flask_restx.swagger import Swagger, ref
from werkzeug.wrappers import Response as WerkzeugResponse

from api.controllers.http.door import Guard, public, render, runtime
from api.controllers.http.errors import HouseApi, dialect_code
from api.controllers.http.model import Model
from api.controllers.http.openapi import EVENT_STREAM, JSON, to_openapi3
from api.controllers.http.parsing import Field
from api.core.ports import JSONObject
from api.errors import AppError

OTHER = "default"

AUTHORIZATIONS = {
    "bearer": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The word Bearer, a space, and the API key or access token.",
    }
}
FAULTS = {
    "400": ("invalid_param", "A parameter is missing or wrong, or the request makes no sense now."),
    "401": ("unauthorized", "The caller did not prove who it is."),
    "403": ("access_denied", "The caller is known and may not do this."),
    "404": ("not_found", "There is no such thing, or it belongs to someone else."),
    "409": ("conflict", "It collides with what is there, or with the first call of its Idempotency-Key."),
    "413": ("request_entity_too_large", "The body is too large."),
    "415": ("unsupported_media_type", "The body is of a kind that is not read here."),
    "422": ("idempotency_key_reused", "The Idempotency-Key was used for another request."),
    "429": ("rate_limit_exceeded", "Too many calls; come back after Retry-After."),
    OTHER: ("internal_error", "Any other error: a fault of the server (500), a part of it down (503)."),
}
RATE_HEADERS = {
    "X-RateLimit-Limit": {"type": "integer", "description": "Calls the tightest window holds."},
    "X-RateLimit-Remaining": {"type": "integer", "description": "Calls left in that window."},
    "X-RateLimit-Reset": {"type": "integer", "description": "When it starts anew, in Unix seconds."},
}
RETRY_HEADER = {"Retry-After": {"type": "integer", "description": "Seconds to wait."}}
APP_HEADER = {
    "name": "X-App-Id",
    "in": "header",
    "type": "string",
    "format": "uuid",
    "description": "The app a workspace key is used for; the key of an app needs none.",
}
ANSWER_OR_STREAM = [JSON, EVENT_STREAM]
STREAM_ONLY = [EVENT_STREAM]
FILE_ONLY = ["*/*"]
ZIP_ONLY = ["application/zip"]
MP3 = "audio/mpeg"
SOUND_ONLY = [MP3]
IDEMPOTENCY_HEADER = {
    "Idempotency-Key": {
        "in": "header",
        "description": "1 to 255 characters; the same request with the same key is done once.",
    }
}
RUN_HEADERS = IDEMPOTENCY_HEADER | {
    "X-Stream-Ids": {"in": "header", "enum": ["true"], "description": "Number the events of the stream."}
}
RESUME_HEADERS = {
    "Last-Event-ID": {"in": "header", "type": "integer", "description": "Send only the events after this."}
}
FAULT = Model(
    "Fault",
    {
        "field": fields.String(description="The parameter at fault."),
        "type": fields.String(description="What is wrong with it.", example="required"),
    },
)
ERROR = Model(
    "Error",
    {
        "code": fields.String(required=True, description="The word to branch on."),
        "message": fields.String(required=True, description="One sentence for a person."),
        "status": fields.Integer(required=True, description="The HTTP status again."),
        "details": fields.Nested(FAULT, description="Which parameter is wrong, and how."),
        "params": fields.String(description="The parameter at fault."),
    },
)


class DescribedApi(HouseApi):
    """An Api whose description is complete; made once, on the first request for it."""

    @cached_property
    def __schema__(self) -> JSONObject:
        return cast("JSONObject", _Description(self).as_dict())

    @cached_property
    def openapi(self) -> JSONObject:
        """The description as OpenAPI 3.0.3."""
        return to_openapi3(self.__schema__, runtime().limits.public_url.rstrip("/"))


class SwaggerDocument(Resource):
    """The Swagger 2 document of the Api it is added to, at another address than flask-restx's own."""

    @public
    def get(self) -> Response:
        """Return the description of this API as Swagger 2."""
        return render(self.api.__schema__)


class SwaggerPage(Resource):
    """Where the seed looks for the Swagger UI."""

    @public
    def get(self) -> WerkzeugResponse:
        """Lead to the Swagger UI."""
        return redirect(f"{self.api.blueprint.url_prefix}/spec")


class _Description(Swagger):
    """flask-restx's Swagger 2, with whole body fields, nullable values, guards and errors."""

    def as_dict(self) -> dict[str, Any]:
        self.register_model(ERROR)
        self.register_model(FAULT)
        dialect = self.api.blueprint.name
        spec: dict[str, Any] = super().as_dict()
        spec["responses"] = {_name(status): _shared_error(status, dialect) for status in FAULTS}
        return spec

    def register_model(self, model: Any) -> Any:
        """Let a door name a model without adding it to its namespace first."""
        if isinstance(model, ModelBase):
            self.api.models.setdefault(model.name, model)
        return super().register_model(model)

    def expected_params(self, doc: dict[str, Any]) -> dict[str, Any]:
        """Keep all that a parser says of a body field, where flask-restx keeps only its type."""
        parameters: dict[str, Any] = super().expected_params(doc)
        for expected in doc.get("expect", ()):
            if "payload" in parameters and hasattr(expected, "parse_args"):
                parameters["payload"] = _payload(expected.args)
        return parameters

    def serialize_schema(self, model: Any) -> Any:
        """Let an answer be null as a whole, where a door names a nullable field for it."""
        said = super().serialize_schema(model)
        if isinstance(model, fields.Raw) and model.nullable:
            self.register_field(model)
            return _nullable(said)
        return said

    def serialize_definitions(self) -> dict[str, Any]:
        definitions: dict[str, Any] = super().serialize_definitions()
        for name, model in self._registered_models.items():
            if isinstance(model, Model):
                definitions[name] = _with_nulls(model, definitions[name])
        return definitions

    def serialize_resource(self, ns: Any, resource: Any, url: str, *args: Any, **kwargs: Any) -> Any:
        path = super().serialize_resource(ns, resource, url, *args, **kwargs)
        for method, operation in (path or {}).items():
            if method != "parameters":
                _name_apart(operation, url)
                guard: Guard = getattr(resource, method).guard
                _tell_guard(operation, guard)
                _tell_errors(operation, guard, has_path_parameter="parameters" in path)
                _show_errors(operation, self.api.blueprint.name)
        return path


def _name(status: str) -> str:
    return f"Error{status.capitalize()}"


def _shared_error(status: str, dialect: str) -> dict[str, Any]:
    _, meaning = FAULTS[status]
    told = {"description": meaning, "schema": ref(ERROR), **_examples(_codes(status), dialect)}
    return {**told, "headers": RATE_HEADERS | RETRY_HEADER} if status == "429" else told


def _leaves(kind: type[AppError]) -> Iterator[type[AppError]]:
    """Yield every kind of error there is."""
    yield kind
    for below in kind.__subclasses__():
        yield from _leaves(below)


def _codes(status: str) -> dict[str, JSONObject]:
    """Return an error of each code that comes with a status; with OTHER, that has a status of its own."""
    code, meaning = FAULTS.get(status, ("", ""))
    http_status = 500 if status == OTHER else int(status)
    errors: dict[str, JSONObject] = {}
    if code:
        errors[code] = {"code": code, "message": meaning, "status": http_status}
    for kind in _leaves(AppError):
        own = str(kind.http_status)
        if own == status or (status == OTHER and own not in FAULTS):
            message = (kind.__doc__ or "").partition("\n")[0]
            errors.setdefault(kind.code, {"code": kind.code, "message": message, "status": kind.http_status})
    return errors


def _examples(errors: dict[str, JSONObject], dialect: str) -> dict[str, Any]:
    """Return errors as examples of an answer; Swagger 2 has room for one."""
    worded = {dialect_code(code, dialect): said for code, said in errors.items()}
    shown = {code: {"value": {**said, "code": code}} for code, said in worded.items()}
    first: dict[str, Any] = next(iter(shown.values()))
    return {"examples": {JSON: first["value"]}, "x-examples": shown}


def _payload(declared: list[Field]) -> dict[str, Any]:
    """Return a parser's body fields as one body parameter."""
    properties, required = {}, []
    for field in declared:
        said = field.__schema__
        if said["in"] != "body":
            continue
        if said.pop("required", False):
            required.append(field.name)
        properties[field.name] = {k: v for k, v in said.items() if k not in ("name", "in")}
        if field.nullable:
            properties[field.name]["x-nullable"] = True
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {"name": "payload", "in": "body", "required": bool(required), "schema": schema}


def _with_nulls(model: Model, definition: dict[str, Any]) -> dict[str, Any]:
    """Mark the fields that may be null, for which Swagger 2 has no word."""
    properties = dict(definition["properties"])
    for name, said in properties.items():
        if getattr(model[name], "nullable", False):
            properties[name] = _nullable(said)
    return {**definition, "properties": properties}


def _nullable(said: dict[str, Any]) -> dict[str, Any]:
    # flask-restx offers a nested field the type "null", which Swagger 2 does not know.
    plain = {"allOf": said["anyOf"][:1]} if "anyOf" in said else said
    return {**plain, "x-nullable": True}


def _name_apart(operation: dict[str, Any], url: str) -> None:
    """Give the operation of a route's second spelling, with ``_`` in its last word, a name of its own."""
    if "_" in url.rpartition("/")[2].partition("<")[0]:
        operation["operationId"] += "_underscored"


def _tell_guard(operation: dict[str, Any], guard: Guard) -> None:
    """Say who may call, and that calls are counted."""
    operation["security"] = [] if guard.kind == "public" else [{"bearer": []}]
    if guard.kind == "key":
        operation["parameters"] = [*operation.get("parameters", ()), APP_HEADER]
    if guard.kind != "public":
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                response["headers"] = {**RATE_HEADERS, **response.get("headers", {})}


def _tell_errors(operation: dict[str, Any], guard: Guard, *, has_path_parameter: bool) -> None:
    """Say which errors a call may get, beside those the door declares itself."""
    parameters = operation.get("parameters", ())
    places = {parameter["in"] for parameter in parameters}
    statuses = {OTHER}
    if any(parameter["name"] in IDEMPOTENCY_HEADER for parameter in parameters):
        statuses |= {"409", "422"}
    if places & {"body", "formData", "query"}:
        statuses.add("400")
    if places & {"body", "formData"}:
        statuses |= {"413", "415"}
    if has_path_parameter:
        statuses.add("404")
    if guard.kind != "public":
        statuses |= {"401", "403", "429"}
    responses = operation["responses"]
    for status, response in responses.items():
        if status >= "400":
            response.setdefault("schema", ref(ERROR))
    shared = {status: {"$ref": f"#/responses/{_name(status)}"} for status in statuses}
    operation["responses"] = dict(sorted((shared | responses).items()))


def _show_errors(operation: dict[str, Any], dialect: str) -> None:
    """Give examples of the errors a door tells of itself: those it names, or the plain one of the status."""
    for status, response in operation["responses"].items():
        codes = _codes(status) if status >= "400" and "description" in response else {}
        if codes:
            named = {code: said for code, said in codes.items() if code in response["description"]}
            plain = {code: said for code, said in codes.items() if code == FAULTS.get(status, (code,))[0]}
            response.update(_examples(named or plain, dialect))
