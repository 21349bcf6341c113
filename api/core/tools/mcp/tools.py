"""The tools of a server: asked for page by page, called, and what they answer told as messages."""

import base64
import binascii
import json
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol, cast
from urllib.parse import unquote

import orjson

from api.core.http_parts import OCTETS
from api.core.ports import JSONObject, JSONValue
from api.core.text.found_json import is_deep
from api.core.tools.mcp.messages import MAX_ERROR_CHARS, MCPFailed, hidden, server_of
from api.core.tools.openapi.document import BadDocument, Document
from api.core.tools.openapi.operations import clean_name
from api.core.tools.openapi.schemas import Shape, text_of, to_shape
from api.core.tools.tool import (
    FileMessage,
    JSONMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolSchema,
    Words,
)

MAX_TOOLS = 500
MAX_PAGES = 100
MAX_LIST_BYTES = 5 * 1024 * 1024
MAX_NAME_CHARS = 200
MAX_SCHEMA_BYTES = 64 * 1024
KEPT = ("name", "title", "description", "inputSchema", "outputSchema")
"""What is kept of a tool as its server tells it."""

BASE64_SPACE = re.compile(r"\s+")


class AskServer(Protocol):
    """Asks a server in its session."""

    def __call__(self, method: str, params: JSONObject, context: ToolContext) -> JSONObject:
        """Return its answer. Raises ToolFailed, HTTPFailure, AppError, Cancelled."""
        ...


def fetch_tools(ask: AskServer, context: ToolContext) -> list[JSONObject]:
    """Return all tools of a server as it tells them, up to 500 and 5 MB. Raises MCPFailed for more."""
    found: list[JSONObject] = []
    params: JSONObject = {}
    for _ in range(MAX_PAGES):
        page = ask("tools/list", params, context)
        listed = page.get("tools")
        named = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        found += [_kept(each) for each in named if isinstance(each.get("name"), str) and each["name"]]
        cursor = page.get("nextCursor")
        if len(found) > MAX_TOOLS or _size_bytes(found) > MAX_LIST_BYTES:
            raise MCPFailed(f"The server has more than {MAX_TOOLS} tools, or tells more than 5 MB of them.")
        if not isinstance(cursor, str) or not cursor:
            return found
        params = {"cursor": cursor}
    raise MCPFailed(f"The server tells its tools on more than {MAX_PAGES} pages.")


def _size_bytes(found: list[JSONObject]) -> int:
    try:
        return len(orjson.dumps(found))
    except TypeError as exc:
        raise MCPFailed("The server tells of its tools in JSON that is nested too deep.") from exc


def _kept(told: JSONObject) -> JSONObject:
    return {key: told[key] for key in KEPT if told.get(key) is not None}


def to_tool(name: str, schema: ToolSchema, ask: AskServer) -> Tool:
    """Return the tool that calls the one a server knows by ``name``."""
    return Tool(schema, partial(_call, ask, name))


def to_schema(told: JSONObject, timeout_s: float) -> ToolSchema:
    """Return what is told of a server's tool; its name is one that models can say."""
    name = str(told["name"])
    description = text_of(told.get("description"))
    output = told.get("outputSchema")
    return ToolSchema(
        name=clean_name(name),
        label=Words(text_of(told.get("title")) or name),
        description=Words(description or name),
        llm_description=description or name,
        parameters=tuple(_parameters(told.get("inputSchema"))),
        output_schema=output if isinstance(output, dict) else {},
        timeout_s=timeout_s,
    )


def _parameters(schema: JSONValue) -> Iterator[ToolParameter]:
    root = schema if isinstance(schema, dict) else {}
    document = Document("openapi", root)
    try:
        whole = to_shape(document, root)
    except BadDocument:
        return
    for name, part in whole.properties.items():
        try:
            shape = to_shape(document, part)
        except BadDocument:
            shape = Shape(type="object")
        # Bytes cannot travel in JSON: whoever fills them in writes them down as a text.
        kind = {"file": "string", "files": "array"}.get(shape.type, shape.type)
        shape = replace(shape, type=kind)  # type: ignore[arg-type]  # the words of the line above
        words = Words(shape.description)
        yield ToolParameter(
            name=name,
            label=Words(name),
            human_description=words,
            llm_description=shape.description,
            type=shape.type,
            is_required=name in whole.required,
            default=shape.default,
            minimum=shape.minimum,
            maximum=shape.maximum,
            options=shape.options,
            schema=_whole_schema(root, part) if shape.type in ("array", "object") else None,
        )


def _whole_schema(root: JSONObject, part: JSONValue) -> JSONObject | None:
    """Return the JSON Schema of a parameter with what it refers to; None for a very large one."""
    if not isinstance(part, dict):
        return None
    written = orjson.dumps(part)
    if b'"$ref"' in written:
        part = {**part, **{key: root[key] for key in ("$defs", "definitions") if key in root}}
        written = orjson.dumps(part)
    return part if len(written) <= MAX_SCHEMA_BYTES else None


def _call(ask: AskServer, name: str, arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    answer = ask("tools/call", {"name": name, "arguments": arguments}, context)
    listed = answer.get("content")
    items = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    texts = [text for text in map(_text, items) if text]
    text = "\n".join(texts)
    if answer.get("isError") is True:
        told = hidden(text, server_of(context))[:MAX_ERROR_CHARS]
        raise MCPFailed(told or "The tool failed and does not say why.")
    if len(text.encode("utf-8", "replace")) > context.max_text_bytes:
        raise ToolFailed(f"The tool gave a text of more than {context.max_text_bytes} bytes.")
    structured = answer.get("structuredContent")
    if structured is None:
        structured = _as_json(text)
    elif not text and not is_deep(structured):
        text = json.dumps(structured, ensure_ascii=False)
    if text:
        yield TextMessage(text)
    if structured is not None:
        yield JSONMessage(structured)
    for item in items:
        yield from _files(item, context)


def _text(item: JSONObject) -> str:
    """Return what an item says in words; nothing where it is a file."""
    inside = item.get("resource")
    match item.get("type"):
        case "text":
            return str(item.get("text") or "")
        case "resource" if isinstance(inside, dict) and isinstance(inside.get("text"), str):
            return str(inside["text"])
        case "resource_link":
            return str(item.get("uri") or "")
    return ""


def _files(item: JSONObject, context: ToolContext) -> Iterator[FileMessage]:
    inside = item.get("resource")
    match item.get("type"):
        case "image" | "audio" as kind:
            yield _file(str(kind), item.get("data"), item.get("mimeType"), context)
        case "resource" if isinstance(inside, dict) and isinstance(inside.get("blob"), str):
            path = str(inside.get("uri") or "").partition("?")[0]
            name = unquote(path.rstrip("/").rpartition("/")[2])
            yield _file(name or "file", inside["blob"], inside.get("mimeType"), context)


def _file(name: str, data: JSONValue, told_type: JSONValue, context: ToolContext) -> FileMessage:
    mime_type = told_type if isinstance(told_type, str) and told_type else OCTETS
    if not isinstance(data, str) or len(data) > 2 * context.max_file_bytes:
        raise ToolFailed(f"The tool gave a file of more than {context.max_file_bytes} bytes, or none.")
    try:
        content = base64.b64decode(BASE64_SPACE.sub("", data), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ToolFailed("The tool gave a file that cannot be read.") from exc
    if len(content) > context.max_file_bytes:
        raise ToolFailed(f"The tool gave a file of more than {context.max_file_bytes} bytes.")
    if "." not in name:
        name += mimetypes.guess_extension(mime_type.partition(";")[0].strip()) or ".bin"
    return FileMessage(name[-MAX_NAME_CHARS:], mime_type, content)


def _as_json(text: str) -> JSONObject | list[JSONValue] | None:
    """Return the object or list that a text is, if it is one."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return cast("JSONObject | list[JSONValue]", orjson.loads(text))
    except orjson.JSONDecodeError:
        return None
