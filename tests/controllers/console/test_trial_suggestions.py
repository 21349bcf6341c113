"""Questions suggested while an app is tried out: as it was tried, whatever is saved."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests import flows
from tests.controllers.console.flow_calls import DraftApp
from tests.factories import Owner, make_app, make_chat_app, make_owner
from tests.fakes import Script

ON: dict[str, Any] = {"suggested_questions_after_answer": {"enabled": True}}
REFUSED = (403, "app_suggested_questions_after_answer_disabled")


@pytest.fixture
def script() -> Script:
    return Script(['["Why?", "How?"]'])


def say(client: FlaskClient, owner: Owner, app_id: str, **config: Any) -> str:
    """Try a chat app with a configuration; return the message's id."""
    sent = {"query": "Hi", "inputs": {}, "model_config": config}
    answer: Any = client.post(f"/console/api/apps/{app_id}/chat-messages", json=sent, headers=owner.headers)
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["id"])


def suggest(client: FlaskClient, owner: Owner, app_id: str, message_id: str) -> Any:
    path = f"/console/api/apps/{app_id}/chat-messages/{message_id}/suggested-questions"
    return client.get(path, headers=owner.headers)


def test_test_is_followed_by_questions_if_it_was_configured_so_and_else_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    unsaved, saved = make_app(runtime, owner), make_chat_app(runtime, owner, model=script.choice, **ON).id
    tried = say(client, owner, unsaved, model=script.choice, **ON)
    plain = say(client, owner, unsaved, model=script.choice)

    answer = suggest(client, owner, unsaved, tried)
    refused = suggest(client, owner, unsaved, plain)
    by_saved = suggest(client, owner, saved, say(client, owner, saved, model=script.choice))

    assert (answer.status_code, answer.json["data"]) == (200, ["Why?", "How?"])
    assert (refused.status_code, refused.json["code"]) == REFUSED
    assert by_saved.json["data"] == ["Why?", "How?"]


def test_tests_of_others_and_apps_that_do_not_chat_are_not_found(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    app = make_chat_app(runtime, owner, model=script.choice, **ON)
    guest = client.post("/v1/chat-messages", json={"query": "q", "user": "u"}, headers=app.headers)
    tried = say(client, owner, app.id, model=script.choice, **ON)

    answers = [
        suggest(client, owner, app.id, guest.get_json()["id"]),
        suggest(client, make_owner(runtime), app.id, tried),
        suggest(client, owner, make_app(runtime, owner, mode="completion"), tried),
        suggest(client, owner, app.id, "no-id"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4


def test_chatflow_suggests_as_its_draft_says(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    nodes = [flows.drawn("s", "start"), flows.drawn("a", "answer", answer="Hello")]
    graph = {"nodes": nodes, "edges": flows.edges("s > a")}
    quiet = DraftApp(client, runtime, owner, graph, mode="advanced-chat")
    eager = DraftApp(client, runtime, owner, graph, mode="advanced-chat", features=ON)

    refused, answer = (
        suggest(client, owner, app.id, app.run(query="Hi")[0]["message_id"]) for app in (quiet, eager)
    )

    assert (refused.status_code, refused.json["code"]) == REFUSED
    assert (answer.status_code, answer.json["data"]) == (200, [])  # the built-in model quotes and writes none
