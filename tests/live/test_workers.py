"""Jobs in scale-out: Celery's own processes, with beat, on either broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from api.models.base import new_id, utc_now
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import jobs
from api.services.jobs import Job
from tests.commands import Started, begin
from tests.conftest import REDIS_URL, SECRET, make_house, make_settings, stop_house
from tests.factories import make_owner
from tests.live.conftest import PATIENT, ROOT
from tests.waiting import assert_quick

pytestmark = PATIENT

LEASE_S = 60.0
GRACEFUL_S = 6
APP = ("--quiet", "--app", "tests.live.slow_worker")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


class Installation:
    """A scaled-out installation: a database, a broker and as many workers as the test starts."""

    def __init__(self, runtime: Runtime, environment: dict[str, str], directory: Path) -> None:
        self.runtime = runtime
        self.marks = directory / "marks"
        self.marks.touch()
        self.processes: list[Started | subprocess.Popen[bytes]] = []
        self._directory = directory
        self._environment = {**environment, "MARKS": str(self.marks)}

    def start(self, *command: str) -> Started:
        process = begin(
            "celery.bin.celery:main",
            *(*APP, *command),
            output=self._log(),
            environment=self._environment,
        )
        self.processes.append(process)
        return process

    def start_from_nothing(self, *command: str) -> "subprocess.Popen[bytes]":
        with self._log().open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", *APP, *command],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def _log(self) -> Path:
        return self._directory / f"log-{len(self.processes)}"

    def worker(self) -> tuple[str, ...]:
        name = f"w{len(self.processes)}@%h"
        return ("worker", "--pool", "gevent", "--concurrency", "2", "--hostname", name, *QUIET)

    def start_beat(self) -> None:
        self.start("beat", "--pidfile=", "--schedule", str(self._directory / "state"))

    def attempts(self) -> list[tuple[int, int]]:
        """Return pid and number of each attempt so far."""
        lines = self.marks.read_text().splitlines()
        return [(int(pid), int(attempt)) for pid, attempt in (line.split() for line in lines)]

    def wait_for(self, is_true: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_true():
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.attempts()}\n{self.said()}")
            time.sleep(0.02)

    def said(self) -> str:
        """Return what the processes have logged."""
        return "\n".join(log.read_text() for log in sorted(self._directory.glob("log-*")))

    def is_done(self, job_id: str) -> bool:
        with self.runtime.transaction() as session:
            return session.scalar(select(JobRow.id).where(JobRow.id == job_id)) is None

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(30)


@pytest.fixture
def installation(request: pytest.FixtureRequest, own_database: str, tmp_path: Path) -> Iterator[Installation]:
    """An installation on the broker the test names: ``redis_url`` or ``rabbitmq_url``."""
    broker_url = request.getfixturevalue(request.param)
    settings = make_settings(
        tmp_path,
        database_url=own_database,
        redis_url=REDIS_URL,
        broker_url=broker_url,
        queue="celery",
        job_lease_s=LEASE_S,
        graceful_timeout_s=GRACEFUL_S,
    )
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    named = {
        "DATA_DIR": tmp_path,
        "DATABASE_URL": own_database,
        "REDIS_URL": REDIS_URL,
        "BROKER_URL": broker_url,
        "SECRET_KEY": SECRET.get_secret_value(),
        "QUEUE": "celery",
        "JOB_LEASE_S": LEASE_S,
        "GRACEFUL_TIMEOUT_S": GRACEFUL_S,
        "LOG_LEVEL": "WARNING",
    }
    app = make_house(settings)
    environment = {**kept, **{name: str(value) for name, value in named.items()}}
    made = Installation(app.extensions["runtime"], environment, tmp_path)
    yield made
    made.end()
    stop_house(app)


def enqueue(installation: Installation) -> None:
    owner = make_owner(installation.runtime)
    with installation.runtime.transaction() as session:
        jobs.enqueue_on_commit(
            installation.runtime, session, Job.NAME_CONVERSATION, {}, tenant_id=owner.tenant_id
        )


def only_job(installation: Installation) -> str:
    with installation.runtime.transaction() as session:
        return session.scalars(select(JobRow.id)).one()


@pytest.mark.parametrize("installation", ["redis_url"], indirect=True)
def test_job_without_wake_up_is_found_by_beat_and_outlives_its_killed_worker(
    installation: Installation, tmp_path: Path
) -> None:
    owner = make_owner(installation.runtime)
    job_id = new_id()
    with installation.runtime.transaction() as session:
        session.add(
            JobRow(
                id=job_id,
                tenant_id=owner.tenant_id,
                name=Job.NAME_CONVERSATION.value,
                queue="default",
                payload={},
                run_at=utc_now(),
            )
        )
    for _ in range(2):
        installation.start(*installation.worker())
    installation.start_beat()
    installation.wait_for(lambda: len(installation.attempts()) == 1)
    assert (tmp_path / "state-called").exists()

    killed = installation.attempts()[0][0]
    os.kill(killed, signal.SIGKILL)
    for _ in range(3):  # wake-ups that come early or twice do no harm
        installation.runtime.queue.enqueue(job_id, queue="default")
    with installation.runtime.transaction() as session:  # as if its lease had run out
        past = utc_now() - timedelta(seconds=1)
        session.execute(update(JobRow).where(JobRow.id == job_id).values(leased_until=past))
    jobs.wake_due_jobs(installation.runtime)  # as beat will have it done in some seconds

    installation.wait_for(lambda: installation.is_done(job_id))
    assert [attempt for _, attempt in installation.attempts()] == [1, 2]
    assert installation.attempts()[1][0] != killed


@pytest.mark.parametrize("installation", ["rabbitmq_url"], indirect=True)
def test_job_of_a_stopped_worker_goes_on_elsewhere_at_once(installation: Installation) -> None:
    stopped = installation.start(*installation.worker())
    enqueue(installation)
    installation.wait_for(lambda: len(installation.attempts()) == 1)
    idle = installation.start_from_nothing(*installation.worker())
    job_id = only_job(installation)

    asked = time.monotonic()
    stopped.terminate()

    assert stopped.wait(60) == 0
    assert_quick(
        time.monotonic() - asked, GRACEFUL_S + 6.0
    )  # its process takes seconds to end on a busy machine
    installation.wait_for(lambda: installation.is_done(job_id))
    assert installation.attempts() == [(stopped.pid, 1), (idle.pid, 2)]

    idle.terminate()

    assert idle.wait(60) == 0
    assert '"level":"error"' not in installation.said()
