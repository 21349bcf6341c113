"""The one way out of a plugin's process: HTTP that the server speaks for it, to the hosts it was given.

A call of a plugin asks for an exchange, then for the body piece by piece: so it
never holds more than a piece, and whoever is slow is waited for. What must stay
true: an address is checked as it will be called, and nothing outlives its call.
Wire: docs/adr/0010-plugins-are-processes.md.
"""

import base64
import binascii
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from api.core.egress import EgressDenied
from api.core.http import BodyTooLarge, HTTPClient, HTTPFailure, Timeouts, origin_of
from api.core.plugins.manifest import Network
from api.core.ports import Cancel, JSONObject
from api.errors import AppError, InvalidRequest

MAX_OPEN = 4
"""Answers a call may have unread at once."""
MAX_READ_BYTES = 128 * 1024 * 1024
MAX_HEADERS = 100
MAX_ADDRESS_CHARS = 8192
SERVERS_OWN = frozenset({"host", "connection", "content-length", "transfer-encoding", "upgrade"})
"""Headers that are the server's to write."""
USUAL_PORTS = (80, 443)


def _to_bytes(value: object) -> object:
    """Return the bytes behind base64."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except binascii.Error as exc:
        raise ValueError("no base64") from exc


class Asked(BaseModel):
    """An exchange that a plugin asks for; ``body`` is base64."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
    url: str = Field(max_length=MAX_ADDRESS_CHARS)
    headers: dict[str, str] = Field(default_factory=dict, max_length=MAX_HEADERS)
    body: Annotated[bytes, BeforeValidator(_to_bytes)] = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a call may go: to the hosts of its manifest by ``http``, to its own credentials' by ``own_http``.

    Who fills in credentials names servers of their own; a manifest does not, so
    the two may be under different rules of egress.
    """

    network: Network
    credentials: Mapping[str, str]
    http: HTTPClient
    own_http: HTTPClient

    def way_to(self, url: str) -> HTTPClient:
        """Return who may call an address. Raises EgressDenied where nobody may, InvalidRequest."""
        scheme, host, port = origin_of(url)
        if (scheme, host, port) in self._own_origins():
            return self.own_http
        if any(_admits(entry, host, port) for entry in self.network.hosts):
            return self.http
        raise EgressDenied(f"The plugin did not ask to call {host!r} (permission.network of its manifest).")

    def _own_origins(self) -> Iterator[tuple[str, str, int]]:
        for variable in self.network.credentials:
            with contextlib.suppress(InvalidRequest):  # what is no address admits none
                yield origin_of(self.credentials.get(variable, "").strip())


def _admits(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of a manifest, ``name`` or ``*.name`` and maybe a port, is about a host."""
    name, _, wanted = entry.partition(":")
    is_port = port == int(wanted) if wanted else port in USUAL_PORTS
    is_host = host.endswith(name[1:]) if name.startswith("*.") else host == name
    return is_port and is_host


class Outlet:
    """What one call of a plugin asks of the server, until the call ends.

    ``failure`` is what went wrong last, whatever the plugin makes of it.
    """

    def __init__(self, reach: Reach, cancel: Cancel, timeouts: Timeouts) -> None:
        self.failure: HTTPFailure | AppError | None = None
        self._reach = reach
        self._cancel = cancel
        self._timeouts = timeouts
        self._open: dict[str, tuple[contextlib.ExitStack, Iterator[bytes]]] = {}
        self._left_bytes = MAX_READ_BYTES

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for request_id in list(self._open):
            self._close(request_id)

    def answer(self, asked: JSONObject) -> JSONObject:
        """Return what is told of an exchange, its next piece, or what failed. Raises Cancelled."""
        request_id = str(asked.get("backwards_request_id"))[:100]
        told: JSONObject = {"backwards_request_id": request_id}
        try:
            return {**told, **self._answer(request_id, asked)}
        except (HTTPFailure, AppError) as exc:
            self._close(request_id)
            self.failure = exc
            return {**told, "event": "error", "message": str(exc)}

    def _answer(self, request_id: str, asked: JSONObject) -> JSONObject:
        match asked:
            case {"type": "http", "request": dict(request)}:
                return {"event": "response", "data": self._begin(request_id, request)}
            case {"type": "http_read"}:
                piece = self._next(request_id)
                if piece is None:
                    return {"event": "end"}
                return {"event": "response", "data": {"body": base64.b64encode(piece).decode()}}
            case {"type": "http_close"}:
                self._close(request_id)
                return {"event": "end"}
        raise InvalidRequest(f"The server does not answer {str(asked.get('type'))[:50]!r} to plugins.")

    def _begin(self, request_id: str, raw: JSONObject) -> JSONObject:
        try:
            asked = Asked.model_validate(raw)
        except ValidationError as exc:
            fault = exc.errors()[0]
            place = ".".join(str(part) for part in fault["loc"])
            # The cause quotes what may be a key.
            raise InvalidRequest(f"The plugin asked for no HTTP: {place}: {fault['msg']}.") from None
        if len(self._open) >= MAX_OPEN or request_id in self._open:
            raise InvalidRequest(f"A plugin has at most {MAX_OPEN} answers open at once.")
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in SERVERS_OWN}
        with contextlib.ExitStack() as stack:
            response = stack.enter_context(
                self._reach.way_to(asked.url).stream(
                    asked.method,
                    asked.url,
                    headers=headers,
                    content=asked.body,
                    cancel=self._cancel,
                    timeouts=self._timeouts,
                )
            )
            self._open[request_id] = stack.pop_all(), iter(response.iter_bytes())
        return {"status": response.status, "headers": dict(response.headers)}

    def _next(self, request_id: str) -> bytes | None:
        """Return the next piece of a body, None at its end."""
        if request_id not in self._open:
            return None
        piece = next(self._open[request_id][1], None)
        if piece is None:
            self._close(request_id)
            return None
        self._left_bytes -= len(piece)
        if self._left_bytes < 0:
            raise BodyTooLarge(f"A call of a plugin reads at most {MAX_READ_BYTES} bytes.")
        return piece

    def _close(self, request_id: str) -> None:
        if request_id in self._open:
            stack, _ = self._open.pop(request_id)
            stack.close()
