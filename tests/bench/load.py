"""A load generator that costs little: kept connections, no parsing beyond counting events.

An answer is read as bytes: the head for status and framing, then either a body
of known length, or chunks in which whole events are counted as they fly by.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

MESSAGE = b'"event":"message"'
MESSAGE_END = b'"event":"message_end"'
LAST_CHUNK = b"\r\n0\r\n\r\n"
CARRIED = len(MESSAGE_END) - 1
TIMEOUT_S = 60.0
CONNECT_TOGETHER = 100


@dataclass(slots=True)
class Reply:
    """One answer: its status, the seconds to its first event and to its end, and the events it held."""

    status: int = 0
    first_s: float | None = None
    total_s: float = 0.0
    messages: int = 0
    is_ended: bool = False
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send: ``payload`` makes the whole request of a number; so many clients send one at a time.

    ``messages`` is how many deltas a streamed answer must hold; None: the answer is no stream.
    """

    clients: int
    requests: int
    payload: Callable[[int], bytes]
    messages: int | None = None

    def is_right(self, reply: Reply) -> bool:
        """Tell whether an answer is complete."""
        if reply.status not in (200, 201):
            return False
        return self.messages is None or (reply.is_ended and reply.messages == self.messages)


@dataclass(slots=True)
class Outcome:
    """What came back: the right answers' times in seconds, and how many were not right, with one of them."""

    wall_s: float = 0.0
    total_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    messages: int = 0
    errors: int = 0
    sample: str = ""

    def add(self, reply: Reply, *, is_right: bool) -> None:
        """Count one answer."""
        if not is_right:
            self.fail(f"{reply.status} after {reply.messages} messages: {reply.body[:300]!r}")
            return
        self.total_s.append(reply.total_s)
        self.messages += reply.messages
        if reply.first_s is not None:
            self.first_s.append(reply.first_s)

    def fail(self, sample: str) -> None:
        """Count one that brought no right answer."""
        self.errors += 1
        self.sample = self.sample or sample


def run_load(port: int, load: Load) -> Outcome:
    """Send the load to a port of loopback and return what came back."""
    return asyncio.run(_run(port, load))


def request(
    method: str, path: str, token: str, body: bytes = b"", *, content_type: str = "application/json"
) -> bytes:
    """Return a whole request for ``Load.payload``."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies; not a number where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.is_lost = False
        self._answered: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits."""
        self.is_lost = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("closed before the answer was complete"))

    def send(self, payload: bytes) -> asyncio.Future[Reply]:
        """Send a request; the future holds its answer."""
        self._reply = Reply()
        self._head, self._carry = b"", b""
        self._left: int | None = None
        self._answered = asyncio.get_running_loop().create_future()
        self._started = time.perf_counter()
        self.transport.write(payload)
        return self._answered

    def data_received(self, data: bytes) -> None:
        """Take in a piece of the answer."""
        if self._reply.status == 0:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._reply.status = int(head.split(b" ", 2)[1])
            length = re.search(rb"content-length: *(\d+)", head.lower())
            self._left = int(length[1]) if length else None
            self._carry = b"\r\n"
        if self._left is None:
            self._take_chunks(data)
        else:
            self._take_whole(data)

    def _take_whole(self, data: bytes) -> None:
        assert self._left is not None
        self._left -= len(data)
        self._reply.body += data
        if self._left <= 0:
            self._finish()

    def _take_chunks(self, data: bytes) -> None:
        """Count events; one that two pieces share is found in the second by what was carried over."""
        reply = self._reply
        seen = self._carry + data
        found = seen.count(MESSAGE)
        if found:
            if reply.first_s is None:
                reply.first_s = time.perf_counter() - self._started
            reply.messages += found
        if MESSAGE_END in seen:
            reply.is_ended = True
        if not found and not reply.is_ended and len(reply.body) < 300:
            reply.body += data  # an error event, to be shown
        if seen.endswith(LAST_CHUNK):
            self._finish()
        self._carry = _after_last_event(seen)

    def _finish(self) -> None:
        self._reply.total_s = time.perf_counter() - self._started
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._reply)


def _after_last_event(seen: bytes) -> bytes:
    """Return the end of what was seen that may be the beginning of a mark, never a mark already counted."""
    tail = seen[-CARRIED:]
    at = tail.rfind(MESSAGE)
    return tail if at < 0 else tail[at + len(MESSAGE) :]


async def _run(port: int, load: Load) -> Outcome:
    outcome = Outcome()
    clients: list[Client] = []
    while len(clients) < load.clients:  # in groups, because a listening socket's queue is short
        group = min(CONNECT_TOGETHER, load.clients - len(clients))
        clients += await asyncio.gather(*(_connect(port) for _ in range(group)))
    numbers = iter(range(load.requests))
    started = time.perf_counter()
    await asyncio.gather(*(_send_in_turn(port, client, load, numbers, outcome) for client in clients))
    outcome.wall_s = time.perf_counter() - started
    return outcome


async def _connect(port: int) -> Client:
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    return client


async def _send_in_turn(
    port: int, client: Client, load: Load, numbers: Iterator[int], outcome: Outcome
) -> None:
    for number in numbers:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if client.is_lost:
                    client = await _connect(port)
                reply = await client.send(load.payload(number))
        except (OSError, TimeoutError) as exc:
            outcome.fail(repr(exc))
            client.transport.abort()
            client.is_lost = True
        else:
            outcome.add(reply, is_right=load.is_right(reply))
    client.transport.close()
