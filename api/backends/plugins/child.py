"""One process of a plugin, seen from the server: started, asked, ended.

Lines of JSON travel over its standard input and output, which are one socket.
What must stay true: of what comes from there nothing is believed, and no more
is read than a call may give.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson

from api.backends.sandbox import seccomp
from api.core.http import Cancelled
from api.core.parallel import give_way
from api.core.plugins import child as program
from api.core.plugins.runner import PluginCode, PluginFailed
from api.core.ports import Cancel, JSONObject
from api.errors import Unavailable

READ_BYTES = 64 * 1024
STOP_GRACE_S = 0.15
"""How long a process that is told to stop may take, of the 300 ms that a stop may."""
MIN_WAIT_S = 0.001
"""A socket that may wait 0 s is one that never waits, which is something else."""
MAX_SAID_CHARS = 1000
PYTHON = ["-I", "-S", "-B", "-X", "utf8"]
"""Apart from the environment, without site packages, writing no caches, in UTF-8."""


class Child:
    """A process of a plugin. After a call that did not end as it should it is not usable."""

    def __init__(
        self, code: PluginCode, process: subprocess.Popen[bytes], peer: socket.socket, own: Path
    ) -> None:
        self.code = code
        self.idle_since = time.monotonic()
        self.is_usable = True
        self._process = process
        self._peer = peer
        self._own = own

    @classmethod
    def start(cls, code: PluginCode, directory: Path, memory_mb: int, isolation: str) -> "Child":
        """Return a process of the plugin in a directory. Raises Unavailable where none can be started."""
        ours, theirs = socket.socketpair()
        own = Path(tempfile.mkdtemp(prefix="slipway-plugin-"))
        os.set_blocking(theirs.fileno(), True)  # under gevent it is one that never waits
        calls = seccomp.no_processes(may_reach_out=False).hex() if seccomp.knows_machine() else ""
        argv = [program.__file__, str(directory), code.entrypoint, str(memory_mb), calls, isolation]
        try:
            with theirs:
                process = subprocess.Popen(  # noqa: S603  # our own interpreter and program
                    [sys.executable, *PYTHON, *argv],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    cwd=own,
                    env={"HOME": str(own), "TMPDIR": str(own), "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
                    start_new_session=True,
                )
        except OSError as exc:
            ours.close()
            shutil.rmtree(own, ignore_errors=True)
            raise Unavailable("Plugins cannot be started now: no room for another process.") from exc
        return cls(code, process, ours, own)

    def is_alive(self) -> bool:
        """Tell whether the process has not ended by itself."""
        return self._process.poll() is None

    def ask(self, request: JSONObject, *, max_bytes: int, cancel: Cancel) -> Iterator[JSONObject]:
        """Yield what the plugin streams for a request. Raises PluginFailed, Cancelled."""
        session_id = str(uuid.uuid4())
        self.is_usable = False  # until it has ended the call
        killers: list[threading.Timer] = []
        forget = cancel.on_cancel(lambda: self._stop(killers))
        try:
            for line in self._lines(_to_line(session_id, request), max_bytes, cancel):
                match _read(line, session_id):
                    case {"type": "stream", "data": dict(message)}:
                        yield message
                    case {"type": "end"}:
                        self.is_usable = not cancel.is_set()
                        return
                    case {"type": "error", "data": dict(said)}:
                        self.is_usable = not cancel.is_set()
                        raise _failure(said)
                    case None:
                        continue
                    case _:
                        raise PluginFailed("The plugin sent what is no answer.")
            raise self._death(cancel)
        finally:
            forget()
            for killer in killers:
                killer.cancel()

    def end(self) -> None:
        """Kill the process with all it started, and forget it."""
        self.kill()
        self._process.wait()
        self._peer.close()
        shutil.rmtree(self._own, ignore_errors=True)

    def kill(self) -> None:
        """Kill the process; whoever waits for its answer is woken."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _stop(self, killers: list[threading.Timer]) -> None:
        """Ask the process to end, and kill it soon."""
        self._signal(signal.SIGTERM)
        killer = threading.Timer(STOP_GRACE_S, self.kill)
        killer.daemon = True
        killers.append(killer)
        killer.start()

    def _lines(self, request: bytes, max_bytes: int, cancel: Cancel) -> Iterator[bytes]:
        """Send a request; yield the lines that come until the process ends. Raises PluginFailed."""
        left_bytes = max_bytes
        pieces: list[bytes] = []
        try:
            self._peer.settimeout(max(cancel.remaining_s(), MIN_WAIT_S))
            self._peer.sendall(request)
            while data := self._receive(cancel):
                left_bytes -= len(data)
                if left_bytes < 0:
                    raise PluginFailed(f"The plugin sent more than {max_bytes} bytes.")
                *ends, rest = data.split(b"\n")
                for end in ends:
                    yield b"".join((*pieces, end))
                    pieces.clear()
                pieces.append(rest)
                give_way()  # a flood is always there to be read
        except TimeoutError as exc:
            raise PluginFailed("The plugin gave no answer in time.", error_type="ToolTimeout") from exc
        except OSError:
            return

    def _receive(self, cancel: Cancel) -> bytes:
        self._peer.settimeout(max(cancel.remaining_s(), MIN_WAIT_S))
        return self._peer.recv(READ_BYTES)

    def _death(self, cancel: Cancel) -> Exception:
        """Return why nothing comes any more."""
        if cancel.is_set():
            return Cancelled()
        self.kill()  # one that only fell silent
        exit_code = self._process.wait()
        how = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
        return PluginFailed(f"The plugin's process ended within the call ({how}).")


def _to_line(session_id: str, request: JSONObject) -> bytes:
    """Return what is sent. Raises PluginFailed for what cannot be written as JSON."""
    try:
        return orjson.dumps({"event": "request", "session_id": session_id, "data": request}) + b"\n"
    except TypeError as exc:  # half a character, an integer of over 64 bits, great depth
        raise PluginFailed(f"The arguments cannot be written as JSON: {exc}.") from exc


def _read(line: bytes, session_id: str) -> JSONObject | None:
    """Return what a line says of a call, None where it speaks of something else. Raises PluginFailed."""
    if not line.strip():
        return None
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise PluginFailed("The plugin sent a line that is no JSON.") from exc
    match told:
        case {"event": "session", "session_id": str(known), "data": dict(data)} if known == session_id:
            return data
        case {"event": "log" | "heartbeat"}:
            return None
        case {"event": "broken", "data": dict(said)}:
            raise _failure(said, "The plugin cannot be started: ")
    raise PluginFailed("The plugin sent what is no answer.")


def _failure(said: JSONObject, before: str = "") -> PluginFailed:
    message = said.get("message")
    text = message if isinstance(message, str) and message else "The plugin failed and does not say why."
    return PluginFailed((before + text.replace("\0", ""))[:MAX_SAID_CHARS])
