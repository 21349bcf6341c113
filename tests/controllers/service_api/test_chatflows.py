"""Chatflows that ask models and datasets, through the public API: streamed, remembered, cited, stopped."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.core.model_runtime.types import Role
from api.errors import CompletionFailed
from api.runtime import Runtime
from tests.controllers.guest_calls import open_page
from tests.controllers.service_api.test_workflows import FlowApp
from tests.factories import Owner
from tests.fakes import TOKENS, Script
from tests.flows import drawn, edges
from tests.knowledge import add_document, make_dataset, wait_until_indexed
from tests.sse import parse_events, read_events

STREAMING = {"query": "Hi", "response_mode": "streaming"}


def writer(script: Script, **data: Any) -> Any:
    """Return an llm node of id ``llm`` that says what the script does."""
    prompt = [{"role": "system", "text": "Be brief."}, {"role": "user", "text": "{{#sys.query#}}"}]
    return drawn("llm", "llm", model=script.choice, prompt_template=prompt, **data)


def make_chatflow(client: FlaskClient, runtime: Runtime, owner: Owner, *inner: Any, ways: str) -> FlowApp:
    """Publish a chatflow whose answer is the text of its node ``llm``."""
    answer = drawn("a", "answer", answer="So: {{#llm.text#}}!")
    graph = {"nodes": [drawn("s", "start"), *inner, answer], "edges": edges(ways)}
    return FlowApp(client, runtime, owner, "advanced-chat", graph)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def chatflow(client: FlaskClient, runtime: Runtime, owner: Owner, script: Script) -> FlowApp:
    memory = {"window": {"enabled": False, "size": 10}}
    return make_chatflow(client, runtime, owner, writer(script, memory=memory), ways="s > llm > a")


def test_words_of_a_model_go_out_while_it_speaks(chatflow: FlowApp, script: Script) -> None:
    script.gate = threading.Event()
    answer = chatflow.post("/v1/chat-messages", **STREAMING)
    seen: list[str] = []
    chunks: Iterator[bytes] = (chunk for chunk in answer.iter_encoded() if chunk)

    while '"answer":"Hello"' not in "".join(seen):
        seen.append(next(chunks).decode())
    before = parse_events("".join(seen))
    script.gate.set()
    rest = parse_events("".join(chunk.decode() for chunk in chunks))

    ended = [event["data"]["node_id"] for event in before if event["event"] == "node_finished"]
    assert ended == ["s"]
    told = [event["answer"] for event in before + rest if event["event"] == "message"]
    assert "".join(told) == "So: Hello world!"


@pytest.fixture
def renewed(chatflow: FlowApp, script: Script) -> FlowApp:
    """The chatflow with another version in use than its first, which ``workflow_id`` names."""
    path = f"/console/api/apps/{chatflow.id}/workflows"
    nodes = [drawn("s", "start"), writer(script), drawn("a", "answer", answer="Now: {{#llm.text#}}")]
    draft = {"graph": {"nodes": nodes, "edges": edges("s > llm > a")}}
    for step, body in (("draft", draft), ("publish", {})):
        done = chatflow.client.post(f"{path}/{step}", json=body, headers=chatflow.owner.headers)
        assert done.status_code == 200, done.text
    return chatflow


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_version_that_is_named_answers(renewed: FlowApp, mount: str) -> None:
    def answer(**body: Any) -> str:
        told: str = renewed.post(f"{mount}/chat-messages", query="Hi", **body).get_json()["answer"]
        return told

    assert answer(workflow_id=renewed.workflow_id) == "So: Hello world!"
    assert [answer(workflow_id=nothing) for nothing in ("", None)] == ["Now: Hello world"] * 2
    assert answer() == "Now: Hello world"


def test_version_that_is_none_is_refused(renewed: FlowApp) -> None:
    path = f"/console/api/apps/{renewed.id}/workflows/draft"
    draft_id = renewed.client.get(path, headers=renewed.owner.headers).get_json()["id"]

    def refused(workflow_id: object) -> tuple[int, str]:
        answer = renewed.post("/v1/chat-messages", query="Hi", workflow_id=workflow_id)
        return answer.status_code, answer.get_json()["code"]

    assert refused("x") == (400, "bad_request")
    assert refused(draft_id) == (400, "bad_request")
    assert refused(5) == (400, "invalid_param")
    assert refused("11111111-1111-4111-8111-111111111111") == (404, "not_found")


def test_guest_of_a_page_is_answered_by_the_version_in_use(renewed: FlowApp) -> None:
    guest = open_page(renewed.client, renewed.owner, renewed.id)

    told = guest.post("/chat-messages", query="Hi", inputs={}, workflow_id=renewed.workflow_id)

    assert told.get_json()["answer"] == "Now: Hello world"


def test_cost_of_all_models_is_told_at_the_end(chatflow: FlowApp) -> None:
    events = read_events(chatflow.post("/v1/chat-messages", **STREAMING))

    total = TOKENS.prompt_tokens + TOKENS.completion_tokens
    finished = next(event["data"] for event in events if event["event"] == "workflow_finished")
    ended = [event["data"] for event in events if event["event"] == "node_finished"]
    node = next(data for data in ended if data["node_id"] == "llm")
    assert events[-1]["metadata"]["usage"]["total_tokens"] == total
    assert finished["total_tokens"] == total
    assert node["execution_metadata"]["total_tokens"] == total
    assert node["process_data"]["model_name"]


def test_conversation_is_remembered_where_the_node_wants_it(chatflow: FlowApp, script: Script) -> None:
    first = chatflow.post("/v1/chat-messages", query="My name is Ada.").json
    chatflow.post("/v1/chat-messages", query="Who am I?", conversation_id=first["conversation_id"])

    roles = [message.role for message in script.requests[-1].messages]
    assert roles == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER]
    assert "My name is Ada." in str(script.requests[-1].messages[1])


def test_model_that_fails_ends_the_run_and_the_answer(chatflow: FlowApp, script: Script) -> None:
    def fail() -> None:
        raise CompletionFailed("The model is on fire.")

    script.pieces = ["Hel", fail]
    events = read_events(chatflow.post("/v1/chat-messages", **STREAMING))

    assert [event["event"] for event in events[-2:]] == ["workflow_finished", "error"]
    assert events[-1]["message"] == "Run failed: The model is on fire."


def test_stopped_run_keeps_what_was_said(chatflow: FlowApp, script: Script) -> None:
    script.gate = threading.Event()
    answer = chatflow.post("/v1/chat-messages", **STREAMING)
    chunks = (chunk for chunk in answer.iter_encoded() if chunk)
    seen = ""
    while '"answer":"Hello"' not in seen:
        seen += next(chunks).decode()
    task = parse_events(seen)[0]["task_id"]

    stopped = chatflow.post(f"/v1/chat-messages/{task}/stop")
    seen += "".join(chunk.decode() for chunk in chunks)
    events = parse_events(seen)
    kept = chatflow.get("/v1/messages", user="ada", conversation_id=events[0]["conversation_id"]).json["data"]

    assert stopped.json == {"result": "success"}
    assert [event["event"] for event in events[-2:]] == ["workflow_finished", "message_end"]
    assert events[-2]["data"]["status"] == "stopped"
    assert kept[0]["answer"] == "So: Hello"


def test_answer_cites_what_its_model_was_given(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script
) -> None:
    dataset_id = make_dataset(runtime, owner, indexing_technique="economy")
    wait_until_indexed(runtime, add_document(client, owner, dataset_id)["id"])
    find = drawn(
        "kb",
        "knowledge-retrieval",
        query_variable_selector=["sys", "query"],
        dataset_ids=[dataset_id],
        retrieval_mode="multiple",
        multiple_retrieval_config={"top_k": 2, "reranking_enable": False},
    )
    prompt = [
        {"role": "system", "text": "Only from: {{#context#}}"},
        {"role": "user", "text": "{{#sys.query#}}"},
    ]
    context = {"enabled": True, "variable_selector": ["kb", "result"]}
    llm = drawn("llm", "llm", model=script.choice, prompt_template=prompt, context=context)
    app = make_chatflow(client, runtime, owner, find, llm, ways="s > kb > llm > a")

    whole = app.post("/v1/chat-messages", query="Who counts the ships?").json

    cited = whole["metadata"]["retriever_resources"]
    assert cited[0]["dataset_id"] == dataset_id
    assert "harbour master" in cited[0]["content"]
    assert "harbour master" in json.dumps([str(part) for part in script.requests[-1].messages])


def test_conversation_variables_live_from_turn_to_turn(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    items = [
        {
            "variable_selector": ["conversation", "said"],
            "input_type": "variable",
            "operation": "append",
            "value": ["sys", "query"],
        }
    ]
    graph = {
        "nodes": [
            drawn("s", "start"),
            drawn("keep", "assigner", version="2", items=items),
            drawn("a", "answer", answer="{{#conversation.said#}}"),
        ],
        "edges": edges("s > keep > a"),
    }
    said = {"id": "v", "name": "said", "value_type": "array[string]", "value": [], "description": ""}
    app = FlowApp(client, runtime, owner, "advanced-chat", graph, conversation_variables=[said])

    first = app.post("/v1/chat-messages", query="one").json
    second = app.post("/v1/chat-messages", query="two", conversation_id=first["conversation_id"]).json
    other = app.post("/v1/chat-messages", query="three").json

    assert [first["answer"], second["answer"], other["answer"]] == ["- one", "- one\n- two", "- three"]
