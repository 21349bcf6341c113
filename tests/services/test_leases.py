"""A lease lives as long as its worker, and one that was lost writes nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from api.core.ports import Tick
from api.models.base import new_id, utc_now
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import jobs, leases
from api.services.jobs import Job, Lease, LeaseLost, Postpone
from api.tasks.registry import GIVE_UPS, TASKS, run_job
from tests.conftest import BOTH
from tests.factories import Owner
from tests.waiting import wait_until

pytestmark = BOTH


PutInPlace = Callable[[Callable[[Runtime, Lease], None]], None]


class RecordingQueue:
    """Wakes nobody, and remembers whom it should have."""

    def __init__(self) -> None:
        self.woken: list[tuple[str, float]] = []

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None:
        assert queue == "default"
        self.woken.append((job_id, delay_s))

    def start(self, run: Callable[[str], None], ticks: list[Tick]) -> None: ...

    def drain(self) -> None: ...

    def stop(self, timeout_s: float) -> bool:
        return True


@pytest.fixture
def queue() -> RecordingQueue:
    """A queue that runs no jobs, so that only the test does."""
    return RecordingQueue()


@pytest.fixture
def runtime(house: Flask, queue: RecordingQueue) -> Runtime:
    """The backends of the program; what its worker does meanwhile for other tests is none of its jobs."""
    made: Runtime = house.extensions["runtime"]
    return replace(made, queue=queue, live_jobs={})  # type: ignore[arg-type]  # only ever asked to wake


@pytest.fixture
def put_in_place(monkeypatch: pytest.MonkeyPatch, owner: Owner) -> PutInPlace:
    """Put a task in the place of one of ours, for the jobs of the workspace: others may be left behind."""

    def put(task: Callable[[Runtime, Lease], None]) -> None:
        def run(runtime: Runtime, lease: Lease) -> None:
            if lease.tenant_id == owner.tenant_id:
                task(runtime, lease)

        monkeypatch.setitem(TASKS, Job.NAME_CONVERSATION, run)

    return put


@pytest.fixture
def given_up(monkeypatch: pytest.MonkeyPatch, owner: Owner) -> list[Exception]:
    """What those of the workspace that are given up are told."""
    told: list[Exception] = []

    def note(_runtime: Runtime, lease: Lease, error: Exception) -> None:
        if lease.tenant_id == owner.tenant_id:
            told.append(error)

    monkeypatch.setitem(GIVE_UPS, Job.NAME_CONVERSATION, note)
    return told


@pytest.fixture
def job_id(runtime: Runtime, owner: Owner, queue: RecordingQueue) -> str:
    """A job that is due."""
    with runtime.transaction() as session:
        jobs.enqueue_on_commit(runtime, session, Job.NAME_CONVERSATION, {}, tenant_id=owner.tenant_id)
    made = queue.woken.pop()[0]
    assert not queue.woken
    return made


def lease(runtime: Runtime, job_id: str, length_s: float = 60.0) -> Lease:
    with runtime.transaction() as session:
        taken = jobs.lease_job(session, job_id, length_s)
    assert taken is not None
    return taken


def row_of(runtime: Runtime, job_id: str) -> JobRow | None:
    with runtime.transaction() as session:
        return session.scalars(select(JobRow).where(JobRow.id == job_id)).one_or_none()


def leased_until(runtime: Runtime, job_id: str) -> datetime:
    row = row_of(runtime, job_id)
    assert row is not None
    assert row.leased_until is not None
    return row.leased_until


def expire(runtime: Runtime, job_id: str) -> None:
    with runtime.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(update(JobRow).where(JobRow.id == job_id).values(leased_until=past))


def test_lease_is_extended_while_its_job_runs(runtime: Runtime, job_id: str) -> None:
    mine = lease(runtime, job_id, length_s=0.3)
    first = leased_until(runtime, job_id)

    with leases.keep_lease(runtime, mine):
        assert list(runtime.live_jobs) == [(job_id, 1)]
        wait_until(lambda: leased_until(runtime, job_id) > first)

    assert not mine.cancel.is_set()
    assert runtime.live_jobs == {}


def test_worker_that_lost_its_lease_is_told_and_cannot_write(runtime: Runtime, job_id: str) -> None:
    stale = lease(runtime, job_id, length_s=0.3)
    expire(runtime, job_id)
    mine = lease(runtime, job_id)

    with leases.keep_lease(runtime, stale):
        wait_until(stale.cancel.is_set)
    with pytest.raises(LeaseLost), runtime.transaction() as session:
        jobs.check_lease(session, stale)
    with pytest.raises(LeaseLost):
        stale.check()
    with runtime.transaction() as session:
        jobs.finish_job(session, stale)
        jobs.fail_job(session, stale, "too late")
        jobs.postpone_job(runtime, session, stale, Postpone(5.0, "too late"))

    left = row_of(runtime, job_id)
    assert left is not None
    assert (left.attempt, left.last_error) == (mine.attempt, None)
    assert left.leased_until is not None


def test_lease_that_ran_out_but_was_not_taken_can_be_extended(runtime: Runtime, job_id: str) -> None:
    mine = lease(runtime, job_id)
    expire(runtime, job_id)

    with runtime.transaction() as session:
        jobs.check_lease(session, mine)

    assert leased_until(runtime, job_id) > utc_now()


def test_job_that_postpones_itself_runs_later_without_having_failed(
    runtime: Runtime, job_id: str, queue: RecordingQueue, put_in_place: PutInPlace
) -> None:
    def postpone(_runtime: Runtime, _lease: Lease) -> None:
        raise Postpone(30.0, "The store is away.")

    put_in_place(postpone)
    run_job(runtime, job_id)

    left = row_of(runtime, job_id)
    assert left is not None
    assert (left.failures, left.leased_until, left.last_error) == (0, None, "The store is away.")
    assert left.run_at > utc_now() + timedelta(seconds=20)
    assert queue.woken == [(job_id, 30.0)]


def test_shutdown_has_a_willing_job_go_on_elsewhere(
    runtime: Runtime, job_id: str, queue: RecordingQueue, put_in_place: PutInPlace
) -> None:
    def work(_runtime: Runtime, lease: Lease) -> None:
        closed = threading.Event()
        lease.cancel.on_cancel(closed.set)
        assert closed.wait(30)
        raise ConnectionError("closed under my hands")

    put_in_place(work)
    worker = threading.Thread(target=run_job, args=(runtime, job_id))
    worker.start()
    wait_until(lambda: bool(runtime.live_jobs))
    leases.end_jobs(runtime)
    worker.join(30)

    left = row_of(runtime, job_id)
    assert left is not None
    assert (left.failures, left.leased_until) == (0, None)
    assert queue.woken == [(job_id, 0.0)]


def test_shutdown_gives_an_unwilling_job_back_and_fences_it_off(
    runtime: Runtime, job_id: str, queue: RecordingQueue
) -> None:
    stubborn = lease(runtime, job_id)
    with leases.keep_lease(runtime, stubborn):
        leases.give_back(runtime)
        with pytest.raises(LeaseLost), runtime.transaction() as session:
            jobs.check_lease(session, stubborn)

    assert queue.woken == [(job_id, 0.0)]
    assert lease(runtime, job_id).failures == 0


def test_job_whose_workers_keep_dying_is_given_up_and_told(
    runtime: Runtime, job_id: str, put_in_place: PutInPlace, given_up: list[Exception]
) -> None:
    put_in_place(lambda *_: pytest.fail("must not run again"))
    for _ in range(jobs.MAX_ATTEMPTS):
        lease(runtime, job_id)
        expire(runtime, job_id)

    run_job(runtime, job_id)

    left = row_of(runtime, job_id)
    assert left is not None
    assert left.failed_at is not None
    assert [type(error).__name__ for error in given_up] == ["WorkerLost"]


def test_job_that_fails_for_good_is_told_once(
    runtime: Runtime,
    job_id: str,
    put_in_place: PutInPlace,
    given_up: list[Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_runtime: Runtime, _lease: Lease) -> None:
        raise RuntimeError("no luck")

    put_in_place(fail)
    for _ in range(jobs.MAX_ATTEMPTS + 2):
        with runtime.transaction() as session:
            past = utc_now() - timedelta(seconds=1)
            session.execute(update(JobRow).where(JobRow.id == job_id).values(run_at=past))
        run_job(runtime, job_id)

    assert list(map(str, given_up)) == ["no luck"]
    failures = [line.__dict__["job_id"] for line in caplog.records if line.message == "job failed"]
    assert failures.count(job_id) == jobs.MAX_ATTEMPTS


def test_unknown_job_cannot_be_leased(runtime: Runtime) -> None:
    with runtime.transaction() as session:
        assert jobs.lease_job(session, new_id(), 60.0) is None
