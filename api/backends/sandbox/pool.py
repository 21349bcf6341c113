"""Processes that run foreign code, kept warm: each serves one run at a time, of one kind of source.

None is started before it is needed, none outlives a limit its code has met, and
those that are idle end. What must stay true: whatever a run does to its process,
no other run sees it.
"""

import sys
import threading
import time
from collections.abc import Callable

from api.backends.places import Places, Stopped
from api.backends.sandbox.child import ROOT, STOPPED, Child, arguments, environment
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.errors import Unavailable
from api.settings import Settings

IDLE_S = 60
SPARE_S = 5
"""A child that would end by itself so soon is not asked any more."""
WAIT_S = 60.0


Start = Callable[[str, Cancel], Child]
"""Starts a child for a kind of source. Raises Unavailable, and CodeFailed when cancelled."""


class Pool:
    """At most ``max_children`` that work at once, and as many that wait for work.

    A child is asked ``max_runs`` times.
    """

    def __init__(self, start: Start, max_children: int, *, max_runs: int = 1000) -> None:
        self._start = start
        self._max_children = max_children
        self._max_runs = max_runs
        self._places = Places(max_children)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._lock = threading.Lock()
        self._is_stopped = False

    def ask(
        self, kind: str, source: str, inputs: JSONObject, *, timeout_s: float, cancel: Cancel
    ) -> JSONValue:
        """Return what a source of a kind gives. Raises CodeFailed, Unavailable.

        ``timeout_s`` begins when a process is ready for it.
        """
        if self._is_stopped:
            raise CodeFailed(STOPPED)
        try:
            with self._places.hold(cancel, WAIT_S):
                child = self._take(kind) or self._start(kind, cancel)
                self._note(child)
                try:
                    return child.ask(source, inputs, timeout_s, cancel)
                finally:
                    self._put(child)
        except TimeoutError as exc:
            raise Unavailable("Too much code is being run now; try again shortly.") from exc
        except Stopped as exc:
            raise CodeFailed(STOPPED) from exc

    def stop(self) -> None:
        """End all processes; runs that go on fail."""
        with self._lock:
            self._is_stopped = True
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.kill()
        for child in idle:
            child.end()

    def _take(self, kind: str) -> Child | None:
        """Return the child of the kind that was used last, and end those that were idle too long."""
        oldest = time.monotonic() - IDLE_S + SPARE_S
        with self._lock:
            over = [child for child in self._idle if child.idle_since < oldest]
            self._idle = [child for child in self._idle if child not in over]
            found = next((child for child in reversed(self._idle) if child.kind == kind), None)
            if found is not None:
                self._idle.remove(found)
        for child in over:
            child.end()
        return found

    def _note(self, child: Child) -> None:
        with self._lock:
            self._busy.add(child)
            if self._is_stopped:
                child.kill()

    def _put(self, child: Child) -> None:
        """Keep a child for the next run, unless it is worn out; no more than there are places."""
        child.idle_since = time.monotonic()
        over: Child | None = child
        with self._lock:
            self._busy.discard(child)
            if child.is_usable and child.runs < self._max_runs and not self._is_stopped:
                self._idle.append(child)
                over = self._idle.pop(0) if len(self._idle) > self._max_children else None
        if over is not None:
            over.end()


def warm_pool(settings: Settings) -> Pool:
    """Return a pool of our own interpreter, bound by SANDBOX_MEMORY_MB and SANDBOX_PARALLEL."""
    memory_mb = settings.sandbox_memory_mb

    def start(kind: str, cancel: Cancel) -> Child:
        argv = [sys.executable, *arguments(kind, memory_mb, IDLE_S)]
        return Child.start(kind, memory_mb, argv, cancel, env=environment(ROOT))

    return Pool(start, settings.sandbox_parallel)
