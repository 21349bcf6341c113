"""Ceilings of the public API as callers meet them: calls in a window, runs at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from api.core.ports import JSONObject
from api.errors import CompletionFailed
from api.models.account import Tenant
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Piece, Script
from tests.sse import parse_events, read_events

CHAT = "/api/chat-messages"
ASKED: JSONObject = {"query": "Hi", "user": "ada", "response_mode": "streaming", "auto_generate_name": False}


def send(client: FlaskClient, app: ChatApp, **body: object) -> TestResponse:
    return client.post(CHAT, json={**ASKED, **body}, headers=app.headers)


def refuse() -> None:
    raise CompletionFailed("The model said no.")


def limit_app(client: FlaskClient, owner: Owner, app: ChatApp, **limits: int) -> None:
    changed = client.put(f"/console/api/apps/{app.id}", json=limits, headers=owner.headers)
    assert changed.status_code == 200


@BOTH
def test_calls_in_parallel_are_let_through_up_to_the_limit_and_no_further(
    house: Flask, owner: Owner, chat_app: ChatApp
) -> None:
    limit_app(house.test_client(), owner, chat_app, api_rpm=3)
    together = threading.Barrier(8)

    def call(_: int) -> int:
        together.wait(30)
        return house.test_client().get("/api/info", headers=chat_app.headers).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(call, range(8)))

    assert statuses == [200] * 3 + [429] * 5


def test_hours_of_an_app_are_counted_beside_its_minutes(
    client: FlaskClient, owner: Owner, chat_app: ChatApp
) -> None:
    limit_app(client, owner, chat_app, api_rpm=3, api_rph=2)

    answers = [client.get("/api/info", headers=chat_app.headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 60 < int(answers[-1].headers["Retry-After"]) <= 3600


@pytest.mark.parametrize(("plan", "a_minute"), [("sandbox", 60), ("professional", 300), ("team", 600)])
def test_plan_of_the_workspace_sets_its_ceiling(
    client: FlaskClient, runtime: Runtime, owner: Owner, chat_app: ChatApp, plan: str, a_minute: int
) -> None:
    with runtime.transaction() as session:
        session.execute(update(Tenant).where(Tenant.id == owner.tenant_id).values(plan=plan))

    told = client.get("/api/info", headers=chat_app.headers).headers

    assert (int(told["X-RateLimit-Limit"]), int(told["X-RateLimit-Remaining"])) == (a_minute, a_minute - 1)


def test_run_over_the_apps_cap_is_refused_before_it_starts(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    gate = threading.Event()
    app = make_chat_app(runtime, owner, model=Script(gate=gate).choice)
    limit_app(client, owner, app, max_active_requests=1)
    first = send(client, app)
    next(first.iter_encoded())

    refused = send(client, app)
    gate.set()
    first.get_data()
    after = send(client, app)

    assert (refused.status_code, refused.get_json()["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["Retry-After"] == "1"
    assert read_events(after)[-1]["event"] == "message_end"


def test_slot_is_free_again_whatever_way_a_run_ends(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=["Half", refuse]).choice)
    limit_app(client, owner, app, max_active_requests=1)

    failed = [read_events(send(client, app))[-1]["event"] for _ in range(2)]
    unstarted = [send(client, app, conversation_id=app.id).status_code for _ in range(2)]
    answered = send(client, app, response_mode="blocking")

    assert (failed, unstarted) == (["error"] * 2, [404] * 2)
    assert (answered.status_code, answered.get_json()["code"]) == (400, "completion_request_error")


@pytest.mark.parametrize("pieces", [["Whole"], ["Half", refuse]])
def test_caller_who_hears_the_end_may_ask_again_at_once(
    client: FlaskClient,
    runtime: Runtime,
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
    pieces: list[Piece],
) -> None:
    app = make_chat_app(runtime, owner, model=Script(pieces=pieces).choice)
    limit_app(client, owner, app, max_active_requests=1)
    give = runtime.cache.give

    def give_slowly(key: str, member: str) -> None:
        time.sleep(0.05)
        give(key, member)

    monkeypatch.setattr(runtime.cache, "give", give_slowly)  # the moment is too short to be met by chance

    answers = [read_events(send(client, app)) for _ in range(2)]

    assert [len(events) for events in answers] == [2, 2]


def test_slot_of_a_client_that_left_is_free_when_its_run_has_ended(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    gate = threading.Event()
    app = make_chat_app(runtime, owner, model=Script(gate=gate).choice)
    limit_app(client, owner, app, max_active_requests=1)
    left = send(client, app)
    task_id = parse_events(next(chunk for chunk in left.iter_encoded() if chunk).decode())[0]["task_id"]
    left.close()

    while_running = send(client, app)
    gate.set()
    client.get(f"{CHAT}/{task_id}/events?user=ada", headers=app.headers).get_data()

    assert while_running.status_code == 429
    assert send(client, app).status_code == 200
