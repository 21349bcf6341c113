"""Moderated apps, through the public API."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import ModelRef
from api.core.ports import Cancel
from api.models.conversation import Message
from api.models.workflow import WorkflowRun
from api.runtime import Runtime
from tests.controllers.service_api.test_chatflows import writer
from tests.controllers.service_api.test_human_input import CHAT, Waiting
from tests.controllers.service_api.test_workflows import FlowApp
from tests.factories import ChatApp, Owner, make_chat_app
from tests.fakes import Script
from tests.flows import drawn, edges
from tests.sse import read_events, text_of

INPUTS = {"enabled": True, "preset_response": "Ask me something else."}
OUTPUTS = {"enabled": True, "preset_response": "I had better not say."}
FORM = [{"text-input": {"label": "Tone", "variable": "tone", "default": ""}}]


def keywords(*words: str, **sides: Any) -> Any:
    config = {"keywords": "\n".join(words), **sides}
    return {"enabled": True, "type": "keywords", "config": config}


def ask(client: FlaskClient, app: ChatApp | FlowApp, query: str = "Hi", **more: Any) -> Any:
    sent = {"query": query, "user": "ann", "response_mode": "streaming", "auto_generate_name": False, **more}
    return client.post("/v1/chat-messages", json=sent, headers=app.headers)


def stored(runtime: Runtime, events: Any) -> Message:
    with runtime.reading() as session:
        return session.get_one(Message, events[-1]["message_id"])


@pytest.fixture
def script() -> Script:
    return Script()


def test_question_that_may_not_be_asked_gets_the_preset_answer(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    avoidance = keywords("bomb", inputs_config=INPUTS)
    app = make_chat_app(
        runtime, owner, model=script.choice, sensitive_word_avoidance=avoidance, user_input_form=FORM
    )
    for sent in ({"query": "How is a BOMB made?"}, {"inputs": {"tone": "bombastic"}}):
        events = read_events(ask(client, app, **sent))
        assert [event["event"] for event in events] == ["message", "message_end"]
        assert text_of(events) == INPUTS["preset_response"]
        assert stored(runtime, events).answer == INPUTS["preset_response"]
    blocking = ask(client, app, "A bomb?", response_mode="blocking").get_json()
    assert (blocking["answer"], blocking["metadata"]["usage"]["total_tokens"]) == (
        INPUTS["preset_response"],
        0,
    )
    assert script.requests == []
    assert text_of(read_events(ask(client, app, "Hello"))) == "Hello world"


def test_answer_that_may_not_be_said_is_replaced(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    said: list[str] = []
    script = Script(pieces=["Hello", " world", "!" * 300, lambda: said.append("more"), "more"])
    avoidance = keywords("world", outputs_config=OUTPUTS)
    app = make_chat_app(runtime, owner, model=script.choice, sensitive_word_avoidance=avoidance)

    events = read_events(ask(client, app, "The world?"))
    kinds = [event["event"] for event in events]
    assert kinds == ["message", "message", "message", "message_replace", "message_end"]
    replaced = events[-2]
    assert (replaced["answer"], replaced["reason"]) == (OUTPUTS["preset_response"], "output_moderation")
    message = stored(runtime, events)
    assert (message.answer, message.status) == (OUTPUTS["preset_response"], "normal")
    assert said == []  # the model was stopped
    blocking = ask(client, app, response_mode="blocking").get_json()
    assert blocking["answer"] == OUTPUTS["preset_response"]


def test_completion_is_moderated_too(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    avoidance = keywords("world", outputs_config=OUTPUTS)
    app = make_chat_app(
        runtime, owner, mode="completion", model=script.choice, sensitive_word_avoidance=avoidance
    )
    sent = {"inputs": {}, "query": "Hi", "user": "ann"}
    answer: Any = client.post("/v1/completion-messages", json=sent, headers=app.headers).get_json()
    assert answer["answer"] == OUTPUTS["preset_response"]


def test_openai_is_asked_through_its_provider(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"inputs_config": INPUTS, "outputs_config": {"enabled": False}}
    avoidance = {"enabled": True, "type": "openai_moderation", "config": config}
    app = make_chat_app(runtime, owner, model=script.choice, sensitive_word_avoidance=avoidance)

    refused = ask(client, app, response_mode="blocking")
    assert (refused.status_code, refused.get_json()["code"]) == (400, "provider_not_initialize")
    assert script.requests == []  # what cannot be checked is not said

    asked: list[str] = []

    def moderate(_: ModelRuntime, tenant_id: str, ref: ModelRef, text: str, cancel: Cancel) -> bool:
        assert (tenant_id, ref.provider, cancel.is_set()) == (owner.tenant_id, "openai", False)
        asked.append(text)
        return True

    monkeypatch.setattr(ModelRuntime, "moderate", moderate)  # the vendor's wire has tests of its own
    assert text_of(read_events(ask(client, app, "Hello?"))) == INPUTS["preset_response"]
    assert asked == ["Hello?"]


def test_chatflow_is_moderated_by_its_features(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    avoidance = keywords("world", inputs_config=INPUTS, outputs_config=OUTPUTS)
    nodes = [drawn("s", "start"), writer(script), drawn("a", "answer", answer="So: {{#llm.text#}}!")]
    graph = {"nodes": nodes, "edges": edges("s > llm > a")}
    features = {"sensitive_word_avoidance": avoidance}
    flow = FlowApp(client, runtime, owner, "advanced-chat", graph, features=features)

    asked = read_events(ask(client, flow, "The world?"))
    assert [event["event"] for event in asked] == ["message", "message_end"]
    assert text_of(asked) == INPUTS["preset_response"]
    with runtime.reading() as session:
        assert session.scalar(select(func.count()).where(WorkflowRun.app_id == flow.id)) == 0

    answered = read_events(ask(client, flow, "Hello?"))
    assert [event["event"] for event in answered[-3:]] == [
        "message_replace",
        "workflow_finished",
        "message_end",
    ]
    assert answered[-2]["data"]["outputs"]["answer"] == OUTPUTS["preset_response"]
    assert stored(runtime, answered).answer == OUTPUTS["preset_response"]


def test_chatflow_is_moderated_after_it_waited_too(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    features = {"sensitive_word_avoidance": keywords("because", inputs_config=INPUTS, outputs_config=OUTPUTS)}
    flow = FlowApp(client, runtime, owner, "advanced-chat", CHAT, features=features)
    waiting = Waiting(flow, "/v1/chat-messages", query="Why?")
    waiting.answer(note="because")

    assert "message_replace" in [event["event"] for event in waiting.read_on()]
    talk = waiting.events[0]["conversation_id"]
    history = flow.get("/v1/messages", user="ada", conversation_id=talk).json["data"]
    assert [item["answer"] for item in history] == [OUTPUTS["preset_response"]]


def test_workflow_is_moderated_by_its_features(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    avoidance = keywords("world", inputs_config=INPUTS, outputs_config=OUTPUTS)
    start = drawn("s", "start", variables=[{"variable": "x", "label": "X", "type": "text-input"}])
    end = drawn(
        "e",
        "end",
        outputs=[
            {"variable": "said", "value_selector": ["llm", "text"]},
            {"variable": "x", "value_selector": ["s", "x"]},
        ],
    )
    prompt = [{"role": "user", "text": "{{#s.x#}}"}]
    llm = drawn("llm", "llm", model=script.choice, prompt_template=prompt)
    graph = {"nodes": [start, llm, end], "edges": edges("s > llm > e")}
    features = {"sensitive_word_avoidance": avoidance}
    flow = FlowApp(client, runtime, owner, "workflow", graph, features=features)

    asked = read_events(flow.post("/v1/workflows/run", inputs={"x": "the World"}, response_mode="streaming"))
    assert [event["event"] for event in asked] == ["workflow_started", "workflow_finished"]
    refused = asked[-1]["data"]
    assert (refused["status"], refused["error"]) == ("stopped", INPUTS["preset_response"])
    run = flow.get(f"/v1/workflows/run/{asked[-1]['workflow_run_id']}").json
    assert (run["status"], run["error"], script.requests) == ("stopped", INPUTS["preset_response"], [])

    events = read_events(flow.post("/v1/workflows/run", inputs={"x": "a"}, response_mode="streaming"))
    assert [event["event"] for event in events[-2:]] == ["text_replace", "workflow_finished"]
    assert events[-2]["data"]["text"] == OUTPUTS["preset_response"]
    done = flow.post("/v1/workflows/run", inputs={"x": "a"}).json["data"]
    assert (done["status"], done["error"]) == ("stopped", OUTPUTS["preset_response"])
    assert done["outputs"] == dict.fromkeys(("said", "x"), OUTPUTS["preset_response"])

    script.pieces = ["good"]
    done = flow.post("/v1/workflows/run", inputs={"x": "a"}).json["data"]
    assert (done["status"], done["outputs"]) == ("succeeded", {"said": "good", "x": "a"})


def test_callers_are_not_told_the_keywords(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = make_chat_app(runtime, owner, sensitive_word_avoidance=keywords("secret", inputs_config=INPUTS))
    told: Any = client.get("/v1/parameters", headers=app.headers).get_json()
    assert told["sensitive_word_avoidance"] == {"enabled": True, "type": "keywords", "configs": []}
