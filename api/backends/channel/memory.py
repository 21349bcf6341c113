"""Event logs and stop signals of one process.

What must stay true: appending takes no lock and does no I/O; a reader misses no
event. Ended logs stay for 10 minutes and take at most 32 MB together (what
ended first goes first, the newest always stays).
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Self

from api.core.events import Event, EventBatch, RunHeader, TextChunk, encode
from api.settings import Settings

KEPT_S = 600.0
ENDED_MAX_BYTES = 32 * 1024 * 1024
SIGNAL_KEPT_S = 30.0
EVENT_OVERHEAD_BYTES = 120
LOG_OVERHEAD_BYTES = 2000


class MemoryLog:
    """Implements EventLog as a list that only grows.

    There is one writer; appending to a list and reading its length are atomic.
    The writer appends, then looks for waiting readers; a reader enlists, then
    looks for events. So one of them always sees the other.
    """

    def __init__(self, header: RunHeader, on_close: Callable[["MemoryLog"], None]) -> None:
        self._header = header
        self._on_close = on_close
        self._events: list[Event] = []
        self._waiting: list[threading.Event] = []
        self._is_closed = False

    @property
    def header(self) -> RunHeader:
        """Who runs what."""
        return self._header

    def append(self, event: Event) -> None:
        """Add one event; see EventLog."""
        assert not self._is_closed, "an ended log takes no events"
        self._events.append(event)
        if self._waiting:
            self._wake()

    def close(self) -> None:
        """End the log; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._wake()
            self._on_close(self)

    def read(self, after: int, timeout_s: float) -> EventBatch:
        """Return the events numbered above ``after``; see EventLog."""
        if timeout_s > 0 and not self._has_news(after):
            self._wait(after, timeout_s)
        is_closed = self._is_closed  # asked first: nothing is appended once it is true
        return EventBatch(self._events[after:], is_closed)

    def size_bytes(self) -> int:
        """Estimate the memory the log takes."""
        return LOG_OVERHEAD_BYTES + sum(_size_bytes(event) for event in self._events)

    def _has_news(self, after: int) -> bool:
        return len(self._events) > after or self._is_closed

    def _wait(self, after: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        changed = threading.Event()
        self._waiting.append(changed)
        try:
            while not self._has_news(after):
                if not changed.wait(max(0.0, deadline - time.monotonic())):
                    return
                changed.clear()
        finally:
            self._waiting.remove(changed)

    def _wake(self) -> None:
        for changed in tuple(self._waiting):
            changed.set()


class Backend:
    """Implements Channel within one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._logs: dict[str, MemoryLog] = {}
        self._ended: deque[tuple[float, int, MemoryLog]] = deque()
        self._ended_bytes = 0
        self._actions: dict[str, dict[int, Callable[[], None]]] = {}
        self._next_action = 0
        self._early_signals: OrderedDict[str, float] = OrderedDict()

    @classmethod
    def from_settings(cls, _settings: Settings) -> Self:
        """Return an empty channel; it needs no setting."""
        return cls()

    def open(self, header: RunHeader) -> MemoryLog:
        """Start the log of a new run; a task id that is in use is a ValueError."""
        log = MemoryLog(header, self._end)
        with self._lock:
            if header.task_id in self._logs:
                raise ValueError(f"task {header.task_id} has a log already")
            self._logs[header.task_id] = log
        return log

    def find(self, task_id: str) -> MemoryLog | None:
        """Return the log of a run, or None when unknown or expired."""
        with self._lock:
            self._purge()
            return self._logs.get(task_id)

    def signal(self, task_id: str) -> None:
        """Call what listens for the task; if nothing does yet, remember for 30 s."""
        with self._lock:
            actions = self._actions.pop(task_id, None)
            if actions is None:
                self._remember(task_id)
                return
        for action in actions.values():
            action()

    def on_signal(self, task_id: str, action: Callable[[], None]) -> Callable[[], None]:
        """Call ``action`` when the task is signalled, at once if it just was; see Channel."""
        with self._lock:
            is_signalled = self._early_signals.pop(task_id, 0.0) > self._clock()
            if not is_signalled:
                key = self._next_action
                self._next_action += 1
                self._actions.setdefault(task_id, {})[key] = action
                return lambda: self._forget(task_id, key)
        action()
        return lambda: None

    def stop(self, timeout_s: float = 5.0) -> None:
        """Do nothing: there is no thread to end."""

    def _end(self, log: MemoryLog) -> None:
        size_bytes = log.size_bytes()
        with self._lock:
            self._ended.append((self._clock() + KEPT_S, size_bytes, log))
            self._ended_bytes += size_bytes
            self._purge()

    def _purge(self) -> None:
        now = self._clock()
        while self._ended:
            expires_at, size_bytes, log = self._ended[0]
            is_over = self._ended_bytes > ENDED_MAX_BYTES and len(self._ended) > 1
            if expires_at > now and not is_over:
                return
            self._ended.popleft()
            self._ended_bytes -= size_bytes
            del self._logs[log.header.task_id]

    def _remember(self, task_id: str) -> None:
        now = self._clock()
        self._early_signals[task_id] = now + SIGNAL_KEPT_S
        self._early_signals.move_to_end(task_id)
        while next(iter(self._early_signals.values())) <= now:
            self._early_signals.popitem(last=False)

    def _forget(self, task_id: str, key: int) -> None:
        with self._lock:
            actions = self._actions.get(task_id, {})
            actions.pop(key, None)
            if not actions:
                self._actions.pop(task_id, None)


def _size_bytes(event: Event) -> int:
    content = len(event.text) if isinstance(event, TextChunk) else len(encode(event))
    return EVENT_OVERHEAD_BYTES + content
