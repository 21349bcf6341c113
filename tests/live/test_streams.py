"""Streams over real sockets: lost clients, stops, pings, faults of the model server."""

import base64
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import REDIS_URL
from tests.live.conftest import (
    PATIENT,
    ModelServer,
    Serve,
    Served,
    World,
    empty_database,
    end,
    make_key,
    set_up,
    start,
)
from tests.servers import Reply, Step, sse
from tests.sse import parse_events, text_of
from tests.waiting import assert_quick

pytestmark = PATIENT

END = {
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
}


def delta(text: str) -> dict[str, object]:
    """Return a frame of a chat model's stream."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


SECRET = "shared-by-both-0123456789-abcdefgh"
WORDS = [delta(f"w{n} ") for n in range(10)]
SAID = "".join(f"w{n} " for n in range(10))


FEW = {"DATABASE_POOL_SIZE": 5, "RATE_LIMITS": "off"}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[tuple[Served, Served]]:
    """Two programs of one scaled-out installation, each with five connections."""
    with ExitStack() as stack:
        shared = {
            **FEW,
            "DATABASE_URL": stack.enter_context(empty_database()),
            "REDIS_URL": REDIS_URL,
            "SECRET_KEY": SECRET,
        }
        here, there = (start((), tmp_path_factory.mktemp(name), shared) for name in ("here", "there"))
        for served in (here, there):
            stack.callback(end, served)
        set_up(here, f"{world.models.url}/v1")
        yield here, there


def read_first(answer: Any) -> tuple[bytes, dict[str, Any]]:
    """Return the first frames of a stream as they came, and the first event."""
    raw = b""
    while b"data: " not in raw or not raw.endswith(b"\n\n"):
        raw += read_more(answer)
    return raw, parse_events(raw.decode())[0]


def read_more(answer: Any, at_most: int = 65536) -> bytes:
    """Return what comes next; an answer that has ended would say nothing for ever."""
    part: bytes = answer.read1(at_most)
    assert part, f"the answer ended too early, with status {answer.status}"
    return part


def read_again(served: Served, key: str, task_id: str) -> list[dict[str, Any]]:
    """Return all events of a run, read at its events route to the end."""
    connection = served.connect()
    served.send(connection, "GET", f"/api/chat-messages/{task_id}/events?user=ada", None, key)
    with connection.getresponse() as answer:
        text = answer.read().decode()
    connection.close()
    return parse_events(text)


def stored(served: Served, key: str, conversation_id: str) -> dict[str, Any]:
    """Return the only message of a conversation."""
    path = f"/api/conversations/{conversation_id}/messages?user=ada"
    _, page = served.call("GET", path, token=key)
    (message,) = page["data"]
    return dict(message)


def test_killed_client_leaves_a_complete_stored_message(world: World) -> None:
    key = world.app(*WORDS, END, gap_s=0.05)
    with world.served.chat(key) as answer:
        _, first = read_first(answer)

    events = read_again(world.served, key, first["task_id"])

    message = stored(world.served, key, first["conversation_id"])
    assert text_of(events) == SAID
    assert (message["answer"], message["status"]) == (SAID, "normal")


def test_stop_closes_the_upstream_call_at_once(world: World) -> None:
    key = world.app(delta("Half"), Step.HANG)
    with world.served.chat(key) as answer:
        raw, first = read_first(answer)
        asked = time.monotonic()
        world.served.call("POST", f"/api/chat-messages/{first['task_id']}/stop", {"user": "ada"}, key)
        assert world.models.wait_for_hangup(30.0)
        closed_s = time.monotonic() - asked
        events = parse_events((raw + answer.read()).decode())

    assert [event["event"] for event in events] == ["message", "message_end"]
    assert_quick(closed_s, 1.0)  # 300 ms is the promise; the rest is room for a busy machine


def test_quiet_stream_sends_its_headers_at_once_and_pings(world: World) -> None:
    key = world.app(1.0, delta("late"), END)
    asked = time.monotonic()
    with world.served.chat(key) as answer:
        headers_s = time.monotonic() - asked
        text = answer.read().decode()

    assert_quick(headers_s, 0.8)
    assert text.startswith("event: ping\n\n")
    assert text_of(parse_events(text)) == "late"


@pytest.mark.parametrize(
    "steps",
    [
        [delta("Half"), Step.DROP],
        [delta("Half"), Step.HANG],
        [Step.HANG],
        [delta("Half"), b"data: {broken\n\n", 0.2],
        [delta("x")] * 600,
    ],
    ids=["dropped", "stalls", "never-begins", "bad-json", "endless"],
)
def test_upstream_fault_is_the_last_event_and_marks_the_message(
    impatient_world: World, steps: list[object]
) -> None:
    key = impatient_world.app(*steps, gap_s=0.01)
    with impatient_world.served.chat(key) as answer:
        events = parse_events(answer.read().decode())

    error = events[-1]
    message = stored(impatient_world.served, key, error["conversation_id"])
    assert (error["event"], error["code"], error["status"]) == ("error", "completion_request_error", 400)
    assert (message["status"], message["answer"]) == ("error", text_of(events))


def test_fifty_cut_streams_all_end_complete(world: World) -> None:
    key = world.app(*WORDS, END, gap_s=0.02)

    def cut(number: int) -> str:
        with world.served.chat(key, user="ada") as answer:
            raw, first = read_first(answer)
            while len(raw) < number * 40:
                raw += read_more(answer, 400)
        return str(first["task_id"])

    with ThreadPoolExecutor(10) as pool:
        task_ids = list(pool.map(cut, range(50)))

    assert {text_of(read_again(world.served, key, task_id)) for task_id in task_ids} == {SAID}


class Crowd:
    """What each of so many hears the first half of, and the rest when all of them have begun."""

    def __init__(self, size: int, first: bytes, rest: bytes) -> None:
        self._size = size
        self._first, self._rest = first, rest
        self._begun = itertools.count(1)
        self._is_complete = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        if next(self._begun) >= self._size:
            self._is_complete.set()
        assert self._is_complete.wait(60)
        yield self._rest


@pytest.mark.parametrize(("database", "streams"), [("sqlite", 60), ("postgresql", 300)])
def test_many_slow_streams_need_no_more_than_five_connections(
    serve: Serve, world: World, request: pytest.FixtureRequest, database: str, streams: int
) -> None:
    served: Served
    if database == "postgresql":
        served, _ = request.getfixturevalue("two")
    else:
        served = serve(**FEW)
        set_up(served, f"{world.models.url}/v1")
    model = world.models.script()
    crowd = Crowd(streams, sse(delta("a")), sse(delta("b")) + sse(END) + b"data: [DONE]\n\n")
    world.models.scripts[model] = Reply(headers={"Content-Type": "text/event-stream"}, steps=crowd)
    key = make_key(served, model)
    beginning = threading.Semaphore(30)  # that a busy machine lets none wait too long for a connection

    def run(number: int) -> str:
        with ExitStack() as stack:
            with beginning:
                answer = stack.enter_context(served.chat(key, user=f"u{number}"))
                raw, _ = read_first(answer)
            return (raw + answer.read()).decode()

    with ThreadPoolExecutor(streams) as pool:
        texts = list(pool.map(run, range(streams)))

    assert [text_of(parse_events(text)) for text in texts] == ["ab"] * streams
    assert {parse_events(text)[-1]["event"] for text in texts} == {"message_end"}


def test_run_is_read_and_stopped_from_another_process(two: tuple[Served, Served], world: World) -> None:
    here, there = two
    key = make_key(here, world.models.script(delta("Half"), Step.HANG))

    with here.chat(key) as answer, ThreadPoolExecutor(1) as pool:
        raw, first = read_first(answer)
        elsewhere = pool.submit(read_again, there, key, first["task_id"])
        there.call("POST", f"/api/chat-messages/{first['task_id']}/stop", {"user": "ada"}, key)
        mine = parse_events((raw + answer.read()).decode())
        theirs = elsewhere.result(30)

    assert [event["event"] for event in mine] == ["message", "message_end"]
    assert [{name: value for name, value in event.items() if name != "#"} for event in theirs] == mine


def make_speaking(served: Served, models: ModelServer, voice: Reply, *steps: object) -> str:
    """Make a chat app that reads its answers aloud, in a voice of its workspace; return a key to it."""
    providers = "/console/api/workspaces/current/model-providers/openai_api_compatible"
    status, answer = served.call("POST", f"{providers}/models", {"model": "voice", "model_type": "tts"})
    assert status == 200, answer
    models.scripts["voice"] = voice
    speaks = {"enabled": True, "autoPlay": "enabled"}
    return make_key(served, models.script(*steps, END, gap_s=0.01), text_to_speech=speaks)


def test_slow_voice_delays_no_text_and_is_heard_in_another_process(
    two: tuple[Served, Served], world: World
) -> None:
    here, there = two
    said = [delta(f"This is {number}. ") for number in range(20)]
    key = make_speaking(here, world.models, Reply(steps=[1.0, b"ID3", 0.1, b"..."]), *said)

    with here.chat(key) as answer, ThreadPoolExecutor(1) as pool:
        raw, first = read_first(answer)
        elsewhere = pool.submit(read_again, there, key, first["task_id"])
        mine = parse_events((raw + answer.read()).decode())
        theirs = elsewhere.result(20)

    names = [event["event"] for event in mine]
    assert names[:21] == ["message"] * 20 + ["message_end"]
    assert set(names[21:-1]) == {"tts_message"}
    assert names[-1] == "tts_message_end"
    assert [{name: value for name, value in event.items() if name != "#"} for event in theirs] == mine


def test_many_slow_voices_need_no_more_than_five_connections(
    two: tuple[Served, Served], world: World
) -> None:
    here, _ = two
    voices = 60
    key = make_speaking(here, world.models, Reply(steps=Crowd(voices, b"ID3", b"...")), delta("Hi."))

    def run(number: int) -> tuple[list[str], bytes]:
        with here.chat(key, user=f"v{number}") as answer:
            events = parse_events(answer.read().decode())
        sound = b"".join(base64.b64decode(event.get("audio", "")) for event in events)
        return list(dict.fromkeys(event["event"] for event in events)), sound

    with ThreadPoolExecutor(voices) as pool:
        told = list(pool.map(run, range(voices)))

    # The last of the crowd need not wait: both halves may reach it as one piece, and before the end.
    for events, sound in told:
        assert (events[0], events[-1], sound) == ("message", "tts_message_end", b"ID3...")
        assert set(events[1:-1]) == {"message_end", "tts_message"}
