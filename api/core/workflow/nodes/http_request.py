"""HTTP request: a call of any address the installation lets calls go out to."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from api.core.http import Cancelled, HTTPFailure, HTTPResponse, Timeouts
from api.core.http_parts import OCTETS, Part, charset, holds_file, mime_type, multipart, name_of_file
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag.charsets import decode
from api.core.workflow.deps import FlowLimits
from api.core.workflow.http_message import Pair, json_text, pairs, without_secrets
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.templates import references, render
from api.core.workflow.variables import ANY_FILE, MASK, Selector, ValueType, is_file
from api.core.workflow.work import NodeFailed, NodeResult

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
FORMS = ("form-data", "x-www-form-urlencoded")
OUR_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that follow from the call; whoever sets them differently breaks it."""


class Credential(BaseModel):
    """The key to send, and how."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["basic", "bearer", "custom"] = "bearer"
    api_key: str = ""
    header: str | None = None


class Authorization(BaseModel):
    """Whether a key is sent; a config beside ``no-auth`` means nothing."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["no-auth", "api-key"] = "no-auth"
    config: Credential | None = None


class BodyItem(BaseModel):
    """A field of a form, or all there is of another body."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    key: str | None = None
    type: Literal["text", "file"] = "text"
    value: str | None = None
    file: list[str] | None = None


class Body(BaseModel):
    """What is sent. Files of old have one text in place of the items; forms have a field a line there."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["none", "form-data", "x-www-form-urlencoded", "raw-text", "json", "binary"] = "none"
    data: list[BodyItem] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _read_old_form(cls, raw: JSONValue) -> JSONValue:
        if not isinstance(raw, dict):
            return raw
        data = raw.get("data") or []
        if isinstance(data, str):
            lines = data.splitlines() if raw.get("type") in FORMS else []
            named = (line.partition(":") for line in lines)
            fields: list[JSONValue] = [
                {"key": key.strip(), "value": value.strip()} for key, _, value in named
            ]
            data = fields if raw.get("type") in FORMS else [{"value": data}]
        return {**raw, "data": data}

    @property
    def text(self) -> str:
        """The template of a body that is one text."""
        return (self.data[0].value or "") if self.data else ""


class Waits(BaseModel):
    """How long each wait may last, in seconds; 0 and what is missing stand for the longest allowed."""

    model_config = ConfigDict(extra="ignore")

    connect: float | None = None
    read: float | None = None
    write: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request to send, and its body as it may be shown."""

    url: str
    headers: dict[str, str]
    content: bytes | None
    shown_body: str


@node(
    "http-request",
    waits=True,
    defaults={
        "method": "get",
        "authorization": {"type": "no-auth"},
        "body": {"type": "none"},
        "timeout": {
            "connect": 10,
            "read": 600,
            "write": 600,
            "max_connect_timeout": 10,
            "max_read_timeout": 600,
            "max_write_timeout": 600,
        },
        "ssl_verify": True,
        "retry_config": {"max_retries": 3, "retry_interval": 500, "retry_enabled": True},
    },
)
class HTTPRequest:
    """Sends once a try. An answer that says no fails the node only where its author provided for that."""

    class Config(NodeConfig):
        """The request; every text in it is a template."""

        method: Literal["get", "post", "put", "patch", "delete", "head", "options"]
        url: str
        authorization: Authorization = Field(default_factory=Authorization)
        headers: str | None = None
        params: str | None = None
        body: Body = Field(default_factory=Body)
        timeout: Waits = Field(default_factory=Waits)
        ssl_verify: bool = True

        @field_validator("method", mode="before")
        @classmethod
        def _lower(cls, method: JSONValue) -> JSONValue:
            return method.lower() if isinstance(method, str) else method

        @property
        def credential(self) -> Credential | None:
            """The key to send, if one is."""
            return (
                (self.authorization.config or Credential()) if self.authorization.type != "no-auth" else None
            )

        def references(self) -> Iterable[Selector]:
            """Return the variables of all its templates, and its files."""
            templates = [self.url, self.headers, self.params]
            for item in self.body.data:
                templates += [item.key, item.value]
                yield from [tuple(item.file)] if item.file else ()
            if self.credential:
                templates += [self.credential.api_key, self.credential.header]
            for template in templates:
                yield from references(template or "")

        def demands(self) -> Iterable[Demand]:
            """Return the files it sends."""
            return (Demand(tuple(item.file), ANY_FILE) for item in self.body.data if item.file)

        def gives(self) -> Types:
            """Return the parts of the answer."""
            return {
                "status_code": ValueType.NUMBER,
                "body": ValueType.STRING,
                "headers": ValueType.OBJECT,
                "files": ValueType.ARRAY_FILE,
            }

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return the answer. Raises NodeFailed where the request cannot be made or is not answered."""
        key = render(config.credential.api_key, ctx.variables).strip() if config.credential else None
        message = _message(config, ctx, key)
        ctx.process_data = {"request": _shown(config, ctx, message, key)}
        waits = _timeouts(config.timeout, ctx.deps.limits)
        cancel = Cancel(min(waits.connect_s + waits.first_byte_s + waits.idle_s, ctx.cancel.remaining_s()))
        forget = ctx.cancel.on_cancel(cancel.set)
        try:
            with ctx.deps.http.stream(
                config.method.upper(),
                message.url,
                cancel=cancel,
                headers=message.headers,
                content=message.content,
                follow=True,
                verify=config.ssl_verify,
                timeouts=waits,
            ) as response:
                outputs = _outputs(response, ctx)
        except HTTPFailure as exc:
            raise NodeFailed(str(exc), error_type="HTTPRequestError") from exc
        finally:
            forget()
        is_refused = not 200 <= response.status < 300
        if is_refused and (
            config.error_strategy or (config.retry_config and config.retry_config.retry_enabled)
        ):
            raise NodeFailed(
                f"The request was answered with status {response.status}.",
                error_type="HTTPResponseCodeError",
                outputs=outputs,
            )
        return NodeResult(outputs=outputs)


def _timeouts(waits: Waits, limits: FlowLimits) -> Timeouts:
    """Return the waits an author asked for, as far as they are allowed."""
    read_s = min(waits.read or limits.http_read_s, limits.http_read_s)
    write_s = min(waits.write or limits.http_write_s, limits.http_write_s)
    connect_s = min(waits.connect or limits.http_connect_s, limits.http_connect_s)
    return Timeouts(connect_s=connect_s, first_byte_s=read_s, idle_s=max(read_s, write_s))


def _message(config: HTTPRequest.Config, ctx: NodeContext, key: str | None) -> Message:
    """Return the request as it goes out. Raises NodeFailed, Cancelled."""
    try:
        content, kind, shown = _body(config.body, ctx)
    except UnicodeEncodeError as exc:  # JSON can name half a character, which cannot be sent
        raise NodeFailed(f"The body is no text: {exc}.", error_type="RequestBodyError") from exc
    headers = {
        name.lower(): value
        for name, value in pairs(config.headers or "", ctx.variables)
        if name.lower() not in OUR_OWN
    }
    if kind and (config.body.type == "form-data" or "content-type" not in headers):
        headers["content-type"] = kind
    if config.credential:
        headers[_key_header(config.credential, ctx)] = _key_value(config.credential, key or "")
    url = _address(render(config.url, ctx.variables).strip(), pairs(config.params or "", ctx.variables))
    return Message(url=url, headers=headers, content=content, shown_body=shown)


def _address(url: str, params: list[Pair]) -> str:
    """Return the address with what is asked of it. Raises NodeFailed for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise NodeFailed("The address does not begin with http:// or https://.", error_type="InvalidURL")
    try:
        asked = urlencode(params, quote_via=quote)
    except UnicodeEncodeError as exc:
        raise NodeFailed(f"A parameter is no text: {exc}.", error_type="InvalidURL") from exc
    query = "&".join(piece for piece in (parts.query, asked) if piece)
    return parts._replace(query=query, fragment="").geturl()


def _key_header(credential: Credential, ctx: NodeContext) -> str:
    return render(credential.header or "", ctx.variables).strip().lower() or "authorization"


def _key_value(credential: Credential, key: str) -> str:
    if not key:
        raise NodeFailed("The request is to carry a key, but there is none.", error_type="AuthorizationError")
    if credential.type == "basic":
        return f"Basic {base64.b64encode(key.encode()).decode() if ':' in key else key}"
    return f"Bearer {key}" if credential.type == "bearer" else key


def _body(body: Body, ctx: NodeContext) -> tuple[bytes | None, str | None, str]:
    """Return the body's bytes, its type and how it is shown; None where there is none."""
    if body.type == "none":
        return None, None, ""
    if body.type == "binary":
        return _binary(body, ctx)
    if body.type == "form-data":
        return _form(body, ctx)
    if body.type == "json":
        text, kind = json_text(body.text, ctx.variables), "application/json"
    elif body.type == "raw-text":
        text, kind = render(body.text, ctx.variables), "text/plain; charset=utf-8"
    else:
        text, kind = urlencode(list(_fields(body, ctx))), "application/x-www-form-urlencoded"
    return (text.encode(), kind, text) if text else (None, None, "")


def _binary(body: Body, ctx: NodeContext) -> tuple[bytes, str, str]:
    files = _files(body.data[0], ctx) if body.data else []
    if not files:
        raise NodeFailed("The body is to be a file, but there is none.", error_type="RequestBodyError")
    (content,) = _contents(files[:1], ctx)
    return content, str(files[0].get("mime_type") or OCTETS), _size(content).decode()


def _form(body: Body, ctx: NodeContext) -> tuple[bytes, str, str]:
    parts = [Part(name=name, content=value.encode()) for name, value in _fields(body, ctx)]
    shown = list(parts)
    named = [
        (name, file)
        for item in body.data
        if item.type == "file" and (name := _name(item, ctx))
        for file in _files(item, ctx)
    ]
    contents = _contents([file for _, file in named], ctx)
    for (name, file), content in zip(named, contents, strict=True):
        told = {
            "file_name": str(file.get("filename") or "file"),
            "mime_type": str(file.get("mime_type") or OCTETS),
        }
        parts.append(Part(name=name, content=content, **told))
        shown.append(Part(name=name, content=_size(content), **told))
    content, kind = multipart(parts)
    return content, kind, multipart(shown)[0].decode()


def _contents(files: Sequence[JSONObject], ctx: NodeContext) -> Iterator[bytes]:
    """Yield what is in files, one after the other. Raises NodeFailed for too much in all, Cancelled."""
    left_bytes = max_bytes = ctx.deps.limits.http_upload_bytes
    for file in files:
        if ctx.cancel.is_set():
            raise Cancelled
        content = ctx.deps.files.read(file, ctx.cancel)
        left_bytes -= len(content)
        if left_bytes < 0:
            raise NodeFailed(
                f"The files of the body have more than {max_bytes:,} bytes.", error_type="RequestBodyError"
            )
        yield content


def _fields(body: Body, ctx: NodeContext) -> Iterator[Pair]:
    """Yield the texts of a form; those without a name are rows of the canvas nobody filled in."""
    for item in body.data:
        if item.type == "text" and (name := _name(item, ctx)):
            yield name, render(item.value or "", ctx.variables)


def _name(item: BodyItem, ctx: NodeContext) -> str:
    return render(item.key or "", ctx.variables).strip()


def _files(item: BodyItem, ctx: NodeContext) -> list[JSONObject]:
    value = ctx.variables.get(item.file or ())
    return [
        file
        for file in (value if isinstance(value, list) else [value])
        if isinstance(file, dict) and is_file(file)
    ]


def _size(content: bytes) -> bytes:
    return f"<{len(content)} bytes>".encode()


def _shown(config: HTTPRequest.Config, ctx: NodeContext, message: Message, key: str | None) -> str:
    """Return the request as text, without what is secret in it."""
    parts = urlsplit(message.url)
    hidden = SECRET_HEADERS | ({_key_header(config.credential, ctx)} if config.credential else set())
    lines = [
        f"{config.method.upper()} {parts._replace(scheme='', netloc='').geturl() or '/'} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        *(f"{name}: {MASK if name in hidden else value}" for name, value in message.headers.items()),
    ]
    text = "\r\n".join([*lines, "", message.shown_body])
    return without_secrets(text, (*ctx.variables.secrets, *([key] if key else [])))


def _outputs(response: HTTPResponse, ctx: NodeContext) -> JSONObject:
    """Read the answer: a file is kept, anything else is text."""
    limits, headers = ctx.deps.limits, response.headers
    is_kept = holds_file(headers)
    content = response.read(limits.http_file_bytes if is_kept else limits.http_text_bytes)
    files: list[JSONValue] = []
    if is_kept and content:
        kind = mime_type(headers) or OCTETS
        files = [ctx.deps.files.save(name_of_file(headers, response.url), kind, content)]
    return {
        "status_code": response.status,
        "body": "" if is_kept else decode(content, charset(headers)).replace("\0", ""),
        "headers": dict(headers),
        "files": files,
    }
