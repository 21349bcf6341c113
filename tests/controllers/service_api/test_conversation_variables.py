"""Variables of conversations: read, set by their end user, and read by the next run."""

from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from api.models.workflow import ConversationVariable
from api.runtime import Runtime
from tests.controllers.service_api.test_workflows import FlowApp
from tests.factories import Owner, make_chat_app
from tests.flows import drawn, edges
from tests.waiting import wait_until

NOBODY = "11111111-1111-4111-8111-111111111111"
DECLARED = [
    {"name": "mood", "value_type": "string", "value": "calm", "description": "How it goes"},
    {"name": "count", "value_type": "number", "value": 2},
    {"name": "said", "value_type": "array[string]", "value": []},
]


@pytest.fixture
def app(client: FlaskClient, runtime: Runtime, owner: Owner) -> FlowApp:
    """A chatflow that appends each question to ``said`` and answers with all it keeps."""
    item = {
        "variable_selector": ["conversation", "said"],
        "input_type": "variable",
        "operation": "append",
        "value": ["sys", "query"],
    }
    graph = {
        "nodes": [
            drawn("s", "start"),
            drawn("keep", "assigner", version="2", items=[item]),
            drawn("a", "answer", answer="{{#conversation.mood#}} {{#conversation.count#}}"),
        ],
        "edges": edges("s > keep > a"),
    }
    return FlowApp(client, runtime, owner, "advanced-chat", graph, conversation_variables=DECLARED)


def begin(app: FlowApp) -> str:
    """Return the id of a new conversation."""
    return str(app.post("/v1/chat-messages", query="one").json["conversation_id"])


def load(app: FlowApp, conversation_id: str, mount: str = "/api", **query: Any) -> Any:
    answer = app.get(f"{mount}/conversations/{conversation_id}/variables", user="ada", **query)
    assert answer.status_code == 200, answer.json
    return answer.json


def put(app: FlowApp, conversation_id: str, variable_id: str, mount: str = "/api", **body: Any) -> Any:
    path = f"{mount}/conversations/{conversation_id}/variables/{variable_id}"
    return app.client.put(path, json={"user": "ada", **body}, headers=app.headers)


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_variables_are_listed_as_declared_with_what_they_hold_now(app: FlowApp, mount: str) -> None:
    page = load(app, begin(app), mount)

    told = [(item["name"], item["value_type"], item["value"]) for item in page["data"]]
    assert told == [
        ("mood", "string", "calm"),
        ("count", "number", "2"),
        ("said", "array[string]", '["one"]'),
    ]
    assert (page["limit"], page["has_more"]) == (20, False)
    assert page["data"][0]["description"] == "How it goes"
    assert isinstance(page["data"][0]["created_at"], int)


def test_variables_come_in_pages_and_by_name(app: FlowApp) -> None:
    conversation_id = begin(app)
    first = load(app, conversation_id, limit=2)
    rest = load(app, conversation_id, limit=2, last_id=first["data"][-1]["id"])
    named = load(app, conversation_id, variable_name="said")

    assert [item["name"] for item in first["data"]] == ["mood", "count"]
    assert [item["name"] for item in rest["data"]] == ["said"]
    assert [item["name"] for item in named["data"]] == ["said"]
    assert (first["has_more"], rest["has_more"]) == (True, False)


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_value_that_is_set_is_what_the_next_message_reads(app: FlowApp, mount: str) -> None:
    conversation_id = begin(app)
    mood, count, said = (item["id"] for item in load(app, conversation_id)["data"])

    changed = put(app, conversation_id, mood, mount, value="wild")
    put(app, conversation_id, count, mount, value=7.5)
    put(app, conversation_id, said, mount, value=["zero"])
    answer = app.post("/v1/chat-messages", query="two", conversation_id=conversation_id).json["answer"]

    assert (changed.status_code, changed.json["value"], changed.json["id"]) == (200, "wild", mood)
    assert answer == "wild 7.5"
    values = [item["value"] for item in load(app, conversation_id)["data"]]
    assert values == ["wild", "7.5", '["zero","two"]']
    assert load(app, begin(app))["data"][0]["value"] == "calm"


@pytest.mark.parametrize(
    ("place", "value", "got"),
    [
        (0, 4, "number"),
        (0, None, "none"),
        (1, "4", "string"),
        (1, True, "boolean"),
        (2, [1], "array[number]"),
    ],
)
def test_value_of_another_type_is_refused_and_changes_nothing(
    app: FlowApp, place: int, value: object, got: str
) -> None:
    conversation_id = begin(app)
    before = load(app, conversation_id)
    item = before["data"][place]

    answer = put(app, conversation_id, item["id"], "/v1", value=value)

    expected = f"Type mismatch: variable '{item['name']}' expects {item['value_type']}, but got {got} type"
    assert (answer.status_code, answer.json["code"], answer.json["message"]) == (400, "bad_request", expected)
    assert load(app, conversation_id) == before


def test_value_that_is_missing_or_too_large_is_refused(app: FlowApp) -> None:
    conversation_id = begin(app)
    mood = load(app, conversation_id)["data"][0]["id"]

    missing = put(app, conversation_id, mood)
    large = put(app, conversation_id, mood, value="x" * 200 * 1024)

    assert (missing.status_code, missing.json["details"]) == (400, {"field": "value", "type": "required"})
    assert (large.status_code, large.json["details"]) == (400, {"field": "value", "type": "too_long"})


def test_unknown_variable_or_place_in_the_list_is_not_found(app: FlowApp) -> None:
    conversation_id = begin(app)

    answers = [
        put(app, conversation_id, NOBODY, value="x"),
        put(app, conversation_id, "no-id", value="x"),
        app.get(f"/api/conversations/{conversation_id}/variables", user="ada", last_id=NOBODY),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json["message"]) == (404, "Conversation Variable Not Exists.")


def test_another_end_user_finds_nothing_and_changes_nothing(app: FlowApp) -> None:
    conversation_id = begin(app)
    before = load(app, conversation_id)

    read = app.get(f"/api/conversations/{conversation_id}/variables", user="bob")
    written = put(app, conversation_id, before["data"][0]["id"], value="mine", user="bob")

    for answer in (read, written):
        assert (answer.status_code, answer.json["message"]) == (404, "Conversation Not Exists.")
    assert load(app, conversation_id) == before


@pytest.mark.parametrize("query", [{"limit": 0}, {"variable_name": "a b"}, {"last_id": "x"}])
def test_bad_query_is_refused(app: FlowApp, query: dict[str, Any]) -> None:
    answer = app.get(f"/api/conversations/{NOBODY}/variables", user="ada", **query)

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_param")


def test_chat_app_has_none_and_completion_app_no_conversations(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    chat = make_chat_app(runtime, owner)
    said: Any = client.post(
        "/api/chat-messages", json={"query": "Hi", "user": "ada"}, headers=chat.headers
    ).get_json()
    completion = make_chat_app(runtime, owner, mode="completion")
    path = f"/api/conversations/{said['conversation_id']}/variables?user=ada"

    none = client.get(path, headers=chat.headers)
    refused = client.get(path, headers=completion.headers)

    assert orjson.loads(none.data) == {"limit": 20, "has_more": False, "data": []}
    assert (refused.status_code, refused.get_json()["code"]) == (400, "not_chat_app")


def test_deleted_conversation_leaves_no_variables_behind(app: FlowApp, runtime: Runtime) -> None:
    conversation_id = begin(app)
    here = ConversationVariable.conversation_id == conversation_id

    def kept() -> int:
        with runtime.reading() as session:
            return len(session.scalars(select(ConversationVariable.id).where(here)).all())

    assert kept() == 1
    app.client.delete(f"/api/conversations/{conversation_id}", json={"user": "ada"}, headers=app.headers)

    wait_until(lambda: kept() == 0)


def test_team_reads_the_variables_of_any_conversation(
    client: FlaskClient, runtime: Runtime, owner: Owner, app: FlowApp
) -> None:
    talk = begin(app)

    def read(app_id: str, conversation_id: str) -> Any:
        url = f"/console/api/apps/{app_id}/conversation-variables"
        return client.get(url, query_string={"conversation_id": conversation_id}, headers=owner.headers)

    page, own = read(app.id, talk).get_json(), load(app, talk)
    assert (page["data"], page["total"], page["has_more"]) == (own["data"], 3, False)
    assert read(app.id, NOBODY).status_code == 404
    chat = make_chat_app(runtime, owner)
    said = {"query": "Hi", "user": "ada"}
    other: Any = client.post("/v1/chat-messages", json=said, headers=chat.headers).get_json()
    assert read(chat.id, other["conversation_id"]).get_json()["data"] == []
    assert read(chat.id, talk).status_code == 404
