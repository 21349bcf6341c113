"""Places for processes of which only so many may run at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from api.core.ports import Cancel


class Stopped(Exception):
    """The work was cancelled while it waited for a place."""


class Places:
    """So many places; who finds none free waits for one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._freed = threading.Condition()

    @contextmanager
    def hold(self, cancel: Cancel, wait_s: float) -> Iterator[None]:
        """Hold a place. Raises Stopped, or TimeoutError after ``wait_s`` or the work's own time."""
        self._take(cancel, wait_s)
        try:
            yield
        finally:
            with self._freed:
                self._free += 1
                self._freed.notify_all()

    def _take(self, cancel: Cancel, wait_s: float) -> None:
        forget = cancel.on_cancel(self._wake)
        try:
            with self._freed:
                wait_s = min(wait_s, cancel.remaining_s())
                if not self._freed.wait_for(lambda: self._free > 0 or cancel.is_set(), wait_s):
                    raise TimeoutError
                if cancel.is_set():
                    raise Stopped
                self._free -= 1
        finally:
            forget()

    def _wake(self) -> None:
        """Have those that wait for a place look again."""
        with self._freed:
            self._freed.notify_all()
