"""Generators at work side by side, on threads of which a whole run has only so many.

Who gets no thread works on its own, so that nothing ever waits for a place.
"""

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any

GRACE_S = 0.4
"""How long those that were told to end are waited for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The last thing a thread puts into the inbox: what its work returned."""

    value: Any


class Threads:
    """How many threads a whole run may have, its containers' included.

    Who gets none works on its own thread, so that nothing ever waits for a place.
    """

    def __init__(self, limit: int) -> None:
        self._free = threading.Semaphore(limit)

    def start(self, call: Callable[[], None]) -> bool:
        if not self._free.acquire(blocking=False):
            return False
        in_context = contextvars.copy_context().run  # log lines name the request
        threading.Thread(target=in_context, args=(self._run, call), daemon=True).start()
        return True

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        finally:
            self._free.release()


class Crew:
    """Generators at work side by side, and the inbox they tell into."""

    def __init__(self, threads: Threads) -> None:
        self.running: set[Hashable] = set()
        self._threads = threads
        self._inbox: queue.SimpleQueue[tuple[Hashable, Any]] = queue.SimpleQueue()

    def start(self, key: Hashable, work: Generator[Any, None, Any]) -> bool:
        """Run a generator on a thread of its own; False where there is none."""

        def drive() -> None:
            ended = Ended(None)
            try:
                while True:
                    self._inbox.put((key, next(work)))
            except StopIteration as end:
                ended = Ended(end.value)
            finally:
                self._inbox.put((key, ended))

        self.running.add(key)
        if not self._threads.start(drive):
            self.running.discard(key)
            return False
        return True

    def take(self, timeout_s: float) -> tuple[Hashable, Any]:
        """Return who told what next; nothing where the time is up, or when woken."""
        try:
            key, told = self._inbox.get(timeout=min(max(timeout_s, 0.0), threading.TIMEOUT_MAX))
        except queue.Empty:
            return None, None
        if isinstance(told, Ended):
            self.running.discard(key)
        return key, told

    def see_off(self) -> list[Any]:
        """Wait a moment for those that were told to end; return what they still told."""
        deadline = time.monotonic() + GRACE_S
        told: list[Any] = []
        while self.running and time.monotonic() < deadline:
            told.append(self.take(deadline - time.monotonic())[1])
        return told

    def wake(self) -> None:
        """Let whoever waits for the inbox go on."""
        self._inbox.put((None, None))
