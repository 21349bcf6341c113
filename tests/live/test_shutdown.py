"""What becomes of runs when the program is told to stop: none is lost, none goes on in silence."""

import contextlib
import os
import select
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import PATIENT, ModelServer, Serve, Served, make_key, set_up
from tests.live.test_streams import END, SAID, WORDS, delta, make_speaking, read_first
from tests.servers import Reply, Step
from tests.sse import parse_events, text_of
from tests.waiting import assert_quick

pytestmark = PATIENT


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    """A model server."""
    with ModelServer() as server:
        yield server


def stop(served: Served, sent: signal.Signals = signal.SIGTERM) -> float:
    """End the program; return how many seconds that took."""
    asked = time.monotonic()
    served.process.send_signal(sent)
    served.process.wait(60)
    return time.monotonic() - asked


def rows(data_dir: Path, query: str) -> list[Any]:
    """Return what the database of an ended program holds."""
    with contextlib.closing(sqlite3.connect(data_dir / "slipway.db")) as database:
        return database.execute(query).fetchall()


def endings(data_dir: Path) -> list[tuple[str, str]]:
    """Return status and answer of every message of an ended program, in order of these."""
    return rows(data_dir, "SELECT status, answer FROM messages ORDER BY status, answer")


def test_termination_lets_runs_finish_heard_or_not_and_fails_a_longer_one(
    serve: Serve, models: ModelServer
) -> None:
    served = serve(GRACEFUL_TIMEOUT_S=10)  # 5 s for the runs
    set_up(served, f"{models.url}/v1")
    short = make_key(served, models.script(*WORDS, END, gap_s=0.1))
    shorter = make_key(served, models.script(*WORDS, END, gap_s=0.1))
    long = make_key(served, models.script(delta("Half"), Step.HANG))

    with served.chat(long) as answer, served.chat(shorter) as heard:
        raw, _ = read_first(answer)
        raw_heard, _ = read_first(heard)
        with served.chat(short) as left:
            read_first(left)
        stopped_s = stop(served)
        events = parse_events((raw + answer.read()).decode())
        all_heard = parse_events((raw_heard + heard.read()).decode())

    assert endings(served.data_dir) == [("error", "Half"), ("normal", SAID), ("normal", SAID)]
    assert rows(served.data_dir, "SELECT id FROM worker_beats") == []
    assert [event["event"] for event in events] == ["message", "error"]
    assert (events[-1]["status"], events[-1]["code"]) == (503, "service_unavailable")
    assert (text_of(all_heard), all_heard[-1]["event"]) == (SAID, "message_end")
    assert_quick(stopped_s, 9.0)


def test_interruption_fails_runs_at_once(serve: Serve, models: ModelServer) -> None:
    served = serve()
    set_up(served, f"{models.url}/v1")
    key = make_key(served, models.script(delta("Half"), Step.HANG))
    with served.chat(key) as left:
        read_first(left)

    stopped_s = stop(served, signal.SIGINT)

    assert endings(served.data_dir) == [("error", "Half")]
    assert_quick(stopped_s, 5.0)


def test_termination_ends_the_sound_of_an_answer_that_stays_whole(serve: Serve, models: ModelServer) -> None:
    served = serve(GRACEFUL_TIMEOUT_S=6)  # 1 s for the runs
    set_up(served, f"{models.url}/v1")
    key = make_speaking(served, models, Reply(steps=[b"ID3", Step.HANG]), delta("Hi."))

    with served.chat(key) as answer:
        raw = b""
        while b"message_end" not in raw or b"tts_message" not in raw:
            raw += answer.read1(65536)
        stopped_s = stop(served)
        events = parse_events((raw + answer.read()).decode())

    assert [event["event"] for event in events] == [
        "message",
        "message_end",
        "tts_message",
        "tts_message_end",
    ]
    assert endings(served.data_dir) == [("normal", "Hi.")]
    spoken = "SELECT calls FROM usage_days WHERE model = 'voice'"
    assert rows(served.data_dir, spoken) == [(1,)]
    assert_quick(stopped_s, 5.0)


def test_who_came_before_a_stop_is_answered(serve: Serve) -> None:
    served = serve()
    worker = served.call("GET", "/health")[1]["pid"]

    with contextlib.ExitStack() as open_until_the_end:
        os.kill(worker, signal.SIGSTOP)  # as busy as can be: nobody is let in until it is told to stop
        waiting = [open_until_the_end.enter_context(contextlib.closing(served.connect())) for _ in range(5)]
        for each in waiting:
            each.request("GET", "/health")
        served.process.send_signal(signal.SIGTERM)
        assert select.select([each.sock for each in waiting], [], [], 1.5)[0] == []
        os.kill(worker, signal.SIGCONT)

        assert [each.getresponse().status for each in waiting] == [200] * 5
    assert served.process.wait(60) == 0


def test_connection_that_was_open_before_a_stop_may_bring_one_more_request(
    serve: Serve, models: ModelServer
) -> None:
    served = serve()
    set_up(served, f"{models.url}/v1")
    key = make_key(served, models.script(*WORDS, END, gap_s=0.05))
    asked = {"query": "Hi", "user": "ada", "response_mode": "streaming"}

    with contextlib.closing(served.connect()) as connection:
        served.send(connection, "POST", "/api/chat-messages", asked, key)
        answer = connection.getresponse()
        raw, _ = read_first(answer)
        served.process.send_signal(signal.SIGTERM)
        assert text_of(parse_events((raw + answer.read()).decode())) == SAID
        connection.request("GET", "/health")
        last = connection.getresponse()

        assert (last.status, last.will_close) == (200, True)
    assert served.process.wait(60) == 0
