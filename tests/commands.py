"""The command line, in processes that have read the program's modules already.

To read them takes a started process some seconds. One process for a whole test
run reads them, patched as the command line patches itself; each call is a child
of it, which has the environment, the output and the end of a process of its own.
That the same holds of processes begun from nothing is seen by tests/live.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click
import pytest

ROOT = Path(__file__).parents[1]


class Commands:
    """Runs commands one after another; the process that has read the modules begins with the first."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run a command with these settings and no others; return how it ended and what it said."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.commands"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        environment = {"PATH": "/usr/bin:/bin", "LOG_LEVEL": "ERROR", **settings}
        with tempfile.TemporaryDirectory() as folder:
            said = [Path(folder, name) for name in ("out", "err")]
            asked = {"arguments": arguments, "environment": environment, "said": [str(path) for path in said]}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            out, err = (path.read_text() for path in said)
        return subprocess.CompletedProcess(arguments, code, out, err)

    def end(self) -> None:
        """End the process, where there is one."""
        if self._process is not None:
            self._process.communicate()


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """The command line."""
    made = Commands()
    yield made
    made.end()


def _serve() -> None:
    """Run a command for each line that is asked, in a child, and answer with its exit code."""
    from api import cli  # it patches the process, which is right for this one alone

    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(cli.main, **asked)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  # this is the answer


def _run(main: click.Group, arguments: list[str], environment: dict[str, str], said: list[str]) -> NoReturn:
    """Be the process of one command."""
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate([os.devnull, *said]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    code = 1
    try:
        main(arguments)
    except SystemExit as exc:
        code = int(exc.code or 0)
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
