"""What the queue of the embedded program promises beyond every TaskQueue."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.backends.queue.in_process import Backend
from api.core.ports import Queue, Tick
from tests.conftest import make_settings
from tests.queues import Recorder, make_ids


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Backend]:
    made = Backend.from_settings(make_settings(tmp_path))
    yield made
    assert made.stop(30.0)


def test_queue_job_asked_for_twice_while_waiting_runs_once_at_the_earlier_time(queue: Backend) -> None:
    recorder, (job_id, last) = Recorder(), make_ids(2)
    queue.enqueue(job_id, queue="default", delay_s=30)
    queue.enqueue(job_id, queue="default")
    queue.enqueue(job_id, queue="default", delay_s=0.05)
    queue.enqueue(last, queue="default", delay_s=0.1)
    queue.start(recorder.run, (), places={Queue.DEFAULT: 1})  # of two that are due, the first one first
    recorder.wait_for(lambda ran: last in ran)
    assert recorder.ran == [job_id, last]


def test_queue_stop_waits_for_running_jobs_and_takes_no_more(queue: Backend) -> None:
    recorder, (running, waiting) = Recorder(), make_ids(2)
    recorder.may_go.clear()
    queue.start(recorder.run, (), places={Queue.DEFAULT: 1})
    queue.enqueue(running, queue="default")
    recorder.wait_for(lambda ran: ran == [running])
    queue.enqueue(waiting, queue="default")
    assert not queue.stop(0.05)
    recorder.may_go.set()
    assert queue.stop(30.0)
    assert recorder.ran == [running]


def test_queue_drained_lets_jobs_and_own_ticks_go_on(queue: Backend) -> None:
    recorder, (running, waiting) = Recorder(), make_ids(2)
    recorder.may_go.clear()
    ticked = threading.Semaphore(0)
    tick = Tick(name="tick", every_s=0.01, call=ticked.release, is_shared=False)
    queue.start(recorder.run, [tick], places={Queue.DEFAULT: 1})
    queue.enqueue(running, queue="default")
    recorder.wait_for(lambda ran: ran == [running])

    queue.drain()
    queue.enqueue(waiting, queue="default")

    while ticked.acquire(blocking=False):
        pass
    assert ticked.acquire(timeout=30)
    recorder.may_go.set()
    assert queue.stop(30.0)
    assert recorder.ran == [running]


def test_queue_full_of_slow_jobs_does_not_hold_up_another(queue: Backend) -> None:
    slow, short = make_ids(6), make_ids(6)
    recorder, may_go = Recorder(), threading.Event()

    def run(job_id: str) -> None:
        recorder.run(job_id)
        if job_id in slow:
            assert may_go.wait(30)

    queue.start(run, ())
    for job_id in slow:
        queue.enqueue(job_id, queue="indexing")
    recorder.wait_for(lambda ran: len(ran) == 2)
    for job_id in short:
        queue.enqueue(job_id, queue="titles")
    recorder.wait_for(lambda ran: set(short) <= set(ran))
    assert len(set(slow) & set(recorder.ran)) == 2
    may_go.set()


def test_queue_of_another_version_is_served_as_the_default(queue: Backend) -> None:
    recorder, ids = Recorder(), make_ids(1)
    queue.start(recorder.run, (), places={Queue.DEFAULT: 1})
    queue.enqueue(ids[0], queue="not known here")
    recorder.wait_for(lambda ran: ran == ids)


def test_queue_that_stops_sets_no_default_of_timeouts_for_the_process(
    queue: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, (job_id,) = Recorder(), make_ids(1)
    queue.start(recorder.run, ())
    queue.enqueue(job_id, queue="default")
    recorder.wait_for(lambda ran: ran == [job_id])
    told: list[float | None] = []
    monkeypatch.setattr(socket, "setdefaulttimeout", told.append)

    assert queue.stop(30.0)

    assert set(told) <= {None}
