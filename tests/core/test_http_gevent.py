"""Runs the client's tests once more in a process patched by gevent, as the server is."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PATCHED_PYTEST = (
    "from gevent import monkey; monkey.patch_all(); import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
)
WHAT = "cancel or tls or times_out or many_at_once or closed_by or sdk or resolver or floods"


def test_http_client_under_gevent_keeps_its_promises() -> None:
    suites = [str(HERE / name) for name in ("test_http.py", "model_runtime/test_floods.py")]
    options = ["--noconftest", "-p", "tests.tries", "-p", "no:xdist", "-k", WHAT]
    command = [sys.executable, "-c", PATCHED_PYTEST, *options, *suites]
    done = subprocess.run(
        command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
