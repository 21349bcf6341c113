"""Messages of an app as its team sees them, and what the team thinks of them."""

from typing import Any

from flask.testing import FlaskClient

from api.controllers.schemas.app_message import MESSAGE_DETAIL
from api.runtime import Runtime
from tests.annotations import Desk
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
