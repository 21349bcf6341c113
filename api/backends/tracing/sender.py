"""Brings spans to a collector from a thread of its own, so that no work waits for it."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from api.core.ports import Cancel
from api.core.rag.waiting import within

logger = logging.getLogger(__name__)

MAX_WAITING = 4096
MAX_BATCH = 32
"""To write these down takes some 2 ms, in which nothing else goes on."""
GATHER_S = 1.0
REST_S = 5.0
SEND_S = 10.0


class SpanSender:
    """Hands spans to ``send`` in batches; its thread starts with the first.

    ``send`` may raise: then its batch is dropped, and the collector is left alone
    for five seconds. Beyond 4,096 waiting spans the newest is dropped. What is
    dropped is counted by ``dropped``; that the collector is away is logged once
    until it is back.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Any], Cancel], None],
        dropped: Callable[[int], None],
        *,
        gather_s: float = GATHER_S,
        rest_s: float = REST_S,
    ) -> None:
        self._send = send
        self._dropped = dropped
        self._gather_s = gather_s
        self._rest_s = rest_s
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._is_away = False
        self._cancel = Cancel()

    def put(self, span: Any) -> None:
        """Send it soon; costs the caller no I/O."""
        with self._changed:
            if self._is_stopping or len(self._waiting) >= MAX_WAITING:
                self._dropped(1)
                return
            self._waiting.append(span)
            if len(self._waiting) in (1, MAX_BATCH):
                self._changed.notify()
            if self._thread is None:
                # In a context of its own: what it sends belongs to no request.
                self._thread = threading.Thread(
                    target=Context().run, args=(self._run,), name="spans", daemon=True
                )
                self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what waits and end; what is left when the time is up is dropped."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
            self._cancel.set()

    def _run(self) -> None:
        while batch := self._next():
            try:
                with within(SEND_S, self._cancel) as cancel:
                    self._send(batch, cancel)
            except Exception as error:  # noqa: BLE001 - whatever it is, the program goes on without the spans
                self._give_up(batch, error)
            else:
                self._note_back()

    def _next(self) -> list[Any]:
        """Wait until there is enough, or something has waited long enough; nothing more comes at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_stopping)
            if not self._is_stopping and len(self._waiting) < MAX_BATCH:
                self._changed.wait(self._gather_s)
            return [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]

    def _give_up(self, batch: Sequence[Any], error: Exception) -> None:
        """Drop what could not be sent, and leave the collector alone for a moment."""
        self._dropped(len(batch))
        if not self._is_away:
            self._is_away = True
            logger.warning("spans are dropped: the collector does not take them (%s)", type(error).__name__)
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, self._rest_s)
            if self._is_stopping:
                self._dropped(len(self._waiting))
                self._waiting.clear()

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            logger.warning("the collector takes spans again")
