"""A session over the older "HTTP with SSE": one open stream brings every answer, messages are posted.

What must stay true: messages go to the server the stream comes from and no
other, and whoever waits for an answer hears of the stream's end.
"""

import contextlib
import queue
import threading
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from api.core.http import Cancelled, HTTPClient, HTTPFailure, Timeouts
from api.core.http_parts import mime_type
from api.core.ports import Cancel, JSONObject
from api.core.tools.mcp.messages import (
    MCPFailed,
    NotLetIn,
    Server,
    SessionLost,
    TookTooLong,
    greeting,
    is_question,
    notification_of,
    read_events,
    read_messages,
    reply_to,
    request_of,
    result_of,
    version_of,
)
from api.core.tools.tool import ToolContext, ToolFailed
from api.errors import AppError

MAX_WAIT_S = 86_400.0
REPLY_S = 5.0

Heard = JSONObject | Exception | None
"""An answer, what came in its way, or None where whoever waits is to stop."""


class EventStreamSession:
    """A session with a server; its stream is read on a thread of its own. Safe for many calls at once."""

    def __init__(self, http: HTTPClient, server: Server, read_timeout_s: float) -> None:
        self._http = http
        self._server = server
        self._read_timeout_s = read_timeout_s
        self._ended = Cancel()
        self._endpoint = ""
        self._is_open = True
        self._waiting: dict[object, queue.SimpleQueue[Heard]] = {}
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Tell whether the stream still brings answers."""
        return self._is_open

    def open(self, number: int, context: ToolContext) -> None:
        """Open the stream and greet the server. Raises MCPFailed, HTTPFailure, AppError, Cancelled."""
        try:
            self._wait("endpoint", context.cancel, lambda: self._start(context))
            greeted = self._ask(number, greeting(number), context)
            version_of(greeted)
            done = notification_of("notifications/initialized")
            self.notify(done, context.cancel, context.timeouts)
        except BaseException:
            self.close()
            raise

    def request(self, number: int, method: str, params: JSONObject, context: ToolContext) -> JSONObject:
        """Return what the server answers. Raises SessionLost, MCPFailed, HTTPFailure, Cancelled."""
        return self._ask(number, request_of(number, method, params), context)

    def notify(self, message: JSONObject, cancel: Cancel, timeouts: Timeouts) -> None:
        """Tell the server something. Raises SessionLost, MCPFailed, HTTPFailure, Cancelled."""
        with self._http.stream(
            "POST",
            self._endpoint,
            cancel=cancel,
            headers=self._server.headers,
            json=message,
            timeouts=timeouts,
        ) as response:
            if response.status in (401, 403):
                raise NotLetIn(response.status)
            if response.status in (400, 404, 410):
                raise SessionLost("The server knows the session no more.")
            if not 200 <= response.status < 300:
                raise MCPFailed(f"The server answers with status {response.status}.")

    def close(self) -> None:
        """End the stream, and with it the session."""
        self._ended.set()

    def _ask(self, number: int, message: JSONObject, context: ToolContext) -> JSONObject:
        def post() -> None:
            self.notify(message, context.cancel, context.timeouts)

        return result_of(self._wait(number, context.cancel, post))

    def _wait(self, key: object, cancel: Cancel, begin: Callable[[], None]) -> JSONObject:
        """Return what the stream brings for ``key`` once ``begin`` was done."""
        answers: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        with self._lock:
            if not self._is_open:
                raise SessionLost("The server ended the session.")
            self._waiting[key] = answers
        forget = cancel.on_cancel(lambda: answers.put(None))
        try:
            begin()
            heard = answers.get(timeout=min(cancel.remaining_s(), MAX_WAIT_S))
        except queue.Empty:
            raise TookTooLong from None
        finally:
            forget()
            with self._lock:
                self._waiting.pop(key, None)
        if heard is None:
            raise Cancelled
        if isinstance(heard, Exception):
            raise heard
        return heard

    def _start(self, context: ToolContext) -> None:
        timeouts = Timeouts(
            connect_s=context.timeouts.connect_s,
            first_byte_s=min(context.timeouts.first_byte_s, MAX_WAIT_S),
            idle_s=self._read_timeout_s,
        )
        max_bytes = 2 * context.max_file_bytes
        threading.Thread(
            target=self._listen, args=(timeouts, max_bytes), name="mcp-stream", daemon=True
        ).start()

    def _listen(self, timeouts: Timeouts, max_bytes: int) -> None:
        end: Exception = MCPFailed("The server ended the session before it answered.")
        try:
            self._read(timeouts, max_bytes)
        except (ToolFailed, HTTPFailure, AppError) as exc:
            end = exc
        except Cancelled:
            pass
        finally:
            with self._lock:
                self._is_open = False
                waiting = list(self._waiting.values())
            for answers in waiting:
                answers.put(end)

    def _read(self, timeouts: Timeouts, max_bytes: int) -> None:
        headers = {**self._server.headers, "accept": "text/event-stream"}
        with self._http.stream(
            "GET",
            self._server.url,
            cancel=self._ended,
            headers=headers,
            follow=True,
            timeouts=timeouts,
        ) as response:
            if response.status in (401, 403):
                raise NotLetIn(response.status)
            if response.status != 200 or mime_type(response.headers) != "text/event-stream":
                raise MCPFailed(f"There is no server of tools at the address (status {response.status}).")
            for name, data in read_events(response.iter_bytes(), max_bytes):
                if name == "endpoint":
                    self._endpoint = _endpoint(self._server.url, response.url, data)
                    self._hear("endpoint", {})
                elif data.strip():
                    for message in read_messages(data):
                        self._take(message)

    def _take(self, message: JSONObject) -> None:
        if is_question(message):
            with contextlib.suppress(ToolFailed, HTTPFailure, AppError, Cancelled):
                self.notify(reply_to(message), Cancel(REPLY_S), self._http.timeouts)
        elif isinstance(number := message.get("id"), int):  # ours are numbers, and others nobody waits for
            self._hear(number, message)

    def _hear(self, key: object, message: JSONObject) -> None:
        with self._lock:
            answers = self._waiting.get(key)
        if answers is not None:
            answers.put(message)


def _endpoint(asked_url: str, url: str, data: bytes) -> str:
    """Return where messages go. Raises MCPFailed for another server than was asked: it would get headers."""
    try:
        endpoint = urljoin(url, data.decode("utf-8", "replace").strip())
        ours, theirs = urlsplit(asked_url), urlsplit(endpoint)
    except ValueError as exc:
        raise MCPFailed("The server sends messages to something that is no address.") from exc
    if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
        raise MCPFailed("The server sends messages on to another one, which is not followed.")
    return endpoint
