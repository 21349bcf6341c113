"""From a Swagger 2 document, as flask-restx writes it, to OpenAPI 3.0.3.

Pure. It moves things: body and form fields into ``requestBody``, schemas under
their media types, a nullable value to its own word. Examples it adds.
"""

from typing import Any, cast

from api.controllers.http.examples import add_examples
from api.core.ports import JSONObject

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
STREAM = {
    "type": "string",
    "description": "Frames of one JSON object each; a bare `event: ping` now and then.",
    "example": 'data: {"event": "message", "answer": "Hel"}\n\ndata: {"event": "message_end"}\n\n',
}


def to_openapi3(swagger: JSONObject, public_url: str = "") -> JSONObject:
    """Return a Swagger 2 document in the terms of OpenAPI 3.0.3.

    ``public_url`` goes before the base path; empty means the host that serves the document.
    """
    spec: dict[str, Any] = dict(swagger)
    produces = spec["produces"]
    document = {
        "openapi": "3.0.3",
        "info": spec["info"],
        "servers": [{"url": public_url + spec["basePath"]}],
        "tags": spec["tags"],
        "security": spec["security"],
        "paths": {path: _path_item(item, produces) for path, item in spec["paths"].items()},
        "components": {
            "securitySchemes": {name: _scheme(said) for name, said in spec["securityDefinitions"].items()},
            "responses": {name: _response(said, [JSON]) for name, said in spec["responses"].items()},
            "schemas": spec["definitions"],
        },
    }
    modern = cast("dict[str, Any]", _modern(document))
    add_examples(modern)
    return cast("JSONObject", modern)


def _path_item(item: dict[str, Any], produces: list[str]) -> dict[str, Any]:
    return {
        key: [_parameter(said) for said in value] if key == "parameters" else _operation(value, produces)
        for key, value in item.items()
    }


def _operation(said: dict[str, Any], produces: list[str]) -> dict[str, Any]:
    moved = ("parameters", "responses", "produces", "consumes")
    operation = {key: value for key, value in said.items() if key not in moved}
    parameters = said.get("parameters", [])
    operation["parameters"] = [_parameter(p) for p in parameters if p["in"] not in ("body", "formData")]
    body = _request_body(parameters)
    if body is not None:
        operation["requestBody"] = body
    told = said.get("produces", produces)
    operation["responses"] = {
        status: _response(response, told if status.startswith("2") else [JSON])
        for status, response in said["responses"].items()
    }
    return operation


def _parameter(said: dict[str, Any]) -> dict[str, Any]:
    own = {k: v for k, v in said.items() if k in ("name", "in", "description", "required")}
    schema = _schema_of(said)
    schema.pop("collectionFormat", None)  # repeated parameters are what OpenAPI 3 takes a list for
    return own | {"schema": schema}


def _schema_of(said: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a parameter or header that describes its value."""
    # A repeated parameter is what OpenAPI 3 takes an array in a query for, so its collectionFormat goes.
    about = ("name", "in", "description", "required", "collectionFormat")
    schema = {k: v for k, v in said.items() if k not in about}
    return {"type": "string", "format": "binary"} if schema.get("type") == "file" else schema


def _request_body(parameters: list[dict[str, Any]]) -> dict[str, Any] | None:
    for said in parameters:
        if said["in"] == "body":
            return {"required": said["required"], "content": {JSON: {"schema": said["schema"]}}}
    form = [said for said in parameters if said["in"] == "formData"]
    if not form:
        return None
    properties = {said["name"]: {**_schema_of(said), "description": said["description"]} for said in form}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [said["name"] for said in form if said.get("required")]
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"multipart/form-data": {"schema": schema}}}


def _response(said: dict[str, Any], produces: list[str]) -> dict[str, Any]:
    if "$ref" in said:
        return said
    response: dict[str, Any] = {"description": said["description"]}
    if "headers" in said:
        response["headers"] = {
            name: {"description": header["description"], "schema": _schema_of(header)}
            for name, header in said["headers"].items()
        }
    content = {media: kept for media in produces if (kept := _content(said, media)) is not None}
    return {**response, "content": content} if content else response


def _content(said: dict[str, Any], media: str) -> dict[str, Any] | None:
    """Return what a response holds in one media type; None where it is an empty JSON answer."""
    if media == EVENT_STREAM:
        return {"schema": STREAM}
    if media != JSON:
        return {"schema": {"type": "string", "format": "binary"}}
    if "schema" not in said:
        return None
    return {"schema": said["schema"], **({"examples": said["x-examples"]} if "x-examples" in said else {})}


def _scheme(said: dict[str, Any]) -> dict[str, Any]:
    """Return a security scheme; Swagger 2 knows no bearer token, only a key in a header."""
    if said.get("name") == "Authorization":
        return {"type": "http", "scheme": "bearer", "description": said["description"]}
    return said


def _modern(value: Any) -> Any:
    """Move references to where OpenAPI 3 keeps their targets, and say null its way."""
    match value:
        case {"$ref": str(target)}:
            moved = target.replace("#/definitions/", "#/components/schemas/")
            return {"$ref": moved.replace("#/responses/", "#/components/responses/")}
        case {"allOf": [target], "x-nullable": True, **rest}:
            no_value: dict[str, Any] = {"type": "object", "nullable": True, "enum": [None]}
            return {**rest, "anyOf": [_modern(target), no_value]}
        case dict():
            return {"nullable" if k == "x-nullable" else k: _modern(v) for k, v in value.items()}
        case list():
            return [_modern(item) for item in value]
    return value
