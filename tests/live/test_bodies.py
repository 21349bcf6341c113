"""Requests that are slow, broken or cut, over real sockets: each has its answer, none holds a place."""

import json
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.conftest import PATIENT, ModelServer, Served, end, make_key, set_up, start
from tests.live.impatient import IDLE_S
from tests.live.test_streams import END, delta, read_first
from tests.sse import parse_events
from tests.waiting import assert_quick, wait_until

pytestmark = PATIENT

POST = "POST /console/api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A program with little patience for silent clients, which tells of its requests."""
    data_dir = tmp_path_factory.mktemp("data")
    program = start((), data_dir, {"LOG_LEVEL": "INFO"}, main="tests.live.impatient:main")
    yield program
    end(program)


def send(served: Served, request: str) -> socket.socket:
    """Send bytes as they are; return the connection."""
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    connection.sendall(request.encode())
    return connection


def ask(served: Served, request: str) -> tuple[int, str, dict[str, Any]]:
    """Send bytes as they are; return status, head and JSON of the answer, which ends the connection."""
    with send(served, request) as connection, connection.makefile("rb") as reader:
        head, _, body = reader.read().decode().partition("\r\n\r\n")
    return int(head.split()[1]), head.lower(), json.loads(body)


@pytest.mark.parametrize(
    "request_text",
    [POST + "Content-Length: 50\r\n\r\n{", CHUNKED + "5\r\n{", CHUNKED],
    ids=["declared", "chunked", "nothing"],
)
def test_body_of_a_silent_client_is_given_up_with_408(served: Served, request_text: str) -> None:
    asked = time.monotonic()

    status, _, body = ask(served, request_text)

    assert (status, body["status"], body["code"]) == (408, 408, "request_timeout")
    assert_quick(time.monotonic() - asked, IDLE_S + 10)


@pytest.mark.parametrize(
    "rest",
    ["zz\r\nhello\r\n", "2\r\n{}}\r\n0\r\n\r\n", "2\r\n{}\r\n0\r\nno trailer\r\n\r\n"],
    ids=["size", "end", "trailer"],
)
def test_body_in_broken_chunks_is_refused_with_400(served: Served, rest: str) -> None:
    status, _, body = ask(served, CHUNKED + rest)

    assert (status, body["status"], body["code"]) == (400, 400, "invalid_param")


@pytest.mark.parametrize(
    "request_text", [POST + "Content-Length: 50\r\n\r\n{", CHUNKED + "5\r\n{"], ids=["declared", "chunked"]
)
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_body_of_a_vanished_client_is_no_fault_of_the_server(
    served: Served, request_text: str, is_reset: bool
) -> None:
    request_id = f"vanished-{uuid.uuid4()}"
    connection = send(served, request_text.replace("Host: x", f"Host: x\r\nX-Request-Id: {request_id}"))
    if is_reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()

    wait_until(lambda: bool(logged(served, request_id)))
    lines = logged(served, request_id)
    assert [(line["event"], line["status"]) for line in lines] == [("request", 400)]


def logged(served: Served, request_id: str) -> list[dict[str, Any]]:
    """Return the lines of the log that tell of a request."""
    whole, _, _ = served.process.said().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if request_id in line]


def test_slow_reader_of_an_answer_is_not_cut(served: Served) -> None:
    with ModelServer() as models:
        set_up(served, f"{models.url}/v1")
        # 14 MB on the wire, more than sockets hold; a longer answer would be refused
        key = make_key(served, models.script(*[delta("\x01" * 100_000)] * 24, END))
        with served.chat(key) as answer:
            raw, _ = read_first(answer)
            time.sleep(3 * IDLE_S)
            events = parse_events((raw + answer.read()).decode())

    assert events[-1]["event"] == "message_end"


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (f"X-Test: {'x' * 100_000}\r\n", 431, "request_header_fields_too_large"),
        ("Content-Length: -1\r\n", 400, "invalid_param"),
        ("Transfer-Encoding: rot13\r\n", 501, "not_implemented"),
        ("no header\r\n", 400, "invalid_param"),
    ],
    ids=["too-large", "negative-length", "unknown-coding", "no-header"],
)
def test_head_that_cannot_be_taken_is_refused_in_the_envelope(
    served: Served, head: str, status: int, code: str
) -> None:
    seen, head_of_answer, body = ask(served, f"GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n")

    assert (seen, body["status"], body["code"]) == (status, status, code)
    assert "content-type: application/json" in head_of_answer
    assert "connection: close" in head_of_answer
    assert "x-request-id: " in head_of_answer
    assert set(body) == {"code", "message", "status"}


def test_request_line_that_is_too_long_is_refused_in_the_envelope(served: Served) -> None:
    status, _, body = ask(served, f"GET /{'x' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (status, body["status"], body["code"]) == (414, 414, "request_uri_too_long")
