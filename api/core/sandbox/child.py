"""The process that runs foreign code, one request after the other, with nothing of the server around it.

Started by the sandbox backends, with a socket to the server as standard input.
It says that it is ready, answers requests, and ends when the server is gone,
when nothing came for a while, or when a request took too long. What must stay
true: the limits hold before the first request is read.
"""

import json
import os
import resource
import signal
import socket
import sys
import time
from importlib import import_module

from api.core.sandbox import frames
from api.core.sandbox.engine import Failed, Request, Run

NICENESS = 10
MAX_REQUEST_BYTES = 512 * 1024 * 1024
MAX_OPEN_FILES = 64
MB = 1024 * 1024
READY = b"{}"


def main(kind: str, memory_mb: int, idle_s: int) -> None:
    """Serve requests of one kind: the name of an engine."""
    os.nice(NICENESS)
    run: Run = import_module(f"api.core.sandbox.{kind}_engine").start(memory_mb * MB)
    limit(os.getpid(), memory_mb * MB)
    with socket.socket(fileno=os.dup(0)) as server:
        frames.send(server, READY)
        while request := _next(server, idle_s):
            server.settimeout(None)
            frames.send(server, answer(run, request))


def limit(pid: int, memory_bytes: int) -> None:
    """Bound what a process may take from now on; memory is counted beyond what it has."""
    data_bytes = _data_bytes(pid) + memory_bytes
    for kind, value in (
        (resource.RLIMIT_DATA, data_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(pid, kind, (value, value))


def answer(run: Run, message: bytes) -> bytes:
    """Return the answer to a request: ``{"value": ...}``, or ``{"error": ..., "is_spent": ...}``."""
    try:
        request = Request(**json.loads(message))
        signal.alarm(int(request.timeout_s) + 2)  # for when the server died meanwhile
        return b'{"value":' + run(request).encode() + b"}"
    except Failed as exc:
        failure = exc
    except MemoryError:
        failure = Failed("memory", is_spent=True)
    finally:
        signal.alarm(0)
    return json.dumps({"error": failure.message, "is_spent": failure.is_spent}).encode()


def _next(server: socket.socket, idle_s: int) -> bytes | None:
    """Return the next request; None when it is time to end."""
    try:
        return frames.receive(server, max_bytes=MAX_REQUEST_BYTES, deadline=time.monotonic() + idle_s)
    except TimeoutError:
        return None


def _data_bytes(pid: int) -> int:
    """Return how much writable memory of its own a process has."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:  # noqa: PTH123  # pathlib takes time to load
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
