"""The logs of apps in the console: everybody's conversations and runs, found, read, removed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from api.controllers.schemas.conversation_log import (
    CHAT_DETAIL,
    COMPLETION_DETAIL,
    LOGGED_CHAT,
    LOGGED_COMPLETION,
)
from api.models.account import Account
from api.models.conversation import Conversation
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.controllers.service_api.test_workflows import BROKEN, FlowApp
from tests.factories import ChatApp, Owner, make_app, make_chat_app
from tests.fakes import Script
from tests.statements import count_statements

pytestmark = BOTH

UNKNOWN = "c0ffee00-0000-4000-8000-000000000000"


def fail() -> None:
    raise RuntimeError("broken")


def ask(client: FlaskClient, app: ChatApp, query: str, user: str = "ann", **body: object) -> Any:
    sent = {"query": query, "user": user, "inputs": {"query": query}, "auto_generate_name": False, **body}
    kind = "completion" if body.get("kind") else "chat"
    return client.post(f"/v1/{kind}-messages", json=sent, headers=app.headers).get_json()


def call(client: FlaskClient, owner: Owner, app_id: str, path: str, **query: object) -> TestResponse:
    return client.get(f"/console/api/apps/{app_id}/{path}", query_string=query, headers=owner.headers)


def fewest(runtime: Runtime, ask_for_page: Callable[[], TestResponse]) -> int:
    """Return how many statements a page takes when no job is at work and no session is looked up."""
    counts = []
    for _ in range(3):
        with count_statements(runtime.engine) as statements:
            assert ask_for_page().status_code == 200
        counts.append(len(statements))
    return min(counts)


def names(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["summary"] for item in answer.json["data"]]  # type: ignore[index]


def move(runtime: Runtime, conversation_id: str, at: datetime) -> None:
    """Have a conversation begun and ended at an instant."""
    with runtime.transaction() as session:
        row = update(Conversation).where(Conversation.id == conversation_id)
        session.execute(row.values(created_at=at, updated_at=at))


def test_chats_are_listed_with_what_is_known_of_them(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice, pre_prompt="Be kind")
    first = ask(client, app, "one")
    second = ask(client, app, "two", conversation_id=first["conversation_id"])
    ask(client, app, "other", user="bob")
    trial = {"query": "a test", "inputs": {}, "model_config": {"model": Script(["x"]).choice}}
    tested = client.post(f"/console/api/apps/{app.id}/chat-messages", json=trial, headers=owner.headers)
    feedback = {"rating": "like", "user": "ann"}
    client.post(f"/v1/messages/{second['id']}/feedbacks", json=feedback, headers=app.headers)
    statements = fewest(runtime, lambda: call(client, owner, app.id, "chat-conversations"))
    annotation = {"message_id": first["id"], "answer": "Better."}
    made = client.post(f"/console/api/apps/{app.id}/annotations", json=annotation, headers=owner.headers)

    listed = call(client, owner, app.id, "chat-conversations")
    item = listed.get_json()["data"][1]
    annotated = call(client, owner, app.id, "chat-conversations", annotation_status="annotated")
    others = call(client, owner, app.id, "chat-conversations", annotation_status="not_annotated")

    assert (tested.status_code, made.status_code) == (200, 200)
    assert (names(listed), names(annotated), names(others)) == (["other", "one"], ["one"], ["other"])
    envelope = {"data": [], "total": 2, "page": 1, "limit": 20, "has_more": False}
    assert {**listed.get_json(), "data": []} == envelope
    assert set(item) == set(LOGGED_CHAT)
    assert (item["from_end_user_session_id"], item["from_source"], item["annotated"]) == ("ann", "api", True)
    assert (item["message_count"], item["read_at"]) == (2, None)
    assert item["status_count"] == {"success": 2, "failed": 0, "partial_success": 0}
    assert item["user_feedback_stats"] == {"like": 1, "dislike": 0}
    assert item["admin_feedback_stats"] == {"like": 0, "dislike": 0}
    assert item["model_config"]["pre_prompt"] == "Be kind"
    assert item["model_config"]["model"]["provider"] == "scripted"
    assert statements <= 4


def test_chats_are_found_by_text_user_id_and_time(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["It weighs 100% more"]).choice)
    old, new = (ask(client, app, *told) for told in (("Is the Parcel here?", "ann"), ("包裹在哪里", "bob")))
    with runtime.transaction() as session:
        zone = update(Account).where(Account.id == owner.account_id)
        session.execute(zone.values(timezone="Asia/Shanghai"))
    move(runtime, old["conversation_id"], datetime(2026, 1, 31, 16, 30, tzinfo=UTC))

    def found(**query: str) -> list[str]:
        return names(call(client, owner, app.id, "chat-conversations", **query))

    assert found(keyword="parcel", start="", end="") == ["Is the Parcel here?"]
    assert fewest(runtime, lambda: call(client, owner, app.id, "chat-conversations", keyword="none")) <= 4
    assert found(keyword="包裹") == ["包裹在哪里"]
    assert found(keyword="100%") == ["包裹在哪里", "Is the Parcel here?"]
    assert found(keyword="1_0%") == []
    assert found(keyword="bo") == ["包裹在哪里"]
    assert found(keyword=new["conversation_id"].upper()) == ["包裹在哪里"]
    assert found(keyword=old["id"]) == ["Is the Parcel here?"]
    assert found(start="2026-02-01 00:30", end="2026-02-01 00:30") == ["Is the Parcel here?"]
    assert found(end="2026-02-01 00:29") == []
    assert found(start="2026-02-01 00:31") == ["包裹在哪里"]


@pytest.mark.parametrize(
    "query",
    [
        {"start": "yesterday"},
        {"end": "2026-02-30 00:00"},
        {"end": "9999-12-31 23:59"},
        {"start": "2026-02-01 00:01", "end": "2026-02-01 00:00"},
        {"annotation_status": "some"},
        {"sort_by": "name"},
        {"page": "0"},
        {"limit": "101"},
        {"last_id": "one"},
        {"keyword": "x" * 201},
    ],
    ids=str,
)
def test_bad_questions_to_a_log_are_refused(
    client: FlaskClient, chat_app: ChatApp, query: dict[str, str]
) -> None:
    answer = call(client, chat_app.owner, chat_app.id, "chat-conversations", **query)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


def test_pages_neither_repeat_nor_lose(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    now = datetime.now(UTC)
    for number in range(5):
        made = ask(client, app, f"q{number}")["conversation_id"]
        move(runtime, made, now - timedelta(minutes=number // 2))  # some at the same instant

    for sort_by in ("created_at", "-updated_at"):
        whole = call(client, owner, app.id, "chat-conversations", sort_by=sort_by).get_json()["data"]
        by_page, by_key, last_id = [], [], ""
        for page in (1, 2, 3):
            asked = {"limit": 2, "sort_by": sort_by}
            numbered = call(client, owner, app.id, "chat-conversations", page=page, **asked).get_json()
            keyed = call(client, owner, app.id, "chat-conversations", last_id=last_id, **asked).get_json()
            assert numbered["has_more"] is keyed["has_more"] is (page < 3)
            assert numbered["total"] == keyed["total"] == 5
            by_page += numbered["data"]
            by_key += keyed["data"]
            last_id = by_key[-1]["id"]
        assert by_page == by_key == whole
    beyond = call(client, owner, app.id, "chat-conversations", page=9).get_json()
    at_end = {"last_id": by_key[-1]["id"], "sort_by": "-updated_at"}
    assert fewest(runtime, lambda: call(client, owner, app.id, "chat-conversations", **at_end)) <= 4
    unknown = call(client, owner, app.id, "chat-conversations", last_id=UNKNOWN)
    assert (beyond["data"], beyond["total"], unknown.status_code) == ([], 5, 404)


def test_chat_that_is_read_is_marked_and_one_that_is_deleted_is_gone(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["a", fail]).choice, opening_statement="Welcome")
    assert ask(client, app, "one")["status"] == 500
    (listed,) = call(client, owner, app.id, "chat-conversations").get_json()["data"]
    path = f"chat-conversations/{listed['id']}"

    detail = call(client, owner, app.id, path).get_json()
    (read,) = call(client, owner, app.id, "chat-conversations").get_json()["data"]
    deleted = client.delete(f"/console/api/apps/{app.id}/{path}", headers=owner.headers)

    assert set(detail) == set(CHAT_DETAIL)
    assert (detail["introduction"], listed["read_at"]) == ("Welcome", None)
    assert listed["status_count"] == {"success": 0, "failed": 1, "partial_success": 0}
    assert detail["read_at"] == read["read_at"] is not None
    assert read["updated_at"] == listed["updated_at"]
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert call(client, owner, app.id, "chat-conversations").get_json()["total"] == 0
    assert call(client, owner, app.id, path).status_code == 404


def test_completions_are_listed_shown_and_deleted(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    form = [{"paragraph": {"label": "Query", "variable": "query", "required": True}}]
    model = Script(["said"]).choice
    app = make_chat_app(runtime, owner, mode="completion", model=model, user_input_form=form)
    made = ask(client, app, "one", kind="completion")
    statements = fewest(runtime, lambda: call(client, owner, app.id, "completion-conversations"))
    annotation = {"message_id": made["message_id"], "question": "one", "answer": "Better."}
    client.post(f"/console/api/apps/{app.id}/annotations", json=annotation, headers=owner.headers)

    (item,) = call(client, owner, app.id, "completion-conversations").get_json()["data"]
    path = f"completion-conversations/{item['id']}"
    detail = call(client, owner, app.id, path).get_json()
    deleted = client.delete(f"/console/api/apps/{app.id}/{path}", headers=owner.headers)

    assert statements <= 4
    assert set(item) == set(LOGGED_COMPLETION)
    assert (item["message"]["answer"], item["message"]["inputs"]) == ("said", {"query": "one"})
    assert (item["annotation"]["question"], item["annotation"]["content"]) == ("one", "Better.")
    assert item["annotation"]["account"]["email"] == owner.email
    assert set(detail) == set(COMPLETION_DETAIL)
    assert (detail["message"]["id"], detail["message"]["answer"]) == (made["message_id"], "said")
    assert detail["message"]["annotation"] == item["annotation"]
    assert deleted.status_code == 204
    assert call(client, owner, app.id, path).status_code == 404
    assert call(client, owner, app.id, "completion-conversations").get_json()["data"] == []


def test_logs_are_of_apps_of_their_mode(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    completion, chat = make_app(runtime, owner, mode="completion"), make_app(runtime, owner)

    for app_id, path in (
        (completion, "chat-conversations"),
        (chat, "completion-conversations"),
        (chat, "workflow-app-logs"),
    ):
        answer = call(client, owner, app_id, path)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "app_not_found"), path


def test_runs_of_a_workflow_are_listed_without_tests(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = FlowApp(client, runtime, owner, "workflow", BROKEN)
    ran = [app.post("/v1/workflows/run", inputs={"name": name}).json["workflow_run_id"] for name in "abc"]
    tested = f"/console/api/apps/{app.id}/workflows/draft/run"
    client.post(tested, json={"inputs": {"name": "x"}}, headers=owner.headers, buffered=True)

    whole = call(client, owner, app.id, "workflow-app-logs").get_json()
    statements = fewest(runtime, lambda: call(client, owner, app.id, "workflow-app-logs", page=9))
    detailed = call(client, owner, app.id, "workflow-app-logs", detail="true", limit=1).get_json()
    first = call(client, owner, app.id, "workflow-app-logs", limit=2).get_json()
    rest = call(client, owner, app.id, "workflow-app-logs", limit=2, last_id=first["data"][-1]["id"])
    by_status = [
        call(client, owner, app.id, "workflow-app-logs", status=status).get_json()["total"]
        for status in ("failed", "succeeded")
    ]

    assert statements <= 4
    assert [item["id"] for item in whole["data"]] == ran[::-1]
    assert (whole["total"], whole["has_more"], whole["data"][0]["details"]) == (3, False, None)
    assert whole["data"][0]["workflow_run"]["status"] == "failed"
    assert detailed["data"][0]["details"]["inputs"]["name"] == "c"
    assert (first["has_more"], first["total"]) == (True, 3)
    assert [item["id"] for item in rest.get_json()["data"]] == ran[:1]
    assert (rest.get_json()["has_more"], rest.get_json()["total"], by_status) == (False, 3, [3, 0])
    assert call(client, owner, app.id, "workflow-app-logs", last_id=UNKNOWN).status_code == 404
    named = call(client, owner, app.id, "workflow-app-logs", keyword=ran[1].upper()).get_json()
    assert [item["id"] for item in named["data"]] == [ran[1]]
