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

from api.backends.plugins import room
from api.backends.sandbox import seccomp
from api.core.http import Cancelled, Timeouts
from api.core.parallel import give_way
from api.core.plugins import child as program
from api.core.plugins.runner import CALLED_BACK, Answer, PluginCode, PluginFailed
from api.core.ports import Cancel, JSONObject
from api.errors import Unavailable

READ_BYTES = 64 * 1024
STOP_GRACE_S = 0.15
"""How long a process that is told to stop may take, of the 300 ms that a stop may."""
MIN_WAIT_S = 0.001
"""A socket that may wait 0 s is one that never waits, which is something else."""
MAX_SAID_CHARS = 1000
LOOK_S = 0.25
"""How often it is looked how much a plugin has written."""
LATE = "The plugin gave no answer in time."
PYTHON = ["-I", "-S", "-B", "-X", "utf8"]
"""Apart from the environment, without site packages, writing no caches, in UTF-8."""


class Talk:
    """One call: how much may come, how long it may take, and who answers what the plugin asks."""

    def __init__(
        self, *, max_bytes: int, cancel: Cancel, answer: Answer, timeouts: Timeouts | None = None
    ) -> None:
        self.max_bytes = max_bytes
        self.cancel = cancel
        self.answer = answer
        self.has_begun = False
        self._timeouts = timeouts
        self._listens_since = time.monotonic()

    def listen(self) -> None:
        """Give the plugin its turn: from now on it may be silent for so long."""
        self._listens_since = time.monotonic()

    def is_late(self) -> bool:
        """Tell whether the plugin has no time left."""
        return self.wait_s() <= MIN_WAIT_S

    def wait_s(self) -> float:
        """Return how long the plugin may take to tell something; never 0."""
        left_s = self.cancel.remaining_s()
        if self._timeouts is not None:
            most_s = self._timeouts.idle_s if self.has_begun else self._timeouts.first_byte_s
            left_s = min(left_s, self._listens_since + most_s - time.monotonic())
        return max(left_s, MIN_WAIT_S)


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
        self._looked_at = 0.0

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

    def ask(self, request: JSONObject, talk: Talk) -> Iterator[JSONObject]:
        """Yield what the plugin streams for a request. Raises PluginFailed, Cancelled."""
        session_id, cancel = str(uuid.uuid4()), talk.cancel
        self.is_usable = False  # until it has ended the call
        killers: list[threading.Timer] = []
        forget = cancel.on_cancel(lambda: self._stop(killers))
        try:
            for line in self._lines(_to_line("request", session_id, request), talk):
                match _read(line, session_id):
                    case {"type": "stream", "data": dict(message)}:
                        talk.has_begun = True
                        yield message
                        talk.listen()
                    case {"type": "invoke", "data": dict(asked)}:
                        answer = _to_line("backwards_response", session_id, talk.answer(asked))
                        talk.listen()
                        self._send(answer, talk)
                        yield CALLED_BACK
                        talk.listen()
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

    def _lines(self, request: bytes, talk: Talk) -> Iterator[bytes]:
        """Send a request; yield the lines that come until the process ends. Raises PluginFailed."""
        left_bytes = talk.max_bytes
        pieces: list[bytes] = []
        self._send(request, talk)
        while data := self._receive(talk):
            left_bytes -= len(data)
            if left_bytes < 0:
                raise PluginFailed(f"The plugin sent more than {talk.max_bytes} bytes.")
            *ends, rest = data.split(b"\n")
            for end in ends:
                yield b"".join((*pieces, end))
                pieces.clear()
            pieces.append(rest)
            give_way()  # a flood is always there to be read

    def _send(self, line: bytes, talk: Talk) -> None:
        try:
            self._peer.settimeout(talk.wait_s())
            self._peer.sendall(line)
        except TimeoutError as exc:
            raise PluginFailed(LATE, error_type="ToolTimeout") from exc
        except OSError as exc:
            raise self._death(talk.cancel) from exc

    def _receive(self, talk: Talk) -> bytes:
        """Return what comes next, nothing where the process has ended."""
        while True:
            self._look()
            try:
                self._peer.settimeout(min(talk.wait_s(), LOOK_S))
                return self._peer.recv(READ_BYTES)
            except TimeoutError as exc:
                if talk.is_late():
                    raise PluginFailed(LATE, error_type="ToolTimeout") from exc
            except OSError:
                return b""

    def _look(self) -> None:
        """Look, now and then, how much the plugin has written. Raises PluginFailed where it is too much."""
        now = time.monotonic()
        if now < self._looked_at + LOOK_S:
            return
        self._looked_at = now
        if room.is_overfull(self._own, self._process.pid):
            raise PluginFailed(f"The plugin keeps more than {room.MAX_MB} MB, or {room.MAX_FILES:,} files.")

    def _death(self, cancel: Cancel) -> Exception:
        """Return why nothing comes any more."""
        if cancel.is_set():
            return Cancelled()
        self.kill()  # one that only fell silent
        exit_code = self._process.wait()
        how = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
        return PluginFailed(f"The plugin's process ended within the call ({how}).")


def _to_line(event: str, session_id: str, data: JSONObject) -> bytes:
    """Return what is sent. Raises PluginFailed for what cannot be written as JSON."""
    try:
        return orjson.dumps({"event": event, "session_id": session_id, "data": data}) + b"\n"
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
    return PluginFailed((before + text.replace("\0", ""))[:MAX_SAID_CHARS], said=said)
