# ruff: noqa: INP001  # a script, no package
"""Tells Docker whether the server, the workers or the schedule of a container live; exits with 0 if so."""

import os
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

WORKERS = 4
CALLED = Path("/tmp/celerybeat-schedule-called")  # noqa: S108  # the one place of a container that can be written to
MAX_PAUSE_S = 120
"""The schedule calls something every ten seconds."""


def serves() -> bool:
    """Tell whether the server answers."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "5001")), timeout=4)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def works() -> bool:
    """Tell whether all workers of this container run; what one that hangs has to do, others take over."""
    running = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            running += b"--queues" in path.read_bytes()
    return running >= WORKERS


def calls() -> bool:
    """Tell whether the schedule goes on."""
    return CALLED.exists() and time.time() - CALLED.stat().st_mtime < MAX_PAUSE_S


CHECKS = {"serve": serves, "worker": works, "beat": calls}

if __name__ == "__main__":
    sys.exit(not CHECKS[sys.argv[1] if sys.argv[1:] else "serve"]())
