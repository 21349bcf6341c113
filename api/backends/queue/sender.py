"""Sends wake-ups to the broker from a thread of its own, so that no request waits for it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000
PAUSE_S = 1.0
WARN_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class WakeUp:
    """One message to send; ``due_at`` is a ``time.monotonic()`` instant."""

    job_id: str
    queue: str
    due_at: float


class Sender:
    """Hands wake-ups to ``send`` in order; its thread starts with the first.

    ``send`` may raise: then what waits is dropped, the sender rests for a second,
    and says so once a minute. Beyond 10,000 waiting ones the newest is dropped.
    """

    def __init__(self, send: Callable[[WakeUp], None]) -> None:
        self._send = send
        self._outbox: deque[WakeUp] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._dropped = 0
        self._warned_at = float("-inf")

    def put(self, wake_up: WakeUp) -> None:
        """Send it soon; costs the caller no I/O."""
        with self._changed:
            if self._is_stopping or len(self._outbox) >= MAX_WAITING:
                return
            self._outbox.append(wake_up)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wake-ups", daemon=True)
                self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Send what waits and end; tell whether that was done in time."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while (wake_up := self._next()) is not None:
            try:
                self._send(wake_up)
            except Exception as error:  # noqa: BLE001 - kombu, redis and amqp share no base class
                self._give_up(error)

    def _next(self) -> WakeUp | None:
        with self._changed:
            self._changed.wait_for(lambda: self._outbox or self._is_stopping)
            return self._outbox.popleft() if self._outbox else None

    def _give_up(self, error: Exception) -> None:
        """Drop what waits, which the sweep will find, and leave the broker alone for a moment."""
        with self._changed:
            self._dropped += 1 + len(self._outbox)
            self._outbox.clear()
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_S:
            logger.warning(
                "the broker is away: %s wake-ups dropped, the sweep will find their jobs (%s)",
                self._dropped,
                type(error).__name__,
            )
            self._warned_at, self._dropped = now, 0
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, PAUSE_S)
