"""What every TaskQueue promises, and how its workers behave."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from api.backends.broker import Broker
from api.backends.celery_app import connect
from api.backends.queue import celery, in_process
from api.backends.queue.workers import Workers
from api.core.ports import Queue, Tick
from tests.conftest import make_settings
from tests.queues import PATIENCE_S, Recorder, make_ids
from tests.waiting import assert_quick


class ScaledOut:
    """What sends, and Celery workers on threads of this process in the place of other processes."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sending = celery.Backend(broker)
        self._workers: Workers | None = None
        self._places: Mapping[Queue, int] = {}

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None:
        self._sending.enqueue(job_id, queue=queue, delay_s=delay_s)

    def start(
        self,
        run: Callable[[str], None],
        ticks: Sequence[Tick],
        *,
        places: Mapping[Queue, int] = in_process.PLACES,
    ) -> None:
        self._places = places
        self._sending.start(run, ticks)
        self._workers = Workers(self._broker, lambda job_id, _: run(job_id), ticks, places)
        self._workers.start()

    def stop(self, timeout_s: float) -> bool:
        assert self._workers is not None
        self._workers.drain()
        for queue in self._places:  # Celery looks for its end when something comes, or after two seconds
            self.enqueue("the last one", queue=queue)
        is_ended = self._sending.stop(timeout_s) and self._workers.stop(timeout_s)
        self._tidy()
        return is_ended

    def _tidy(self) -> None:
        """Leave nothing on the broker."""
        app = connect(self._broker)
        with app.connection_for_write() as connection:
            for queue in app.amqp.queues.values():
                bound = queue(connection.default_channel)
                bound.declare()
                bound.delete()
            bound.exchange.delete()


@pytest.fixture(params=["in_process", "celery-redis", "celery-rabbitmq"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "in_process":
        made: Any = in_process.Backend.from_settings(make_settings(tmp_path))
    else:
        url = request.getfixturevalue(request.param.replace("celery-", "") + "_url")
        made = ScaledOut(Broker.from_url(url, prefix=f"test-{uuid.uuid4().hex}."))
    yield made
    assert made.stop(30.0)


def test_queue_jobs_enqueued_before_and_after_start_all_run(queue: Any) -> None:
    recorder, ids = Recorder(), make_ids(40)
    for job_id in ids[:20]:
        queue.enqueue(job_id, queue="default")
    queue.start(recorder.run, ())
    for job_id in ids[20:]:
        queue.enqueue(job_id, queue="default")
    recorder.wait_for(lambda ran: sorted(ran) == sorted(ids))


def test_queue_jobs_run_side_by_side_up_to_concurrency(queue: Any) -> None:
    recorder, ids = Recorder(), make_ids(5)
    recorder.may_go.clear()
    queue.start(recorder.run, (), places={Queue.DEFAULT: 3})
    for job_id in ids:
        queue.enqueue(job_id, queue="default")
    recorder.wait_for(lambda ran: len(ran) == 3)
    time.sleep(0.05)
    assert len(recorder.ran) == 3
    recorder.may_go.set()
    recorder.wait_for(lambda ran: sorted(ran) == sorted(ids))


def test_queue_delayed_job_runs_after_its_delay_and_after_those_due_now(queue: Any) -> None:
    recorder, (first, late, soon) = Recorder(), make_ids(3)
    queue.start(recorder.run, ())
    queue.enqueue(first, queue="default")
    recorder.wait_for(lambda ran: ran == [first])  # all is connected: to send takes a moment from now on
    started = time.monotonic()
    queue.enqueue(late, queue="default", delay_s=1.0)
    queue.enqueue(soon, queue="default")
    recorder.wait_for(lambda ran: soon in ran)
    assert_quick(time.monotonic() - started, 1.0)  # or the late one is due as well
    recorder.wait_for(lambda ran: ran == [first, soon, late])
    assert time.monotonic() - started >= 0.9  # brokers go by another clock


def test_queue_job_enqueued_while_it_runs_runs_again(queue: Any) -> None:
    recorder, (job_id,) = Recorder(), make_ids(1)
    recorder.may_go.clear()
    queue.start(recorder.run, (), places={Queue.DEFAULT: 1})
    queue.enqueue(job_id, queue="default")
    recorder.wait_for(lambda ran: ran == [job_id])
    queue.enqueue(job_id, queue="default")
    recorder.may_go.set()
    recorder.wait_for(lambda ran: ran == [job_id, job_id])


def test_queue_job_that_raises_is_logged_and_others_still_run(
    queue: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, (bad, good) = Recorder(), make_ids(2)

    def run(job_id: str) -> None:
        if job_id == bad:
            raise RuntimeError("no luck")
        recorder.run(job_id)

    with caplog.at_level(logging.ERROR):
        queue.start(run, (), places={Queue.DEFAULT: 1})
        queue.enqueue(bad, queue="default")
        queue.enqueue(good, queue="default")
        recorder.wait_for(lambda ran: ran == [good])
    assert bad in caplog.text
    assert "no luck" in caplog.text


def test_queue_ticks_are_called_at_once_and_again_even_when_one_raises(
    queue: Any, caplog: pytest.LogCaptureFixture
) -> None:
    counted, shared = threading.Semaphore(0), threading.Semaphore(0)

    def fail() -> None:
        raise RuntimeError("no tick")

    rare: list[float] = []
    ticks = [
        Tick(name="count", every_s=0.02, call=counted.release, is_shared=False),
        Tick(name="fail", every_s=0.02, call=fail, is_shared=False),
        Tick(name="share", every_s=0.02, call=shared.release, is_shared=True),
        Tick(name="fail shared", every_s=0.02, call=fail, is_shared=True),
        Tick(name="rare", every_s=60.0, call=lambda: rare.append(1), is_shared=True),
    ]
    with caplog.at_level(logging.ERROR):
        queue.start(lambda _job_id: None, ticks)
        assert all(each.acquire(timeout=PATIENCE_S) for each in (counted, shared) for _ in range(4))
    assert "no tick" in caplog.text
    assert rare == [1]
