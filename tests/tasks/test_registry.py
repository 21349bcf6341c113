"""Jobs are rows: run once, put back when they raise, given up in the end."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from api.logs import request_id
from api.models.base import new_id, utc_now
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import jobs
from api.services.jobs import Job, Lease
from api.tasks.registry import TASKS, run_job
from tests.factories import Owner


class Task:
    """A task that counts its runs for a workspace, and fails as often as it is told."""

    def __init__(self, tenant_id: str, failures: int = 0) -> None:
        self.tenant_id = tenant_id
        self.runs: list[Lease] = []
        self.request_ids: list[str] = []
        self.done = threading.Event()
        self.failures = failures

    def __call__(self, _runtime: Runtime, lease: Lease) -> None:
        if lease.tenant_id != self.tenant_id:
            return  # left behind by another test
        self.runs.append(lease)
        self.request_ids.append(request_id.get())
        if len(self.runs) <= self.failures:
            raise RuntimeError("not yet")
        self.done.set()


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, owner: Owner) -> Task:
    """A task in the place of one of ours."""
    made = Task(owner.tenant_id)
    monkeypatch.setitem(TASKS, Job.NAME_CONVERSATION, made)
    return made


def make_job(runtime: Runtime, owner: Owner) -> str:
    """Write a job that no worker is woken for; return its id."""
    row = JobRow(
        id=new_id(),
        tenant_id=owner.tenant_id,
        name=Job.NAME_CONVERSATION.value,
        queue="test",
        payload={"a": 1},
        run_at=utc_now() + timedelta(hours=1),  # out of the reach of the sweep
    )
    with runtime.transaction() as session:
        session.add(row)
    return row.id


def change(runtime: Runtime, job_id: str, **values: object) -> None:
    with runtime.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(**values))


def row_of(runtime: Runtime, job_id: str) -> JobRow | None:
    with runtime.transaction() as session:
        return session.scalars(select(JobRow).where(JobRow.id == job_id)).one_or_none()


def run_now(runtime: Runtime, job_id: str) -> None:
    change(runtime, job_id, run_at=utc_now() - timedelta(seconds=1))
    run_job(runtime, job_id)


def test_job_runs_once_however_often_it_is_delivered(runtime: Runtime, owner: Owner, task: Task) -> None:
    job_id = make_job(runtime, owner)

    for _ in range(3):
        run_now(runtime, job_id)

    assert [lease.payload["a"] for lease in task.runs] == [1]
    assert row_of(runtime, job_id) is None


def test_job_that_is_not_due_waits(runtime: Runtime, owner: Owner, task: Task) -> None:
    job_id = make_job(runtime, owner)

    run_job(runtime, job_id)

    assert task.runs == []
    assert row_of(runtime, job_id) is not None


def test_job_that_raises_is_put_back_and_tried_again(
    runtime: Runtime, owner: Owner, task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    task.failures = 1
    job_id = make_job(runtime, owner)
    before = utc_now()

    run_now(runtime, job_id)
    failed = row_of(runtime, job_id)
    run_now(runtime, job_id)

    assert failed is not None
    assert failed.last_error == "RuntimeError: not yet"
    assert failed.run_at > before + timedelta(seconds=1)
    assert failed.leased_until is None
    assert len(task.runs) == 2
    assert row_of(runtime, job_id) is None
    assert "job failed" in caplog.text


def test_job_that_always_raises_is_given_up_and_kept_for_a_look(
    runtime: Runtime, owner: Owner, task: Task
) -> None:
    task.failures = 100
    job_id = make_job(runtime, owner)

    for _ in range(jobs.MAX_ATTEMPTS + 3):
        run_now(runtime, job_id)

    left = row_of(runtime, job_id)
    assert len(task.runs) == jobs.MAX_ATTEMPTS
    assert left is not None
    assert left.failed_at is not None


def test_job_of_a_dead_worker_is_taken_over_and_the_old_lease_is_void(
    runtime: Runtime, owner: Owner, task: Task
) -> None:
    job_id = make_job(runtime, owner)
    change(runtime, job_id, run_at=utc_now() - timedelta(seconds=1))
    with runtime.transaction() as session:
        stale = jobs.lease_job(session, job_id, 60.0)
        again = jobs.lease_job(session, job_id, 60.0)
    assert stale is not None
    change(runtime, job_id, leased_until=utc_now() - timedelta(seconds=1))
    with runtime.transaction() as session:
        taken = jobs.lease_job(session, job_id, 60.0)
        jobs.finish_job(session, stale)

    assert again is None
    assert taken is not None
    assert row_of(runtime, job_id) is not None


def test_sweep_wakes_workers_for_what_was_missed(runtime: Runtime, owner: Owner, task: Task) -> None:
    job_id = make_job(runtime, owner)
    change(runtime, job_id, run_at=utc_now() - timedelta(days=400))

    jobs.wake_due_jobs(runtime)

    assert task.done.wait(30)


def test_job_works_under_the_id_of_the_request_that_ordered_it(
    runtime: Runtime, owner: Owner, task: Task
) -> None:
    outside = request_id.set("trace-me-3")
    try:
        with runtime.transaction() as session:
            jobs.enqueue_on_commit(
                runtime, session, Job.NAME_CONVERSATION, {"message_id": "-"}, tenant_id=owner.tenant_id
            )
    finally:
        request_id.reset(outside)

    assert task.done.wait(30)
    assert task.request_ids == ["trace-me-3"]
