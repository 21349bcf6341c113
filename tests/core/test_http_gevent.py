"""Runs the client's tests once more in a process patched by gevent, as the server is."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATCHED_PYTEST = (
    "from gevent import monkey; monkey.patch_all(); import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
)
CLIENT = "cancel or tls or times_out or many_at_once or closed_by or sdk or resolver"


@pytest.mark.parametrize(
    ("suite", "what"), [("test_http.py", CLIENT), ("model_runtime/test_floods.py", "floods")]
)
def test_http_client_under_gevent_keeps_its_promises(suite: str, what: str) -> None:
    root = HERE.parents[1]
    options = ["--noconftest", "-p", "no:xdist", "-k", what]
    command = [sys.executable, "-c", PATCHED_PYTEST, *options, str(HERE / suite)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
