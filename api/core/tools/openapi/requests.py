"""The request an operation becomes for some arguments: address, head and body. Pure.

What must stay true: an argument stays within the part of the address it is for;
no value adds a segment to a path or a line to a head.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import quote, urlencode

from api.core.http_parts import OCTETS, Part, multipart
from api.core.ports import JSONObject, JSONValue
from api.core.tools.openapi.operations import Argument, Operation
from api.core.tools.tool import ToolFailed

OUR_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection"})
SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}
AuthType = Literal["none", "api_key_header", "api_key_query"]
Read = Callable[[JSONObject], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to send. Its address may hold a key."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)


def build(operation: Operation, given: JSONObject, auth: Mapping[str, str], read: Read) -> Request:
    """Return the request for some arguments; ``read`` gives the bytes of a file.

    Raises ToolFailed where there is no server, or a value does not fit where it goes.
    """
    if not operation.server_url:
        raise ToolFailed("The document names no server to ask.", error_type="ToolSchemaError")
    chosen = [
        (each, given[each.parameter.name]) for each in operation.arguments if each.parameter.name in given
    ]
    try:
        query = [*_query(chosen), *_key_of_query(auth)]
        path = _path(operation.path, chosen)
        asked = urlencode(query, quote_via=quote)
        content, media_type = _body(operation, chosen, read)
    except UnicodeEncodeError as exc:
        raise ToolFailed("A parameter holds characters that are no text.") from exc
    headers = {**_headers(chosen), **_key_of_head(auth)}
    if content is not None and media_type:
        headers["content-type"] = media_type
    url = f"{operation.server_url}/{path.removeprefix('/')}{'?' if asked else ''}{asked}"
    return Request(method=operation.method.upper(), url=url, headers=headers, content=content)


Chosen = list[tuple[Argument, JSONValue]]


def _path(template: str, chosen: Chosen) -> str:
    path = template.partition("?")[0]
    for argument, value in chosen:
        if argument.place == "path":
            path = path.replace(f"{{{argument.wire_name}}}", _segment(argument, value))
    return path


def _segment(argument: Argument, value: JSONValue) -> str:
    texts = [quote(text, safe="") for text in _flat(value)]
    if texts in ([], [""], ["."], [".."]):
        raise ToolFailed(f"{value!r:.50} cannot be the path's {argument.wire_name!r}.")
    match argument.style:
        case "label":
            return "." + ".".join(texts)
        case "matrix":
            return f";{argument.wire_name}={','.join(texts)}"
    return ",".join(texts)


def _query(chosen: Chosen) -> Iterator[tuple[str, str]]:
    for argument, value in chosen:
        if argument.place == "query":
            yield from _pairs(argument, value)


def _pairs(argument: Argument, value: JSONValue) -> Iterator[tuple[str, str]]:
    """Yield a value as pairs of a query or form."""
    name = argument.wire_name
    if argument.is_json:
        yield name, json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dict) and argument.style == "deepObject":
        yield from ((f"{name}[{key}]", _text(item)) for key, item in value.items())
    elif isinstance(value, dict) and argument.is_exploded and argument.style == "form":
        yield from ((key, _text(item)) for key, item in value.items())
    elif isinstance(value, list) and argument.is_exploded:
        yield from ((name, _text(item)) for item in value)
    elif isinstance(value, list | dict):
        yield name, SEPARATORS.get(argument.style, ",").join(_flat(value))
    else:
        yield name, _text(value)


def _flat(value: JSONValue) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, _text(item))]
    return [_text(item) for item in (value if isinstance(value, list) else [value])]


def _text(value: JSONValue) -> str:
    match value:
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _headers(chosen: Chosen) -> dict[str, str]:
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for argument, value in chosen:
        name = argument.wire_name.lower()
        text = json.dumps(value) if argument.is_json else ",".join(_flat(value))
        if argument.place == "header" and name not in OUR_OWN:
            headers[name] = text
        elif argument.place == "cookie":
            cookies.append(f"{argument.wire_name}={quote(text, safe='')}")
    return {**headers, "cookie": "; ".join(cookies)} if cookies else headers


# -- keys ----------------------------------------------------------------------------------------


def _key_of_head(auth: Mapping[str, str]) -> dict[str, str]:
    if auth.get("auth_type") != "api_key_header":
        return {}
    name, value = auth.get("api_key_header") or "Authorization", auth.get("api_key_value", "")
    match auth.get("api_key_header_prefix"):
        case "bearer":
            value = f"Bearer {value}"
        case "basic":
            coded = base64.b64encode(value.encode()).decode() if ":" in value else value
            value = f"Basic {coded}"
    return {name.lower(): value}


def _key_of_query(auth: Mapping[str, str]) -> list[tuple[str, str]]:
    if auth.get("auth_type") != "api_key_query":
        return []
    return [(auth.get("api_key_query_param") or "key", auth.get("api_key_value", ""))]


# -- bodies --------------------------------------------------------------------------------------


def _body(operation: Operation, chosen: Chosen, read: Read) -> tuple[bytes | None, str]:
    whole = [value for argument, value in chosen if argument.place == "body"]
    parts = [(argument, value) for argument, value in chosen if argument.place == "part"]
    if operation.body_kind == "none" or not (whole or parts):
        return None, ""
    match operation.body_kind:
        case "json":
            return _json_body(operation, whole, parts)
        case "form":
            return urlencode(list(_fields(whole, parts))).encode(), "application/x-www-form-urlencoded"
        case "multipart":
            return multipart([*_form_parts(whole, parts, read)])
    value = whole[0]
    if isinstance(value, dict):
        kind = (
            operation.body_type if "*" not in operation.body_type else str(value.get("mime_type") or OCTETS)
        )
        return read(value), kind
    return _text(value).encode(), f"{operation.body_type.replace('*', 'plain')}; charset=utf-8"


def _json_body(operation: Operation, whole: list[JSONValue], parts: Chosen) -> tuple[bytes, str]:
    value: JSONValue = whole[0] if whole else {argument.wire_name: value for argument, value in parts}
    media_type = "application/json" if "*" in operation.body_type else operation.body_type
    return json.dumps(value, ensure_ascii=False).encode(), media_type or "application/json"


def _fields(whole: list[JSONValue], parts: Chosen) -> Iterator[tuple[str, str]]:
    if whole and isinstance(whole[0], dict):
        yield from ((name, _text(value)) for name, value in whole[0].items())
    for argument, value in parts:
        yield from _pairs(argument, value)


def _form_parts(whole: list[JSONValue], parts: Chosen, read: Read) -> Iterator[Part]:
    yield from (Part(name=name, content=text.encode()) for name, text in _fields(whole, []))
    for argument, value in parts:
        if argument.parameter.type not in ("file", "files"):
            yield from (Part(name=name, content=text.encode()) for name, text in _pairs(argument, value))
            continue
        for file in cast("list[JSONObject]", value if isinstance(value, list) else [value]):
            yield Part(
                name=argument.wire_name,
                content=read(file),
                file_name=str(file.get("filename") or "file"),
                mime_type=str(file.get("mime_type") or OCTETS),
            )
