"""The command line and what it starts, in processes that have read the program's modules already.

To read them takes a started process two seconds. One process for a whole test
run reads them, patched as the command line patches itself; each command is a
child of it, which has the environment, the output and the end of a process of
its own. That the same holds of processes begun from nothing is seen by
tests/docker, tests/backends/test_gunicorn_conf.py and tests/live/test_workers.py.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import gevent.monkey
import gevent.os
import pytest

from api.core.text.tokens import count_tokens

ROOT = Path(__file__).parents[1]
POLL_S = 0.02
TIMEOUT_S = 90.0
PROGRAM = "api.cli:main"
LATER = (
    "api.app_factory",
    "api.commands",
    "api.greeting",
    "api.preparation",
    "api.backends.cache.memory",
    "api.backends.cache.redis",
    "api.backends.channel.redis",
    "api.backends.keywords.postgres",
    "api.backends.keywords.sqlite",
    "api.backends.migrations",
    "api.backends.queue.celery",
    "api.backends.queue.in_process",
    "api.backends.sandbox.monty",
    "api.backends.storage.local",
    "api.backends.vectors.local",
    "api.core.model_runtime.local_embedding",
    "api.server",
    "celery.bin.celery",
    "gunicorn.glogging",
    "gunicorn.workers.ggevent",
    "psycopg",
    "tests.waiting",
)
"""What is read by what is started, and not by the command line itself."""


class Started:
    """A process that goes on beside the test; as ``subprocess.Popen``, with its output in a file."""

    def __init__(self, parent: "Parent", pid: int, output: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._parent = parent
        self.output = output

    def poll(self) -> int | None:
        """Return the exit code of a process that has ended."""
        if self.returncode is None:
            self.returncode = self._parent.ask({"ended": self.pid})
        return self.returncode

    def wait(self, timeout_s: float) -> int:
        """Return the exit code; raises TimeoutExpired when the process has not ended in time."""
        deadline = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(PROGRAM, timeout_s)
            time.sleep(POLL_S)
        return code

    def send_signal(self, sent: signal.Signals) -> None:
        """Send a signal, but to none that is known to have ended."""
        if self.poll() is None:
            os.kill(self.pid, sent)

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def said(self) -> str:
        """Return what it has said so far."""
        return self.output.read_text(encoding="utf-8")


class Parent:
    """The process that has read the modules; it begins with the first question."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, asked: Mapping[str, object]) -> Any:
        """Return what it answers."""
        with self._lock:
            if self._process is None:
                command = [sys.executable, "-m", "tests.commands"]
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """End the process, where there is one."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


PARENT = Parent()


def begin(
    main: str,
    *arguments: str,
    environment: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    folder: Path = ROOT,
) -> Started:
    """Start a process that calls ``module:function`` with a command line, and has just this environment."""
    asked = {
        "folder": str(folder),
        "main": main,
        "arguments": arguments,
        "environment": dict(environment),
        "said": [str(output), str(errors or output)],
    }
    return Started(PARENT, PARENT.ask(asked), output)


class Commands:
    """The command line."""

    def run(
        self, *arguments: str, folder: str = str(ROOT), **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command with these settings and no others; return how it ended and what it said."""
        environment = {"PATH": "/usr/bin:/bin", "LOG_LEVEL": "ERROR", **settings}
        with tempfile.TemporaryDirectory() as own:
            out, err = (Path(own, name) for name in ("out", "err"))
            begun = begin(
                PROGRAM,
                *arguments,
                environment=environment,
                output=out,
                errors=err,
                folder=Path(folder),
            )
            code = begun.wait(TIMEOUT_S)
            return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


@pytest.fixture(scope="session")
def commands() -> Commands:
    """The command line."""
    return Commands()


def pytest_sessionfinish() -> None:
    """End the process that has read the modules."""
    PARENT.end()


def _serve() -> None:
    """Start a process for each line that asks for one, and tell of those that were started."""
    from api import cli  # noqa: F401 - it patches the process, which is right for this one alone

    for name in LATER:
        importlib.import_module(name)
    count_tokens("")  # its table takes half a second
    gc.collect()
    gc.freeze()  # what is shared with all that follows, none of which need look through it
    waitpid = gevent.monkey.get_original("os", "waitpid")
    running: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        if pid := asked.get("ended"):
            ended, status = waitpid(pid, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
            running -= {ended}
        elif answer := gevent.os.fork_gevent():
            running.add(answer)
        else:
            _run(**asked)
        print(json.dumps(answer), flush=True)  # noqa: T201  # this is the answer
    for pid in running:
        os.kill(pid, signal.SIGTERM)


def _run(
    main: str, arguments: list[str], folder: str, environment: dict[str, str], said: list[str]
) -> NoReturn:
    """Be the process that was asked for."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate([os.devnull, *said]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv[:] = [main, *arguments]
    code = 1
    try:
        module, _, function = main.partition(":")
        sys.exit(getattr(importlib.import_module(module), function)())
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        if isinstance(exc.code, str):
            sys.stderr.write(f"{exc.code}\n")
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
