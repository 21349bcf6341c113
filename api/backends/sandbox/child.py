"""One process that runs foreign code, seen from the server: started, asked, ended.

It gets a fixed environment without our secrets and a process group of its own;
its other end is api/core/sandbox/child.py. Waiting is cooperative: gevent
patches ``socket`` and ``subprocess``.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import orjson

import api
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.sandbox import child as program
from api.core.sandbox import frames
from api.errors import Unavailable

ROOT = Path(api.__file__).resolve().parents[1]
START_S = 30.0
ENDING_S = 1.0
"""How long a process that says no more may take to end by itself."""
MIN_WAIT_S = 0.001
"""A socket that may wait 0 s is one that never waits, which is something else."""
MAX_ANSWER_MB = 64
MB = 1024 * 1024
STOPPED = "The code was stopped."
NO_ANSWER = "The code made its process give an answer that is none."
NOT_STARTED = "Code cannot be run now: its process does not start."
OUT_OF_MEMORY = frozenset({-signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL})
"""How V8 and Rust end where they get no memory."""


def environment(root: Path) -> dict[str, str]:
    """Return all that a process has as its environment; ``root`` is where it finds this program."""
    return {"PYTHONPATH": str(root), "PYTHONUTF8": "1"}


def arguments(kind: str, memory_mb: int, idle_s: int) -> list[str]:
    """Return what a Python is started with to serve as an engine."""
    return ["-P", "-s", "-m", program.__name__, kind, str(memory_mb), str(idle_s)]


class Child:
    """A process that is ready for requests. Ends when it is told to, or by itself when it was idle long."""

    def __init__(
        self, kind: str, memory_mb: int, process: subprocess.Popen[bytes], peer: socket.socket
    ) -> None:
        self.kind = kind
        self.runs = 0
        self.idle_since = time.monotonic()
        self.is_usable = True
        self._memory_mb = memory_mb
        self._process = process
        self._peer = peer

    @classmethod
    def start(
        cls,
        kind: str,
        memory_mb: int,
        argv: Sequence[str],
        cancel: Cancel,
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> "Child":
        """Return a child once it is ready. Raises Unavailable, and CodeFailed when cancelled."""
        ours, theirs = socket.socketpair()
        # Under gevent, or where Celery set a default of timeouts, it is one that never waits.
        os.set_blocking(theirs.fileno(), True)
        try:
            with theirs:
                process = subprocess.Popen(  # noqa: S603  # our own interpreter with arguments of ours
                    argv,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=env,
                    start_new_session=True,
                    pass_fds=pass_fds,
                )
        except OSError as exc:
            ours.close()
            raise Unavailable(NOT_STARTED) from exc
        child = cls(kind, memory_mb, process, ours)
        child._await(cancel)
        return child

    def _await(self, cancel: Cancel) -> None:
        """Wait until the process says that it is ready."""
        try:
            is_ready = self._receive(START_S, cancel) is not None
        except (TimeoutError, frames.TooLong):
            is_ready = False
        if not is_ready:
            self.end()
            raise CodeFailed(STOPPED) if cancel.is_set() else Unavailable(NOT_STARTED)

    def ask(self, source: str, inputs: JSONObject, timeout_s: float, cancel: Cancel) -> JSONValue:
        """Return what a source gives for its inputs. Raises CodeFailed; after a limit it is not usable."""
        self.runs += 1
        message = to_bytes({"source": source, "inputs": inputs, "timeout_s": timeout_s})
        limit_s = max(min(timeout_s, cancel.remaining_s()), MIN_WAIT_S)
        self.is_usable = False  # until it has answered
        try:
            answer = self._receive(limit_s, cancel, message)
        except TimeoutError as exc:
            raise CodeFailed(took_too_long(timeout_s)) from exc
        except frames.TooLong as exc:
            raise CodeFailed(gave_too_much()) from exc
        if answer is None:
            raise CodeFailed(STOPPED) if cancel.is_set() else self._death()
        return self._read(answer)

    def end(self) -> None:
        """Kill the process with all it started, and forget it."""
        self.kill()
        self._process.wait()
        self._peer.close()

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer is woken."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _receive(self, limit_s: float, cancel: Cancel, message: bytes | None = None) -> bytes | None:
        """Send a message if there is one; return the next that comes, or None if the process ended."""
        deadline = time.monotonic() + limit_s
        forget = cancel.on_cancel(self.kill)
        try:
            if message is not None:
                self._peer.settimeout(limit_s)
                frames.send(self._peer, message)
            return frames.receive(self._peer, max_bytes=MAX_ANSWER_MB * MB, deadline=deadline)
        except TimeoutError:
            raise
        except OSError:
            return None
        finally:
            forget()

    def _read(self, answer: bytes) -> JSONValue:
        """Return the value of an answer. Raises CodeFailed, also for one that is none."""
        try:
            told = orjson.loads(answer)
        except orjson.JSONDecodeError as exc:
            raise CodeFailed(f"The result is not JSON: {exc}.") from exc
        match told:
            case {"error": str(error)}:
                self.is_usable = not told.get("is_spent")
                raise CodeFailed(LIMITS[error](self._memory_mb) if error in LIMITS else error)
            case {"value": value}:
                self.is_usable = True
                result: JSONValue = value
                return result
        raise CodeFailed(NO_ANSWER)

    def _death(self) -> CodeFailed:
        """Return how the process ended; one that only fell silent is ended."""
        try:
            exit_code = self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self.kill()
            exit_code = self._process.wait()
        if exit_code in OUT_OF_MEMORY:
            return CodeFailed(took_too_much_memory(self._memory_mb))
        return CodeFailed(f"The code made its process end ({_name(exit_code)}).")


def to_bytes(value: JSONValue) -> bytes:
    """Return what is sent to run code. Raises CodeFailed for what no process could read."""
    try:
        return orjson.dumps(value)
    except TypeError as exc:  # half a character, an integer of over 64 bits, great depth
        raise CodeFailed(f"The code or its variables cannot be written as JSON: {exc}.") from exc


def took_too_long(timeout_s: float) -> str:
    """Return what is said of code over its time."""
    return f"The code took more than {timeout_s:g} s, the limit of time."


def took_too_much_memory(memory_mb: int) -> str:
    """Return what is said of code over its memory."""
    return f"The code took more than {memory_mb} MB, the limit of memory."


def gave_too_much() -> str:
    """Return what is said of code whose result is too large."""
    return f"The code gave more than {MAX_ANSWER_MB} MB, the limit of output."


def to_object(value: JSONValue) -> JSONObject:
    """Return what ``main`` gave. Raises CodeFailed where that is not an object."""
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a text", type(None): "nothing"}.get(type(value), f"{value!r}")
        raise CodeFailed(f"main must return an object (a dict); it returned {kind}.")
    return value


LIMITS: dict[str, Callable[[int], str]] = {"memory": took_too_much_memory}
"""Limits that the process itself meets, by the word it has for them."""


def _name(exit_code: int) -> str:
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
