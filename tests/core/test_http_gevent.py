"""Runs the client's tests once more in a process patched by gevent, as the server is."""

import os
from pathlib import Path

import pytest

from tests.commands import begin

HERE = Path(__file__).parent
WHAT = "cancel or tls or times_out or many_at_once or closed_by or sdk or resolver or floods"
TIMEOUT_S = 190.0  # a busy machine has some of them tried again


@pytest.mark.timeout(TIMEOUT_S + 10)
def test_http_client_under_gevent_keeps_its_promises(tmp_path: Path) -> None:
    suites = [str(HERE / name) for name in ("test_http.py", "model_runtime/test_floods.py")]
    options = ["--noconftest", "-p", "tests.tries", "-p", "no:xdist", "-k", WHAT]
    begun = begin("pytest:console_main", *options, *suites, environment=os.environ, output=tmp_path / "said")
    assert begun.wait(TIMEOUT_S) == 0, begun.said()
