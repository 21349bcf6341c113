"""A scripted HTTP server on a loopback thread, for tests of whatever calls out.

Each request is answered by the next reply of the script; the last one repeats.
A reply is a status, headers and either a whole body or a stream of steps: bytes
to send as one chunk, seconds to wait, or a Step. What was asked is recorded.
"""

import contextlib
import itertools
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, BinaryIO, Self


class Step(Enum):
    """What a stream may do besides sending and waiting."""

    DROP = auto()  # close the connection in the middle
    HANG = auto()  # say nothing more until the client leaves


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it came in, on which connection (from 1); header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer: a ``body``, a stream of ``steps`` in chunks, or ``raw`` with its own head."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    steps: Iterable[bytes | float | Step] | None = None
    raw: Iterable[bytes | float | Step] | None = None
    delay_s: float = 0.0

    @classmethod
    def of_json(cls, value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> "Reply":
        """Return an answer of JSON."""
        kind = {"Content-Type": "application/json"}
        return cls(status=status, headers={**kind, **(headers or {})}, body=json.dumps(value).encode())

    @classmethod
    def of_events(cls, *events: object, gap_s: float = 0.0, done: bool = True) -> "Reply":
        """Return a stream of server-sent events of JSON; bytes and Steps go as they are."""
        steps: list[bytes | float | Step] = []
        for event in events:
            steps.append(event if isinstance(event, bytes | float | Step) else sse(event))
            steps += [gap_s] if gap_s else []
        steps += [b"data: [DONE]\n\n"] if done else []
        return cls(headers={"Content-Type": "text/event-stream"}, steps=steps)


Script = Reply | Callable[[Seen], Reply]


def sse(value: object) -> bytes:
    """Return a server-sent event; a dict with a ``type`` is named after it, as Anthropic does."""
    name = f"event: {value['type']}\n" if isinstance(value, dict) and "type" in value else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()


class ScriptedServer:
    """Serves its script on 127.0.0.1 from ``with`` to its end."""

    def __init__(self, *script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.sent_bytes = 0
        self._script = list(script)
        self._tls = tls
        self._connections = 0
        self._stopped = threading.Event()
        self._hung_up = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def then(self, *script: Script) -> None:
        """Answer from now on with these."""
        self._script = list(script)

    def wait_for_hangup(self, timeout_s: float) -> bool:
        """Wait until a client has left in the middle of an answer; tell whether one has."""
        return self._hung_up.wait(timeout_s)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            threading.Thread(target=self._serve, args=(sock, self._connections), daemon=True).start()

    def _serve(self, sock: socket.socket, connection: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(sock)
            with sock.makefile("rb") as reader:
                while (seen := _read_request(reader, connection)) is not None:
                    self.seen.append(seen)
                    script = self._script.pop(0) if len(self._script) > 1 else self._script[0]
                    if not self._answer(sock, script(seen) if callable(script) else script):
                        break
        with contextlib.suppress(OSError):
            sock.close()

    def _answer(self, sock: socket.socket, reply: Reply) -> bool:
        """Send the reply; False ends the connection."""
        self._stopped.wait(reply.delay_s)
        if reply.raw is not None:
            self._play(sock, reply.raw)
            return False
        is_stream = reply.steps is not None
        framing = {"Transfer-Encoding": "chunked"} if is_stream else {"Content-Length": str(len(reply.body))}
        lines = [f"{name}: {value}" for name, value in {**framing, **reply.headers}.items()]
        head = "\r\n".join([f"HTTP/1.1 {reply.status} Scripted", *lines, "", ""]).encode("latin-1")
        if reply.steps is None:
            return self._play(sock, [head + reply.body])
        chunks = (b"%x\r\n%s\r\n" % (len(s), s) if isinstance(s, bytes) else s for s in reply.steps)
        return self._play(sock, itertools.chain([head], chunks, [b"0\r\n\r\n"]))

    def _play(self, sock: socket.socket, steps: Iterable[bytes | float | Step]) -> bool:
        """Send and wait as told; False when either side gave up."""
        for step in steps:
            if isinstance(step, bytes):
                try:
                    sock.sendall(step)
                except OSError:
                    self._hung_up.set()
                    return False
                self.sent_bytes += len(step)
            elif step is Step.DROP or not self._wait(sock, 60.0 if isinstance(step, Step) else step):
                return False
        return True

    def _wait(self, sock: socket.socket, seconds: float) -> bool:
        """Wait, unless the client hangs up meanwhile; clients say nothing while they listen."""
        sock.settimeout(max(seconds, 0.001))
        try:
            if sock.recv(1):
                return False
        except TimeoutError:
            sock.settimeout(None)
            return True
        except OSError:
            pass
        self._hung_up.set()
        return False


def _read_request(reader: BinaryIO, connection: int) -> Seen | None:
    """Return the next request of a connection, None when the client is done."""
    line = reader.readline()
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", "0")))
    return Seen(method=method, target=target, headers=headers, body=body, connection=connection)
