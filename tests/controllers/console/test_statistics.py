"""The statistics of an app, day by day, in the time zone of who asks."""

from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from api.models.account import Account
from api.models.conversation import Message
from api.models.workflow import WorkflowRun
from api.runtime import Runtime
from api.services.statistics import OF_MESSAGES, OF_RUNS
from tests.conftest import BOTH
from tests.controllers.console.test_conversation_logs import ask
from tests.controllers.service_api.test_workflows import ECHO, FlowApp
from tests.factories import ChatApp, Owner, make_app, make_chat_app
from tests.fakes import Script

pytestmark = BOTH


def read(client: FlaskClient, owner: Owner, app_id: str, path: str, **query: str) -> Any:
    answer = client.get(f"/console/api/apps/{app_id}/{path}", query_string=query, headers=owner.headers)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["data"]


def move(runtime: Runtime, table: type[Message | WorkflowRun], row_id: str, at: str, **values: Any) -> None:
    """Have a row begun at an instant of UTC."""
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
    with runtime.transaction() as session:
        session.execute(update(table).where(table.id == row_id).values(created_at=instant, **values))


def live_in(runtime: Runtime, owner: Owner, zone: str) -> None:
    with runtime.transaction() as session:
        session.execute(update(Account).where(Account.id == owner.account_id).values(timezone=zone))


@pytest.fixture
def used(client: FlaskClient, runtime: Runtime, owner: Owner) -> ChatApp:
    """An app with three messages of two people, on two days of Shanghai, and a test."""
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    live_in(runtime, owner, "Asia/Shanghai")
    first = ask(client, app, "one")
    second = ask(client, app, "two", conversation_id=first["conversation_id"])
    third = ask(client, app, "three", user="bob")
    move(runtime, Message, first["id"], "2026-01-31T15:59", latency_s=0.5)
    move(runtime, Message, second["id"], "2026-01-31T16:00", latency_s=1.5)
    move(runtime, Message, third["id"], "2026-02-01T15:59", latency_s=0.5)
    liked = {"rating": "like", "user": "bob"}
    client.post(f"/v1/messages/{third['id']}/feedbacks", json=liked, headers=app.headers)
    trial = {"query": "a test", "inputs": {}, "model_config": {"model": Script(["x"]).choice}}
    client.post(f"/console/api/apps/{app.id}/chat-messages", json=trial, headers=owner.headers)
    return app


def test_messages_are_summed_up_by_local_day(client: FlaskClient, owner: Owner, used: ChatApp) -> None:
    days = ("2026-01-31", "2026-02-01")
    tokens = {"total_price": "0.0000170", "currency": "USD"}
    expected: dict[str, tuple[dict[str, object], dict[str, object]]] = {
        "daily-messages": ({"message_count": 1}, {"message_count": 2}),
        "daily-conversations": ({"conversation_count": 1}, {"conversation_count": 2}),
        "daily-end-users": ({"terminal_count": 1}, {"terminal_count": 2}),
        "token-costs": ({"token_count": 12, **tokens}, {"token_count": 24, **tokens}),
        "average-session-interactions": ({"interactions": 1.0}, {"interactions": 1.0}),
        "user-satisfaction-rate": ({"rate": 0.0}, {"rate": 500.0}),
        "tokens-per-second": ({"tps": 10.0}, {"tps": 5.0}),
    }
    for name, told in expected.items():
        found = read(client, owner, used.id, f"statistics/{name}")
        for day in found:
            day.update(tokens if "total_price" in day else {})
        assert found == [{"date": day, **one} for day, one in zip(days, told, strict=True)], name
    costs = read(client, owner, used.id, "statistics/token-costs")
    assert float(costs[1]["total_price"]) == 2 * float(costs[0]["total_price"]) > 0


def test_span_bounds_what_is_summed_up(client: FlaskClient, owner: Owner, used: ChatApp) -> None:
    path = "statistics/daily-messages"

    later = read(client, owner, used.id, path, start="2026-02-01 00:00")
    earlier = read(client, owner, used.id, path, end="2026-01-31 23:59")
    minute = read(client, owner, used.id, path, start="2026-02-01 00:00", end="2026-02-01 00:00")
    empty = read(client, owner, used.id, path, start="2027-01-01 00:00", end="2100-01-01 00:00")

    assert [later, earlier, minute, empty] == [
        [{"date": "2026-02-01", "message_count": 2}],
        [{"date": "2026-01-31", "message_count": 1}],
        [{"date": "2026-02-01", "message_count": 1}],
        [],
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_span_may_reach_as_far_as_years_do(
    client: FlaskClient, runtime: Runtime, owner: Owner, used: ChatApp, zone: str
) -> None:
    live_in(runtime, owner, zone)
    ends = {"start": "0002-01-01 00:00", "end": "9999-12-30 23:59"}
    beyond = {"end": "9999-12-31 23:59"}  # there is no minute after it

    days = read(client, owner, used.id, "statistics/daily-messages", **ends)
    conversations = read(client, owner, used.id, "chat-conversations", **ends)
    path = f"/console/api/apps/{used.id}/statistics/daily-messages"
    refused = client.get(path, query_string=beyond, headers=owner.headers)

    assert (sum(day["message_count"] for day in days), len(conversations)) == (3, 2)
    assert refused.status_code == (200 if zone == "Asia/Shanghai" else 400)


def test_days_follow_the_clock_when_it_is_changed(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    live_in(runtime, owner, "America/New_York")
    # Midnight is 05:00 UTC until the night to 8 March, 04:00 from the next one to 1 November, then 05:00.
    instants = ("03-08T04:59", "03-08T05:00", "03-09T03:59", "03-09T04:00", "11-01T03:59", "11-02T04:59")
    for number, at in enumerate(instants):
        move(runtime, Message, ask(client, app, f"q{number}")["id"], f"2026-{at}")

    days = read(client, owner, app.id, "statistics/daily-messages")

    assert {day["date"]: day["message_count"] for day in days} == {
        "2026-03-07": 1,
        "2026-03-08": 2,
        "2026-03-09": 1,
        "2026-10-31": 1,
        "2026-11-01": 1,
    }


def test_runs_are_summed_up_without_tests(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = FlowApp(client, runtime, owner, "workflow", ECHO)
    live_in(runtime, owner, "UTC")
    for user, at in (
        ("ada", "01-31T23:59"),
        ("ada", "02-01T00:00"),
        ("ada", "02-01T01:00"),
        ("bob", "02-01T02:00"),
    ):
        ran = app.post("/v1/workflows/run", inputs={"name": "x"}, user=user).json["workflow_run_id"]
        move(runtime, WorkflowRun, ran, f"2026-{at}", total_tokens=10)
    draft = f"/console/api/apps/{app.id}/workflows/draft/run"
    client.post(draft, json={"inputs": {"name": "x"}}, headers=owner.headers, buffered=True)

    told = {name: read(client, owner, app.id, f"workflow/statistics/{name}") for name in OF_RUNS}

    assert {name: days[1] for name, days in told.items()} == {
        "daily-conversations": {"date": "2026-02-01", "runs": 3},
        "daily-terminals": {"date": "2026-02-01", "terminal_count": 2},
        "token-costs": {"date": "2026-02-01", "token_count": 30},
        "average-app-interactions": {"date": "2026-02-01", "interactions": 1.5},
    }
    assert {len(days) for days in told.values()} == {2}


def test_statistics_an_app_has_depend_on_its_mode(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    by_mode = {mode: make_app(runtime, owner, mode=mode) for mode in ("chat", "completion", "workflow")}
    statuses = {
        (mode, name): client.get(
            f"/console/api/apps/{app_id}/statistics/{name}", headers=owner.headers
        ).status_code
        for mode, app_id in by_mode.items()
        for name in (*OF_MESSAGES, "unknown")
    }

    missing = {key for key, status in statuses.items() if status == 404}
    assert set(statuses.values()) == {200, 404}
    assert missing == {
        *((mode, "unknown") for mode in by_mode),
        ("chat", "average-response-time"),
        ("workflow", "average-response-time"),
        ("completion", "average-session-interactions"),
        ("workflow", "average-session-interactions"),
    }
    bad = f"/console/api/apps/{by_mode['chat']}/statistics/daily-messages?start=2026-01-01"
    answer = client.get(bad, headers=owner.headers)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    assert answer.get_json()["details"]["field"] == "start"


def test_completions_tell_how_long_they_took(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, mode="completion", model=Script(["said"]).choice)
    live_in(runtime, owner, "UTC")
    made = ask(client, app, "one", kind="completion")["message_id"]
    move(runtime, Message, made, "2026-02-01T12:00", latency_s=0.25)

    days = read(client, owner, app.id, "statistics/average-response-time")

    assert days == [{"date": "2026-02-01", "latency": 250.0}]
