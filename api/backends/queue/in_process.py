"""Background jobs on Celery workers inside the serving process, woken through its memory.

The same app and tasks as in scale-out, with a broker that needs no server.
Wake-ups are lost with the process: jobs are rows, and the sweep, which beat
calls at once, finds those whose wake-up is gone.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from api.backends.ticker import Ticker
from api.core.ports import Queue, Tick
from api.settings import Settings

if TYPE_CHECKING:
    from api.backends.queue.embedded import Embedded

PLACES: Mapping[Queue, int] = MappingProxyType(
    {
        Queue.DEFAULT: 4,
        Queue.TITLES: 4,
        Queue.INDEXING: 2,
        Queue.SUMMARIES: 1,
        Queue.CRAWLS: 2,
    }
)
"""How many jobs of each queue run side by side."""
MAX_WAITING = 100_000


class Backend:
    """Implements TaskQueue; until :meth:`start` it only remembers."""

    def __init__(self) -> None:
        # For each job that waits, its queue, when it is due, and the message that counts: others are void.
        self._waiting: dict[str, tuple[str, float, str]] = {}
        self._lock = threading.Lock()
        self._is_draining = False
        self._celery: Embedded | None = None
        self._ticker = Ticker(())

    @classmethod
    def from_settings(cls, _settings: Settings) -> Self:
        """Return an idle queue; it needs no setting."""
        return cls()

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None:
        """Run the job after ``delay_s``; see TaskQueue.

        A job that waits already is not run twice, only earlier if asked for.
        Beyond 100,000 waiting jobs a wake-up is dropped.
        """
        due_at = time.monotonic() + delay_s
        with self._lock:
            _, waits_until, _ = self._waiting.get(job_id, ("", float("inf"), ""))
            is_full = len(self._waiting) >= MAX_WAITING and job_id not in self._waiting
            if self._is_draining or is_full or waits_until <= due_at:
                return
            message_id = f"{job_id}/{uuid4().hex[:8]}"
            self._waiting[job_id] = (queue, due_at, message_id)
        if self._celery is not None:
            self._celery.send(job_id, queue, due_at, message_id)

    def start(
        self, run: Callable[[str], None], ticks: Sequence[Tick], *, places: Mapping[Queue, int] = PLACES
    ) -> None:
        """Start the workers, beat and the ticks of this process; see TaskQueue."""
        from api.backends.queue.embedded import Embedded  # Celery is heavy; only who works loads it

        def run_if_current(job_id: str, message_id: str) -> None:
            if self._take(job_id, message_id):
                run(job_id)

        celery = Embedded(run_if_current, ticks, places)
        celery.start()
        with self._lock:
            self._celery = celery
            remembered = list(self._waiting.items())
        for job_id, (queue, due_at, message_id) in remembered:
            celery.send(job_id, queue, due_at, message_id)
        self._ticker = Ticker([tick for tick in ticks if not tick.is_shared])
        self._ticker.start()

    def drain(self) -> None:
        """Start no more jobs; see TaskQueue."""
        self._is_draining = True
        if self._celery is not None:
            self._celery.drain()

    def stop(self, timeout_s: float) -> bool:
        """Take no more jobs; wait for those that run and tell whether all ended in time."""
        deadline = time.monotonic() + timeout_s
        self.drain()
        has_ticked = self._ticker.stop(timeout_s)
        left_s = max(0.0, deadline - time.monotonic())
        return (self._celery is None or self._celery.stop(left_s)) and has_ticked

    def _take(self, job_id: str, message_id: str) -> bool:
        """Tell whether the message is the one that counts for a job; then the job waits no more."""
        with self._lock:
            _, _, current = self._waiting.get(job_id, ("", 0.0, ""))
            if self._is_draining or current != message_id:
                return False
            del self._waiting[job_id]
            return True
