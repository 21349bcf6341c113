"""HTTP/1.1 on guarded sockets: the transport under every outbound call.

Boundary: speaks httpx2's transport interface upwards, so that vendor SDKs and
our own client share one pool; answers are parsed in C, by llhttp. Every wait obeys
the deadlines and the Cancel of its call, no answer keeps others from running
however fast it comes, and every fault leaves here as one of the errors of
api/core/waits.py; their texts name host and port only, never a path or a header.
"""

import contextlib
import functools
import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import httpx2
from httptools import HttpParserError, HttpParserUpgrade

from api import traces
from api.core.answers import Answer
from api.core.egress import EgressDenied, EgressPolicy, Resolve
from api.core.ports import Cancel
from api.core.waits import Cancelled, ConnectFailed, ConnectionBroken, HTTPFailure, Timeouts, Waits
from api.errors import InvalidRequest
from api.logs import request_id

CHUNK_BYTES = 16_384
KEEP_IDLE_S = 20.0
MAX_IDLE_LINKS = 32
DRAIN_READS = 2

# A greenlet gives way after a turn. A read has done so by itself if it took this long and
# left nothing behind: a full one may as well have been held up by a busy machine.
TURN_S = 0.010
PACE_S = 0.020
MAX_LATE_S = 0.1
TRICKLE_BYTES = 4096
"""A stream that trickles is read every 20 ms: nobody sees the difference, and waking for each token
of hundreds of streams is most of what they cost. One that was woken late rests as much longer: so
streams leave a busy process to those who wait for a first word. What comes in bulk is read as it comes."""
WAIT_S = 0.001
MOMENT_S = 1e-6

FORBIDDEN_IN_HEADERS = re.compile(rb"[^\t\x20-\x7e]")
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method or a header's name: a blank in it would let one request pass for another with some servers."""
FORBIDDEN_IN_TARGET = re.compile(rb"[^\x21-\x7e]")
MAX_HEAD_BYTES = 65_536
UNSENDABLE = "The call's method, address or a header has characters HTTP forbids."


class Origin(NamedTuple):
    """Where connections lead, and whether the other side's certificate counts; they are kept by all four."""

    scheme: str
    host: str
    port: int
    is_verified: bool = True


class Wire:
    """A pool of guarded connections. Safe for use by many threads or greenlets at once.

    A connection is there for each call under way, without an upper bound, and for
    ``keep_idle_s`` after a complete answer; at most 32 of an origin are kept idle.
    """

    def __init__(self, policy: EgressPolicy, resolve: Resolve, keep_idle_s: float) -> None:
        self._policy = policy
        self._resolve = resolve
        self._keep_idle_s = keep_idle_s
        self._idle: dict[Origin, deque[_Link]] = {}
        self._idle_lock = threading.Lock()
        self._sweep_at = 0.0

    def send(
        self, request: httpx2.Request, timeouts: Timeouts, cancel: Cancel, *, verify: bool = True
    ) -> httpx2.Response:
        """Send the request and return the answer with its body unread; close it to free the connection.

        It is sent once, whatever becomes of it. Raises EgressDenied,
        InvalidRequest, Cancelled or an HTTPFailure.
        """
        if known := request_id.get():
            request.headers["X-Request-Id"] = known
        if carrier := traces.current.get().carrier():
            request.headers.update(carrier)
        url = request.url
        if url.scheme not in ("http", "https"):
            raise EgressDenied(f"Calls go out over http and https only, not {url.scheme!r}.")
        origin = Origin(
            url.scheme,
            url.raw_host.decode("ascii"),
            url.port or (443 if url.scheme == "https" else 80),
            verify,
        )
        exchange = _Exchange(self, origin, Waits(f"{origin.host}:{origin.port}", timeouts, cancel))
        try:
            return exchange.open(request)
        except BaseException:
            exchange.close()
            raise

    def close(self) -> None:
        """Close the idle connections; calls under way go on."""
        with self._idle_lock:
            links = [link for group in self._idle.values() for link in group]
            self._idle.clear()
        for link in links:
            link.sock.close()

    def take(self, origin: Origin) -> "_Link | None":
        """Return an idle connection that the peer has not closed, the youngest first."""
        while True:
            with self._idle_lock:
                links = self._idle.get(origin)
                link = links.pop() if links else None
            if link is None or (self._is_young(link) and link.is_quiet()):
                return link
            link.sock.close()

    def give(self, origin: Origin, link: "_Link") -> None:
        """Keep a connection for the next call to its origin."""
        now = link.idle_since = time.monotonic()
        old: list[_Link] = []
        with self._idle_lock:
            links = self._idle.setdefault(origin, deque())
            links.append(link)
            if len(links) > MAX_IDLE_LINKS:
                old.append(links.popleft())
            if now >= self._sweep_at:
                self._sweep_at = now + self._keep_idle_s
                old += self._sweep()
        for dropped in old:
            dropped.sock.close()

    def _sweep(self) -> "list[_Link]":
        """Take out, and return, what has been idle too long on any origin."""
        old: list[_Link] = []
        for origin, links in list(self._idle.items()):
            while links and not self._is_young(links[0]):
                old.append(links.popleft())
            if not links:
                del self._idle[origin]
        return old

    def _is_young(self, link: "_Link") -> bool:
        return time.monotonic() - link.idle_since < self._keep_idle_s

    def resolve(self, origin: Origin, waits: Waits) -> Sequence[str]:
        """Return the addresses the origin's host has now; all of them have passed the policy."""
        host, port = origin.host, origin.port
        addresses = (host,) if _is_address(host) else self._look_up(host, port, waits)
        self._policy.check(host, port, addresses)
        return addresses

    def _look_up(self, host: str, port: int, waits: Waits) -> Sequence[str]:
        """Ask the resolver on a thread, as it obeys neither deadline nor Cancel; a late answer is dropped."""
        answers: queue.SimpleQueue[Sequence[str] | Exception | None] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port))
            except Exception as exc:  # noqa: BLE001  # raised again by the call that waits
                answers.put(exc)

        left_s = waits.left_s(time.monotonic())
        forget = waits.cancel.on_cancel(lambda: answers.put(None))
        try:
            threading.Thread(target=ask, daemon=True).start()
            answer = answers.get(timeout=left_s)
        except queue.Empty:
            raise waits.failure(TimeoutError()) from None
        finally:
            forget()
        if answer is None:
            raise Cancelled
        if isinstance(answer, OSError):
            raise ConnectFailed(f"{host} has no address.") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    @functools.cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """The certificate authorities of the system or SSL_CERT_FILE, loaded once, when first needed."""
        return httpx2.create_ssl_context()

    @functools.cached_property
    def blind_ssl_context(self) -> ssl.SSLContext:
        """For callers who said that they do not mind who is on the other side."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


class _Link:
    """A connection: whatever it waits for obeys the call under way."""

    waits: Waits

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.idle_since = 0.0

    def send(self, data: bytes) -> None:
        self.sock.settimeout(self.waits.left_s(time.monotonic()))
        try:
            self.sock.sendall(data)
        except OSError as exc:
            raise self.waits.failure(exc) from exc

    def receive(self) -> bytes:
        """Return what has come, at most ``CHUNK_BYTES``; nothing at the end of the connection."""
        waits = self.waits
        asked_at = time.monotonic()
        if asked_at < waits.rests_until:
            time.sleep(waits.rests_until - asked_at)
            asked_at = waits.turn_at = time.monotonic()
            waits.late_s = asked_at - waits.rests_until
        elif asked_at - waits.turn_at > TURN_S:
            give_way()  # reading what has already come lets no other greenlet run
            asked_at = waits.turn_at = time.monotonic()
        self.sock.settimeout(waits.left_s(asked_at))
        try:
            data = self.sock.recv(CHUNK_BYTES)
        except OSError as exc:
            raise waits.failure(exc) from exc
        came_at = time.monotonic()
        has_waited = came_at - asked_at > WAIT_S
        if has_waited and len(data) < CHUNK_BYTES:
            waits.turn_at = came_at
        is_drained = has_waited or not isinstance(self.sock, ssl.SSLSocket)  # TLS gives one record a read
        if waits.phase == "idle" and len(data) < TRICKLE_BYTES and is_drained:
            waits.rests_until = came_at + PACE_S + min(waits.late_s, MAX_LATE_S)
        if not data and waits.cancel.is_set():
            raise Cancelled
        return data

    def is_quiet(self) -> bool:
        """Tell whether the idle peer has said nothing, not even goodbye."""
        self.sock.settimeout(0.0)
        try:
            socket.socket.recv(self.sock, 1, socket.MSG_PEEK)  # the class's: SSLSocket's own takes no flags
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class _Exchange(httpx2.SyncByteStream):
    """One request and its answer. Iterating yields the body; closing frees the connection."""

    def __init__(self, wire: Wire, origin: Origin, waits: Waits) -> None:
        self._wire = wire
        self._origin = origin
        self._waits = waits
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._link: _Link | None = None
        self._answer = Answer()
        self._is_cut = False
        self._barren_bytes = 0
        self._forget: Callable[[], None] = lambda: None

    def open(self, request: httpx2.Request) -> httpx2.Response:
        self._forget = self._waits.cancel.on_cancel(self._abort)
        link = self._link = self._wire.take(self._origin) or _Link(self._connect())
        self._adopt(link.sock)
        link.waits = self._waits
        self._waits.phase = "send"
        _write(link, request)
        self._waits.expect_answer()
        answer = self._answer
        while not answer.status:
            self._feed()
        if request.method == "HEAD":
            answer.end_at_head()
        return httpx2.Response(answer.status, headers=answer.headers, stream=self, request=request)

    def __iter__(self) -> Iterator[bytes]:
        answer, waits = self._answer, self._waits
        while answer.pieces or not answer.is_whole:
            if answer.pieces:
                waits.phase = "idle"
                pieces, answer.pieces = answer.pieces, []
                yield b"".join(pieces)
            else:
                self._feed()

    def _feed(self) -> None:
        """Read more of the answer.

        Raises ConnectionBroken where there is no more, or 64 KiB that are no body: a
        head, trailers or words between chunks without an end.
        """
        answer, link = self._answer, self._link
        if self._is_cut or link is None:
            raise self._waits.broken()
        try:
            data = link.receive()
        except BaseException:
            self._is_cut = True
            raise
        try:
            answer.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            answer.is_surplus = answer.is_whole
            self._is_cut = not answer.is_whole  # told once what came before is taken
        if not data:
            answer.keeps = False
            answer.is_whole = answer.is_whole or answer.ends_with_connection
            self._is_cut = not answer.is_whole
        self._barren_bytes = 0 if answer.pieces else self._barren_bytes + len(data)
        if self._barren_bytes > MAX_HEAD_BYTES and not answer.is_whole:
            self._is_cut = True
            raise self._waits.broken()

    def close(self) -> None:
        """Return the connection to the pool where the answer is complete, close it elsewhere."""
        answer = self._answer
        try:
            if answer.status and not answer.is_whole and not self._is_cut:
                self._drain()
        finally:
            link, self._link = self._link, None
            self._forget()
            with self._lock:
                sock, self._sock = self._sock, None
            if link is not None and answer.frees and not self._waits.cancel.is_set():
                self._wire.give(self._origin, link)
            elif sock is not None:
                sock.close()
            answer.end()

    def _connect(self) -> socket.socket:
        addresses = self._wire.resolve(self._origin, self._waits)
        last = OSError("no address")
        for place, address in enumerate(addresses):
            try:
                left_s = self._waits.left_s(time.monotonic())
                return self._connect_to(address, left_s / (len(addresses) - place))
            except OSError as exc:
                last = exc
        raise self._waits.failure(last) from last

    def _connect_to(self, address: str, timeout_s: float) -> socket.socket:
        scheme, host, port, is_verified = self._origin
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            self._adopt(sock)
            sock.settimeout(timeout_s)
            sock.connect((address, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                sock.settimeout(self._waits.left_s(time.monotonic()))
                tls = self._wire.ssl_context if is_verified else self._wire.blind_ssl_context
                sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
                self._adopt(sock)
                sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def _adopt(self, sock: socket.socket) -> None:
        """Let a cancel reach the socket from now on."""
        with self._lock:
            self._sock = sock
        if self._waits.cancel.is_set():
            raise Cancelled

    def _abort(self) -> None:
        with self._lock:
            if self._sock is None:
                return
            # The class's method: SSLSocket's own would drop the TLS state its reader stands on.
            with contextlib.suppress(OSError):  # it is not connected yet, or not any more
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _drain(self) -> None:
        """Read what little follows the last byte the caller wanted, so that the connection can be kept."""
        self._waits.hurry()
        # When more is coming, closing the connection says that nobody listens.
        with contextlib.suppress(HTTPFailure, Cancelled):
            for _ in range(DRAIN_READS):
                self._feed()
                if self._answer.is_whole:
                    return


def give_way() -> None:
    """Let others run, timers too: in a sleep of 0 gevent's timers stand still for up to 0.5 s."""
    time.sleep(MOMENT_S)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _write(link: _Link, request: httpx2.Request) -> None:
    """Send a request, the beginning of its body together with its head."""
    method, target, headers = request.method.encode(), request.url.raw_path, request.headers.raw
    names, values = [name for name, _ in headers], [value for _, value in headers]
    # All at once: a blank is in them together where it is in one of them.
    is_sendable = method and all(names) and TOKEN.fullmatch(b"".join((method, *names)))
    if not is_sendable or FORBIDDEN_IN_TARGET.search(target) or FORBIDDEN_IN_HEADERS.search(b"".join(values)):
        raise InvalidRequest(UNSENDABLE)
    is_chunked = b"transfer-encoding" in b"\n".join(names).lower().split(b"\n")
    lines = [b"%b: %b\r\n" % header for header in headers]
    waiting = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines))
    assert isinstance(request.stream, httpx2.SyncByteStream)
    # A server may refuse a body half-way and say why; where it does not, reading fails too.
    with contextlib.suppress(ConnectionBroken):
        for piece in _chunks(request.stream) if is_chunked else request.stream:
            if len(waiting) + len(piece) > CHUNK_BYTES:
                link.send(waiting)
                waiting = piece
            else:
                waiting += piece
        link.send(waiting)


def _chunks(body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a body whose length is not known as it is sent."""
    for piece in body:
        if piece:  # an empty one would be the end
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
