"""The Python SDK against servers that refuse, break off and fall silent."""

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, assert_type

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dify_client import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    Client,
    ConflictError,
    InvalidAnswerError,
    ModelError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    transport,
)
from dify_client.retries import retry_after_s
from dify_client.sse import Frame, FrameParser
from tests.sdks.twins import TWINS, Twin
from tests.servers import Reply, ScriptedServer, Step
from tests.waiting import assert_quick

KEY = "app-a-key-of-the-tests"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OK = Reply.of_json({"answer": "Hello"})
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
IDS = {"task_id": "t-1", "message_id": "m-1", "conversation_id": "c-1"}
Open = Callable[..., Twin]


def frame(number: int | None, event: str = "message", **more: Any) -> bytes:
    """Return an event as the program writes it."""
    head = f"id: {number}\n" if number is not None else ""
    told = {"event": event, **IDS, "answer": f"w{number} ", **more}
    return head.encode() + b"data: " + httpx.Response(200, json=told).content + b"\n\n"


def streamed(*steps: bytes | float | Step) -> Reply:
    return Reply(headers=STREAM, steps=steps)


def refused(status: int, code: str, **headers: str) -> Reply:
    return Reply.of_json({"code": code, "message": "No.", "status": status}, status, headers)


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> Open:
    """Makes clients of a scripted server."""
    return lambda server, **tuning: TWINS[request.param](KEY, server.url, **tuning)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a client waited between its tries; the test itself waits for nothing."""
    seen: list[float] = []

    async def awaited(seconds: float) -> None:
        seen.append(seconds)

    monkeypatch.setattr(transport, "time", SimpleNamespace(sleep=seen.append))
    monkeypatch.setattr(transport, "asyncio", SimpleNamespace(sleep=awaited))
    return seen


def chat(client: Any) -> Any:
    return client.chat.create_stream(query="Hi", user="ada & co")


def ask(client: Any) -> Any:
    return client.chat.create(query="Hi", user="ada")


# -- tries ---------------------------------------------------------------------------------------


def test_refusals_that_pass_are_tried_again_as_one_request(twin: Open, waits: list[float]) -> None:
    under_way = refused(409, "idempotency_in_progress", **{"Retry-After": "7"})
    script = [refused(429, "rate_limit_exceeded", **{"Retry-After": "3"}), under_way, Reply(raw=[]), OK]
    with ScriptedServer(*script) as server:
        answer = twin(server, max_retries=3, backoff_s=2.0).ask(ask)

    assert answer == {"answer": "Hello"}
    assert waits[:2] == [3.0, 7.0]
    assert 4.0 <= waits[2] <= 8.0  # the third of 2, 4, 8
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 1
    assert len({seen.body for seen in server.seen}) == 1
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("reply", "tries"),
    [
        (refused(503, "service_unavailable"), 3),
        (refused(429, "rate_limit_exceeded", **{"Retry-After": "3600"}), 1),
        (refused(500, "internal_error"), 1),
        (refused(409, "conflict"), 1),
    ],
    ids=["bounded", "too-long-a-wait", "fault", "conflict"],
)
def test_refusals_that_last_are_told_after_few_tries(
    twin: Open, waits: list[float], reply: Reply, tries: int
) -> None:
    with ScriptedServer(reply) as server, pytest.raises(APIError) as told:
        twin(server).ask(ask)

    assert len(server.seen) == tries
    assert len(waits) == tries - 1
    assert told.value.retry_after_s == (3600.0 if "Retry-After" in reply.headers else None)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_param", BadRequestError),
        (400, "completion_request_error", ModelError),
        (401, "unauthorized", AuthenticationError),
        (403, "access_denied", PermissionDeniedError),
        (404, "not_found", NotFoundError),
        (409, "conflict", ConflictError),
        (413, "file_too_large", BadRequestError),
        (429, "rate_limit_exceeded", RateLimitError),
        (500, "internal_error", ServerError),
        (503, "service_unavailable", ServerError),
    ],
)
def test_errors_have_the_class_of_their_status_within_streams_too(
    twin: Open, status: int, code: str, kind: type[APIError]
) -> None:
    event = frame(None, "error", status=status, code=code, message="No.")
    with ScriptedServer(refused(status, code), streamed(frame(1), event)) as server:
        sdk = twin(server, max_retries=0)
        for failing in (lambda: sdk.ask(ask), lambda: sdk.read(chat)):
            with pytest.raises(APIError, match=f"No. .{status} {code}.") as told:
                failing()
            assert type(told.value) is kind


def test_what_is_no_answer_of_this_api_is_said_so(twin: Open) -> None:
    page = Reply(headers={"Content-Type": "text/html"}, body=b"<html>")
    with ScriptedServer(page, page, streamed(b"data: [1]\n\n"), streamed(b"data: no\n\n")) as server:
        sdk = twin(server)
        with pytest.raises(InvalidAnswerError):
            sdk.ask(ask)
        for _ in range(3):
            with pytest.raises(InvalidAnswerError):
                sdk.read(chat)
    with ScriptedServer(Reply(status=502, body=b"<html>")) as server, pytest.raises(ServerError) as told:
        twin(server, max_retries=0).ask(ask)
    assert (told.value.code, told.value.status) == ("unknown", 502)


def test_nobody_answers(twin: Open) -> None:
    with ScriptedServer(Reply(delay_s=20.0)) as server:
        with pytest.raises(APITimeoutError):
            twin(server, timeout_s=0.2).ask(ask)
        assert len(server.seen) < 2  # a busy server may not even have read it
    with ScriptedServer(streamed(frame(1), Step.HANG)) as server, pytest.raises(APIConnectionError):
        twin(server, idle_timeout_s=0.2, max_resumes=1).read(chat)
    with pytest.raises(APIConnectionError):
        twin(server).ask(ask)
    with pytest.raises(APIConnectionError):
        twin(server).read(chat)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_client_needs_a_key_and_an_address(
    client: type[Client] | type[AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="key"):
        client("")
    for url in ("127.0.0.1:5001/api", "ftp://host", "http://"):
        with pytest.raises(ValueError, match="no base URL"):
            client(KEY, url)
        monkeypatch.setenv("DIFY_BASE_URL", url)
        with pytest.raises(ValueError, match="no base URL"):
            client(KEY)


def test_client_calls_the_address_of_the_environment_and_owns_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer(OK) as server:
        monkeypatch.setenv("DIFY_BASE_URL", f"{server.url}/api/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with Client(KEY) as client:
            answer = client.conversations.list(user="ada")
            assert assert_type(answer, dict[str, Any]) == {"answer": "Hello"}
            with pytest.raises(ValueError, match="no id"):
                client.conversations.messages("..", user="ada")
            client.conversations.messages("a/b?c", user="ada")
        with pytest.raises(RuntimeError, match="closed"):
            client.conversations.list(user="ada")
    assert [seen.target for seen in server.seen] == [
        "/api/conversations?user=ada",
        "/api/conversations/a%2Fb%3Fc/messages?user=ada",
    ]


def test_speech_variables_and_suggestions_are_asked_for_as_the_api_has_it(twin: Open, tmp_path: Path) -> None:
    recording = tmp_path / "hello.mp3"
    recording.write_bytes(b"ID3 hello")
    with ScriptedServer(OK) as server:
        sdk = twin(server, app_id="a-1")
        with recording.open("rb") as opened:
            sdk.ask(lambda c: c.audio.to_text(opened))
        sdk.ask(lambda c: c.audio.to_text(recording))
        with pytest.raises(ValueError, match="needs a name"):
            sdk.ask(lambda c: c.audio.to_text(b"ID3"))
        sound = sdk.ask(lambda c: c.audio.speak(user="ada", text="Hello.", voice="nova"))
        sdk.ask(lambda c: c.conversations.set_variable("c", "v", value=None, user="ada"))
        sdk.ask(lambda c: c.messages.suggested("m", user="ada"))
        sdk.ask(
            lambda c: c.chat.create(query="Hi", user="ada", files=[{"type": "image"}], on_disconnect="cancel")
        )

    *forms, spoken, varied, suggested, sent = server.seen
    assert sound == OK.body
    assert all(b'name="file"; filename="hello.mp3"' in seen.body for seen in forms)
    assert all(b"ID3 hello" in seen.body and b'name="user"' not in seen.body for seen in forms)
    assert (spoken.target, spoken.json) == (
        "/text-to-audio",
        {"user": "ada", "text": "Hello.", "voice": "nova"},
    )
    assert (varied.method, varied.target) == ("PUT", "/conversations/c/variables/v")
    assert varied.json == {"value": None, "user": "ada"}
    assert (suggested.method, suggested.target) == ("GET", "/messages/m/suggested?user=ada")
    asked = {
        "query": "Hi",
        "user": "ada",
        "response_mode": "blocking",
        "inputs": {},
        "on_disconnect": "cancel",
    }
    assert sent.json == {**asked, "files": [{"type": "image"}]}
    assert {seen.headers["x-app-id"] for seen in server.seen} == {"a-1"}


# -- streams -------------------------------------------------------------------------------------


def test_stream_is_read_on_where_it_broke_and_tells_nothing_twice(twin: Open) -> None:
    script = [
        streamed(Step.DROP),
        streamed(frame(1), frame(2)[:-1], Step.DROP),
        streamed(frame(1), frame(2), frame(3)),  # ends too soon, without a fault
        Reply(raw=[]),
        Reply(raw=[]),
        streamed(b": here\n\nevent: ping\n\n", frame(4), Step.DROP),
        streamed(frame(5, "message_end"), Step.DROP),
    ]
    with ScriptedServer(*script) as server:
        chunks = twin(server, max_retries=1).read(chat)

    asked = [(seen.method, seen.target, seen.headers.get("last-event-id")) for seen in server.seen]
    events = "/chat-messages/t-1/events?user=ada+%26+co"
    assert [chunk.number for chunk in chunks] == [1, 2, 3, 4, 5]
    assert asked[:2] == 2 * [("POST", "/chat-messages", None)]
    assert asked[2:] == [("GET", events, number) for number in "13334"]
    assert len({seen.headers["idempotency-key"] for seen in server.seen[:2]}) == 1
    assert {seen.headers.get("x-stream-ids") for seen in server.seen[:2]} == {"true"}


def test_sound_after_the_end_is_read_on_too(twin: Open) -> None:
    script = [
        streamed(frame(1), frame(2, "message_end"), frame(3, "tts_message", audio="SUQz"), Step.DROP),
        streamed(frame(4, "tts_message", audio="SUQz"), frame(5, "tts_message_end", audio=""), Step.DROP),
    ]
    with ScriptedServer(*script) as server:
        chunks = twin(server, max_retries=1).read(chat)

    assert [chunk.number for chunk in chunks] == [1, 2, 3, 4, 5]
    assert [chunk.audio for chunk in chunks[1:4]] == [b"", b"ID3", b"ID3"]
    assert [seen.headers.get("last-event-id") for seen in server.seen] == [None, "3"]


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        ([streamed(frame(1), Step.DROP)], 4),
        ([streamed(frame(None), Step.DROP)], 1),
        ([streamed(frame(1), Step.DROP), refused(404, "not_found")], 2),
    ],
    ids=["ever-again", "without-numbers", "forgotten"],
)
def test_stream_that_cannot_be_read_on_says_so(twin: Open, script: list[Reply], asked: int) -> None:
    with ScriptedServer(*script) as server, pytest.raises(StreamInterruptedError):
        twin(server, max_resumes=3).read(chat)

    assert len(server.seen) == asked


def test_stream_that_is_left_is_hung_up(twin: Open) -> None:
    with ScriptedServer(streamed(frame(1), Step.HANG)) as server:
        chunks = twin(server).read(chat, limit=1)
        assert server.wait_for_hangup(30.0)

    assert [chunk.answer for chunk in chunks] == ["w1 "]


def test_workflow_stops_at_a_pause_unless_asked_to_go_on(twin: Open) -> None:
    told = [frame(n, event, workflow_run_id="r-1") for n, event in enumerate(("a", "workflow_paused"), 1)]
    rest = [frame(3, "workflow_finished", workflow_run_id="r-1")]
    with ScriptedServer(streamed(*told), streamed(*told), streamed(*rest)) as server:
        sdk = twin(server)
        short = sdk.read(lambda c: c.workflows.run_stream(inputs={}, user="ada"))
        long = sdk.read(lambda c: c.workflows.events("r-1", user="ada", continue_on_pause=True))

    assert [chunk.event for chunk in short] == ["a", "workflow_paused"]
    assert [chunk.event for chunk in long] == ["a", "workflow_paused", "workflow_finished"]
    assert server.seen[2].target == "/workflow/r-1/events?user=ada&continue_on_pause=true"
    assert server.seen[2].headers["last-event-id"] == "2"


# -- parts ---------------------------------------------------------------------------------------

WHOLE = (
    '\ufeff: a comment\r\nid: 1\r\ndata: {"answer": "你好 🌊"}\r\n\r\n'
    "event: ping\n\ndata\ndata:two\r\ndata:  lines\rid: bad\0\r\rid: 3\n\ndata: unfinished"
).encode()
FRAMES = [Frame('{"answer": "你好 🌊"}', "1"), Frame("\ntwo\n lines")]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_frames_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    parser = FrameParser()
    marks = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[start:stop] for start, stop in itertools.pairwise(marks)]

    assert [found for piece in pieces for found in parser.feed(piece)] == FRAMES


def test_large_frame_in_small_pieces_takes_time_in_proportion() -> None:
    parser = FrameParser()
    started = time.process_time()
    for _ in range(40_000):
        list(parser.feed(b"data" * 64))
    list(parser.feed(b"\n\n"))

    assert_quick(
        time.process_time() - started, 10.0
    )  # a tenth of a second; minutes if each piece cost the whole


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("12", 12.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds
