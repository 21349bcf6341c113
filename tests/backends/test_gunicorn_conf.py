"""The server's own limits and its refusal of a bad configuration, on gunicorn.conf.py as it is."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.commands import begin
from tests.conftest import make_house, make_settings, stop_house
from tests.live.conftest import PATIENT
from tests.ports import free_port

pytestmark = PATIENT

ROOT = Path(__file__).parents[2]


def start(workdir: Path, port: object) -> "subprocess.Popen[str]":
    """Start the server as gunicorn alone starts it, away from any ``.env``."""
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")]
    env = environment(HOST="127.0.0.1", PORT=str(port))
    return subprocess.Popen(command, cwd=workdir, env=env, stderr=subprocess.PIPE, text=True)


def migrate(workdir: Path) -> Path:
    """Make the database of a directory; return the directory."""
    (workdir / ".data").mkdir()
    stop_house(make_house(make_settings(workdir / ".data")))
    return workdir


def environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **settings}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running server."""
    found = free_port()
    server = start(migrate(tmp_path_factory.mktemp("server")), found)
    deadline = time.monotonic() + 150
    while not is_up(found):
        assert server.poll() is None, server.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield found
    server.terminate()
    _, log = server.communicate(timeout=24)  # nothing is under way, so nothing is waited for: no 25 s
    assert "Warning:" not in log, log


def is_up(port: int) -> bool:
    try:
        return ask(port, "/health", {}) == 200
    except OSError:
        return False


def ask(port: int, path: str, headers: dict[str, str]) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [("/health", "x" * 15_000, 200), ("/", "x" * 100_000, 431), ("/?" + "x" * 9000, "", 414)],
    ids=["usual", "header too large", "line too long"],
)
def test_server_oversized_head_is_answered_with_4xx(port: int, path: str, header: str, status: int) -> None:
    assert ask(port, path, {"X-Test": header}) == status


def test_server_bad_setting_refuses_with_one_sentence(tmp_path: Path) -> None:
    begun = begin(
        "gunicorn.app.wsgiapp:run",
        *("-c", str(ROOT / "gunicorn.conf.py")),
        environment=environment(PORT="many"),
        output=tmp_path / "said",
        folder=tmp_path,
    )

    assert begun.wait(150.0) == 1
    assert begun.said().startswith("PORT: ")
    assert begun.said().count("\n") <= 1
