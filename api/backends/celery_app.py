"""The Celery app of an installation: one task that runs a job row, one that calls a tick.

Boundary: knows how messages travel, not what a job does; the composition root
passes that down. What must stay true: only ids travel, as JSON; a message may
be lost or come twice, because jobs are rows (docs/adr/0002-jobs-are-rows.md).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import kombu
from celery import Celery, Task
from celery.backends.base import DisabledBackend

from api.backends.broker import CONNECT_TIMEOUT_S, Broker
from api.core.ports import Queue, Tick

RUN_JOB = "run_job"
RUN_TICK = "run_tick"
CONSUMER_TIMEOUT_MS = 24 * 3600 * 1000
"""How long RabbitMQ lets a job run; its default of half an hour would cut the worker off."""
TICK_KEPT_S = 10.0
"""A tick nobody was there to call is forgotten after this, or after its own interval."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

RunJob = Callable[[str, str], None]


def connect(broker: Broker, queues: Sequence[Queue] = tuple(Queue)) -> Celery:
    """Return an app that can send, and whose workers serve ``queues``; opens no connection."""
    app = Celery("slipway", broker=broker.url, set_as_current=False)
    app.conf.update(
        broker_transport=broker.transport,
        broker_transport_options=dict(broker.options),
        broker_use_ssl=dict(broker.tls) if broker.tls else None,
        broker_connection_timeout=CONNECT_TIMEOUT_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_queues=[_declare(broker, queue) for queue in queues],
        task_default_queue=broker.name(Queue.DEFAULT),
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=4,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        beat_schedule_filename="celerybeat-schedule/state",
        beat_max_loop_interval=5,
        timezone="UTC",
    )
    return app


def create_celery(
    broker: Broker, run: RunJob, ticks: Sequence[Tick], queues: Sequence[Queue] = tuple(Queue)
) -> Celery:
    """Return the app whose workers call ``run(job_id, message_id)``, and whose beat the shared ticks."""
    shared = {tick.name: tick for tick in ticks if tick.is_shared}
    app = connect(broker, queues)
    app.conf.beat_schedule = {name: _to_entry(tick, broker) for name, tick in shared.items()}

    # Not the app's, which is made anew for each thread, and so for each job.
    no_results = DisabledBackend(app=app)

    @app.task(name=RUN_JOB, bind=True, shared=False, backend=no_results)  # type: ignore[untyped-decorator]  # so in Celery
    def run_job(task: Task, job_id: str) -> None:
        run(job_id, task.request.id)

    @app.task(name=RUN_TICK, shared=False, backend=no_results)  # type: ignore[untyped-decorator]  # so in Celery
    def run_tick(name: str) -> None:
        if name in shared:  # a beat of another version may know more
            shared[name].call()

    app.finalize()
    return app


def _declare(broker: Broker, queue: Queue) -> kombu.Queue:
    name = broker.name(queue)
    exchange = kombu.Exchange(broker.prefix.rstrip("."), type="direct")
    arguments = {"x-consumer-timeout": CONSUMER_TIMEOUT_MS}
    return kombu.Queue(name, exchange=exchange, routing_key=name, queue_arguments=arguments)


def _to_entry(tick: Tick, broker: Broker) -> dict[str, Any]:
    """Return a tick as beat knows it: due at once, since nobody knows when it was last called."""
    return {
        "task": RUN_TICK,
        "schedule": tick.every_s,
        "args": (tick.name,),
        "last_run_at": LONG_AGO,
        "options": {"queue": broker.name(Queue.DEFAULT), "expires": max(tick.every_s, TICK_KEPT_S)},
    }
