"""HTTP: a request of any kind, made of what it is given."""

import json
from collections.abc import Iterator
from urllib.parse import quote, urlencode, urlsplit

from api.core.http_parts import OCTETS, charset, holds_file, mime_type, name_of_file
from api.core.ports import JSONObject, JSONValue
from api.core.rag.charsets import decode
from api.core.tools.provider import provide
from api.core.tools.tool import (
    FileMessage,
    JSONMessage,
    TextMessage,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    Words,
)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OUR_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that follow from the call; whoever sets them differently breaks it."""

HTTP = provide(
    ToolProviderSchema(
        id="http",
        label=Words("HTTP", "HTTP 请求"),
        description=Words("Sends HTTP requests.", "发送 HTTP 请求。"),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#475467"'
        ' stroke-width="2" stroke-linecap="round"><path d="M4 8h14l-4-4M20 16H6l4 4"/></svg>',
        labels=("utilities",),
    )
)


@HTTP.tool(
    ToolSchema(
        name="request",
        label=Words("HTTP request", "HTTP 请求"),
        description=Words("Sends a request and gives its answer.", "发送请求并返回响应。"),
        llm_description="Sends an HTTP request and returns the body of the answer.",
        parameters=(
            ToolParameter(
                name="method",
                label=Words("Method", "方法"),
                human_description=Words("The method.", "请求方法。"),
                llm_description=f"One of: {', '.join(METHODS)}.",
                type="select",
                default="GET",
                options=tuple((method, Words(method, method)) for method in METHODS),
            ),
            ToolParameter(
                name="url",
                label=Words("URL", "地址"),
                human_description=Words("The address.", "请求地址。"),
                llm_description="The http or https address.",
                is_required=True,
            ),
            ToolParameter(
                name="params",
                label=Words("Query", "查询参数"),
                human_description=Words("Parameters of the query, as an object.", "查询参数对象。"),
                llm_description="Parameters of the query, as an object.",
                type="object",
            ),
            ToolParameter(
                name="headers",
                label=Words("Headers", "请求头"),
                human_description=Words("Headers, as an object.", "请求头对象。"),
                llm_description="Headers, as an object.",
                type="object",
            ),
            ToolParameter(
                name="body",
                label=Words("Body", "请求体"),
                human_description=Words(
                    "The body as text; JSON is told as such.", "请求体文本；JSON 会自动识别。"
                ),
                llm_description="The body as text; write JSON for a JSON body.",
            ),
        ),
    )
)
def request(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    """Yield the body of the answer (a file where it is one), and its status and headers."""
    body = arguments.get("body")
    headers = _headers(arguments.get("headers"))
    if body and "content-type" not in headers:
        headers["content-type"] = "application/json" if _is_json(str(body)) else "text/plain; charset=utf-8"
    with context.http.stream(
        str(arguments["method"]),
        _address(str(arguments["url"]).strip(), arguments.get("params")),
        cancel=context.cancel,
        headers=headers,
        content=_encoded(str(body)) if body else None,
        follow=True,
        timeouts=context.timeouts,
    ) as response:
        is_file = holds_file(response.headers)
        content = response.read(context.max_file_bytes if is_file else context.max_text_bytes)
    if is_file and content:
        name = name_of_file(response.headers, response.url)
        yield FileMessage(name, mime_type(response.headers) or OCTETS, content)
    elif content:
        yield TextMessage(decode(content, charset(response.headers)).replace("\0", ""))
    yield JSONMessage({"status_code": response.status, "headers": dict(response.headers)})


def _headers(given: JSONValue) -> dict[str, str]:
    headers = given if isinstance(given, dict) else {}
    return {name.lower(): _text(value) for name, value in headers.items() if name.lower() not in OUR_OWN}


def _address(url: str, params: JSONValue) -> str:
    if not isinstance(params, dict) or not params:
        return url
    pairs = [
        (name, _text(item))
        for name, value in params.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    try:
        parts = urlsplit(url)
        query = "&".join(piece for piece in (parts.query, urlencode(pairs, quote_via=quote)) if piece)
    except ValueError as exc:
        raise ToolFailed("The address or a parameter is none.") from exc
    return parts._replace(query=query).geturl()


def _text(value: JSONValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _encoded(body: str) -> bytes:
    try:
        return body.encode()
    except UnicodeEncodeError as exc:
        raise ToolFailed("The body holds characters that are no text.") from exc


def _is_json(body: str) -> bool:
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False
