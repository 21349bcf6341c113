"""GET /metrics of one gunicorn with several processes, and workers beside it: one scrape tells of all."""

import http.client
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import REDIS_URL
from tests.live.conftest import PATIENT, ROOT, Serve, Served
from tests.live.test_streams import SECRET
from tests.waiting import wait_until

pytestmark = PATIENT

HEALTH = 'slipway_http_requests_total{method="GET",route="/health",status="200"}'
CALLS = 60
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def read(served: Served, path: str = "/metrics") -> str:
    """Return what one process answers on a connection of its own: any of them may take it."""
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)) as connection:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().read().decode()


def figure(served: Served, name: str) -> float:
    """Return one figure."""
    told = dict(line.rsplit(" ", 1) for line in read(served).splitlines() if not line.startswith("#"))
    return float(told.get(name, 0))


def workers_of(served: Served) -> list[int]:
    """Return the processes that serve."""
    pid = served.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


@pytest.fixture
def settings(own_database: str, tmp_path: Path) -> dict[str, object]:
    """What two serving processes and their workers need; all are told on one disk."""
    return {
        "DATABASE_URL": own_database,
        "REDIS_URL": REDIS_URL,
        "SECRET_KEY": SECRET,
        "QUEUE": "celery",
        "WORKERS": 2,
        "LOG_LEVEL": "ERROR",
        "DATA_DIR": tmp_path / "data",
    }


def test_every_scrape_tells_of_all_processes_and_no_counter_falls(
    serve: Serve, settings: dict[str, object], tmp_path: Path
) -> None:
    served = serve(data_dir=tmp_path / "data", **settings)
    environment = {"PATH": os.environ["PATH"], **{name: str(value) for name, value in settings.items()}}
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "api.worker", "worker", "--pool", "gevent"]
    worker = subprocess.Popen([*command, *QUIET], cwd=ROOT, env=environment)
    try:
        wait_until(lambda: figure(served, "slipway_processes") == 3, 60.0)
        before = figure(served, HEALTH)
        for _ in range(CALLS):
            read(served, "/health")
        wait_until(lambda: figure(served, HEALTH) == before + CALLS)
        seen = [figure(served, HEALTH) for _ in range(20)]
        assert seen == [before + CALLS] * 20

        os.kill(workers_of(served)[0], signal.SIGKILL)
        after = [figure(served, HEALTH) for _ in range(20)]
        assert after == sorted(after)
        assert after[0] == before + CALLS  # what the killed one did still counts
    finally:
        worker.kill()
        worker.wait(30)
