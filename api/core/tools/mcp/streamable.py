"""A session over "streamable HTTP": each message is a POST, its answer JSON or a stream of events.

Nothing is open between two calls, so one session serves any number of them at once.
"""

import contextlib
from collections.abc import Iterator

from api.core.http import Cancelled, HTTPClient, HTTPFailure, HTTPResponse, Timeouts
from api.core.http_parts import mime_type
from api.core.ports import Cancel, JSONObject
from api.core.tools.mcp.messages import (
    MAX_ERROR_CHARS,
    MCPFailed,
    NotLetIn,
    Server,
    SessionLost,
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
from api.core.tools.tool import ToolContext
from api.errors import AppError

ACCEPT = {"accept": "application/json, text/event-stream"}
SESSION, VERSION = "mcp-session-id", "mcp-protocol-version"
EVENTS = "text/event-stream"
OLDER = (400, 404, 405, 406, 415, 501)
"""What a server answers a greeting that waits for one in the older way."""

FAREWELL_S = 5.0


class SpeaksOlder(Exception):
    """The server does not know this transport; it may know the older one."""


class StreamableSession:
    """A session with a server, opened by :func:`open_session`. Safe for many calls at once."""

    def __init__(self, http: HTTPClient, server: Server) -> None:
        self._http = http
        self._server = server
        self._named: dict[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Tell whether the session may be used; that the server forgot it shows only then."""
        return True

    def open(self, number: int, context: ToolContext) -> None:
        """Greet the server. Raises SpeaksOlder, MCPFailed, HTTPFailure, Cancelled."""
        with self._posted(greeting(number), context.cancel, context.timeouts) as response:
            if response.status in OLDER:
                raise SpeaksOlder
            _check(response)
            if session_id := response.headers.get(SESSION):
                self._named[SESSION] = session_id
            self._named[VERSION] = version_of(self._answer(response, number, context))
        self.notify(notification_of("notifications/initialized"), context.cancel, context.timeouts)

    def request(self, number: int, method: str, params: JSONObject, context: ToolContext) -> JSONObject:
        """Return what the server answers, as soon as it does. Raises SessionLost, MCPFailed, HTTPFailure."""
        message = request_of(number, method, params)
        with self._posted(message, context.cancel, context.timeouts) as response:
            # Many servers answer 400 where the protocol says 404.
            if response.status in (400, 404) and SESSION in self._named:
                raise SessionLost("The server knows the session no more.")
            _check(response)
            return self._answer(response, number, context)

    def notify(self, message: JSONObject, cancel: Cancel, timeouts: Timeouts) -> None:
        """Tell the server something. Raises MCPFailed, HTTPFailure, Cancelled."""
        with self._posted(message, cancel, timeouts) as response:
            _check(response)

    def close(self) -> None:
        """Tell the server that the session is over, as far as it listens."""
        if SESSION not in self._named:
            return
        with contextlib.suppress(HTTPFailure, Cancelled, AppError):
            headers = {**self._server.headers, **self._named}
            cancel = Cancel(FAREWELL_S)
            with self._http.stream("DELETE", self._server.url, cancel=cancel, headers=headers):
                pass

    def _posted(
        self, message: JSONObject, cancel: Cancel, timeouts: Timeouts
    ) -> contextlib.AbstractContextManager[HTTPResponse]:
        headers = {**self._server.headers, **ACCEPT, **self._named}
        return self._http.stream(
            "POST",
            self._server.url,
            cancel=cancel,
            headers=headers,
            json=message,
            follow=True,
            timeouts=timeouts,
        )

    def _answer(self, response: HTTPResponse, number: int, context: ToolContext) -> JSONObject:
        for message in _messages(response, 2 * context.max_file_bytes):
            if is_question(message):
                self.notify(reply_to(message), context.cancel, context.timeouts)
            elif message.get("id") == number:
                return result_of(message)
        raise MCPFailed("The server ended its answer before it was complete.")


def _messages(response: HTTPResponse, max_bytes: int) -> Iterator[JSONObject]:
    """Yield the messages of an answer as they come."""
    if mime_type(response.headers) != EVENTS:
        yield from read_messages(response.read(max_bytes))
        return
    for _, data in read_events(response.iter_bytes(), max_bytes):
        if data.strip():
            yield from read_messages(data)


def _check(response: HTTPResponse) -> None:
    if response.status in (401, 403):
        raise NotLetIn(response.status)
    if not 200 <= response.status < 300:
        start = response.read_start(MAX_ERROR_CHARS).decode("utf-8", "replace").strip()
        raise MCPFailed(f"The server answers with status {response.status}{': ' if start else '.'}{start}")
