"""The ledger of what models were used for: it balances with what providers reported."""

import threading
from decimal import Decimal
from typing import Any

from flask.testing import FlaskClient

from api.core.model_runtime.prompt_tokens import tokens_spent
from api.core.model_runtime.types import ChatChunk, TokenCount
from api.errors import CompletionFailed
from api.principal import Role
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.controllers.console.test_workflow_tools import caller, greeter, offered
from tests.controllers.service_api.test_chat import open_stream
from tests.factories import Owner, make_app, make_chat_app, make_key, make_member, make_owner
from tests.fakes import Script
from tests.flows import drawn, edges
from tests.sse import parse_events
from tests.waiting import wait_until

pytestmark = BOTH

USAGE = "/console/api/workspaces/current/usage"
PROMPT: list[Any] = [{"role": "user", "text": "Hi"}]


def load(client: FlaskClient, by: Owner, **query: str) -> list[dict[str, Any]]:
    page: dict[str, Any] = {}

    def is_counted() -> bool:  # not while a row comes between the count and the rows
        answer = client.get(USAGE, query_string=query, headers=by.headers)
        assert answer.status_code == 200, answer.text
        page.update(answer.get_json())
        return bool(page["total"] == len(page["data"]))

    wait_until(is_counted)
    return list(page["data"])


def chat(client: FlaskClient, key: str, user: str, **more: Any) -> Any:
    body = {"query": "Hi", "user": user, "response_mode": "blocking", "auto_generate_name": False, **more}
    return client.post("/api/chat-messages", json=body, headers={"Authorization": f"Bearer {key}"})


def flow(*models: Script) -> dict[str, Any]:
    """Return a workflow that asks models, one after the other."""
    asks = [
        drawn(f"m{n}", "llm", model=dict(script.choice), prompt_template=PROMPT)
        for n, script in enumerate(models)
    ]
    way = " > ".join(["s", *(f"m{n}" for n in range(len(models))), "e"])
    return {"nodes": [drawn("s", "start"), *asks, drawn("e", "end", outputs=[])], "edges": edges(way)}


def publish(client: FlaskClient, runtime: Runtime, owner: Owner, graph: dict[str, Any]) -> dict[str, str]:
    app_id = make_app(runtime, owner, mode="workflow")
    here = f"/console/api/apps/{app_id}/workflows"
    for step, sent in (("draft", {"graph": graph}), ("publish", {})):
        answer = client.post(f"{here}/{step}", json=sent, headers=owner.headers)
        assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {make_key(runtime, owner, app_id)}"}


def test_ledger_sums_up_by_key_end_user_and_model(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    script = Script(tokens=TokenCount(prompt_tokens=1_000_007, completion_tokens=3))
    app = make_chat_app(runtime, owner, model=script.choice)
    other_key = make_key(runtime, owner, app.id)

    told = [chat(client, app.key, "ann").get_json()["metadata"]["usage"] for _ in range(3)]
    chat(client, app.key, "bo")
    chat(client, other_key, "ann", conversation_id="")

    rows = load(client, owner)
    assert sorted(row["calls"] for row in rows) == [1, 1, 3]
    assert len({row["key_id"] for row in rows}) == len({row["end_user_id"] for row in rows}) == 2
    most = max(rows, key=lambda row: row["calls"])
    assert (most["app_id"], most["provider"], most["model"]) == (app.id, "scripted", script.model)
    assert (most["prompt_tokens"], most["completion_tokens"]) == (3_000_021, 9)
    assert most["total_tokens"] == sum(usage["total_tokens"] for usage in told)
    assert Decimal(most["total_price"]) == sum(Decimal(usage["total_price"]) for usage in told)
    assert load(client, owner, app_id=app.id, start=most["date"], end=most["date"]) == rows
    assert load(client, owner, start="2999-01-01") == load(client, owner, end="2000-01-01") == []


def test_ledger_has_stopped_and_failed_streams_as_far_as_they_came(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    stopped = Script(pieces=["Half", " never"], gate=threading.Event())
    early = ChatChunk(text="Half", tokens=TokenCount(prompt_tokens=11, completion_tokens=2))

    def fail() -> None:
        raise CompletionFailed("no")

    failed = Script(pieces=[early, fail], tokens=None)
    silent = Script(pieces=[fail])
    apps = [make_chat_app(runtime, owner, model=script.choice) for script in (stopped, failed, silent)]
    _, stream = open_stream(client, apps[0], auto_generate_name=False)
    task_id = parse_events(next(stream).decode())[0]["task_id"]
    client.post(f"/api/chat-messages/{task_id}/stop", json={"user": "ada"}, headers=apps[0].headers)
    b"".join(stream)
    for app in apps[1:]:
        assert chat(client, app.key, "ann").status_code == 400

    wait_until(lambda: len(load(client, owner)) == 2)
    rows = {row["app_id"]: row for row in load(client, owner)}
    counted = tokens_spent(None, stopped.requests[0].messages, "Half", stopped.model)
    half, broken = rows[apps[0].id], rows[apps[1].id]
    assert (half["prompt_tokens"], half["completion_tokens"]) == (
        counted.prompt_tokens,
        counted.completion_tokens,
    )
    assert (broken["prompt_tokens"], broken["completion_tokens"]) == (11, 2)


def test_ledger_has_every_model_of_a_workflow(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    first, second = Script(), Script(tokens=TokenCount(prompt_tokens=100, completion_tokens=50))
    headers = publish(client, runtime, owner, flow(first, second, first))

    for _ in range(2):
        ran = client.post("/api/workflows/run", json={"inputs": {}, "user": "ann"}, headers=headers)
        assert ran.get_json()["data"]["status"] == "succeeded", ran.text

    rows = {row["model"]: row for row in load(client, owner)}
    assert {model: (row["calls"], row["total_tokens"]) for model, row in rows.items()} == {
        first.model: (4, 4 * 12),
        second.model: (2, 2 * 150),
    }
    assert sum(row["total_tokens"] for row in rows.values()) == 2 * ran.get_json()["data"]["total_tokens"]


def test_ledger_has_what_workflows_called_as_tools_took_once_and_under_the_callers_key(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    script = Script()
    asked = drawn("m0", "llm", model=dict(script.choice), prompt_template=PROMPT)
    inner = greeter("Hello", asked, ways="s > m0 > t > e")
    app, tool_id = offered(client, runtime, owner, inner)
    headers = publish(client, runtime, owner, caller(tool_id))

    ran = client.post(
        "/api/workflows/run", json={"inputs": {"who": "Bo"}, "user": "ann"}, headers=headers
    ).get_json()

    assert ran["data"]["status"] == "succeeded", ran
    (row,) = load(client, owner)
    assert (row["app_id"], row["calls"], row["total_tokens"]) == (app.id, 1, 12)
    assert row["key_id"] is not None


def test_ledger_has_suggestions_and_titles_of_which_no_key_asks_for_the_latter(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    script = Script(pieces=['["Why?"]'])
    app = make_chat_app(
        runtime, owner, model=script.choice, suggested_questions_after_answer={"enabled": True}
    )
    told = chat(client, app.key, "ann", auto_generate_name=True).get_json()
    client.get(
        f"/api/messages/{told['message_id']}/suggested", query_string={"user": "ann"}, headers=app.headers
    )

    wait_until(lambda: sum(row["calls"] for row in load(client, owner)) == 3)
    rows = load(client, owner)
    assert len(script.requests) == 3
    assert sum(row["total_tokens"] for row in rows) == 3 * 12
    assert {row["key_id"] is None: row["calls"] for row in rows} == {True: 1, False: 2}
    assert len({row["end_user_id"] for row in rows}) == 1


def test_ledger_is_the_workspaces_own_and_for_admins(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script().choice)
    chat(client, app.key, "ann")

    assert len(load(client, make_member(runtime, owner, Role.ADMIN))) == 1
    assert load(client, make_owner(runtime)) == []
    for query in ({"start": "yesterday"}, {"end": "2026-13-01"}, {"app_id": "x"}, {"limit": "0"}):
        answer = client.get(USAGE, query_string=query, headers=owner.headers)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param"), query
