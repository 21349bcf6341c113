"""Operations of a document as tools: sent with the provider's key, answers told as text, JSON or files."""

import json
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

import orjson

from api.core.http import HTTPResponse
from api.core.http_parts import OCTETS, charset, holds_file, mime_type, name_of_file
from api.core.model_runtime.types import CredentialField
from api.core.ports import JSONObject, JSONValue
from api.core.rag.charsets import decode
from api.core.tools.openapi.operations import Operation
from api.core.tools.openapi.requests import build
from api.core.tools.tool import (
    FileMessage,
    JSONMessage,
    TextMessage,
    Tool,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolSchema,
    Words,
)

MAX_ERROR_CHARS = 1000
MASK = "[hidden]"
AUTH_FIELDS = (
    CredentialField(
        variable="auth_type",
        label="Authorization",
        label_zh="鉴权方式",
        type="select",
        is_required=True,
        default="none",
        options=("none", "api_key_header", "api_key_query"),
    ),
    CredentialField(variable="api_key_header", label="Header", label_zh="请求头", default="Authorization"),
    CredentialField(variable="api_key_value", label="Key", label_zh="密钥", type="secret-input"),
    CredentialField(
        variable="api_key_header_prefix",
        label="Prefix",
        label_zh="前缀",
        type="select",
        default="custom",
        options=("basic", "bearer", "custom"),
    ),
    CredentialField(
        variable="api_key_query_param", label="Query parameter", label_zh="查询参数", default="key"
    ),
)
"""How a custom tool proves who asks: the form of its credentials."""


def to_tool(operation: Operation) -> Tool:
    """Return the tool that sends an operation's requests; ``context.credentials`` are AUTH_FIELDS."""
    schema = ToolSchema(
        name=operation.name,
        label=Words(operation.name),
        description=Words(operation.description or operation.name),
        llm_description=operation.description or operation.name,
        parameters=tuple(argument.parameter for argument in operation.arguments),
    )
    return Tool(schema, partial(_send, operation))


def _send(operation: Operation, arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    """Send one request and yield its answer. Nothing is sent twice."""
    request = build(
        operation, arguments, context.credentials, lambda file: context.files.read(file, context.cancel)
    )
    with context.http.stream(
        request.method,
        request.url,
        cancel=context.cancel,
        headers=request.headers,
        content=request.content,
        follow=True,
        timeouts=context.timeouts,
    ) as response:
        if response.status >= 400:
            raise _refused(response, context)
        is_file = holds_file(response.headers)
        content = response.read(context.max_file_bytes if is_file else context.max_text_bytes)
    if is_file and content:
        # The address may hold the key.
        name = name_of_file(response.headers, response.url.partition("?")[0])
        yield FileMessage(name, mime_type(response.headers) or OCTETS, content)
        return
    text = decode(content, charset(response.headers)).replace("\0", "")
    yield TextMessage(text)
    value = _json(text)
    if isinstance(value, dict | list):
        yield JSONMessage(value)


def _refused(response: HTTPResponse, context: ToolContext) -> ToolFailed:
    key = context.credentials.get("api_key_value", "")
    # Read so far that a key at the end of what is told is whole, and can be masked.
    start = decode(response.read_start(MAX_ERROR_CHARS * 4 + 8 * len(key)), charset(response.headers))
    said = start.replace("\0", "").strip()
    for form in _forms(key):
        said = said.replace(form, MASK)
    said = said[:MAX_ERROR_CHARS]
    return ToolFailed(
        f"The request was answered with status {response.status}{': ' if said else '.'}{said}",
        error_type="ToolResponseError",
    )


def _forms(key: str) -> list[str]:
    """Return how a server may repeat a key, the longest first: plain, in JSON, in an address, in Base64."""
    forms = {key, json.dumps(key)[1:-1], quote(key, safe=""), b64encode(key.encode()).decode()}
    return sorted(forms - {""}, key=len, reverse=True)


def _json(text: str) -> JSONValue:
    try:
        found: JSONValue = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    return found
