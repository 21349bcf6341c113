"""Runs the client's tests once more in a process patched by gevent, as the server is."""

import subprocess
import sys
from pathlib import Path

PATCHED_PYTEST = (
    "from gevent import monkey; monkey.patch_all(); import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
)
WHAT = "cancel or tls or times_out or many_at_once or closed_by or sdk"


def test_http_client_under_gevent_keeps_its_promises() -> None:
    tests = Path(__file__).with_name("test_http.py")
    root = tests.parents[2]
    command = [sys.executable, "-c", PATCHED_PYTEST, "--noconftest", "-p", "no:xdist", "-k", WHAT, str(tests)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
