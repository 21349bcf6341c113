"""Celery with a broker in this process's memory: what sends, and the workers."""

import time
from collections.abc import Mapping, Sequence

from api.backends.broker import Broker
from api.backends.celery_app import RUN_JOB, RunJob, connect
from api.backends.queue.memory_broker import MAILBOX, TRANSPORT, Mailbox
from api.backends.queue.workers import Workers
from api.core.ports import Queue, Tick

NOBODY = "nobody"


class _NoResult:
    """What sending gives. Celery's own result makes a store of results for each thread, and so each run."""

    ignored = True

    def __init__(self, _task_id: str) -> None:
        pass


class Embedded:
    """Runs jobs with ``places`` of their own for each queue, and calls the shared ticks."""

    def __init__(self, run: RunJob, ticks: Sequence[Tick], places: Mapping[Queue, int]) -> None:
        self._mailbox = Mailbox()
        self._broker = Broker(url="memory://localhost", transport=TRANSPORT, options={MAILBOX: self._mailbox})
        self._sending = connect(self._broker)
        self._workers = Workers(self._broker, run, ticks, places)

    def start(self) -> None:
        """Begin to work."""
        self._workers.start()

    def send(self, job_id: str, queue: str, due_at: float, message_id: str) -> None:
        """Have a job run at ``due_at``, a ``time.monotonic()`` instant."""
        self._sending.send_task(
            RUN_JOB,
            (job_id,),
            task_id=message_id,
            queue=self._broker.name(queue),
            countdown=max(0.0, due_at - time.monotonic()) or None,
            ignore_result=True,
            result_cls=_NoResult,
            reply_to=NOBODY,
            add_to_parent=False,
        )

    def drain(self) -> None:
        """Take no more messages; returns at once."""
        self._workers.drain()
        self._mailbox.close()

    def stop(self, timeout_s: float) -> bool:
        """Take no more messages; wait for those at hand and tell whether all ended in time."""
        self.drain()
        return self._workers.stop(timeout_s)
