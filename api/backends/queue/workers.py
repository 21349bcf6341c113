"""Celery's workers and beat on threads of this process, for any broker.

It is Celery's bare WorkController: ``app.Worker``, which the command line uses,
would take over signals, log and output of the process.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from celery.concurrency.gevent import TaskPool as GreenletPool
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.exceptions import WorkerShutdown
from celery.worker import WorkController
from gevent import monkey

from api.backends.broker import Broker
from api.backends.celery_app import RunJob, create_celery
from api.core.ports import Queue, Tick


class Workers:
    """Runs jobs with ``places`` of their own for each queue, and calls the shared ticks.

    Beat keeps its times in memory: at the start every tick is due anyway.
    """

    def __init__(
        self, broker: Broker, run: RunJob, ticks: Sequence[Tick], places: Mapping[Queue, int]
    ) -> None:
        # An app for each queue: which queues are served is a property of Celery's app.
        self._lanes = [
            _Lane(create_celery(broker, run, ticks, (queue,)), queue.value, count)
            for queue, count in places.items()
        ]
        self._scheduler = Scheduler(create_celery(broker, run, ticks))
        self._stopping = threading.Event()
        self._beat = threading.Thread(target=self._keep_time, name="beat", daemon=True)

    def start(self) -> None:
        """Begin to work; returns before the workers are ready."""
        for lane in self._lanes:
            lane.start()
        self._beat.start()

    def drain(self) -> None:
        """Take no more messages; returns at once. Later calls do nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for lane in self._lanes:
            lane.drain()

    def stop(self, timeout_s: float) -> bool:
        """Take no more messages; wait for those at hand and tell whether all ended in time."""
        deadline = time.monotonic() + timeout_s
        self.drain()
        self._beat.join(timeout_s)
        ended = [lane.join(max(0.0, deadline - time.monotonic())) for lane in self._lanes]
        return all(ended) and not self._beat.is_alive()

    def _keep_time(self) -> None:
        try:
            while not self._stopping.wait(self._scheduler.tick()):
                pass
        finally:
            self._scheduler.connection.release()


class _OwnApp:
    """A pool whose tasks are those of its worker's app; Celery would take the process's default app's."""

    app: Celery

    def on_apply(self, target: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return super().on_apply(partial(target, app=self.app), *args, **options)  # type: ignore[misc]  # a mix-in


class _Greenlets(_OwnApp, GreenletPool):  # type: ignore[misc]  # Celery is untyped
    pass


class _Threads(_OwnApp, ThreadPool):  # type: ignore[misc]  # Celery is untyped
    pass


class _Worker(WorkController):  # type: ignore[misc]  # Celery is untyped
    """A worker whose end changes nothing for the rest of the process.

    Celery's sets a default of timeouts for all sockets while it ends, and puts back
    what was there: of several that end at once, one may put back another's.
    """

    def _shutdown(self, warm: bool = True) -> None:  # Celery's signature
        if self.blueprint is not None:
            self.blueprint.stop(self, terminate=not warm)
            self.blueprint.join()


class _Lane:
    """The places of one queue: greenlets in a patched process, threads elsewhere."""

    def __init__(self, app: Celery, name: str, places: int) -> None:
        self._app = app
        self._name = name
        self._places = places

    def start(self) -> None:
        controller = _Worker(
            app=self._app,
            pool_cls=_Greenlets if monkey.is_module_patched("threading") else _Threads,
            concurrency=self._places,
            hostname=f"{self._name}@in-process",
            use_eventloop=False,  # kombu's is one for the whole process, which the lanes would share
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        self._call_soon = controller.consumer.call_soon
        self._thread = threading.Thread(target=controller.start, name=f"jobs-{self._name}", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        # The worker must leave on its own thread: its connection does not bear being used by two.
        self._call_soon(_leave)

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def _leave() -> None:
    raise WorkerShutdown(0)
