"""The operations of a document: where each is asked, and what it takes.

Wire: docs/wire/tools.md#custom-tools.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

import orjson

from api.core.ports import JSONObject, JSONValue
from api.core.tools.openapi.document import MAX_BYTES, BadDocument, Document
from api.core.tools.openapi.schemas import Shape, text_of, to_shape
from api.core.tools.tool import ParameterType, ToolParameter, Words

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MAX_OPERATIONS = 1000
MAX_SOURCE_BYTES = 2 * MAX_BYTES
"""Operations may share what is written once, and are told one by one."""
MAX_PARAMETERS = 500
MAX_NAME_CHARS = 64
ODD = re.compile(r"[^a-zA-Z0-9_-]")
VARIABLE = re.compile(r"\{([^{}]*)\}")
COLLECTIONS = {"multi": "form", "ssv": "spaceDelimited", "pipes": "pipeDelimited", "tsv": "tabDelimited"}

Place = Literal["path", "query", "header", "cookie", "body", "part"]
"""Where a value goes: ``body`` is all of it, ``part`` one member of an object or field of a form."""

BodyKind = Literal["none", "json", "form", "multipart", "raw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One value of a request: the parameter that gives it, and how it is written where it goes.

    ``wire_name`` is its name there; ``style`` and ``is_exploded`` are OpenAPI's words for lists and objects.
    """

    parameter: ToolParameter
    place: Place
    wire_name: str
    style: str = ""
    is_exploded: bool = False
    is_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request a document describes. ``source`` is what the document says, as it is written."""

    name: str
    summary: str
    description: str
    method: str
    server_url: str
    path: str
    arguments: tuple[Argument, ...]
    body_kind: BodyKind = "none"
    body_type: str = ""
    source: JSONObject = field(default_factory=dict)


def read_operations(document: Document) -> list[Operation]:
    """Return the operations in the order of the document, each with a name of its own. Raises BadDocument."""
    paths = document.root.get("paths")
    found: dict[str, Operation] = {}
    size = 0
    for path, item in paths.items() if isinstance(paths, dict) else ():
        routes = document.resolve(item)
        for method in METHODS:
            if isinstance(routes.get(method), dict):
                operation = _read(document, path, routes, method)
                size += len(orjson.dumps(operation.source))
                if size > MAX_SOURCE_BYTES:
                    raise BadDocument("The operations of the document are too long together.")
                name = _free(operation.name, found)
                found[name] = replace(operation, name=name)
                if len(found) > MAX_OPERATIONS:
                    raise BadDocument(f"The document has more than {MAX_OPERATIONS} operations.")
    if not found:
        raise BadDocument("The document has no operations.")
    return list(found.values())


def clean_name(operation_id: str) -> str:
    """Return an operation's id as the name of a tool, which models can say."""
    return ODD.sub("_", operation_id)[:MAX_NAME_CHARS]


def _read(document: Document, path: str, routes: JSONObject, method: str) -> Operation:
    operation = document.resolve(routes[method])
    summary, description = text_of(operation.get("summary")), text_of(operation.get("description"))
    taken: dict[str, Argument] = {}
    for argument in _parameters(document, routes, operation):
        _add(taken, argument)
    kind, media_type, parts = _body(document, routes, operation)
    for argument in parts:
        _add(taken, argument)
    return Operation(
        name=_name(operation.get("operationId"), path, method),
        summary=summary or description[:100],
        description=description or summary,
        method=method,
        server_url=_server(document, routes, operation),
        path=path,
        arguments=tuple(taken.values()),
        body_kind=kind,
        body_type=media_type,
        source=operation,
    )


def _name(operation_id: JSONValue, path: str, method: str) -> str:
    """Return the operation's id, or one made of its path as Dify makes them."""
    if isinstance(operation_id, str) and operation_id.strip():
        return clean_name(operation_id.strip())
    ending = f"_{method}"
    return (ODD.sub("", path.removeprefix("/"))[: MAX_NAME_CHARS - len(ending)] or "root") + ending


def _free(name: str, taken: dict[str, Operation]) -> str:
    if name not in taken:
        return name
    numbered = (f"{name[: MAX_NAME_CHARS - 5]}_{number}" for number in range(2, MAX_OPERATIONS + 2))
    return next(each for each in numbered if each not in taken)


def _add(taken: dict[str, Argument], argument: Argument) -> None:
    """Keep an argument under a name of its own: one that is taken is told apart by its place."""
    name = argument.parameter.name
    while name in taken:
        name = f"{argument.place}_{name}"
    taken[name] = replace(argument, parameter=replace(argument.parameter, name=name))
    if len(taken) > MAX_PARAMETERS:
        raise BadDocument(f"An operation takes more than {MAX_PARAMETERS} parameters.")


# -- where it is asked ---------------------------------------------------------------------------


def _server(document: Document, routes: JSONObject, operation: JSONObject) -> str:
    """Return the address an operation's path is added to; nothing where the document names none."""
    if document.kind == "swagger":
        return _swagger_server(document.root)
    for level in (operation, routes, document.root):
        for server in _list(level.get("servers")):
            url = _filled(document.resolve(server))
            if url:
                return url
    return ""


def _filled(server: JSONObject) -> str:
    """Return a server's address with the defaults of its variables; nothing for no address of the web."""
    url, variables = server.get("url"), server.get("variables")
    if not isinstance(url, str):
        return ""

    def default(found: re.Match[str]) -> str:
        variable = variables.get(found[1]) if isinstance(variables, dict) else None
        return str(variable.get("default", "")) if isinstance(variable, dict) else ""

    return _web_address(VARIABLE.sub(default, url.strip()))


def _swagger_server(root: JSONObject) -> str:
    host, base, schemes = root.get("host"), root.get("basePath"), root.get("schemes")
    if not isinstance(host, str) or not host:
        return ""
    offered = _list(schemes)
    scheme = "http" if "http" in offered and "https" not in offered else "https"
    path = base.strip("/") if isinstance(base, str) else ""
    return _web_address(f"{scheme}://{host.strip()}/{path}")


def _web_address(url: str) -> str:
    url = f"https:{url}" if url.startswith("//") else url
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_web = parts.scheme in ("http", "https") and bool(parts.netloc)
    return parts._replace(query="", fragment="").geturl().rstrip("/") if is_web else ""


# -- what it takes -------------------------------------------------------------------------------


def _parameters(document: Document, routes: JSONObject, operation: JSONObject) -> Iterator[Argument]:
    """Yield what goes into path, query, head and cookies; an operation's own replace those of its path."""
    found: dict[tuple[str, str], JSONObject] = {}
    for level in (routes, operation):
        for item in _list(level.get("parameters")):
            parameter = document.resolve(item)
            found[str(parameter.get("in")), str(parameter.get("name"))] = parameter
    for (where, name), parameter in found.items():
        place = _place(where)
        if place is not None and name:
            yield _argument(document, place, name, parameter)


def _place(where: str) -> Place | None:
    match where:
        case "path" | "query" | "header" | "cookie":
            return where
    return None


def _argument(document: Document, place: Place, name: str, parameter: JSONObject) -> Argument:
    schema, is_json = _schema_of(parameter)
    shape = to_shape(document, schema)
    style, is_exploded = _style(place, parameter)
    made = make_parameter(
        name,
        replace(shape, description=text_of(parameter.get("description")) or shape.description),
        is_required=place == "path" or parameter.get("required") is True,
    )
    return Argument(
        parameter=made, place=place, wire_name=name, style=style, is_exploded=is_exploded, is_json=is_json
    )


def _schema_of(parameter: JSONObject) -> tuple[JSONValue, bool]:
    """Return the schema of a parameter, and whether it is written as JSON. Swagger's is its own schema."""
    content = parameter.get("content")
    if isinstance(content, dict) and content:
        media_type, media = next(iter(content.items()))
        return (media.get("schema") if isinstance(media, dict) else {}), "json" in media_type
    if "schema" in parameter:
        return parameter["schema"], False
    return {key: value for key, value in parameter.items() if key != "required"}, False


def _style(place: Place, parameter: JSONObject) -> tuple[str, bool]:
    collection = parameter.get("collectionFormat")
    if "schema" not in parameter and ("type" in parameter or collection):
        return COLLECTIONS.get(str(collection), "form"), collection == "multi"
    style = str(parameter.get("style") or ("form" if place in ("query", "cookie") else "simple"))
    explode = parameter.get("explode")
    return style, explode if isinstance(explode, bool) else style in ("form", "deepObject")


def make_parameter(name: str, shape: Shape, *, is_required: bool) -> ToolParameter:
    """Return the parameter of a tool for one value of a request."""
    return ToolParameter(
        name=name,
        label=Words(name),
        human_description=Words(shape.description),
        llm_description=shape.description or name,
        type=shape.type,
        is_required=is_required and shape.default is None,
        default=shape.default,
        minimum=shape.minimum,
        maximum=shape.maximum,
        options=shape.options,
    )


def _list(value: JSONValue) -> list[JSONValue]:
    return value if isinstance(value, list) else []


# -- bodies --------------------------------------------------------------------------------------


def _body(
    document: Document, routes: JSONObject, operation: JSONObject
) -> tuple[BodyKind, str, list[Argument]]:
    if document.kind == "swagger":
        return _swagger_body(document, routes, operation)
    body = document.resolve(operation.get("requestBody"))
    content = body.get("content")
    if not isinstance(content, dict) or not content:
        return "none", "", []
    media_type = min(content, key=lambda name: (_rank(_kind(name)), list(content).index(name)))
    media = document.resolve(content[media_type])
    return _read_body(document, media_type, media.get("schema"), body.get("required") is True)


def _swagger_body(
    document: Document, routes: JSONObject, operation: JSONObject
) -> tuple[BodyKind, str, list[Argument]]:
    listed = [
        document.resolve(item) for level in (routes, operation) for item in _list(level.get("parameters"))
    ]
    consumes = operation.get("consumes", document.root.get("consumes"))
    types = [str(each) for each in _list(consumes)]
    fields = [item for item in listed if item.get("in") == "formData"]
    if fields:
        is_multipart = "multipart/form-data" in types or any(item.get("type") == "file" for item in fields)
        parts = [_argument(document, "part", str(item.get("name")), item) for item in fields]
        kind: BodyKind = "multipart" if is_multipart else "form"
        return kind, "", parts
    body = next((item for item in listed if item.get("in") == "body"), None)
    if body is None:
        return "none", "", []
    media_type = min(types, key=lambda name: _rank(_kind(name)), default="application/json")
    return _read_body(document, media_type, body.get("schema"), body.get("required") is True)


def _kind(media_type: str) -> BodyKind:
    name = media_type.partition(";")[0].strip().lower()
    if name in ("application/json", "*/*", "text/json") or name.endswith("+json"):
        return "json"
    if name == "multipart/form-data":
        return "multipart"
    return "form" if name == "application/x-www-form-urlencoded" else "raw"


def _rank(kind: BodyKind) -> int:
    return ("json", "multipart", "form", "raw").index(kind)


def _read_body(
    document: Document, media_type: str, schema: JSONValue, is_required: bool
) -> tuple[BodyKind, str, list[Argument]]:
    kind = _kind(media_type)
    shape = to_shape(document, schema or {})
    if kind != "raw" and shape.properties:
        parts = [
            _part(document, name, each, is_required=is_required and name in shape.required)
            for name, each in shape.properties.items()
            if document.resolve(each).get("readOnly") is not True
        ]
        return kind, media_type, parts
    whole = make_parameter(
        "body", replace(shape, type=_whole_type(kind, media_type, shape)), is_required=is_required
    )
    return kind, media_type, [Argument(parameter=whole, place="body", wire_name="body")]


def _part(document: Document, name: str, schema: JSONValue, *, is_required: bool) -> Argument:
    parameter = make_parameter(name, to_shape(document, schema), is_required=is_required)
    return Argument(parameter=parameter, place="part", wire_name=name, is_exploded=True)


def _whole_type(kind: BodyKind, media_type: str, shape: Shape) -> ParameterType:
    """Return the type of a body that is one value: text, a file, or what JSON it is."""
    if kind in ("form", "multipart"):
        return "object"
    if kind == "json":
        return "object" if shape.type == "file" else shape.type
    is_text = media_type.startswith("text/") or re.search(r"xml|yaml|json|javascript|graphql", media_type)
    return "string" if is_text else "file"
