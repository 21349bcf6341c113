"""Two programs of one installation: what one does holds for the other; what both need comes and goes."""

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.backends.gate import Gate
from tests.conftest import DATABASE_URL, REDIS_URL
from tests.factories import PASSWORD
from tests.live.conftest import PATIENT, ModelServer, Served, empty_database, end, make_key, set_up, start
from tests.live.test_streams import END, SECRET, delta, make_speaking, read_first, stored
from tests.servers import Reply, Step
from tests.sse import parse_events

pytestmark = PATIENT

AGREE_S = 1.0
FOUND_LOST_S = 60.0
BACK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Two programs, and what stands between them and their stores."""

    here: Served
    there: Served
    models: ModelServer
    database: Gate
    redis: Gate
    settings: dict[str, object]

    def ask(self, served: Served, key: str) -> tuple[int, Any]:
        """Send a blocking chat message."""
        asked = {"query": "Hi", "user": "ada", "response_mode": "blocking", "auto_generate_name": False}
        return served.call("POST", "/api/chat-messages", asked, key)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation on PostgreSQL and Redis, each behind a gate."""
    with ExitStack() as stack:
        own = stack.enter_context(empty_database())
        gates = []
        for url in (DATABASE_URL, REDIS_URL):
            parts = urlsplit(url)
            gates.append(Gate(parts.hostname or "", parts.port or 0))
            stack.callback(gates[-1].close)
        database, redis = gates
        shared: dict[str, object] = {
            "DATABASE_URL": own.replace(f":{urlsplit(own).port}/", f":{database.port}/"),
            "REDIS_URL": REDIS_URL.replace(f":{urlsplit(REDIS_URL).port}/", f":{redis.port}/"),
            "SECRET_KEY": SECRET,
            "LOG_LEVEL": "ERROR",
        }
        models = stack.enter_context(ModelServer())
        here, there = (start((), tmp_path_factory.mktemp(name), shared) for name in ("here", "there"))
        for served in (here, there):
            stack.callback(end, served)
        set_up(here, f"{models.url}/v1")
        yield Installation(
            here=here, there=there, models=models, database=database, redis=redis, settings=shared
        )


def comes_true(is_true: Callable[[], bool], within_s: float) -> bool:
    """Tell whether something comes true in time; asked once more when the time is up."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return is_true()


def refused(served: Served, path: str, token: str) -> tuple[int, str | None, Any]:
    """Return status, Retry-After and JSON of a GET."""
    with contextlib.closing(served.connect()) as connection:
        served.send(connection, "GET", path, None, token)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Retry-After"), json.loads(answer.read())


def kill(served: Served) -> None:
    """Kill a program with its workers, which would otherwise end in good order."""
    pid = served.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for each in (pid, *map(int, workers)):
        os.kill(each, signal.SIGKILL)


def test_what_one_program_changes_holds_in_the_other_within_a_second(both: Installation) -> None:
    here, there = both.here, both.there
    key = make_key(here, both.models.script(delta("One"), END))
    second = both.models.script(delta("Two"), END)
    _, page = here.call("GET", "/console/api/apps")
    app = page["data"][0]["id"]
    account = {"email": "owner@example.com", "password": PASSWORD}
    _, session = here.call("POST", "/console/api/login", account)
    token = session["data"]["access_token"]
    choice = {"provider": "openai_api_compatible", "name": second, "completion_params": {}}
    assert there.call("GET", "/console/api/account/profile", token=token)[0] == 200
    assert both.ask(there, key)[1]["answer"] == "One"

    here.call("POST", f"/console/api/apps/{app}/model-config", {"model": choice})
    assert comes_true(lambda: both.ask(there, key)[1]["answer"] == "Two", AGREE_S)
    here.call("POST", "/console/api/logout", token=token)
    assert comes_true(
        lambda: there.call("GET", "/console/api/account/profile", token=token)[0] == 401, AGREE_S
    )
    here.call("PUT", f"/console/api/apps/{app}", {"name": "Limited", "api_rpm": 3})
    assert comes_true(lambda: both.ask(there, key)[0] == 429 or both.ask(here, key)[0] == 429, AGREE_S + 5)
    keys = here.call("GET", f"/console/api/apps/{app}/api-keys")[1]["data"]
    here.call("DELETE", f"/console/api/apps/{app}/api-keys/{keys[0]['id']}")
    assert comes_true(lambda: both.ask(there, key)[0] == 401, AGREE_S)


def test_database_that_is_away_is_told_and_found_again_without_a_restart(both: Installation) -> None:
    key = make_key(both.here, both.models.script(delta("Yes"), END))
    assert both.ask(both.there, key)[0] == 200

    both.database.shut()
    try:
        status, retry_after, answer = refused(both.there, "/console/api/apps", both.here.token)
        asked = both.ask(both.there, key)
        alive, ready = (both.there.call("GET", path)[0] for path in ("/health", "/ready"))
    finally:
        both.database.open()

    assert (status, answer["status"], answer["code"]) == (503, 503, "service_unavailable")
    assert int(retry_after or 0) >= 1
    assert asked[0] == 503
    assert (alive, ready) == (200, 503)
    for served in (both.here, both.there):
        assert comes_true(lambda served=served: both.ask(served, key)[0] == 200, BACK_S)  # type: ignore[misc]


def test_redis_that_is_away_keeps_no_one_from_an_answer(both: Installation) -> None:
    key = make_key(both.here, both.models.script(delta("Yes"), END))

    both.redis.shut()
    try:
        status, answer = both.ask(both.there, key)
        alive, ready = (both.there.call("GET", path)[0] for path in ("/health", "/ready"))
    finally:
        both.redis.open()

    assert (status, answer["answer"]) == (200, "Yes")
    assert (alive, ready) == (200, 503)
    assert comes_true(lambda: both.there.call("GET", "/ready")[0] == 200, BACK_S)


def test_run_of_a_program_that_dies_is_told_as_failed_by_the_other(
    both: Installation, tmp_path: Path
) -> None:
    key = make_key(both.here, both.models.script(delta("Half"), Step.HANG))
    sounding = make_speaking(both.here, both.models, Reply(steps=[b"ID3", Step.HANG]), delta("Whole."))
    third = start((), tmp_path / "third", both.settings)  # the two are needed by other tests

    with ExitStack() as reading:
        answer = reading.enter_context(third.chat(key))
        _, first = read_first(answer)
        _, said = read_first(reading.enter_context(third.chat(sounding)))
        connection = reading.enter_context(contextlib.closing(both.there.connect()))
        path = f"/api/chat-messages/{said['task_id']}/events?user=ada"
        both.there.send(connection, "GET", path, None, sounding)
        elsewhere, raw = connection.getresponse(), b""
        while b"tts_message" not in raw or b"message_end" not in raw:
            piece = elsewhere.read1(65536)
            assert piece, raw
            raw += piece
        kill(third)
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer.read()
        again = parse_events((raw + elsewhere.read()).decode())

    def is_told() -> bool:
        return bool(stored(both.there, key, first["conversation_id"])["status"] == "error")

    assert comes_true(is_told, FOUND_LOST_S)
    assert "worker lost" in stored(both.there, key, first["conversation_id"])["error"]
    names = [event["event"] for event in again]
    assert sorted(names[:-1]) == ["message", "message_end", "tts_message"]
    assert (names[-1], again[-1]["code"]) == ("error", "worker_lost")
    message = stored(both.there, sounding, said["conversation_id"])
    assert (message["answer"], message["status"]) == ("Whole.", "normal")
