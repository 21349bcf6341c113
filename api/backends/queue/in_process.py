"""Background jobs on a few threads of the serving process.

Wake-ups are kept in memory only: jobs are rows, and a tick finds those whose
wake-up was lost. What must stay true: a job or a tick that fails is logged and
takes no thread with it.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeAlias

from api.settings import Settings

logger = logging.getLogger(__name__)

Tick: TypeAlias = tuple[float, Callable[[], None]]

MAX_WAITING = 100_000


class Backend:
    """Implements TaskQueue; until :meth:`start` it only remembers. One set of workers serves every queue."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due_at: dict[str, float] = {}
        # Holds stale pairs too: a job asked for again for an earlier time keeps its later pair.
        self._heap: list[tuple[float, str]] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @classmethod
    def from_settings(cls, _settings: Settings) -> Self:
        """Return an idle queue; it needs no setting."""
        return cls()

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None:  # noqa: ARG002 - see the class
        """Run the job after ``delay_s``; see TaskQueue.

        A job that waits already is not run twice, only earlier if asked for.
        Beyond 100,000 waiting jobs a wake-up is dropped.
        """
        due_at = time.monotonic() + delay_s
        with self._changed:
            waits_until = self._due_at.get(job_id)
            if waits_until is None and len(self._due_at) >= MAX_WAITING:
                return
            if waits_until is None or due_at < waits_until:
                self._due_at[job_id] = due_at
                heapq.heappush(self._heap, (due_at, job_id))
                self._changed.notify()

    def start(self, run: Callable[[str], None], ticks: Sequence[Tick], concurrency: int = 4) -> None:
        """Start ``concurrency`` threads that call ``run(job_id)``, and one that calls the ticks.

        A tick is called now and then every so many seconds, one after the other.
        """
        works = [lambda: self._work(run)] * concurrency
        if ticks:
            works.append(lambda: self._keep_ticking(ticks))
        for number, work in enumerate(works):
            thread = threading.Thread(target=work, name=f"job-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Take no more jobs; wait for those that run and tell whether all ended in time."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, run: Callable[[str], None]) -> None:
        while (job_id := self._next_job()) is not None:
            try:
                run(job_id)
            except Exception:
                logger.exception("job %s failed", job_id)

    def _next_job(self) -> str | None:
        """Wait for a job that is due; None when the queue stops."""
        with self._changed:
            while not self._stopping.is_set():
                wait_s = self._seconds_to_next()
                if wait_s is None or wait_s > 0:
                    self._changed.wait(wait_s)
                    continue
                _, job_id = heapq.heappop(self._heap)
                del self._due_at[job_id]
                if self._heap:
                    self._changed.notify()  # a wake-up stands for one job; let the next be looked at
                return job_id
        return None

    def _seconds_to_next(self) -> float | None:
        """Drop stale pairs; return the time until the first job is due, None without one."""
        while self._heap:
            due_at, job_id = self._heap[0]
            if self._due_at.get(job_id) == due_at:
                return due_at - time.monotonic()
            heapq.heappop(self._heap)
        return None

    def _keep_ticking(self, ticks: Sequence[Tick]) -> None:
        agenda = [(time.monotonic(), place) for place in range(len(ticks))]
        while not self._stopping.wait(max(0.0, agenda[0][0] - time.monotonic())):
            place = agenda[0][1]
            every_s, tick = ticks[place]
            try:
                tick()
            except Exception:
                logger.exception("a tick failed")
            heapq.heapreplace(agenda, (time.monotonic() + every_s, place))
