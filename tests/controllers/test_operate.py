"""Whether the program is alive and can work, and what every answer tells of it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from api.errors import Unavailable
from api.logs import configure_logging, scrub
from api.runtime import Runtime
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script
from tests.sse import read_events


def test_health_says_alive(client: FlaskClient) -> None:
    answer = client.get("/health")

    assert (answer.status_code, answer.get_json()["status"]) == (200, "ok")


def test_ready_names_the_state_of_each_part(client: FlaskClient, runtime: Runtime) -> None:
    runtime.memory.put("readiness", None)

    answer = client.get("/ready")

    assert (answer.status_code, answer.get_json()) == (
        200,
        {"status": "ok", "parts": {"database": "ok", "cache": "ok", "storage": "ok"}},
    )


def test_ready_says_which_part_is_down(
    client: FlaskClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_key: str) -> bytes | None:
        raise Unavailable("away")

    monkeypatch.setattr(runtime.cache, "get", away)
    runtime.memory.put("readiness", None)
    answer = client.get("/ready")
    runtime.memory.put("readiness", None)

    assert answer.status_code == 503
    assert answer.get_json()["parts"]["cache"] == "down"
    assert answer.get_json()["parts"]["database"] == "ok"


@pytest.mark.parametrize(("sent", "is_kept"), [("abc-123", True), ("bad id\n", False), ("x" * 200, False)])
def test_request_id_comes_back_where_it_is_sane(client: FlaskClient, sent: str, is_kept: bool) -> None:
    answer = client.get("/health", headers={"X-Request-Id": sent.replace("\n", " ")})

    assert (answer.headers["X-Request-Id"] == sent) is is_kept
    assert answer.headers["X-Version"]
    assert answer.headers["X-Env"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The program's own log, as it would be written, at DEBUG."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging("DEBUG", "json")
    written = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def boom() -> None:
    raise RuntimeError("broken")


def test_all_log_lines_of_a_run_carry_the_request_id(
    client: FlaskClient, runtime: Runtime, owner: Owner, log: io.StringIO
) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=["a", boom]).choice)

    answer = client.post(
        "/api/chat-messages",
        json={"query": "Hi", "user": "ada", "response_mode": "streaming", "auto_generate_name": False},
        headers={**app.headers, "X-Request-Id": "trace-me-1"},
    )
    read_events(answer)

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    own = [line for line in lines if line.get("request_id") == "trace-me-1"]
    assert {"request", "run failed"} <= {line["event"] for line in own}


def test_secrets_and_content_never_reach_the_log(
    client: FlaskClient, runtime: Runtime, owner: Owner, log: io.StringIO
) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=["planted-answer", boom]).choice)
    client.post(
        "/api/chat-messages",
        json={"query": "planted-question", "user": "ada"},
        headers=app.headers,
    )
    client.get(f"/api/info?api_key={app.key}")
    client.post("/console/api/login", json={"email": owner.email, "password": "planted-password-1"})
    logging.getLogger("api.test").warning(
        "call with Bearer %s", app.key, extra={"password": "planted-password-2", "api_key": app.key}
    )

    written = log.getvalue()

    assert "call with" in written
    for planted in (app.key, "planted-question", "planted-answer", "planted-password", owner.token):
        assert planted not in written


@pytest.mark.parametrize(
    "text", ["Bearer abc.def", "key app-AbCdEfGh12345678", "sk-abcdefgh12345678", "/f?x=1&sign=abcdef"]
)
def test_scrub_masks_what_looks_like_a_credential(text: str) -> None:
    masked = scrub(text)

    assert "***" in masked
    assert not any(part in masked for part in ("abc.def", "AbCdEfGh", "abcdefgh1234", "abcdef"))


def test_ended_run_whose_answer_has_a_nul_is_stored_without_it(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app: ChatApp = make_chat_app(runtime, owner, model=Script(pieces=["a\x00b"]).choice)

    answer = client.post("/api/chat-messages", json={"query": "Hi", "user": "ada"}, headers=app.headers)

    assert answer.get_json()["answer"] == "ab"
