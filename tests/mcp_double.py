"""A server of tools for tests, speaking the Model Context Protocol over a real socket.

Written from the protocol's pages, in three manners: ``json`` and ``events`` of
streamable HTTP, and ``older``, the HTTP with SSE before it.
"""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.servers import Reply, ScriptedServer, Seen, Step, sse

MANNERS = ("json", "events", "older")
TOKEN = "mcp-do-not-tell-0123456789"
CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string", "description": "Where."}}}
WEATHER: dict[str, Any] = {
    "name": "weather.now",
    "title": "Weather",
    "description": "Tells the weather.",
    "inputSchema": {**CITY, "required": ["city"]},
    "outputSchema": {"type": "object"},
}

Call = Callable[[dict[str, Any]], dict[str, Any]]


def text(said: str, **more: Any) -> dict[str, Any]:
    """Return the result of a tool that says something."""
    return {"content": [{"type": "text", "text": said}], **more}


def tell_weather(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the weather of a city."""
    return text(f"Clear in {arguments.get('city')}.", structuredContent={"sky": "clear", **arguments})


class MCPDouble:
    """What the server answers; each of ``tools`` is on a page of its own, ``calls`` are what they do.

    ``heard`` are the messages it was sent. Where there is a ``token`` it lets in only who has it.
    """

    def __init__(self, manner: str = "events", *, token: str | None = None) -> None:
        self.manner = manner
        self.token = token
        self.tools: list[dict[str, Any]] = [WEATHER]
        self.calls: dict[str, Call] = {"weather.now": tell_weather}
        self.heard: list[dict[str, Any]] = []
        self.sessions: set[str] = set()
        self.opened = 0
        self.closed: list[str] = []
        self.stays_open = False
        self.version = "2025-06-18"
        self.endpoint = "/messages?session=1"
        self._stream: queue.SimpleQueue[bytes | Step] = queue.SimpleQueue()
        self._lock = threading.Lock()

    @property
    def path(self) -> str:
        """Where it is below the server's address."""
        return "/sse" if self.manner == "older" else "/mcp"

    def heard_of(self, method: str) -> list[dict[str, Any]]:
        """Return the messages of a method."""
        return [message for message in self.heard if message.get("method") == method]

    def answer(self, seen: Seen) -> Reply:
        """Answer a request."""
        if self.token and seen.headers.get("authorization") != f"Bearer {self.token}":
            return Reply.of_json({"error": "who are you?"}, status=401)
        if self.manner == "older":
            return self._answer_older(seen)
        if seen.method == "DELETE":
            self.closed.append(seen.headers["mcp-session-id"])
            return Reply(status=204)
        return self._answer_message(seen, seen.json)

    def _answer_message(self, seen: Seen, message: dict[str, Any]) -> Reply:
        self.heard.append(message)
        if message.get("method") == "initialize":
            with self._lock:
                self.opened += 1
                session = f"session-{self.opened}"
            self.sessions.add(session)
            return self._told(self._result(message), session)
        if seen.headers["mcp-session-id"] not in self.sessions:
            return Reply.of_json({"error": "unknown session"}, status=404)
        if "method" in message:
            assert seen.headers["mcp-protocol-version"] == self.version
        if "id" not in message or "method" not in message:
            return Reply(status=202)
        return self._told(self._result(message))

    def _told(self, answer: dict[str, Any], session: str | None = None) -> Reply:
        named = {"Mcp-Session-Id": session} if session else {}
        if self.manner == "json":
            return Reply.of_json(answer, headers=named)
        asked = {"jsonrpc": "2.0", "id": "theirs", "method": "ping"}
        progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
        steps: list[bytes | float | Step] = [b": hello\n\n", sse(asked), sse(progress), _crlf(answer)]
        steps += [Step.HANG] if self.stays_open else []
        return Reply(headers={"Content-Type": "text/event-stream", **named}, steps=steps)

    def _answer_older(self, seen: Seen) -> Reply:
        if urlsplit(seen.target).path == "/sse":
            if seen.method != "GET":
                return Reply(status=405)
            self.opened += 1
            self._stream = queue.SimpleQueue()
            return Reply(headers={"Content-Type": "text/event-stream"}, steps=self._events(self._stream))
        if seen.target != self.endpoint:
            return Reply(status=404)
        message = seen.json
        self.heard.append(message)
        if "id" in message and "method" in message:
            self._stream.put(sse(self._result(message)))
        return Reply(status=202)

    def _events(self, told: "queue.SimpleQueue[bytes | Step]") -> Iterator[bytes | Step]:
        yield f"event: endpoint\ndata: {self.endpoint}\n\n".encode()
        yield sse({"jsonrpc": "2.0", "id": "theirs", "method": "ping"})
        yield sse({"jsonrpc": "2.0", "id": ["no", "number"], "result": {}})
        while (event := told.get()) is not Step.DROP:
            yield event
        yield Step.DROP

    def hang_up(self) -> None:
        """End the stream of the older manner, in the middle of whatever goes on."""
        self._stream.put(Step.DROP)

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        params = message.get("params") or {}
        match message["method"]:
            case "initialize":
                server = {"name": "double", "version": "1"}
                result: dict[str, Any] = {"protocolVersion": self.version, "serverInfo": server}
                return {**answer, "result": {**result, "capabilities": {"tools": {}}}}
            case "tools/list":
                place = int(params.get("cursor") or 0)
                more = {"nextCursor": str(place + 1)} if place + 1 < len(self.tools) else {}
                return {**answer, "result": {"tools": self.tools[place : place + 1], **more}}
            case "tools/call" if params["name"] in self.calls:
                return {**answer, "result": self.calls[params["name"]](params["arguments"])}
        return {**answer, "error": {"code": -32601, "message": f"no such thing; you are {self.token}"}}


def _crlf(value: object) -> bytes:
    """Return an event with the other ends of lines, its data in two of them."""
    head, _, tail = json.dumps(value).partition(", ")
    return f"id: 1\r\nevent: message\r\ndata: {head}, \r\ndata: {tail}\r\n\r\n".encode()


def serving(double: MCPDouble) -> ScriptedServer:
    """Return the server, to be entered."""
    return ScriptedServer(double.answer)


def see_off() -> None:
    """Wait for what the client does in passing: sessions it closes, calls it gave up."""
    for thread in threading.enumerate():
        if thread.name.startswith("mcp-"):
            thread.join(30.0)
