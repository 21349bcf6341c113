"""Conversations, history and feedback through the public API; closed between end users."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.errors import CompletionFailed
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script
from tests.statements import count_statements
from tests.waiting import wait_until

NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def app(runtime: Runtime, owner: Owner) -> ChatApp:
    return make_chat_app(
        runtime, owner, model=Script().choice, opening_statement="Welcome {{name}}", user_input_form=FORM
    )


FORM = [{"text-input": {"variable": "name", "label": "Name", "required": False, "default": "you"}}]


def talk(client: FlaskClient, app: ChatApp, query: str = "Hi", user: str = "ada", **body: object) -> Any:
    """Send a message and return the blocking answer."""
    asked = {"query": query, "user": user, "auto_generate_name": False, **body}
    answer = client.post("/api/chat-messages", json=asked, headers=app.headers)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def get(client: FlaskClient, app: ChatApp, path: str, user: str = "ada", **query: object) -> Any:
    """Return a page as JSON."""
    answer = client.get(f"/api{path}", query_string={"user": user, **query}, headers=app.headers)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_conversation_shows_its_name_inputs_and_introduction(client: FlaskClient, app: ChatApp) -> None:
    talk(client, app, "A question that is rather long", inputs={"name": "Ada", "unknown": 1})

    (conversation,) = get(client, app, "/conversations")["data"]

    assert conversation["name"] == "A question that is r…"
    assert conversation["inputs"] == {"name": "Ada"}
    assert conversation["introduction"] == "Welcome Ada"
    assert conversation["status"] == "normal"
    assert isinstance(conversation["updated_at"], int)


def test_conversations_come_in_pages_that_neither_repeat_nor_lose(client: FlaskClient, app: ChatApp) -> None:
    made = [talk(client, app, f"q{n}")["conversation_id"] for n in range(5)]

    pages, last_id = [], ""
    for _ in range(3):
        page = get(client, app, "/conversations", limit=2, last_id=last_id)
        pages.append(page)
        last_id = page["data"][-1]["id"]

    assert [item["id"] for page in pages for item in page["data"]] == made[::-1]
    assert [page["has_more"] for page in pages] == [True, True, False]


@pytest.mark.parametrize("sort_by", ["created_at", "updated_at"])
def test_conversations_sort_both_ways(client: FlaskClient, app: ChatApp, sort_by: str) -> None:
    made = [talk(client, app, f"q{n}")["conversation_id"] for n in range(3)]

    assert [c["id"] for c in get(client, app, "/conversations", sort_by=sort_by)["data"]] == made
    assert [c["id"] for c in get(client, app, "/conversations", sort_by=f"-{sort_by}")["data"]] == made[::-1]


def test_a_new_message_brings_its_conversation_to_the_top(client: FlaskClient, app: ChatApp) -> None:
    first = talk(client, app)["conversation_id"]
    talk(client, app)

    talk(client, app, conversation_id=first)

    assert get(client, app, "/conversations")["data"][0]["id"] == first


def test_unknown_last_id_is_not_found(client: FlaskClient, app: ChatApp) -> None:
    answer = client.get(f"/api/conversations?user=ada&last_id={NOBODY}", headers=app.headers)

    assert (answer.status_code, answer.get_json()["message"]) == (404, "Last Conversation Not Exists.")


def test_history_comes_newest_page_first_and_oldest_message_first_inside(
    client: FlaskClient, app: ChatApp
) -> None:
    conversation_id = talk(client, app, "q0")["conversation_id"]
    for n in range(1, 5):
        talk(client, app, f"q{n}", conversation_id=conversation_id)

    newest = get(client, app, f"/conversations/{conversation_id}/messages", limit=2)
    older = get(
        client, app, "/messages", conversation_id=conversation_id, limit=3, first_id=newest["data"][0]["id"]
    )

    assert [m["query"] for m in newest["data"]] == ["q3", "q4"]
    assert [m["query"] for m in older["data"]] == ["q0", "q1", "q2"]
    assert (newest["has_more"], older["has_more"]) == (True, False)


def test_unknown_first_id_is_not_found(client: FlaskClient, app: ChatApp) -> None:
    conversation_id = talk(client, app)["conversation_id"]

    answer = client.get(
        f"/api/messages?user=ada&conversation_id={conversation_id}&first_id={NOBODY}", headers=app.headers
    )

    assert (answer.status_code, answer.get_json()["message"]) == (404, "First Message Not Exists.")


def test_rename_changes_the_name_and_only_that(client: FlaskClient, app: ChatApp) -> None:
    conversation_id = talk(client, app)["conversation_id"]

    renamed = client.post(
        f"/api/conversations/{conversation_id}/name",
        json={"name": " Sea ", "user": "ada"},
        headers=app.headers,
    )

    assert renamed.status_code == 200
    assert renamed.get_json()["name"] == "Sea"
    assert get(client, app, "/conversations")["data"][0]["name"] == "Sea"


def test_automatic_rename_asks_the_model(client: FlaskClient, app: ChatApp) -> None:
    conversation_id = talk(client, app)["conversation_id"]

    renamed = client.post(
        f"/api/conversations/{conversation_id}/name",
        json={"auto_generate": True, "user": "ada"},
        headers=app.headers,
    )

    assert renamed.get_json()["name"] == "Hello world"


def test_automatic_rename_takes_an_empty_name_too(client: FlaskClient, app: ChatApp) -> None:
    conversation_id = talk(client, app)["conversation_id"]

    renamed = client.post(
        f"/v1/conversations/{conversation_id}/name",
        json={"name": "", "auto_generate": True, "user": "ada"},
        headers=app.headers,
    )

    assert (renamed.status_code, renamed.get_json()["name"]) == (200, "Hello world")


def test_automatic_rename_is_plain_where_the_model_fails(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=failing_second().choice)
    said = talk(client, app, query="What is the tallest  mountain on each of the continents?")
    conversation_id = said["conversation_id"]

    renamed = client.post(
        f"/api/conversations/{conversation_id}/name",
        json={"auto_generate": True, "user": "ada"},
        headers=app.headers,
    )

    assert renamed.status_code == 200
    assert renamed.get_json()["name"] == "What is the tallest mountain on each of the con..."


def test_conversation_is_named_plainly_where_the_model_writes_no_title(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner, model=failing_second().choice)
    talk(client, app, query="How deep is the sea near Iceland?", auto_generate_name=True)

    wait_until(
        lambda: get(client, app, "/conversations")["data"][0]["name"] == "How deep is the sea near Iceland?"
    )


def failing_second() -> Script:
    """Return a script that answers the first request and fails on all others."""

    def fail() -> None:
        raise CompletionFailed("It broke.")

    return Script(turns=[["Hello"], [fail]])


@pytest.mark.parametrize("named", [{}, {"name": None}, {"name": ""}, {"name": " ", "auto_generate": False}])
def test_rename_without_a_name_is_refused(
    client: FlaskClient, app: ChatApp, named: dict[str, object]
) -> None:
    conversation_id = talk(client, app)["conversation_id"]

    answer = client.post(
        f"/api/conversations/{conversation_id}/name", json={**named, "user": "ada"}, headers=app.headers
    )

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": "name", "type": "required"}


def test_deleted_conversation_is_gone_everywhere(client: FlaskClient, app: ChatApp) -> None:
    said = talk(client, app)
    conversation_id = said["conversation_id"]

    deleted = client.delete(
        f"/api/conversations/{conversation_id}", json={"user": "ada"}, headers=app.headers
    )

    assert (deleted.status_code, deleted.data) == (204, b"")
    assert get(client, app, "/conversations")["data"] == []
    messages = client.get(f"/api/conversations/{conversation_id}/messages?user=ada", headers=app.headers)
    again = client.delete(f"/api/conversations/{conversation_id}", json={"user": "ada"}, headers=app.headers)
    assert (messages.status_code, again.status_code) == (404, 404)
    rating = {"rating": "like", "user": "ada"}
    rated = client.post(f"/api/messages/{said['id']}/feedbacks", json=rating, headers=app.headers)
    assert rated.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/conversations/{c}/messages?user=bob", None),
        ("GET", "/messages?user=bob&conversation_id={c}", None),
        ("POST", "/conversations/{c}/name", {"name": "mine", "user": "bob"}),
        ("DELETE", "/conversations/{c}", {"user": "bob"}),
        ("POST", "/chat-messages", {"query": "q", "user": "bob", "conversation_id": "{c}"}),
        ("POST", "/messages/{m}/feedbacks", {"rating": "like", "user": "bob"}),
    ],
)
def test_another_end_user_finds_nothing_and_changes_nothing(
    client: FlaskClient, app: ChatApp, method: str, path: str, body: dict[str, str] | None
) -> None:
    said = talk(client, app)
    names = {"c": said["conversation_id"], "m": said["id"]}
    sent = {key: value.format(**names) for key, value in body.items()} if body else None

    answer = client.open(f"/api{path.format(**names)}", method=method, json=sent, headers=app.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")
    (message,) = get(client, app, f"/conversations/{said['conversation_id']}/messages")["data"]
    assert (message["feedback"], message["query"]) == (None, "Hi")
    assert get(client, app, "/conversations", user="bob")["data"] == []


def test_feedback_is_given_changed_and_taken_back(client: FlaskClient, app: ChatApp) -> None:
    said = talk(client, app)
    url = f"/api/messages/{said['id']}/feedbacks"
    seen = []

    for rating in ("like", "dislike", None):
        answer = client.post(url, json={"rating": rating, "user": "ada"}, headers=app.headers)
        assert answer.get_json() == {"result": "success"}
        (message,) = get(client, app, f"/conversations/{said['conversation_id']}/messages")["data"]
        seen.append(message["feedback"])

    assert seen == [{"rating": "like"}, {"rating": "dislike"}, None]
    nothing_left = client.post(url, json={"rating": None, "user": "ada"}, headers=app.headers)
    assert nothing_left.status_code == 400


def test_history_needs_a_user_on_the_seed_mount_only(client: FlaskClient, app: ChatApp) -> None:
    anonymous = talk(client, app)
    url = f"/conversations/{anonymous['conversation_id']}/messages"

    seed = client.get(f"/api{url}", headers=app.headers)
    dify = client.get(f"/v1{url}", headers=app.headers)

    assert (seed.status_code, seed.get_json()["params"]) == (400, "user")
    assert dify.status_code == 404


@pytest.mark.parametrize("path", ["/conversations", "/messages?conversation_id=" + NOBODY])
def test_completion_app_has_no_conversations(
    client: FlaskClient, runtime: Runtime, owner: Owner, path: str
) -> None:
    app = make_chat_app(runtime, owner, mode="completion", model=Script().choice)

    answer = client.get(f"/api{path}", headers=app.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "not_chat_app")


def test_integer_user_is_taken_as_its_digits(client: FlaskClient, app: ChatApp) -> None:
    answer = client.post("/api/chat-messages", json={"query": "Hi", "user": 42}, headers=app.headers)

    assert answer.status_code == 200
    assert len(get(client, app, "/conversations", user="42")["data"]) == 1


def test_empty_array_of_inputs_counts_as_an_empty_object(client: FlaskClient, app: ChatApp) -> None:
    assert talk(client, app, inputs=[], files=None)["answer"] == "Hello world"


def test_page_of_history_takes_at_most_six_statements(
    client: FlaskClient, runtime: Runtime, app: ChatApp
) -> None:
    conversation_id = talk(client, app)["conversation_id"]
    for _ in range(3):
        talk(client, app, conversation_id=conversation_id)

    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        get(client, app, f"/conversations/{conversation_id}/messages")

    assert len(statements) <= 6, statements


def test_message_takes_three_statements_before_its_first_event_and_three_after_its_last(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    engine = runtime.session_factory.kw["bind"]
    marks: list[int] = []
    with count_statements(engine) as statements:
        script = Script(
            pieces=[lambda: marks.append(len(statements)), "Hello", lambda: marks.append(len(statements))]
        )
        app = make_chat_app(runtime, owner, model=script.choice)
        talk(client, app, "warm up")
        for body in ({}, {"user": "a new one"}, {"conversation_id": talk(client, app)["conversation_id"]}):
            marks.clear()
            statements.clear()
            talk(client, app, **body)
            own = [text for text in statements if "jobs" not in text and "worker_beats" not in text]
            assert marks[0] <= 3, own
            assert marks[1] == marks[0], own
            assert len(own) - marks[1] <= 3, own


@BOTH
def test_parallel_feedback_of_one_person_is_one_judgement(
    house: Flask, client: FlaskClient, app: ChatApp
) -> None:
    said = talk(client, app)

    def rate(number: int) -> int:
        body = {"rating": ("like", "dislike")[number % 2], "user": "ada"}
        url = f"/api/messages/{said['id']}/feedbacks"
        return house.test_client().post(url, json=body, headers=app.headers).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(rate, range(24)))

    (message,) = get(client, app, f"/conversations/{said['conversation_id']}/messages")["data"]
    assert statuses == {200}
    assert message["feedback"]["rating"] in ("like", "dislike")
