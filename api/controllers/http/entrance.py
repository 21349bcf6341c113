"""How many connections of a process one workspace may hold at once, so that others still get in.

A stream holds its connection to its end, and a process has only so many
(WORKER_CONNECTIONS). While there is room nobody is refused. What must stay true:
whatever way a request ends, it is counted out once.
"""

import threading
from collections import Counter

from flask import Flask, Response, current_app, g

from api.controllers.http.door import when_sent
from api.errors import RateLimited

FULL = 0.9
"""The share of all connections from which on workspaces that hold many are refused more."""
TIMES_ITS_SHARE = 2


class Entrance:
    """Counts the open requests of each workspace; ``room`` is how many connections there are."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def open_requests(self) -> int:
        """How many are counted in and not yet out."""
        return self._open.total()

    def enter(self, tenant_id: str) -> None:
        """Count a request in; raises RateLimited where it is full and the workspace holds too many.

        Those are more than twice its share of the connections, or most of them.
        """
        with self._lock:
            held = self._open[tenant_id]
            full = int(FULL * self._room)
            share = self._room / (len(self._open) + (not held))
            if self._open.total() >= full and held >= max(1, min(TIMES_ITS_SHARE * share, full)):
                raise RateLimited(
                    f"The workspace has {held} requests open here and others need room; try again shortly.",
                    retry_after_s=1,
                )
            self._open[tenant_id] = held + 1

    def leave(self, tenant_id: str) -> None:
        """Count a request out."""
        with self._lock:
            self._open[tenant_id] -= 1
            if not self._open[tenant_id]:
                del self._open[tenant_id]


class _Entry:
    """A request that was counted in."""

    def __init__(self, entrance: Entrance, tenant_id: str) -> None:
        self._entrance = entrance
        self._tenant_id = tenant_id
        self._is_inside = True

    def end(self) -> None:
        if self._is_inside:
            self._is_inside = False
            self._entrance.leave(self._tenant_id)


def install_entrance(app: Flask, room: int) -> None:
    """Count requests that guards let in, until all of their answer is sent or their client has left."""
    app.extensions["entrance"] = Entrance(room)
    app.after_request(_hand_over)
    app.teardown_request(_end)


def enter(tenant_id: str) -> None:
    """Count the present request in for a workspace, once; raises RateLimited."""
    if "entry" not in g:
        entrance: Entrance = current_app.extensions["entrance"]
        entrance.enter(tenant_id)
        g.entry = _Entry(entrance, tenant_id)


def _hand_over(response: Response) -> Response:
    """Leave the entry to whoever sends the answer: a stream goes on after the request's own end."""
    entry = g.pop("entry", None)
    if entry is not None:
        when_sent(response, entry.end)
    return response


def _end(_error: BaseException | None) -> None:
    entry = g.pop("entry", None)
    if entry is not None:
        entry.end()
