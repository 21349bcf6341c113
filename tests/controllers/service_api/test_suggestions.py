"""Questions suggested after an answer: written by a model, for the end user's own messages only."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.errors import CompletionFailed
from api.runtime import Runtime
from api.services import suggestions
from api.services.suggestions import read_questions
from tests.controllers.service_api.test_workflows import CHAT, FlowApp
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script

ON: dict[str, Any] = {"suggested_questions_after_answer": {"enabled": True}}
ASKED = '["Where is it?", "How tall is it?", "Who built it?"]'


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def app(runtime: Runtime, owner: Owner, script: Script) -> ChatApp:
    return make_chat_app(runtime, owner, model=script.choice, **ON)


def say(
    client: FlaskClient, app: ChatApp | FlowApp, query: str = "Tell me of the tower", **body: object
) -> Any:
    """Send a message and return the blocking answer."""
    sent = {"query": query, "user": "ada", "auto_generate_name": False, **body}
    answer = client.post("/api/chat-messages", json=sent, headers=app.headers)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def suggest(
    client: FlaskClient, app: ChatApp | FlowApp, message_id: str, mount: str = "/api", user: str = "ada"
) -> Any:
    return client.get(f"{mount}/messages/{message_id}/suggested?user={user}", headers=app.headers)


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_model_is_asked_for_questions_on_the_end_of_the_conversation(
    client: FlaskClient, app: ChatApp, script: Script, mount: str
) -> None:
    said = say(client, app, "First of all")
    for query in ("Second", "Third", "Fourth"):
        said = say(client, app, query, conversation_id=said["conversation_id"])
    say(client, app, "Later still", conversation_id=said["conversation_id"])
    script.pieces = ["Sure:\n```json\n", ASKED, "\n```"]

    answer = suggest(client, app, said["id"], mount)

    assert answer.status_code == 200
    assert answer.get_json() == {
        "result": "success",
        "data": ["Where is it?", "How tall is it?", "Who built it?"],
    }
    talk = script.requests[-1].messages[-1].text
    assert [query in talk for query in ("First", "Second", "Third", "Fourth", "Later")] == [
        *(False, True, True, True, False)
    ]


@pytest.mark.parametrize(("mount", "code"), [("/api", "invalid_param"), ("/v1", "bad_request")])
def test_app_that_does_not_want_questions_refuses(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script, mount: str, code: str
) -> None:
    app = make_chat_app(runtime, owner, model=script.choice)
    said = say(client, app)

    answer = suggest(client, app, said["id"], mount)

    assert (answer.status_code, answer.get_json()["code"]) == (400, code)
    assert answer.get_json()["message"] == "Suggested Questions Is Disabled."


@pytest.mark.parametrize("message_id", ["11111111-1111-4111-8111-111111111111", "no-id"])
def test_unknown_message_is_not_found(client: FlaskClient, app: ChatApp, message_id: str) -> None:
    answer = suggest(client, app, message_id)

    assert (answer.status_code, answer.get_json()["message"]) == (404, "Message Not Exists.")


def test_message_of_another_end_user_is_not_found_and_no_model_is_asked(
    client: FlaskClient, app: ChatApp, script: Script
) -> None:
    said = say(client, app)
    asked = len(script.requests)

    answer = suggest(client, app, said["id"], user="bob")

    assert answer.status_code == 404
    assert len(script.requests) == asked


def test_user_is_required(client: FlaskClient, app: ChatApp) -> None:
    answer = client.get(f"/v1/messages/{say(client, app)['id']}/suggested", headers=app.headers)

    assert (answer.status_code, answer.get_json()["params"]) == (400, "user")


def test_model_that_fails_is_told_of(client: FlaskClient, app: ChatApp, script: Script) -> None:
    def fail() -> None:
        raise CompletionFailed("The model is on fire.")

    said = say(client, app)
    script.pieces = [fail]

    answer = suggest(client, app, said["id"])

    assert (answer.status_code, answer.get_json()["code"]) == (400, "completion_request_error")


def test_model_that_only_quotes_has_no_questions(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, **ON)
    said = say(client, app)

    assert suggest(client, app, said["id"]).get_json() == {"result": "success", "data": []}


def test_completion_app_is_no_chat_app(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, mode="completion", **ON)

    answer = suggest(client, app, "11111111-1111-4111-8111-111111111111")

    assert (answer.status_code, answer.get_json()["code"]) == (400, "not_chat_app")


@pytest.mark.parametrize(("features", "status"), [(ON, 200), ({}, 400)])
def test_chatflow_follows_the_features_of_its_published_version(
    client: FlaskClient,
    runtime: Runtime,
    owner: Owner,
    script: Script,
    features: dict[str, object],
    status: int,
) -> None:
    set_default(client, owner, script)
    script.pieces = [ASKED]
    app = FlowApp(client, runtime, owner, "advanced-chat", CHAT, features=features)
    said = say(client, app)

    answer = suggest(client, app, said["id"])

    assert answer.status_code == status
    assert len(script.requests) == (status == 200)


def set_default(client: FlaskClient, owner: Owner, script: Script) -> None:
    """Make a script's model the workspace's default chat model."""
    chosen = {"model_type": "llm", "provider": "scripted", "model": script.model}
    answer = client.post(
        "/console/api/workspaces/current/default-model",
        json={"model_settings": [chosen]},
        headers=owner.headers,
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ('["a", " b\\n c ", "", 4, "d", "e"]', ["a", "b c", "d"]),
        ('{"questions": ["a"]}', ["a"]),
        ('{"questions": "a"}', []),
        ("I cannot.", []),
        ("", []),
    ],
)
def test_questions_are_read_from_whatever_a_model_wrote(text: str, questions: list[str]) -> None:
    assert read_questions(text) == questions


def test_suggestions_count_as_a_run(
    client: FlaskClient, owner: Owner, app: ChatApp, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = say(client, app)
    client.put(f"/console/api/apps/{app.id}", json={"max_active_requests": 1}, headers=owner.headers)
    statuses: list[int] = []

    def ask_meanwhile(*_: object) -> list[str]:
        if len(statuses) < 1:
            statuses.append(0)
            statuses.append(suggest(client, app, said["id"]).status_code)
        return []

    monkeypatch.setattr(suggestions, "read_questions", ask_meanwhile)  # the moment at which the slot is held

    statuses.append(suggest(client, app, said["id"]).status_code)
    assert statuses == [0, 429, 200]
    assert suggest(client, app, said["id"]).status_code == 200
