"""What is said to a server of tools, and heard: JSON-RPC messages, alone or as server-sent events.

Wire: the Model Context Protocol, revisions 2024-11-05 to 2025-11-25. Whatever a
server says is bounded, and what of it is told on holds none of the keys it was
given.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import orjson

from api.core.http import BodyTooLarge
from api.core.ports import JSONObject, JSONValue
from api.core.tools.tool import ToolContext, ToolFailed

ASKED_VERSION = "2025-06-18"
VERSIONS = frozenset({"2024-11-05", "2025-03-26", ASKED_VERSION, "2025-11-25"})
URL_FIELD, HEADERS_FIELD = "server_url", "headers"
"""The fields of a server's credentials: its address, and a JSON object of headers."""

MAX_ERROR_CHARS = 1000
MIN_SECRET_CHARS = 4
MASK = "[hidden]"
METHOD_NOT_FOUND = -32601


class MCPFailed(ToolFailed):
    """A server of tools did not do what it was asked for."""


class NotLetIn(MCPFailed):
    """The server wants to know who asks, or does not like the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(
            f"The server lets nobody in with these headers (status {status}).",
            error_type="ToolCredentialsError",
        )


class SessionLost(MCPFailed):
    """The server knows the session no more; it has done nothing of what it was asked for."""


class TookTooLong(MCPFailed):
    """The server gave no answer in the time there was."""

    def __init__(self) -> None:
        super().__init__("The server gave no answer in time.", error_type="ToolTimeout")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and the headers it is sent."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


def server_of(context: ToolContext) -> Server:
    """Return the server that a call's credentials lead to."""
    fields = context.credentials
    return Server(fields[URL_FIELD], orjson.loads(fields.get(HEADERS_FIELD) or "{}"))


def request_of(number: int, method: str, params: JSONObject) -> JSONObject:
    """Return a message that wants an answer."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def notification_of(method: str, params: JSONObject | None = None) -> JSONObject:
    """Return a message that wants none."""
    told: JSONObject = {"jsonrpc": "2.0", "method": method}
    return told if params is None else {**told, "params": params}


def greeting(number: int) -> JSONObject:
    """Return the first message of a session."""
    client: JSONObject = {"name": "Slipway", "version": "1"}
    params: JSONObject = {"protocolVersion": ASKED_VERSION, "capabilities": {}, "clientInfo": client}
    return request_of(number, "initialize", params)


def version_of(greeted: JSONObject) -> str:
    """Return the version that a server chose. Raises MCPFailed for one that is not spoken here."""
    version = greeted.get("protocolVersion")
    if version not in VERSIONS:
        raise MCPFailed(
            f"The server speaks version {version!r:.50} of the protocol, which is not known here."
        )
    return str(version)


def reply_to(asked: JSONObject) -> JSONObject:
    """Return what a server's own question is answered: that we are there, or that we cannot do it."""
    answer: JSONObject = {"jsonrpc": "2.0", "id": asked.get("id")}
    if asked.get("method") == "ping":
        return {**answer, "result": {}}
    return {**answer, "error": {"code": METHOD_NOT_FOUND, "message": "This client offers no such thing."}}


def is_question(message: JSONObject) -> bool:
    """Tell whether a message of a server wants an answer."""
    return "method" in message and message.get("id") is not None


def result_of(answer: JSONObject) -> JSONObject:
    """Return what a server answered. Raises MCPFailed with what it says went wrong."""
    fault = answer.get("error")
    if fault is not None:
        told = fault.get("message") if isinstance(fault, dict) else fault
        raise MCPFailed(f"The server says: {str(told)[:MAX_ERROR_CHARS]}")
    result = answer.get("result")
    if not isinstance(result, dict):
        raise MCPFailed("The server answers with something that is no result.")
    return result


def read_messages(content: bytes) -> list[JSONObject]:
    """Return the message of a text, or those of a list. Raises MCPFailed where it holds none."""
    try:
        found: JSONValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in listed):
        raise MCPFailed("The server answers with something that is no message of the protocol.")
    return cast("list[JSONObject]", listed)


def read_events(pieces: Iterable[bytes], max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the server-sent events of a body, each with its name. Raises BodyTooLarge for a larger one."""
    name, data, size_bytes = "message", list[bytes](), 0
    for line in _lines(pieces, max_bytes):
        if not line:
            if data:
                yield name, b"\n".join(data)
            name, data, size_bytes = "message", [], 0
            continue
        label, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if label == b"event":
            name = value.decode("utf-8", "replace")
        elif label == b"data":
            size_bytes += len(value)
            if size_bytes > max_bytes:
                raise _too_large(max_bytes)
            data.append(value)
    if data:
        yield name, b"\n".join(data)


def _lines(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the lines of a body without their ends; a long one is put together once."""
    open_line: list[bytes] = []
    size_bytes = 0
    for piece in pieces:
        first, *rest = piece.split(b"\n")
        for end in [*rest]:
            yield b"".join([*open_line, first]).removesuffix(b"\r")
            open_line, size_bytes, first = [], 0, end
        open_line.append(first)
        size_bytes += len(first)
        if size_bytes > max_bytes:
            raise _too_large(max_bytes)
    if size_bytes:
        yield b"".join(open_line).removesuffix(b"\r")


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The server sent more than {max_bytes} bytes at once.")


def hidden(text: str, server: Server) -> str:
    """Return a text of the server without the keys it was sent."""
    for value in server.headers.values():
        for secret in {value, value.partition(" ")[2]}:
            if len(secret) >= MIN_SECRET_CHARS:
                text = text.replace(secret, MASK)
    return text
