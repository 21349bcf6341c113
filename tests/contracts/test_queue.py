"""What every TaskQueue promises, and how its workers behave."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts import discovery


@pytest.fixture(params=discovery.names("queue"))
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = discovery.make_backend("queue", request.param, request, tmp_path)
    yield made
    assert made.stop(5.0)


class Worker:
    """Records what it is asked to run, and can be made to wait."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self._changed = threading.Condition()

    def run(self, job_id: str) -> None:
        with self._changed:
            self.ran.append(job_id)
            self._changed.notify_all()
        assert self.may_go.wait(10)

    def wait_for(self, is_true: Callable[[list[str]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: is_true(self.ran), 5), self.ran


def make_ids(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def test_queue_jobs_enqueued_before_and_after_start_all_run(queue: Any) -> None:
    worker, ids = Worker(), make_ids(40)
    for job_id in ids[:20]:
        queue.enqueue(job_id, queue="default")
    queue.start(worker.run, ())
    for job_id in ids[20:]:
        queue.enqueue(job_id, queue="default")
    worker.wait_for(lambda ran: sorted(ran) == sorted(ids))


def test_queue_jobs_run_side_by_side_up_to_concurrency(queue: Any) -> None:
    worker, ids = Worker(), make_ids(5)
    worker.may_go.clear()
    queue.start(worker.run, (), concurrency=3)
    for job_id in ids:
        queue.enqueue(job_id, queue="default")
    worker.wait_for(lambda ran: len(ran) == 3)
    time.sleep(0.05)
    assert len(worker.ran) == 3
    worker.may_go.set()
    worker.wait_for(lambda ran: sorted(ran) == sorted(ids))


def test_queue_delayed_job_runs_after_its_delay_and_after_those_due_now(queue: Any) -> None:
    worker, (late, soon) = Worker(), make_ids(2)
    queue.start(worker.run, ())
    started = time.monotonic()
    queue.enqueue(late, queue="default", delay_s=0.15)
    queue.enqueue(soon, queue="default")
    worker.wait_for(lambda ran: ran == [soon, late])
    assert time.monotonic() - started >= 0.15


def test_queue_job_asked_for_twice_while_waiting_runs_once_at_the_earlier_time(queue: Any) -> None:
    worker, (job_id, last) = Worker(), make_ids(2)
    queue.enqueue(job_id, queue="default", delay_s=30)
    queue.enqueue(job_id, queue="default")
    queue.enqueue(job_id, queue="default", delay_s=0.05)
    queue.enqueue(last, queue="default", delay_s=0.1)
    queue.start(worker.run, ())
    worker.wait_for(lambda ran: last in ran)
    assert worker.ran == [job_id, last]


def test_queue_job_enqueued_while_it_runs_runs_again(queue: Any) -> None:
    worker, (job_id,) = Worker(), make_ids(1)
    worker.may_go.clear()
    queue.start(worker.run, (), concurrency=1)
    queue.enqueue(job_id, queue="default")
    worker.wait_for(lambda ran: ran == [job_id])
    queue.enqueue(job_id, queue="default")
    worker.may_go.set()
    worker.wait_for(lambda ran: ran == [job_id, job_id])


def test_queue_job_that_raises_is_logged_and_others_still_run(
    queue: Any, caplog: pytest.LogCaptureFixture
) -> None:
    worker, (bad, good) = Worker(), make_ids(2)

    def run(job_id: str) -> None:
        if job_id == bad:
            raise RuntimeError("no luck")
        worker.run(job_id)

    with caplog.at_level(logging.ERROR):
        queue.start(run, (), concurrency=1)
        queue.enqueue(bad, queue="default")
        queue.enqueue(good, queue="default")
        worker.wait_for(lambda ran: ran == [good])
    assert bad in caplog.text
    assert "no luck" in caplog.text


def test_queue_ticks_are_called_at_once_and_again_even_when_one_raises(
    queue: Any, caplog: pytest.LogCaptureFixture
) -> None:
    counted = threading.Semaphore(0)

    def fail() -> None:
        raise RuntimeError("no tick")

    rare: list[float] = []
    with caplog.at_level(logging.ERROR):
        ticks = ((0.02, counted.release), (0.02, fail), (60.0, lambda: rare.append(1)))
        queue.start(lambda _job_id: None, ticks)
        assert all(counted.acquire(timeout=5) for _ in range(4))
    assert "no tick" in caplog.text
    assert rare == [1]


def test_queue_stop_waits_for_running_jobs_and_takes_no_more(queue: Any) -> None:
    worker, (running, waiting) = Worker(), make_ids(2)
    worker.may_go.clear()
    queue.start(worker.run, (), concurrency=1)
    queue.enqueue(running, queue="default")
    worker.wait_for(lambda ran: ran == [running])
    queue.enqueue(waiting, queue="default")
    assert not queue.stop(0.05)
    worker.may_go.set()
    assert queue.stop(5.0)
    assert worker.ran == [running]
