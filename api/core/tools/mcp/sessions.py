"""Sessions with servers of tools, kept open between calls and shared by them."""

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

from api.core.http import Cancelled, HTTPFailure, TimedOut, Timeouts
from api.core.ports import Cancel, JSONObject
from api.core.tools.mcp.event_stream import EventStreamSession
from api.core.tools.mcp.messages import (
    SessionLost,
    TookTooLong,
    hidden,
    notification_of,
    server_of,
)
from api.core.tools.mcp.streamable import SpeaksOlder, StreamableSession
from api.core.tools.tool import ToolContext, ToolFailed
from api.errors import AppError

KEEP_IDLE_S = 300.0
MAX_SESSIONS = 200
LOOK_S = 0.1
TELL_S = 5.0


class Session(Protocol):
    """An open session with a server, over one transport or the other."""

    @property
    def is_open(self) -> bool:
        """Tell whether it may be used."""
        ...

    def request(self, number: int, method: str, params: JSONObject, context: ToolContext) -> JSONObject:
        """Return what the server answers. Raises SessionLost where it did nothing, MCPFailed, HTTPFailure."""
        ...

    def notify(self, message: JSONObject, cancel: Cancel, timeouts: Timeouts) -> None:
        """Tell the server something. Raises MCPFailed, HTTPFailure, Cancelled."""
        ...

    def close(self) -> None:
        """End it. Waits for a few seconds at most."""
        ...


@dataclass(slots=True)
class _Place:
    """Where the session of one key is kept, and how many calls use it; one of them opens it for all."""

    session: Session | None = None
    calls: int = 0
    used_at: float = field(default_factory=time.monotonic)
    opening: threading.Lock = field(default_factory=threading.Lock)


class MCPSessions:
    """The sessions of a process, one for each key. Safe for use by many threads or greenlets at once.

    A key names a server with its headers as they are now: whoever changes those
    takes another key, and the old session ends when it was idle for
    ``keep_idle_s``.
    """

    def __init__(self, keep_idle_s: float = KEEP_IDLE_S) -> None:
        self._keep_idle_s = keep_idle_s
        self._places: dict[Hashable, _Place] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def request(
        self,
        key: Hashable,
        method: str,
        params: JSONObject,
        context: ToolContext,
        *,
        read_timeout_s: float,
    ) -> JSONObject:
        """Return what a server answers, in its open session or a new one.

        Asked a second time only where the server had forgotten the session.
        ``read_timeout_s`` bounds the silence of a stream that is kept open.
        Raises MCPFailed, HTTPFailure, AppError, Cancelled.
        """
        place = self._enter(key)
        try:
            session, is_new = self._session(place, context, read_timeout_s)
            try:
                return self._ask(session, method, params, context)
            except SessionLost:
                if is_new:
                    raise
            session, _ = self._session(place, context, read_timeout_s, lost=session)
            return self._ask(session, method, params, context)
        except ToolFailed as exc:
            exc.message = hidden(exc.message, server_of(context))
            exc.args = (exc.message,)
            raise
        finally:
            self._leave(place)

    def close_idle(self) -> None:
        """End the sessions that nobody used for a while."""
        self._drop(time.monotonic() - self._keep_idle_s)

    def close(self) -> None:
        """End all sessions that no call uses."""
        self._drop(math.inf)

    def _enter(self, key: Hashable) -> _Place:
        with self._lock:
            place = self._places.setdefault(key, _Place())
            place.calls += 1
            is_full = len(self._places) > MAX_SESSIONS
            oldest = min((each.used_at for each in self._places.values() if not each.calls), default=0.0)
        if is_full:
            self._drop(oldest)
        return place

    def _leave(self, place: _Place) -> None:
        with self._lock:
            place.calls -= 1
            place.used_at = time.monotonic()

    def _drop(self, used_before: float) -> None:
        """Keep no session any more that was last used at an instant or before, and is not in use."""
        with self._lock:
            idle = {
                key: place
                for key, place in self._places.items()
                if not place.calls and place.used_at <= used_before
            }
            for key in idle:
                del self._places[key]
        for place in idle.values():
            _close_in_passing(place.session)

    def _session(
        self, place: _Place, context: ToolContext, read_timeout_s: float, *, lost: Session | None = None
    ) -> tuple[Session, bool]:
        """Return the session at a place and whether it was opened just now; one that is ``lost`` is none."""
        while not place.opening.acquire(timeout=LOOK_S):
            if context.cancel.is_set():
                raise Cancelled
            if context.cancel.is_overdue():
                raise TookTooLong
        try:
            if place.session is not None and place.session is not lost and place.session.is_open:
                return place.session, False
            _close_in_passing(place.session)
            place.session = None
            place.session = self._opened(context, read_timeout_s)
            return place.session, True
        finally:
            place.opening.release()

    def _opened(self, context: ToolContext, read_timeout_s: float) -> Session:
        server, number = server_of(context), next(self._numbers)
        session = StreamableSession(context.http, server)
        try:
            session.open(number, context)
        except SpeaksOlder:
            older = EventStreamSession(context.http, server, read_timeout_s)
            older.open(number, context)
            return older
        return session

    def _ask(self, session: Session, method: str, params: JSONObject, context: ToolContext) -> JSONObject:
        number = next(self._numbers)
        try:
            return session.request(number, method, params, context)
        except (Cancelled, TimedOut, TookTooLong):
            _tell_in_passing(session, number, context)
            raise


def _close_in_passing(session: Session | None) -> None:
    """End a session; nobody waits for that."""
    if session is not None:
        threading.Thread(target=session.close, name="mcp-close", daemon=True).start()


def _tell_in_passing(session: Session, number: int, context: ToolContext) -> None:
    """Tell the server that nobody waits for an answer any more; the caller does not wait for that."""
    message = notification_of("notifications/cancelled", {"requestId": number})

    def tell() -> None:
        with contextlib.suppress(ToolFailed, HTTPFailure, AppError, Cancelled):
            session.notify(message, Cancel(TELL_S), context.http.timeouts)

    threading.Thread(target=tell, name="mcp-cancel", daemon=True).start()
