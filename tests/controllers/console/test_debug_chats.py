"""Trying chat and completion apps in the console, with a configuration that is not saved."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.core.model_runtime.types import ChatChunk, ToolCall
from api.runtime import Runtime
from tests.factories import Owner, make_app, make_chat_app, make_dataset_key, make_owner
from tests.fakes import Script
from tests.sse import read_events, text_of


@pytest.fixture
def chat_app_of(runtime: Runtime, owner: Owner) -> Callable[[str], tuple[Owner, str]]:
    """Makes an app of a mode."""
    return lambda mode: (owner, make_app(runtime, owner, mode=mode))


def ask(client: FlaskClient, owner: Owner, app_id: str, kind: str = "chat", **body: Any) -> Any:
    return client.post(
        f"/console/api/apps/{app_id}/{kind}-messages", json={"inputs": {}, **body}, headers=owner.headers
    )


def test_chat_answers_as_the_request_configures_it_and_saves_nothing(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    saved, tried = Script(["saved"]), Script(["tried"])
    app = make_chat_app(runtime, owner, model=saved.choice, pre_prompt="Be calm.")
    config = {"model": tried.choice, "pre_prompt": "Be loud."}

    first = ask(client, owner, app.id, query="one", model_config=config)
    events = read_events(
        ask(
            client,
            owner,
            app.id,
            query="two",
            model_config=config,
            conversation_id=first.json["conversation_id"],
            response_mode="streaming",
        )
    )
    public = client.post("/v1/chat-messages", json={"query": "q", "user": "u"}, headers=app.headers)

    assert (first.status_code, first.json["answer"]) == (200, "tried")
    assert text_of(events) == "tried"
    assert events[-1]["event"] == "message_end"
    assert "Be loud." in str(tried.requests[0].messages)
    assert "one" in str(tried.requests[1].messages)
    assert public.get_json()["answer"] == "saved"
    listed = client.get("/v1/conversations?user=u", headers=app.headers).get_json()["data"]
    assert first.json["conversation_id"] not in [item["id"] for item in listed]


def test_completion_fills_the_template_of_the_request(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    script = Script(["done"])
    app = make_chat_app(runtime, owner, mode="completion", model=script.choice, pre_prompt="Saved {{x}}")
    form = [{"text-input": {"variable": "x", "label": "X", "required": True}}]
    config = {"model": script.choice, "pre_prompt": "Tried {{x}}", "user_input_form": form}

    answer = ask(client, owner, app.id, "completion", model_config=config, inputs={"x": "this"})
    missing = ask(client, owner, app.id, "completion", model_config=config)

    assert (answer.status_code, answer.json["answer"]) == (200, "done")
    assert "Tried this" in str(script.requests[0].messages)
    assert (missing.status_code, missing.json["message"]) == (400, "x is required in input form")


def test_agent_works_with_the_tools_of_the_request(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    call = ChatChunk(tool_calls=(ToolCall(id="c", name="current_time", arguments="{}"),))
    script = Script(turns=[[call], ["Now."]], features=frozenset({"tool-call"}))
    tool = {"provider_id": "time", "tool_name": "current_time", "tool_parameters": {"format": "%Z"}}
    config = {"model": script.choice, "agent_mode": {"tools": [tool]}}
    app_id = make_app(runtime, owner, mode="agent-chat")

    answer = ask(client, owner, app_id, query="What time is it?", model_config=config)

    assert (answer.status_code, answer.json["answer"]) == (200, "Now.")
    assert [one["observation"] for one in answer.json["agent_thoughts"]] == ["UTC", ""]


@pytest.mark.parametrize(
    ("kind", "mode", "refusal"),
    [
        ("completion", "chat", (404, "app_not_found")),
        ("chat", "completion", (404, "app_not_found")),
        ("chat", "workflow", (404, "app_not_found")),
        ("chat", "advanced-chat", (404, "app_not_found")),
        ("completion", "agent-chat", (404, "app_not_found")),
    ],
)
def test_app_of_another_mode_is_refused(
    client: FlaskClient,
    chat_app_of: Callable[[str], tuple[Owner, str]],
    kind: str,
    mode: str,
    refusal: tuple[int, str],
) -> None:
    owner, app_id = chat_app_of(mode)

    answer = ask(client, owner, app_id, kind, query="q", model_config={"model": Script().choice})

    assert (answer.status_code, answer.json["code"]) == refusal


def test_configuration_that_could_not_be_saved_is_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner)
    stranger = make_owner(runtime)
    key = {"Authorization": f"Bearer {make_dataset_key(runtime, stranger)}"}
    foreign = client.post("/v1/datasets", json={"name": "Theirs"}, headers=key).get_json()["id"]
    model = Script().choice
    datasets = {"datasets": {"datasets": [{"dataset": {"id": foreign, "enabled": True}}]}}

    for config in ({}, {"model": model, "pre_prompt": 5}, {"model": model, "dataset_configs": datasets}):
        answer = ask(client, owner, app.id, query="q", model_config=config)
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_param"), config


def test_conversation_of_another_account_is_not_found(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_chat_app(runtime, owner)
    config = {"model": Script().choice}
    theirs = client.post("/v1/chat-messages", json={"query": "q", "user": "u"}, headers=app.headers)

    answer = ask(
        client,
        owner,
        app.id,
        query="q",
        model_config=config,
        conversation_id=theirs.get_json()["conversation_id"],
    )

    assert answer.status_code == 404
