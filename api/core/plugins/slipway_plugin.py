"""What a plugin in Python is written with: ``from slipway_plugin import Call, ToolFailed, serve``.

Handed to every plugin by the program that runs it (child.py beside this file);
needs only the standard library, and nothing of the server. It speaks the lines
of docs/adr/0010-plugins-are-processes.md, which a plugin may also write by itself.
"""

import base64
import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TextIO

__all__ = [
    "Answer",
    "Blob",
    "Call",
    "Chat",
    "Chunk",
    "HTTPFailed",
    "ModelFailed",
    "Models",
    "Texts",
    "ToolFailed",
    "http",
    "serve",
]

MAX_REFUSAL_BYTES = 65_536


class ToolFailed(Exception):
    """A tool could not do its work; the sentence is for whoever called it."""


class ModelFailed(Exception):
    """A model could not answer, or credentials are no good; the sentence is for whoever called it.

    ``status`` is the status in HTTP's sense, where there is one: the server
    tries again what may pass (429, 5xx), and tells what will not.
    """

    def __init__(self, message: str, *, status: int | None = None, response: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.response = response


class HTTPFailed(Exception):
    """A call got no complete answer, or was not allowed."""


@dataclass(frozen=True)
class Call:
    """One call of a tool: its arguments, and the credentials of its provider."""

    arguments: dict[str, Any]
    credentials: dict[str, str] = field(repr=False)
    user: str = ""


@dataclass(frozen=True)
class Blob:
    """A file that a tool gives."""

    name: str
    mime_type: str
    content: bytes


@dataclass(frozen=True)
class Chat:
    """A question to a chat model; ``messages`` and ``tools`` are as docs/how-to/plugin.md shows them."""

    model: str
    messages: list[dict[str, Any]]
    parameters: dict[str, Any]
    stop: list[str]
    tools: list[dict[str, Any]]
    credentials: dict[str, str] = field(repr=False)
    user: str = ""


@dataclass(frozen=True)
class Chunk:
    """A piece of a model's answer. The last one has a ``finish_reason``, and the tokens where they are known.

    A tool call is ``{"id": …, "name": …, "arguments": …}``, its arguments JSON in
    a text; one may come in pieces of the same id.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[Mapping[str, str]] = ()
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True)
class Texts:
    """Texts to embed, or to rank by how they answer ``query``.

    ``is_query`` tells that the texts are what is searched for.
    """

    model: str
    texts: list[str]
    credentials: dict[str, str] = field(repr=False)
    is_query: bool = False
    query: str = ""
    top_n: int = 0


Tool = Callable[[Call], Iterable[Any]]
"""Gives texts (str), values (dict, list, numbers) and files (Blob), in the order in which they are sent."""
Check = Callable[[Mapping[str, str]], None]
"""Proves credentials, or raises ToolFailed or ModelFailed."""


@dataclass(frozen=True)
class Models:
    """What a provider of models can do.

    ``chat`` gives pieces of text (str) and Chunks; ``embed`` the vectors in the
    order of the texts, and how many tokens they took; ``rerank`` pairs of a
    text's place and its score.
    """

    check: Check
    chat: Callable[[Chat], Iterable[str | Chunk]] | None = None
    embed: Callable[[Texts], tuple[list[list[float]], int]] | None = None
    rerank: Callable[[Texts], Iterable[tuple[int, float]]] | None = None


class _Wire:
    """The lines to the server and back, of the call that is answered now."""

    def __init__(self, source: TextIO, target: TextIO) -> None:
        self.source = source
        self.target = target
        self.session_id = ""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def send(self, kind: str, value: object) -> None:
        told = {"event": "session", "session_id": self.session_id, "data": {"type": kind, "data": value}}
        self.target.write(json.dumps(told, ensure_ascii=False) + "\n")
        self.target.flush()

    def number(self) -> str:
        return str(next(self._numbers))

    def ask(self, kind: str, number: str, **more: object) -> Any:
        """Return what the server answers within the call, None at an end. Raises HTTPFailed."""
        with self._lock:
            self.send("invoke", {"type": kind, "backwards_request_id": number, **more})
            told = json.loads(self.source.readline() or sys.exit(0))["data"]
        if told["event"] == "error":
            raise HTTPFailed(told["message"])
        return told.get("data")


_wire = _Wire(sys.stdin, sys.stdout)


class Answer:
    """An answer over HTTP; its body is fetched as it is read, once."""

    def __init__(self, number: str, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _wire.ask("http_close", self._number)

    def pieces(self) -> Iterator[bytes]:
        """Give the body as it comes."""
        while (told := _wire.ask("http_read", self._number)) is not None:
            yield base64.b64decode(told["body"])

    def lines(self) -> Iterator[str]:
        """Give the lines of the body as they come, without their ends."""
        rest = b""
        for piece in self.pieces():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace").rstrip("\r")
        if rest:
            yield rest.decode("utf-8", "replace")

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.pieces())

    def json(self) -> Any:
        """Return the body as JSON. Raises ModelFailed where it is none."""
        try:
            return json.loads(self.read())
        except ValueError as exc:
            raise ModelFailed("The provider's answer is malformed.") from exc

    def check(self) -> None:
        """Raise ModelFailed, in the provider's own words, unless the status is one of success."""
        if self.status < 400:
            return
        body = b""
        for piece in self.pieces():
            body += piece
            if len(body) >= MAX_REFUSAL_BYTES:
                break
        text = body[:MAX_REFUSAL_BYTES].decode("utf-8", "replace")
        response = {"status": self.status, "headers": dict(self.headers), "body": text}
        raise ModelFailed(f"The provider answered with status {self.status}.", response=response)


def http(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: object = None,
    body: bytes = b"",
) -> Answer:
    """Call a host that the manifest asks for, through the server; used in a ``with``.

    Redirects are not followed. Raises HTTPFailed.
    """
    sent = dict(headers or {})
    if json is not None:
        body = _json_bytes(json)
        sent.setdefault("content-type", "application/json")
    request = {"method": method, "url": url, "headers": sent, "body": base64.b64encode(body).decode()}
    number = _wire.number()
    told = _wire.ask("http", number, request=request)
    return Answer(number, told["status"], told["headers"])


def serve(
    tools: Mapping[str, Tool] | None = None,
    check: Check | None = None,
    models: Mapping[str, Models] | None = None,
) -> None:
    """Answer calls until there are no more.

    ``tools`` by their names, or ``provider/name``; ``models`` by the names of
    their providers.
    """
    sys.stdout = sys.stderr  # what a plugin prints is no answer
    while line := _wire.source.readline():
        asked = json.loads(line)
        if asked.get("event") != "request":
            continue
        _wire.session_id, data = asked["session_id"], asked["data"]
        try:
            for message in _answer(data, tools or {}, check, models or {}):
                _wire.send("stream", message)
        except Exception as exc:  # noqa: BLE001  # one call's failure is not the next one's
            _wire.send("error", _failure(exc))
        else:
            _wire.send("end", {})


def _json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def _failure(exc: Exception) -> dict[str, object]:
    kind = type(exc).__name__
    if isinstance(exc, ModelFailed):
        told = {"error_type": kind, "message": str(exc), "status": exc.status, "response": exc.response}
        return {key: value for key, value in told.items() if value is not None}
    is_told = isinstance(exc, ToolFailed | HTTPFailed)
    return {"error_type": kind, "message": str(exc) if is_told else f"{kind}: {exc}"}


def _answer(
    data: Mapping[str, Any], tools: Mapping[str, Tool], check: Check | None, models: Mapping[str, Models]
) -> Iterable[object]:
    match data["action"]:
        case "validate_tool_credentials":
            if check is not None:
                check(data["credentials"])
        case "invoke_tool":
            yield from _use_tool(data, tools)
        case "validate_provider_credentials":
            _provider(data, models).check(data["credentials"])
            yield {"result": True}
        case "invoke_llm":
            yield from _chat(data, _provider(data, models))
        case "invoke_text_embedding":
            yield _embed(data, _provider(data, models))
        case "invoke_rerank":
            yield _rerank(data, _provider(data, models))
        case action:
            raise ModelFailed(f"The plugin does not know {action!r}.")


def _use_tool(data: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterable[object]:
    tool = tools.get(f"{data['provider']}/{data['tool']}") or tools.get(data["tool"])
    if tool is None:
        raise ToolFailed(f"The plugin has no tool {data['tool']!r}.")
    call = Call(data["tool_parameters"], data["credentials"], data.get("user_id", ""))
    for given in tool(call):
        yield _message(given)


def _message(given: object) -> dict[str, object]:
    if isinstance(given, str):
        return {"type": "text", "message": {"text": given}}
    if isinstance(given, Blob):
        content = base64.b64encode(given.content).decode()
        return {
            "type": "blob",
            "message": {"blob": content},
            "meta": {"mime_type": given.mime_type, "filename": given.name},
        }
    return {"type": "json", "message": {"json_object": given}}


def _provider(data: Mapping[str, Any], models: Mapping[str, Models]) -> Models:
    found = models.get(data["provider"])
    if found is None:
        raise ModelFailed(f"The plugin has no provider of models {data['provider']!r}.")
    return found


def _chat(data: Mapping[str, Any], provider: Models) -> Iterable[object]:
    if provider.chat is None:
        raise ModelFailed("The plugin has no chat models.", status=404)
    asked = Chat(
        model=data["model"],
        messages=data["prompt_messages"],
        parameters=data["model_parameters"],
        stop=data["stop"],
        tools=data["tools"],
        credentials=data["credentials"],
        user=data.get("user_id", ""),
    )
    for given in provider.chat(asked):
        yield {"model": asked.model, "delta": _delta(Chunk(text=given) if isinstance(given, str) else given)}


def _delta(chunk: Chunk) -> dict[str, object]:
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in chunk.tool_calls
    ]
    message = {"role": "assistant", "content": chunk.text, "tool_calls": calls}
    if chunk.reasoning:
        message["reasoning_content"] = chunk.reasoning
    delta: dict[str, object] = {"index": 0, "message": message}
    if chunk.prompt_tokens is not None or chunk.completion_tokens is not None:
        delta["usage"] = {
            "prompt_tokens": chunk.prompt_tokens or 0,
            "completion_tokens": chunk.completion_tokens or 0,
        }
    if chunk.finish_reason:
        delta["finish_reason"] = chunk.finish_reason
    return delta


def _embed(data: Mapping[str, Any], provider: Models) -> object:
    if provider.embed is None:
        raise ModelFailed("The plugin has no embedding models.", status=404)
    is_query = data.get("input_type") == "query"
    vectors, tokens = provider.embed(Texts(data["model"], data["texts"], data["credentials"], is_query))
    return {"model": data["model"], "embeddings": vectors, "usage": {"tokens": tokens}}


def _rerank(data: Mapping[str, Any], provider: Models) -> object:
    if provider.rerank is None:
        raise ModelFailed("The plugin has no rerank models.", status=404)
    asked = Texts(data["model"], data["docs"], data["credentials"], query=data["query"], top_n=data["top_n"])
    docs = [{"index": index, "score": score} for index, score in provider.rerank(asked)]
    return {"model": data["model"], "docs": docs}
