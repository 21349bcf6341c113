"""Starts what is measured as processes of its own on free ports of loopback, and stops it again."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import measure

ROOT = Path(__file__).resolve().parents[2]
GUNICORN = str(Path(sys.executable).with_name("gunicorn"))
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
RUN_TIMEOUT_S = 300.0
POLL_S = 0.01
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class NotStarted(Exception):
    """A process that should serve does not."""


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves, and how long it took from its start to the first 200."""

    port: int
    pid: int
    start_s: float

    @property
    def pids(self) -> tuple[int, ...]:
        """The process with all its children."""
        return measure.tree(self.pid)


@contextmanager
def serving(
    command: Sequence[str], port: int, path: str, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a command until the block ends; it answers ``path`` with 200 when the block begins.

    The command sees only ``env`` and what every program needs. Raises NotStarted
    with the end of its log.
    """
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(env or {}), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_for_200(process, port, path, log)
            yield Server(port, process.pid, time.perf_counter() - started)
        except Exception:
            if process.poll() is not None:
                raise NotStarted(_obituary(process, log)) from None
            raise
        finally:
            _stop(process)


def run(command: Sequence[str], env: Mapping[str, str], timeout_s: float = RUN_TIMEOUT_S) -> str:
    """Run a command to its end and return what it printed; raises NotStarted with what went wrong."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        raise NotStarted(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this repository."""
    return [sys.executable, "-m", module, *arguments]


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return what a program is given: settings of whoever runs the bench must not reach it."""
    return {**{name: os.environ[name] for name in INHERITED if name in os.environ}, **env}


def _wait_for_200(process: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _answers_200(port, path):
            return
        time.sleep(POLL_S)
    raise NotStarted(_obituary(process, log))


def _obituary(process: "subprocess.Popen[bytes]", log: Path) -> str:
    return f"{process.args!r} does not serve ({process.poll()}):\n{log.read_text(errors='replace')[-4000:]}"


def _answers_200(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        for pid in reversed(measure.tree(process.pid)):
            os.kill(pid, 9)
        process.wait(STOP_TIMEOUT_S)
