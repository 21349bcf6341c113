"""Places for processes of which only so many may run at once."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.core.ports import Cancel


class Stopped(Exception):
    """The work was cancelled while it waited for a place."""


class Places:
    """So many places; who finds none free waits for one. One owner has at most ``most_of_one`` of them."""

    def __init__(self, count: int, most_of_one: int | None = None) -> None:
        self._free = count
        self._most_of_one = most_of_one or count
        self._held: Counter[str] = Counter()
        self._freed = threading.Condition()

    @contextmanager
    def hold(self, cancel: Cancel, wait_s: float, owner: str = "") -> Iterator[None]:
        """Hold a place. Raises Stopped, or TimeoutError after ``wait_s`` or the work's own time."""
        self._take(cancel, wait_s, owner)
        try:
            yield
        finally:
            with self._freed:
                self._free += 1
                self._held[owner] -= 1
                self._held += Counter()  # forgets who has none
                self._freed.notify_all()

    def _take(self, cancel: Cancel, wait_s: float, owner: str) -> None:
        def may_go_on() -> bool:
            return cancel.is_set() or (self._free > 0 and self._held[owner] < self._most_of_one)

        forget = cancel.on_cancel(self._wake)
        try:
            with self._freed:
                wait_s = min(wait_s, cancel.remaining_s())
                if not self._freed.wait_for(may_go_on, wait_s):
                    raise TimeoutError
                if cancel.is_set():
                    raise Stopped
                self._free -= 1
                self._held[owner] += 1
        finally:
            forget()

    def _wake(self) -> None:
        """Have those that wait for a place look again."""
        with self._freed:
            self._freed.notify_all()
