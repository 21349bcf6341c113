"""Background jobs on Celery workers that are processes of their own (api/worker.py).

This process only sends wake-ups, and calls what it does for itself.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Self
from uuid import uuid4

from api.backends.broker import Broker
from api.backends.queue.sender import Sender, WakeUp
from api.backends.ticker import Ticker
from api.core.ports import Tick
from api.settings import Settings


class Backend:
    """Implements TaskQueue; wake-ups leave on a thread of their own, which connects with the first."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._ticker = Ticker(())
        self._sender = Sender(self._send)
        self._app: Any = None
        self._connection: Any = None
        self._producer: Any = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Use the broker of BROKER_URL, or of REDIS_URL where that is empty."""
        return cls(Broker.from_settings(settings))

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None:
        """Wake a worker; see TaskQueue. A job asked for twice is sent twice."""
        self._sender.put(WakeUp(job_id, queue, time.monotonic() + delay_s))

    def start(self, run: Callable[[str], None], ticks: Sequence[Tick]) -> None:
        """Call the ticks of this process; jobs and shared ticks are left to the workers and beat."""
        del run
        self._ticker = Ticker([tick for tick in ticks if not tick.is_shared])
        self._ticker.start()

    def drain(self) -> None:
        """Do nothing: no job runs here."""

    def stop(self, timeout_s: float) -> bool:
        """Send what waits; see TaskQueue."""
        deadline = time.monotonic() + timeout_s
        has_ticked = self._ticker.stop(timeout_s)
        has_sent = self._sender.stop(max(0.0, deadline - time.monotonic()))
        if has_sent:
            self._disconnect()
        return has_ticked and has_sent

    def _send(self, wake_up: WakeUp) -> None:
        from api.backends import celery_app  # Celery is heavy; only who sends loads it

        if self._app is None:
            self._app = celery_app.connect(self._broker)
        try:
            if self._producer is None:
                self._connect()
            self._app.send_task(
                celery_app.RUN_JOB,
                (wake_up.job_id,),
                task_id=f"{wake_up.job_id}/{uuid4().hex[:8]}",
                queue=self._broker.name(wake_up.queue),
                countdown=max(0.0, wake_up.due_at - time.monotonic()) or None,
                producer=self._producer,
                retry=False,
            )
        except Exception:
            self._disconnect()
            raise

    def _connect(self) -> None:
        self._connection = self._app.connection_for_write()
        self._connection.ensure_connection(max_retries=1, interval_start=0)
        self._producer = self._app.amqp.Producer(self._connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.release()
        self._connection = self._producer = None
