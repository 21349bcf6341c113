"""The pool of database connections, whose lock is taken only by those who have to wait for one.

SQLAlchemy's own takes a re-entrant lock four times a statement; gevent's stand-in
for that lock is written in Python, and that was as much as opening the statement.
"""

import time
from typing import Any, TypeVar

from sqlalchemy import QueuePool
from sqlalchemy.util.queue import Empty, Full, Queue

T = TypeVar("T", bound=Any)


class LeanQueue(Queue[T]):
    """A queue whose items are put and taken as a deque does it, which is safe by itself.

    Of ``waiting`` threads each wants one. Who finds none says so under the lock
    and looks once more before it waits; who puts one looks for such after it has
    put it. So one of the two sees the other.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        self.waiting = 0

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item in; the pool never waits for room. Raises Full."""
        del block, timeout
        if self._full():
            raise Full
        self._put(item)
        if self.waiting:
            with self.not_empty:
                self.not_empty.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take an item out, waiting up to ``timeout`` seconds for one where that is asked. Raises Empty."""
        try:
            return self._get()
        except IndexError:
            if not block:
                raise Empty from None
        give_up_at = None if timeout is None else time.monotonic() + timeout
        with self.not_empty:
            self.waiting += 1
            try:
                return self._wait(give_up_at)
            finally:
                self.waiting -= 1
                if self.waiting and self.queue:  # who is called off hands on what it was woken for
                    self.not_empty.notify()

    def _wait(self, give_up_at: float | None) -> T:
        while True:
            try:
                return self._get()
            except IndexError:
                left_s = None if give_up_at is None else give_up_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise Empty
            self.not_empty.wait(left_s)


class ConnectionPool(QueuePool):
    """SQLAlchemy's pool over such a queue."""

    _queue_class: Any = LeanQueue
