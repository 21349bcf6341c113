"""The one outbound HTTP client: deadlines, cancellation, body limits and the egress guard.

Boundary: everything that leaves the process over HTTP passes here, vendor SDKs
through :meth:`HTTPClient.sdk_client`. What must stay true: a call reaches only
addresses its EgressPolicy admits, redirects included; a set Cancel ends any wait
within 300 ms; foreign exceptions do not get out. What does is named in
``__all__``, from where others import it.
"""

import base64
import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import httpx2
import orjson

from api.core.egress import EgressPolicy, Resolve, resolve_host
from api.core.ports import Cancel
from api.core.waits import (
    BodyTooLarge,
    Cancelled,
    ConnectFailed,
    ConnectionBroken,
    HTTPFailure,
    TimedOut,
    Timeouts,
)
from api.core.wire import CHUNK_BYTES, KEEP_IDLE_S, UNSENDABLE, Wire, give_way
from api.errors import InvalidRequest

__all__ = [
    "UNSENDABLE",
    "BodyTooLarge",
    "Cancelled",
    "ConnectFailed",
    "ConnectionBroken",
    "HTTPClient",
    "HTTPFailure",
    "HTTPReply",
    "HTTPResponse",
    "TimedOut",
    "Timeouts",
    "origin_of",
]

MAX_REDIRECTS = 5
MAX_PORT = 65_535
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_SDK_ERROR_BYTES = 65_536
DEFAULT_HEADERS = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "Slipway"}

# What may follow a redirect to another host; anything else could be a credential.
HEADERS_FOR_STRANGERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
)
ENCODING_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
FRAMING_HEADERS = frozenset({"host", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class HTTPReply:
    """An answer read to its end. Header names are case-insensitive; ``url`` is where it came from."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str


class HTTPResponse:
    """An answer whose body is still on its way. Every method below may be used once, one of them."""

    def __init__(self, raw: httpx2.Response) -> None:
        self._raw = raw

    @property
    def status(self) -> int:
        """The status code."""
        return self._raw.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names are case-insensitive."""
        return self._raw.headers

    @property
    def url(self) -> str:
        """The address that answered, after redirects, without credentials."""
        return str(self._raw.url.copy_with(userinfo=b""))

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the body as it comes, decompressed, in pieces of at most 16 KiB."""
        is_encoded = "content-encoding" in self._raw.headers
        source = _give_way_between(self._raw.iter_bytes()) if is_encoded else self._raw.stream
        assert isinstance(source, Iterator | httpx2.SyncByteStream)
        try:
            yield from source
        except httpx2.DecodingError as exc:
            raise ConnectionBroken(f"{self._raw.url.host} sent a body that does not decompress.") from exc

    def iter_lines(self) -> Iterator[bytes]:
        """Yield the lines of the body without their ends (LF or CRLF); raises BodyTooLarge above 4 MiB."""
        for lines in self.iter_line_groups():
            yield from lines

    def iter_line_groups(self) -> Iterator[list[bytes]]:
        """Yield the same lines, those together that came together."""
        rest = b""
        for data in self.iter_bytes():
            if b"\n" not in data:
                rest += data
                if len(rest) > MAX_LINE_BYTES:
                    raise BodyTooLarge(f"{self._raw.url.host} sent a line above {MAX_LINE_BYTES} bytes.")
                continue
            *lines, rest = (rest + data).split(b"\n")
            yield [line.removesuffix(b"\r") for line in lines]
        if rest:
            yield [rest.removesuffix(b"\r")]

    def read(self, max_bytes: int) -> bytes:
        """Return the decompressed body; raises BodyTooLarge above ``max_bytes``."""
        pieces: list[bytes] = []
        size_bytes = 0
        for data in self.iter_bytes():
            size_bytes += len(data)
            if size_bytes > max_bytes:
                raise BodyTooLarge(f"{self._raw.url.host} sent more than {max_bytes} bytes.")
            pieces.append(data)
        return b"".join(pieces)

    def read_start(self, max_bytes: int) -> bytes:
        """Return the decompressed body's first ``max_bytes`` or less, enough to tell what an error is."""
        start = b""
        for data in self.iter_bytes():
            start += data
            if len(start) >= max_bytes:
                break
        return start[:max_bytes]


class HTTPClient:
    """A pool of connections under one egress policy; ``timeouts`` are those its calls have by default."""

    def __init__(
        self,
        policy: EgressPolicy,
        timeouts: Timeouts,
        *,
        resolve: Resolve = resolve_host,
        keep_idle_s: float = KEEP_IDLE_S,
    ) -> None:
        self.timeouts = timeouts
        self._wire = Wire(policy, resolve, keep_idle_s)

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        cancel: Cancel,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | None = None,
        follow: bool = False,
        verify: bool = True,
        timeouts: Timeouts | None = None,
    ) -> Iterator[HTTPResponse]:
        """Send a request and give its answer, body unread; the connection is freed at the end.

        ``follow`` follows up to 5 redirects, each checked anew; credentials do
        not leave the first host. Without ``verify`` any certificate will do.
        Nothing is sent a second time. Raises EgressDenied, InvalidRequest for a
        malformed call, Cancelled when ``cancel`` is set, or an HTTPFailure.
        """
        if json is not None:
            content = orjson.dumps(json)
            headers = {"content-type": "application/json", **(headers or {})}
        request = _build(method, url, {**DEFAULT_HEADERS, **_lowered(headers)}, content)
        send = functools.partial(
            self._wire.send, timeouts=timeouts or self.timeouts, cancel=cancel, verify=verify
        )
        response = _sent(request, send, MAX_REDIRECTS if follow else 0)
        try:
            yield HTTPResponse(response)
        finally:
            response.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        cancel: Cancel,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | None = None,
        follow: bool = False,
        timeouts: Timeouts | None = None,
    ) -> HTTPReply:
        """Send a request and return its whole answer; as :meth:`stream`, and BodyTooLarge."""
        with self.stream(
            method,
            url,
            cancel=cancel,
            headers=headers,
            json=json,
            content=content,
            follow=follow,
            timeouts=timeouts,
        ) as response:
            return HTTPReply(response.status, response.headers, response.read(max_bytes), response.url)

    def sdk_client(self, cancel: Cancel) -> httpx2.Client:
        """Return a client for one call of a vendor SDK: same pool, guard, time-outs and ``cancel``.

        Made anew for each call (12 µs); the SDK's own retries must be off.
        """
        return httpx2.Client(
            transport=_SDKTransport(self._wire, self.timeouts, cancel), trust_env=False, timeout=None
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._wire.close()


class _SDKTransport(httpx2.BaseTransport):
    """The wire as httpx2 knows transports, bound to the Cancel of one call."""

    def __init__(self, wire: Wire, timeouts: Timeouts, cancel: Cancel) -> None:
        self._wire = wire
        self._timeouts = timeouts
        self._cancel = cancel

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._wire.send(request, self._timeouts, self._cancel)
        if not response.is_error:
            return response
        # SDKs read an error whole, however long it is.
        try:
            content = HTTPResponse(response).read_start(MAX_SDK_ERROR_BYTES)
        finally:
            response.close()
        kept = {name: value for name, value in response.headers.items() if name not in ENCODING_HEADERS}
        return httpx2.Response(response.status_code, headers=kept, content=content, request=request)


def _sent(
    request: httpx2.Request, send: Callable[[httpx2.Request], httpx2.Response], redirects: int
) -> httpx2.Response:
    response = send(request)
    for _ in range(redirects):
        if not response.has_redirect_location:
            return response
        response.close()
        request = _redirected(request, response)
        response = send(request)
    if redirects and response.has_redirect_location:
        response.close()
        raise ConnectionBroken(f"{request.url.host} redirects more than {redirects} times.")
    return response


def _give_way_between(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield long pieces as short ones, others running in between: a little may decompress to a lot."""
    for piece in pieces:
        for start in range(0, len(piece), CHUNK_BYTES):
            if start:
                give_way()
            yield piece[start : start + CHUNK_BYTES]


def _lowered(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _build(
    method: str, url: str | httpx2.URL, headers: dict[str, str], content: bytes | None
) -> httpx2.Request:
    body = content or b""
    if (body or method.upper() in METHODS_WITH_BODY) and "transfer-encoding" not in headers:
        headers["content-length"] = str(len(body))
    try:
        parsed = _parse_url(url)
        raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        if "host" not in headers:
            raw.insert(0, (b"host", parsed.netloc))
        # Given its parts as they are sent, a request takes a third of the time it takes to work them out.
        request = httpx2.Request(method, parsed, headers=raw, stream=httpx2.ByteStream(body))
    # Either cause quotes what may be a key.
    except httpx2.InvalidURL:
        raise InvalidRequest("The address is not a URL.") from None
    except UnicodeError:
        raise InvalidRequest(UNSENDABLE) from None
    if not request.url.host or (request.url.port or 0) > MAX_PORT:
        raise InvalidRequest("The address names no host, or a port that is none.")
    if request.url.userinfo and "authorization" not in request.headers:
        userinfo = f"{request.url.username}:{request.url.password}".encode()
        request.headers["authorization"] = f"Basic {base64.b64encode(userinfo).decode()}"
    return request


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host (lower case) and port of an address as a call of it would be made.

    Raises InvalidRequest for what cannot be called.
    """
    parsed = _build("GET", url, {}, None).url
    return parsed.scheme, parsed.host.rstrip("."), parsed.port or (443 if parsed.scheme == "https" else 80)


@functools.lru_cache(maxsize=256)
def _parse_url(url: str | httpx2.URL) -> httpx2.URL:
    """Parse an address; the same few are called again and again."""
    return httpx2.URL(url)


def _redirected(request: httpx2.Request, response: httpx2.Response) -> httpx2.Request:
    """Return the request that follows the answer's Location."""
    try:
        url = request.url.join(response.headers["location"])
    except httpx2.InvalidURL as exc:
        raise ConnectionBroken(f"{request.url.host} redirects to something that is not a URL.") from exc
    headers = {name: value for name, value in request.headers.items() if name not in FRAMING_HEADERS}
    if (url.scheme, url.host, url.port) != (request.url.scheme, request.url.host, request.url.port):
        headers = {name: value for name, value in headers.items() if name in HEADERS_FOR_STRANGERS}
    method, content = request.method, request.read()
    if response.status_code == 303 or (response.status_code in (301, 302) and method == "POST"):
        method, content = "HEAD" if method == "HEAD" else "GET", b""
        headers.pop("content-type", None)
    return _build(method, url, headers, content)
