import contextlib
import gzip
import ipaddress
import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from api.core import wire
from api.core.egress import EgressDenied, EgressPolicy
from api.core.http import (
    BodyTooLarge,
    Cancelled,
    ConnectFailed,
    ConnectionBroken,
    HTTPClient,
    HTTPFailure,
    HTTPResponse,
    TimedOut,
    Timeouts,
)
from api.core.ports import Cancel
from api.errors import InvalidRequest
from api.logs import request_id
from tests.ports import free_port
from tests.servers import Reply, ScriptedServer, Step
from tests.waiting import assert_quick, set_when, wait_until

PATIENT = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
SECRET = "sk-do-not-tell-0123456789"
LOOPBACK_SPELLINGS = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f.1:{port}/",
    "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.000.000.001:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://user:word@127.0.0.1:{port}/",
    "http://①②⑦.0.0.1:{port}/",
]


@pytest.fixture
def client() -> Iterator[HTTPClient]:
    with contextlib.closing(make_client()) as made:
        yield made


def make_client(policy: EgressPolicy | None = None, timeouts: Timeouts = PATIENT) -> HTTPClient:
    return HTTPClient(policy or EgressPolicy(allow_private=True), timeouts)


def fetch(
    client: HTTPClient, url: str, *, follow: bool = False, headers: dict[str, str] | None = None
) -> bytes:
    reply = client.request("GET", url, cancel=Cancel(30), max_bytes=1_000_000, follow=follow, headers=headers)
    return reply.content


def lines_of(client: HTTPClient, url: str) -> list[bytes]:
    with client.stream("GET", url, cancel=Cancel(30)) as response:
        return list(response.iter_lines())


def seconds_to(error: type[Exception], act: Callable[[], object]) -> float:
    started = time.monotonic()
    with pytest.raises(error):
        act()
    return time.monotonic() - started


def cancel_when(condition: Callable[[], bool]) -> tuple[Cancel, list[float]]:
    """Return a Cancel set by another thread once the condition holds, and when that was."""
    cancel = Cancel(30)
    return cancel, set_when(cancel, condition)


@contextlib.contextmanager
def answering_by_hand(answer: bytes, *, resets: bool = False) -> Iterator[tuple[str, threading.Semaphore]]:
    """Give the address of a server that answers the first bytes and closes; and a count of closings."""
    closed = threading.Semaphore(0)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock:
                    sock.recv(1000)
                    sock.sendall(answer)
                    if resets:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    else:
                        sock.shutdown(socket.SHUT_WR)
                closed.release()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", closed
        listener.shutdown(socket.SHUT_RDWR)


# The guard


@pytest.mark.parametrize("spelling", LOOPBACK_SPELLINGS)
def test_request_any_spelling_of_loopback_is_denied_unseen(spelling: str) -> None:
    with ScriptedServer(Reply()) as server, contextlib.closing(make_client(EgressPolicy())) as client:
        with pytest.raises((EgressDenied, InvalidRequest, ConnectFailed)):
            fetch(client, spelling.format(port=server.port))
        assert server.seen == []


def test_request_denied_address_takes_under_50_ms(client: HTTPClient) -> None:
    with contextlib.closing(make_client(EgressPolicy())) as strict:
        assert_quick(seconds_to(EgressDenied, lambda: fetch(strict, "http://127.0.0.1:1/")), 0.05)


def test_request_allow_listed_loopback_port_is_reached() -> None:
    with ScriptedServer(Reply(body=b"hello")) as server:
        policy = EgressPolicy.parse(f"127.0.0.1:{server.port}")
        with contextlib.closing(make_client(policy)) as client:
            assert fetch(client, server.url) == b"hello"


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "file:///etc/passwd", "gopher://127.0.0.1/", "example.org"]
)
def test_request_scheme_other_than_http_is_refused(client: HTTPClient, url: str) -> None:
    with pytest.raises(InvalidRequest):
        fetch(client, url)


def test_request_redirect_to_denied_address_never_arrives() -> None:
    with ScriptedServer(Reply()) as hidden:
        with ScriptedServer(Reply(status=302, headers={"Location": hidden.url})) as open_:
            policy = EgressPolicy.parse(f"127.0.0.1:{open_.port}")
            with contextlib.closing(make_client(policy)) as client, pytest.raises(EgressDenied):
                fetch(client, open_.url, follow=True)
            assert len(open_.seen) == 1
        assert hidden.seen == []


def test_request_resolver_that_changes_its_answer_is_asked_once_and_obeyed() -> None:
    answers = iter([["1.1.1.1", "127.0.0.1"]])
    client = HTTPClient(EgressPolicy(), PATIENT, resolve=lambda _host, _port: next(answers))
    with pytest.raises(EgressDenied):
        fetch(client, "http://rebind.example/")


def test_request_connects_to_the_checked_address_without_second_lookup() -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with ScriptedServer(Reply(body=b"first")) as server:
        policy = EgressPolicy.parse(f"127.0.0.1:{server.port}")
        with contextlib.closing(HTTPClient(policy, PATIENT, resolve=resolve)) as client:
            assert fetch(client, f"http://rebind.example:{server.port}/") == b"first"
            assert server.seen[0].headers["host"] == f"rebind.example:{server.port}"
    assert asked == ["rebind.example"]


def test_request_address_in_digits_needs_no_resolver() -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise AssertionError

    with ScriptedServer(Reply(body=b"x")) as server:
        policy = EgressPolicy(allow_private=True)
        with contextlib.closing(HTTPClient(policy, PATIENT, resolve=resolve)) as client:
            assert fetch(client, server.url) == b"x"


# Redirects


def test_request_redirect_not_asked_for_is_returned(client: HTTPClient) -> None:
    with ScriptedServer(Reply(status=302, headers={"Location": "/next"})) as server:
        reply = client.request("GET", server.url, cancel=Cancel(30), max_bytes=10)
    assert (reply.status, reply.headers["location"]) == (302, "/next")


def test_request_redirect_to_other_host_drops_every_credential(client: HTTPClient) -> None:
    secrets = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "Accept": "text/html"}
    with ScriptedServer(Reply(body=b"there")) as other:
        with ScriptedServer(Reply(status=307, headers={"Location": other.url})) as first:
            assert fetch(client, first.url, follow=True, headers=secrets) == b"there"
        assert not {"authorization", "cookie", "x-api-key"} & set(other.seen[0].headers)
        assert other.seen[0].headers["accept"] == "text/html"


def test_request_redirect_on_same_host_keeps_headers(client: HTTPClient) -> None:
    with ScriptedServer(Reply(status=301, headers={"Location": "/b"}), Reply(body=b"b")) as server:
        reply = client.request(
            "GET",
            f"{server.url}/a",
            cancel=Cancel(30),
            max_bytes=9,
            follow=True,
            headers={"Authorization": "x"},
        )
        assert (reply.content, reply.url) == (b"b", f"{server.url}/b")
        assert server.seen[1].headers["authorization"] == "x"


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_request_redirected_post_follows_the_standard(client: HTTPClient, status: int, method: str) -> None:
    with ScriptedServer(Reply(status=status, headers={"Location": "/b"}), Reply()) as server:
        client.request("POST", server.url, cancel=Cancel(30), max_bytes=9, json={"a": 1}, follow=True)
        assert server.seen[1].method == method
        assert server.seen[1].body == (b'{"a":1}' if method == "POST" else b"")


def test_request_redirect_to_no_url_is_broken(client: HTTPClient) -> None:
    reply = Reply(status=302, headers={"Location": "http://[::1"})
    with ScriptedServer(reply) as server, pytest.raises(ConnectionBroken, match="not a URL"):
        fetch(client, server.url, follow=True)


def test_request_endless_redirects_end_after_five(client: HTTPClient) -> None:
    with ScriptedServer(Reply(status=302, headers={"Location": "/again"})) as server:
        with pytest.raises(ConnectionBroken, match="5 times"):
            fetch(client, server.url, follow=True)
        assert len(server.seen) == 6


# Bodies


def test_request_json_is_sent_with_its_type(client: HTTPClient) -> None:
    with ScriptedServer(Reply.of_json({"ok": True})) as server:
        reply = client.request(
            "POST", server.url + "/p?q=1", cancel=Cancel(30), max_bytes=99, json={"a": "ü"}
        )
        assert (reply.status, reply.content) == (200, b'{"ok": true}')
        assert (server.seen[0].method, server.seen[0].target) == ("POST", "/p?q=1")
        assert server.seen[0].headers["content-type"] == "application/json"
        assert server.seen[0].json == {"a": "ü"}


def test_request_says_once_whom_it_is_for_and_how_long_it_is(client: HTTPClient) -> None:
    sent = {"Host": "elsewhere.example", "Content-Length": "99"}
    with ScriptedServer(Reply(body=b"ok")) as server:
        client.request("POST", server.url, cancel=Cancel(30), max_bytes=99, content=b"four", headers=sent)
        client.request("POST", server.url, cancel=Cancel(30), max_bytes=99)
        client.request("GET", server.url, cancel=Cancel(30), max_bytes=99)
    first, second, third = (dict(seen.headers) for seen in server.seen)
    assert (first["host"], first["content-length"]) == ("elsewhere.example", "4")
    assert (second["host"], second["content-length"]) == (server.url.split("/")[2], "0")
    assert "content-length" not in third


def test_request_carries_the_id_of_the_request_it_is_made_for(client: HTTPClient) -> None:
    outside = request_id.set("trace-me-2")
    try:
        with ScriptedServer(Reply()) as server:
            client.request("GET", server.url, cancel=Cancel(30), max_bytes=9)
            assert server.seen[0].headers["x-request-id"] == "trace-me-2"
    finally:
        request_id.reset(outside)


def test_request_userinfo_of_the_address_becomes_basic_authorization(client: HTTPClient) -> None:
    with ScriptedServer(Reply()) as server:
        url = f"http://us%40er:pa%3Ass@127.0.0.1:{server.port}/"
        reply = client.request("GET", url, cancel=Cancel(30), max_bytes=9)
        assert server.seen[0].headers["authorization"] == httpx2.BasicAuth("us@er", "pa:ss")._auth_header
        assert reply.url == f"http://127.0.0.1:{server.port}/"


def test_read_gzip_body_is_decompressed(client: HTTPClient) -> None:
    body = gzip.compress(b"text " * 1000)
    with ScriptedServer(Reply(body=body, headers={"Content-Encoding": "gzip"})) as server:
        assert fetch(client, server.url) == b"text " * 1000


def test_iter_bytes_little_that_decompresses_to_much_comes_in_small_pieces(client: HTTPClient) -> None:
    body = gzip.compress(bytes(3_000_000))
    with (
        ScriptedServer(Reply(body=body, headers={"Content-Encoding": "gzip"})) as server,
        client.stream("GET", server.url, cancel=Cancel(30)) as response,
    ):
        sizes = [len(piece) for piece in response.iter_bytes()]
    assert (sum(sizes), max(sizes)) == (3_000_000, 16_384)


def test_read_gzip_bomb_stops_at_the_limit(client: HTTPClient) -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=9)
    with ScriptedServer(Reply(body=bomb, headers={"Content-Encoding": "gzip"})) as server:
        assert_quick(seconds_to(BodyTooLarge, lambda: fetch(client, server.url)), 1.0)


def test_read_body_that_is_not_gzip_is_broken(client: HTTPClient) -> None:
    reply = Reply(body=b"plain", headers={"Content-Encoding": "gzip"})
    with ScriptedServer(reply) as server, pytest.raises(ConnectionBroken):
        fetch(client, server.url)


def test_read_endless_body_stops_at_the_limit_and_hangs_up(client: HTTPClient) -> None:
    with ScriptedServer(Reply(steps=itertools.repeat(b"x" * 10_000))) as server:
        with pytest.raises(BodyTooLarge):
            fetch(client, server.url)
        assert server.wait_for_hangup(30)


def test_iter_lines_lines_cut_across_chunks_come_whole(client: HTTPClient) -> None:
    pieces = [b"on", b"e\r\ntw", b"o\n", b"\nthr", b"ee"]
    with ScriptedServer(Reply(steps=pieces)) as server:
        assert lines_of(client, server.url) == [b"one", b"two", b"", b"three"]


def test_iter_lines_line_without_end_is_too_large(client: HTTPClient) -> None:
    endless = Reply(steps=itertools.repeat(b"x" * 65_536))
    with ScriptedServer(endless) as server, pytest.raises(BodyTooLarge):
        lines_of(client, server.url)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_request_answer_cut_short_or_malformed_is_broken(client: HTTPClient, raw: bytes) -> None:
    with ScriptedServer(Reply(raw=[raw])) as server, pytest.raises(ConnectionBroken):
        fetch(client, server.url)


def test_request_body_without_length_ends_with_the_connection(client: HTTPClient) -> None:
    with ScriptedServer(Reply(raw=[b"HTTP/1.0 200 OK\r\n\r\nall ", b"of it"])) as server:
        assert fetch(client, server.url) == b"all of it"


def test_request_answers_before_the_answer_are_passed_over(client: HTTPClient) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nX-Kind: last\r\nContent-Length: 2\r\n\r\nok"
    at_once: list[bytes | float | Step] = [early + answer]
    later: list[bytes | float | Step] = [early, 0.02, answer]
    for raw in (at_once, later):
        with ScriptedServer(Reply(raw=raw)) as server:
            reply = client.request("GET", server.url, cancel=Cancel(30), max_bytes=99)
        assert (reply.status, reply.content) == (200, b"ok")
        assert dict(reply.headers) == {"x-kind": "last", "content-length": "2"}


def test_request_head_has_no_body_whatever_its_length_says(client: HTTPClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with ScriptedServer(Reply(raw=[raw, 0.5])) as server:
        reply = client.request("HEAD", server.url, cancel=Cancel(30), max_bytes=99)
    assert (reply.status, reply.content) == (200, b"")


def test_request_what_comes_before_a_fault_is_told_before_it(client: HTTPClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
    told: list[bytes] = []
    with (
        ScriptedServer(Reply(raw=[raw])) as server,
        client.stream("GET", server.url, cancel=Cancel(30)) as response,
        pytest.raises(ConnectionBroken) as broken,
    ):
        told.extend(response.iter_bytes())
    assert told == [b"hello"]
    assert broken.value.is_midway


def test_request_connection_with_more_than_the_answer_is_not_used_again(client: HTTPClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    for surplus in (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"rubbish"):
        with ScriptedServer(Reply(raw=[raw + surplus])) as server:
            assert [fetch(client, server.url) for _ in range(2)] == [b"ok", b"ok"]
            assert [seen.connection for seen in server.seen] == [1, 2]


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"5;x=", b"0\r\n" + b"X: y\r\n" * 100])
def test_request_words_between_chunks_and_behind_them_come_to_an_end(
    client: HTTPClient, endless: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    rest = itertools.repeat(b"X: y\r\n" * 1_000 if endless.endswith(b"\n") else b"y" * 8_000)
    with ScriptedServer(Reply(raw=itertools.chain([head, endless], rest))) as server:
        started = time.monotonic()
        with pytest.raises(ConnectionBroken):
            fetch(client, server.url)
    assert_quick(time.monotonic() - started, 2)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_request_answers_as_old_servers_write_them_are_read(client: HTTPClient, raw: bytes) -> None:
    with ScriptedServer(Reply(raw=[raw])) as server:
        assert fetch(client, server.url) == b"ok"


def test_request_connection_that_was_told_two_lengths_is_not_used_again(client: HTTPClient) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedServer(Reply(raw=[head + b"2\r\nok\r\n0\r\n\r\n", 0.2])) as server:
        assert [fetch(client, server.url) for _ in range(2)] == [b"ok", b"ok"]
        assert [seen.connection for seen in server.seen] == [1, 2]


def test_request_surplus_changes_nothing_of_the_answer(client: HTTPClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 100 C\r\n\r\n"
    with ScriptedServer(Reply(raw=[raw])) as server:
        reply = client.request("GET", server.url, cancel=Cancel(30), max_bytes=99)
    assert (reply.content, reply.headers["content-type"]) == (b"ok", "text/x")


def test_request_head_with_a_surplus_frees_no_connection(client: HTTPClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Le"
    with ScriptedServer(Reply(raw=[raw, 0.2])) as server:
        for _ in range(2):
            client.request("HEAD", server.url, cancel=Cancel(30), max_bytes=99)
        assert [seen.connection for seen in server.seen] == [1, 2]


def test_request_refused_upload_still_shows_the_answer(client: HTTPClient) -> None:
    with answering_by_hand(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig") as (url, _):
        reply = client.request("POST", url, cancel=Cancel(30), max_bytes=99, content=bytes(8_000_000))
    assert (reply.status, reply.content) == (413, b"big")


# Connections


def test_request_connection_is_reused_when_the_answer_was_read(client: HTTPClient) -> None:
    with ScriptedServer(Reply(steps=[b"a", b"b"])) as server:
        for _ in range(3):
            assert fetch(client, server.url) == b"ab"
        assert {seen.connection for seen in server.seen} == {1}


def test_stream_left_after_its_last_event_keeps_the_connection(client: HTTPClient) -> None:
    with ScriptedServer(Reply.of_events({"n": 1})) as server:
        for _ in range(2):
            with client.stream("GET", server.url, cancel=Cancel(30)) as response:
                for line in response.iter_lines():
                    if line == b"data: [DONE]":
                        break
        assert {seen.connection for seen in server.seen} == {1}


def test_stream_left_in_the_middle_hangs_up(client: HTTPClient) -> None:
    endless: Iterator[bytes | float] = itertools.cycle([b"x\n", 0.01])
    with ScriptedServer(Reply(steps=endless)) as server:
        with client.stream("GET", server.url, cancel=Cancel(30)) as response:
            next(response.iter_bytes())
        left = time.monotonic()
        assert server.wait_for_hangup(30)
        assert_quick(time.monotonic() - left, 0.3)


@pytest.mark.parametrize("body", [b"5\r\nhello\r\n", b"zz\r\n"])
def test_request_connection_of_a_cut_answer_is_closed_at_once(client: HTTPClient, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    left = threading.Event()

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(1000)
            sock.sendall(head + body)
            sock.shutdown(socket.SHUT_WR)
            if sock.recv(1) == b"":
                left.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with pytest.raises(ConnectionBroken):
            fetch(client, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert left.wait(30)


def test_request_many_at_once_leave_few_idle_connections(client: HTTPClient) -> None:
    together = threading.Barrier(40)

    def answer(_seen: object) -> Reply:
        together.wait(30)
        return Reply(body=b"x")

    with ScriptedServer(answer) as server:
        threads = [threading.Thread(target=fetch, args=(client, server.url)) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: sum(sock.fileno() >= 0 for sock in server._open) == 32)


@pytest.mark.parametrize("resets", [False, True])
def test_request_connection_closed_by_the_server_is_replaced(client: HTTPClient, resets: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with answering_by_hand(answer, resets=resets) as (url, closed):
        for _ in range(2):
            assert fetch(client, url) == b"ok"
            assert closed.acquire(timeout=30)


def test_request_connection_idle_too_long_is_given_up() -> None:
    client = HTTPClient(EgressPolicy(allow_private=True), PATIENT, keep_idle_s=0.0)
    with ScriptedServer(Reply(body=b"x")) as server, contextlib.closing(client):
        for _ in range(2):
            fetch(client, server.url)
        assert [seen.connection for seen in server.seen] == [1, 2]


def test_request_connection_that_grew_old_in_the_pool_is_replaced() -> None:
    client = HTTPClient(EgressPolicy(allow_private=True), PATIENT, keep_idle_s=0.2)
    with ScriptedServer(Reply(body=b"x")) as server, contextlib.closing(client):
        started = time.monotonic()
        for _ in range(2):
            fetch(client, server.url)
        assert_quick(time.monotonic() - started, 0.2)  # or it grew old between the two
        time.sleep(0.25)
        fetch(client, server.url)
        assert [seen.connection for seen in server.seen] == [1, 1, 2]


def test_request_server_saying_close_gets_a_new_connection(client: HTTPClient) -> None:
    with ScriptedServer(Reply(body=b"1", headers={"Connection": "close"})) as server:
        assert [fetch(client, server.url) for _ in range(2)] == [b"1", b"1"]
        assert [seen.connection for seen in server.seen] == [1, 2]


def test_request_many_at_once_each_get_their_own_answer(client: HTTPClient) -> None:
    def echo(seen: object) -> Reply:
        return Reply(steps=[getattr(seen, "target").encode(), 0.05, b"!"])  # noqa: B009

    answers: dict[int, bytes] = {}
    with ScriptedServer(echo) as server:

        def ask(number: int) -> None:
            answers[number] = fetch(client, f"{server.url}/{number}")

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: f"/{n}!".encode() for n in range(40)}


# Deadlines


def test_request_port_nobody_listens_on_fails_at_once(client: HTTPClient) -> None:
    with pytest.raises(ConnectFailed, match="refused"):
        fetch(client, f"http://127.0.0.1:{free_port()}/")


def test_request_host_without_address_fails(client: HTTPClient) -> None:
    with pytest.raises(ConnectFailed, match="no address"):
        fetch(client, "http://does-not-exist.invalid/")


@contextlib.contextmanager
def resolving_late(timeouts: Timeouts) -> Iterator[tuple[HTTPClient, str]]:
    """Give a client whose resolver answers only at the end, and an address to ask it for."""
    asked_enough = threading.Event()

    def resolve(_host: str, _port: int) -> list[str]:
        asked_enough.wait(30)
        return ["127.0.0.1"]

    with ScriptedServer(Reply()) as server:
        client = HTTPClient(EgressPolicy(allow_private=True), timeouts, resolve=resolve)
        with contextlib.closing(client):
            yield client, f"http://slow.example:{server.port}/"
        asked_enough.set()
        assert server.seen == []


@pytest.mark.parametrize(("total_s", "phase"), [(30.0, "connect"), (0.1, "total")])
def test_request_resolver_that_hangs_times_out(total_s: float, phase: str) -> None:
    timeouts = Timeouts(connect_s=0.2 if phase == "connect" else 20, first_byte_s=20, idle_s=20)
    with resolving_late(timeouts) as (client, url):
        started = time.monotonic()
        with pytest.raises(TimedOut) as timed_out:
            client.request("GET", url, cancel=Cancel(total_s), max_bytes=9)
        assert_quick(time.monotonic() - started, 0.5)
    assert timed_out.value.phase == phase


def test_cancel_while_resolving_ends_within_300_ms() -> None:
    with resolving_late(PATIENT) as (client, url):
        cancel, at = cancel_when(lambda: True)
        with pytest.raises(Cancelled):
            client.request("GET", url, cancel=cancel, max_bytes=9)
        assert_quick(time.monotonic() - at[0], 0.3)


def test_request_resolver_with_a_fault_of_its_own_raises_it() -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise LookupError("a bug")

    client = HTTPClient(EgressPolicy(), PATIENT, resolve=resolve)
    with contextlib.closing(client), pytest.raises(LookupError, match="a bug"):
        fetch(client, "http://host.example/")


def test_request_second_address_is_tried_when_the_first_refuses() -> None:
    with ScriptedServer(Reply(body=b"here")) as server:
        policy = EgressPolicy(allow_private=True)
        client = HTTPClient(policy, PATIENT, resolve=lambda _h, _p: ["127.0.0.2", "::1", "127.0.0.1"])
        with contextlib.closing(client):
            assert fetch(client, f"http://many.example:{server.port}/") == b"here"


def test_request_connection_never_accepted_times_out_connecting() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # fills the queue of a listener that does not accept
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        client = make_client(timeouts=Timeouts(connect_s=0.1, first_byte_s=20, idle_s=20))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TimedOut) as timed_out:
            fetch(client, url)
    assert timed_out.value.phase == "connect"


SLOW_HEAD: list[bytes | float | Step] = [b"HTTP/1.1 200 OK\r\nX: "]
SLOW_HEAD += [b"y", 0.04] * 1_000


@pytest.mark.parametrize(
    ("reply", "phase"),
    [
        (Reply(delay_s=20), "first_byte"),
        (Reply(steps=[20.0, b"late"]), "first_byte"),
        (Reply(steps=[b"a", 20.0, b"b"]), "idle"),
        (Reply(steps=[b"a", 0.04] * 1_000), "total"),
        (Reply(raw=SLOW_HEAD), "total"),
        (Reply(raw=SLOW_HEAD), "first_byte"),
        (Reply(steps=[Step.HANG]), "first_byte"),
    ],
)
def test_request_slow_server_times_out_in_the_phase_it_is_slow_in(reply: Reply, phase: str) -> None:
    limits_s = {"first_byte": 30.0, "idle": 30.0, "total": 30.0, phase: 0.3}
    timeouts = Timeouts(connect_s=20, first_byte_s=limits_s["first_byte"], idle_s=limits_s["idle"])
    with ScriptedServer(reply) as server, contextlib.closing(make_client(timeouts=timeouts)) as client:
        started = time.monotonic()
        with pytest.raises(TimedOut) as timed_out:
            client.request("GET", server.url, cancel=Cancel(limits_s["total"]), max_bytes=10_000)
    assert timed_out.value.phase == phase
    assert_quick(time.monotonic() - started, 0.9)


def test_request_deadline_already_past_is_not_sent(client: HTTPClient) -> None:
    with ScriptedServer(Reply()) as server:
        with pytest.raises(TimedOut) as timed_out:
            client.request("GET", server.url, cancel=Cancel(0), max_bytes=9)
        assert (timed_out.value.phase, server.seen) == ("total", [])


# Cancellation


@pytest.mark.parametrize("is_pooled", [False, True])
@pytest.mark.parametrize(
    "steps",
    [[Step.HANG], [b"a\n", Step.HANG], [b"a\n", 0.01, b"b\n", Step.HANG]],
    ids=["headers", "body", "later"],
)
def test_cancel_blocked_read_ends_within_300_ms(
    client: HTTPClient, is_pooled: bool, steps: list[bytes | float | Step]
) -> None:
    reply = Reply(raw=steps) if steps[0] is Step.HANG else Reply(steps=steps)
    with ScriptedServer(Reply(body=b"warm")) as server:
        if is_pooled:
            fetch(client, server.url)
        server.then(reply)
        expected = len(server.seen) + 1
        cancel, at = cancel_when(lambda: len(server.seen) == expected)
        with pytest.raises(Cancelled), client.stream("GET", server.url, cancel=cancel) as response:
            list(response.iter_lines())
        took_s = time.monotonic() - at[0]
        assert server.wait_for_hangup(30)
        assert_quick(took_s, 0.3)
        assert {seen.connection for seen in server.seen} == {1}
        server.then(Reply(body=b"after"))
        assert fetch(client, server.url) == b"after"
        assert server.seen[-1].connection == 2


def test_cancel_while_connecting_ends_within_300_ms(client: HTTPClient) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        cancel, at = cancel_when(lambda: True)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(Cancelled), client.stream("GET", url, cancel=cancel):
            pass
        assert_quick(time.monotonic() - at[0], 0.3)


@pytest.mark.parametrize("is_pooled", [False, True])
def test_cancel_already_set_sends_nothing(client: HTTPClient, is_pooled: bool) -> None:
    cancel = Cancel(30)
    cancel.set()
    with ScriptedServer(Reply()) as server:
        if is_pooled:
            fetch(client, server.url)
        with pytest.raises(Cancelled):
            client.request("GET", server.url, cancel=cancel, max_bytes=9)
        assert len(server.seen) == is_pooled


def test_cancel_set_after_the_answer_leaves_the_pooled_connection_alone(client: HTTPClient) -> None:
    cancel = Cancel(30)
    with ScriptedServer(Reply(body=b"x")) as server:
        client.request("GET", server.url, cancel=cancel, max_bytes=9)
        cancel.set()
        fetch(client, server.url)
        assert [seen.connection for seen in server.seen] == [1, 1]


# SDKs and secrets


def test_sdk_client_obeys_guard_deadlines_and_cancel(client: HTTPClient) -> None:
    with contextlib.closing(make_client(EgressPolicy())) as strict, pytest.raises(EgressDenied):
        strict.sdk_client(Cancel(30)).get("http://127.0.0.1:1/")
    with ScriptedServer(Reply(steps=[b"one\n", Step.HANG])) as server:
        cancel, at = cancel_when(lambda: len(server.seen) == 1)
        sdk = client.sdk_client(cancel)
        with pytest.raises(Cancelled), sdk.stream("POST", server.url, json={}) as raw:
            assert list(HTTPResponse(raw).iter_lines()) == []
        assert_quick(time.monotonic() - at[0], 0.3)


def test_sdk_client_shares_the_pool_and_does_not_follow_redirects(client: HTTPClient) -> None:
    with ScriptedServer(Reply(status=302, headers={"Location": "/x"})) as server:
        fetch(client, server.url)
        assert client.sdk_client(Cancel(30)).get(server.url).status_code == 302
        assert [seen.connection for seen in server.seen] == [1, 1]


@pytest.mark.parametrize("header", [SECRET + "\r\nX-Evil: 1", SECRET + "\n", SECRET + "\x00", SECRET + "€"])
def test_request_header_http_forbids_is_refused_without_quoting_it(client: HTTPClient, header: str) -> None:
    with ScriptedServer(Reply()) as server:
        with pytest.raises(InvalidRequest) as refused:
            fetch(client, server.url, headers={"Authorization": header})
        assert server.seen == []
    chain = [refused.value, refused.value.__cause__]
    assert all(SECRET not in repr(error) for error in chain)


@pytest.mark.parametrize("name", ["content-length ", "a b", "a\tb", "a:b", "", "é"])
def test_header_whose_name_is_none_is_refused(client: HTTPClient, name: str) -> None:
    with ScriptedServer(Reply()) as server:
        with pytest.raises(InvalidRequest):
            fetch(client, server.url, headers={name: "3"})
        assert server.seen == []


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET\r\nX: 1", "URL"),
        ("GET", "http://:80/"),
        ("GET", "http://a:b/"),
        ("GET", "http://127.0.0.1:99999/"),
    ],
)
def test_request_malformed_call_is_refused(client: HTTPClient, method: str, url: str) -> None:
    with ScriptedServer(Reply()) as server:
        with pytest.raises(InvalidRequest):
            client.request(method, url.replace("URL", server.url), cancel=Cancel(30), max_bytes=9)
        assert server.seen == []


def test_failures_never_quote_path_query_or_userinfo() -> None:
    timeouts = Timeouts(connect_s=20, first_byte_s=0.05, idle_s=0.05)
    replies = [Reply(raw=[b""]), Reply(delay_s=20), Reply(raw=[b"junk\r\n"])]
    with ScriptedServer(*replies) as server, contextlib.closing(make_client(timeouts=timeouts)) as client:
        for _ in replies:
            with pytest.raises(HTTPFailure) as failed:
                fetch(client, f"http://u:{SECRET}@127.0.0.1:{server.port}/{SECRET}?key={SECRET}")
            assert SECRET not in repr(failed.value) + repr(failed.value.__cause__)


# TLS


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(make_certificate())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def make_certificate() -> bytes:
    """Return a private key and a self-signed certificate of 127.0.0.1, as PEM."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(pem)


def test_tls_stream_is_read_pooled_and_cancelled(client: HTTPClient, tls: ssl.SSLContext) -> None:
    with ScriptedServer(Reply(steps=[b"a", 0.01, b"b"]), tls=tls) as server:
        assert [fetch(client, server.url) for _ in range(2)] == [b"ab", b"ab"]
        server.then(Reply(steps=[b"a", Step.HANG]))
        cancel, at = cancel_when(lambda: len(server.seen) == 3)
        with pytest.raises(Cancelled):
            client.request("GET", server.url, cancel=cancel, max_bytes=9)
        assert_quick(time.monotonic() - at[0], 0.3)
        assert {seen.connection for seen in server.seen} == {1}


@pytest.mark.parametrize("is_tls", [False, True])
def test_fast_stream_keeps_its_pace(client: HTTPClient, tls: ssl.SSLContext, is_tls: bool) -> None:
    steps: list[bytes | float | Step] = [b"data: x\n", 0.002] * 300
    asked = time.monotonic()
    with (
        ScriptedServer(Reply(steps=steps), tls=tls if is_tls else None) as server,
        client.stream("GET", server.url, cancel=Cancel(20)) as response,
    ):
        lines = list(response.iter_lines())

    assert len(lines) == 300
    assert_quick(time.monotonic() - asked, 3.0)  # 0.7 s of its own; resting at each record took 6


def test_tls_certificate_of_another_name_is_refused(client: HTTPClient, tls: ssl.SSLContext) -> None:
    with ScriptedServer(Reply(), tls=tls) as server:
        with pytest.raises(ConnectFailed, match="mismatch"):
            fetch(client, f"https://localhost:{server.port}/")
        assert server.seen == []


def test_tls_certificate_may_be_passed_over_for_that_call_only(
    client: HTTPClient, tls: ssl.SSLContext
) -> None:
    with ScriptedServer(Reply(body=b"a"), tls=tls) as server:
        url = f"https://localhost:{server.port}/"
        with client.stream("GET", url, cancel=Cancel(30), verify=False) as response:
            assert response.read(9) == b"a"
        with pytest.raises(ConnectFailed, match="mismatch"):
            fetch(client, url)
        assert len(server.seen) == 1


def test_trickle_rests_longer_where_it_is_woken_late(
    client: HTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    def sleep_late(seconds: float) -> None:
        if seconds > wire.PACE_S / 2:
            rests.append(seconds)
        waited(seconds + 0.05)

    waited = time.sleep
    steps: list[bytes | float | Step] = [b"data: x\n", 0.05] * 10
    with (
        ScriptedServer(Reply(steps=steps)) as server,
        client.stream("GET", server.url, cancel=Cancel(20)) as response,
    ):
        monkeypatch.setattr(wire, "time", SimpleNamespace(sleep=sleep_late, monotonic=time.monotonic))
        assert len(list(response.iter_lines())) == 10
    assert rests[0] <= wire.PACE_S
    assert max(rests) > wire.PACE_S + 0.03
