"""Messages of an app as its team sees them, and what the team thinks of them."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from api.controllers.schemas.app_message import MESSAGE_DETAIL
from api.models.conversation import MessageFeedback
from api.runtime import Runtime
from api.services import feedback_exports
from tests.annotations import Desk
from tests.conftest import BOTH
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script

UNKNOWN = "c0ffee00-0000-4000-8000-000000000000"


def ask(client: FlaskClient, app: ChatApp, query: str, conversation_id: str | None = None) -> Any:
    body = {"query": query, "user": "ann", "conversation_id": conversation_id}
    return client.post("/v1/chat-messages", json=body, headers=app.headers).get_json()


def read(client: FlaskClient, owner: Owner, app_id: str, path: str, **query: object) -> Any:
    return client.get(f"/console/api/apps/{app_id}/{path}", query_string=query, headers=owner.headers)


def rate(client: FlaskClient, owner: Owner, app_id: str, **body: object) -> Any:
    return client.post(f"/console/api/apps/{app_id}/feedbacks", json=body, headers=owner.headers)


def test_history_of_an_end_user_is_read_in_pages(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    first = ask(client, app, "one")
    talk = first["conversation_id"]
    second, third = ask(client, app, "two", talk), ask(client, app, "three", talk)

    latest = read(client, owner, app.id, "chat-messages", conversation_id=talk, limit=2).get_json()
    older = read(
        client, owner, app.id, "chat-messages", conversation_id=talk, first_id=second["id"]
    ).get_json()

    assert [item["id"] for item in latest["data"]] == [second["id"], third["id"]]
    assert (latest["limit"], latest["has_more"], older["has_more"]) == (2, True, False)
    assert [item["id"] for item in older["data"]] == [first["id"]]
    message = older["data"][0]
    assert set(message) == set(MESSAGE_DETAIL)
    assert (message["query"], message["answer"], message["from_source"]) == ("one", "said", "api")
    assert message["message"] == [{"role": "user", "text": "one"}]
    assert message["metadata"]["usage"]["prompt_tokens"] == message["message_tokens"] == 7


def test_message_tells_what_both_sides_think_of_it(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    message = ask(client, app, "one")["id"]
    own = {"rating": "like", "user": "ann", "content": "thanks"}
    client.post(f"/v1/messages/{message}/feedbacks", json=own, headers=app.headers)

    kept = rate(client, owner, app.id, message_id=message, rating="dislike", content="too short")
    told = read(client, owner, app.id, f"messages/{message}").get_json()["feedbacks"]

    assert (kept.status_code, kept.get_json()) == (200, {"result": "success"})
    assert [(item["from_source"], item["rating"], item["content"]) for item in told] == [
        ("user", "like", "thanks"),
        ("admin", "dislike", "too short"),
    ]
    assert told[0]["from_account"] is None
    assert told[1]["from_account"] == {"id": owner.account_id, "name": "Test Owner", "email": owner.email}


def test_rating_of_the_team_is_changed_and_taken_back(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    message = ask(client, app, "one")["id"]

    statuses = [
        rate(client, owner, app.id, message_id=message, rating=rating).status_code
        for rating in ("like", "dislike", None, None)
    ]

    assert statuses == [200, 200, 200, 400]
    assert read(client, owner, app.id, f"messages/{message}").get_json()["feedbacks"] == []


def test_conversation_of_another_app_is_not_found(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    one, other = (make_chat_app(runtime, owner, model=Script(["said"]).choice) for _ in range(2))
    made = ask(client, one, "one")

    foreign = read(client, owner, other.id, "chat-messages", conversation_id=made["conversation_id"])
    missing = read(client, owner, other.id, f"messages/{made['id']}")
    unrated = rate(client, owner, other.id, message_id=made["id"], rating="like")

    assert {answer.status_code for answer in (foreign, missing, unrated)} == {404}


def test_first_id_that_is_unknown_is_not_found(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    talk = ask(client, app, "one")["conversation_id"]

    answer = read(client, owner, app.id, "chat-messages", conversation_id=talk, first_id=UNKNOWN)

    assert (answer.status_code, answer.get_json()["message"]) == (404, "First Message Not Exists.")


def test_message_tells_the_annotation_made_of_it_and_the_one_it_was_answered_by(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    desk = Desk(client, runtime, app)
    asked = ask(client, app, "When does the train leave?")
    noted = {"message_id": asked["id"], "question": "When leaves the train?", "answer": "At noon."}
    made = desk.read("POST", "annotations", json=noted)
    desk.turn_on()
    answered = ask(client, app, "When does the train leave?")
    assert answered["answer"] == "At noon."

    first, second = (desk.read("GET", f"messages/{item['id']}") for item in (asked, answered))

    account = {"id": owner.account_id, "name": "Test Owner", "email": owner.email}
    told = {"id": made["id"], "question": noted["question"], "content": "At noon.", "account": account}
    assert first["annotation"] == {**told, "created_at": made["created_at"]}
    assert (first["annotation_hit_history"], second["annotation"]) == (None, None)
    hit = second["annotation_hit_history"]
    assert (hit["annotation_id"], hit["annotation_create_account"]) == (made["id"], account)
    assert abs(hit["created_at"] - second["created_at"]) < 60


@BOTH
def test_feedbacks_are_exported_as_table_and_as_json(
    client: FlaskClient, runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_exports, "ROWS_AT_ONCE", 2)  # so that there are pages
    app = make_chat_app(runtime, owner, model=Script(['said, "so"']).choice)
    asked = [ask(client, app, query) for query in ("=1+1", "two\nlines", "three")]
    for message in asked:
        said = {"user": "ann", "rating": "dislike", "content": "@bad"}
        client.post(f"/v1/messages/{message['id']}/feedbacks", json=said, headers=app.headers)
    rate(client, owner, app.id, message_id=asked[0]["id"], rating="like")

    table = read(client, owner, app.id, "feedbacks/export")
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    whole = read(client, owner, app.id, "feedbacks/export", format="json").get_json()

    assert (table.content_type, table.headers["Content-Disposition"].split(";")[0]) == (
        "text/csv; charset=utf-8",
        "attachment",
    )
    assert [row["user_query"] for row in rows] == ["'=1+1", "three", "two\nlines", "'=1+1"]
    assert rows[-1]["ai_response"] == 'said, "so"'
    assert (rows[0]["feedback_rating_raw"], rows[0]["from_account_name"] != "", rows[0]["has_comment"]) == (
        "like",
        True,
        "No",
    )
    assert (rows[-1]["feedback_comment"], rows[-1]["feedback_source"]) == ("'@bad", "user")
    assert whole["export_info"]["total_records"] == 4
    assert [record["user_query"] for record in whole["feedback_data"]] == [
        "=1+1",
        "three",
        "two\nlines",
        "=1+1",
    ]
    assert set(whole["feedback_data"][0]) == set(rows[0])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"from_source": "admin"}, 1),
        ({"rating": "dislike"}, 1),
        ({"has_comment": "true"}, 1),
        ({"has_comment": "false"}, 1),
        ({"start_date": "2026-01-31", "end_date": "2026-01-31"}, 1),
        ({"end_date": "2026-01-30"}, 0),
        ({"start_date": "0002-01-01", "end_date": "9999-12-30"}, 2),
    ],
)
def test_export_of_feedbacks_is_chosen_from(
    client: FlaskClient, runtime: Runtime, owner: Owner, query: dict[str, str], count: int
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)
    message = ask(client, app, "one")
    said = {"user": "ann", "rating": "dislike", "content": "bad"}
    client.post(f"/v1/messages/{message['id']}/feedbacks", json=said, headers=app.headers)
    rate(client, owner, app.id, message_id=message["id"], rating="like")
    late = datetime(2026, 2, 1, 4, 59, tzinfo=UTC)  # 23:59 of the day before in New York
    with runtime.transaction() as session:
        session.execute(
            update(MessageFeedback).where(MessageFeedback.rating == "like").values(created_at=late)
        )

    found = read(client, owner, app.id, "feedbacks/export", format="json", **query)

    assert found.get_json()["export_info"]["total_records"] == count


@pytest.mark.parametrize(
    "query",
    [
        {"format": "xml"},
        {"rating": "meh"},
        {"start_date": "yesterday"},
        {"start_date": "2026-02-01", "end_date": "2026-01-01"},
    ],
)
def test_export_of_feedbacks_refuses_what_is_no_choice(
    client: FlaskClient, runtime: Runtime, owner: Owner, query: dict[str, str]
) -> None:
    app = make_chat_app(runtime, owner, model=Script(["said"]).choice)

    assert read(client, owner, app.id, "feedbacks/export", **query).status_code == 400
    assert read(client, owner, UNKNOWN, "feedbacks/export").status_code == 404
