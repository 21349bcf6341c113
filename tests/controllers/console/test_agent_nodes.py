"""The agent nodes of workflows, over HTTP: on the loop of agent apps, told as steps of their node."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.core.ports import JSONObject
from api.runtime import Runtime
from api.services.flow_agents import STRATEGIES, Settings
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.service_api.test_agents import CALLING, SUM, calls
from tests.factories import Owner
from tests.fakes import Piece, Script
from tests.flows import drawn, edges

FORM = [{"variable": "q", "label": "Q", "type": "text-input", "required": True, "max_length": 100}]


def make_flow(
    client: FlaskClient, runtime: Runtime, owner: Owner, script: Script, strategy: str, **parameters: Any
) -> DraftApp:
    model = {"provider": "scripted", "model": script.model, "completion_params": {}}
    zone = {"type": "variable", "value": ["s", "q"]}
    tools = [
        {"type": "builtin", "provider_name": "maths", "tool_name": "eval_expression", "enabled": True},
        {
            "type": "builtin",
            "provider_name": "langgenius/time/time",
            "tool_name": "current_time",
            "settings": {
                "format": {"value": {"type": "constant", "value": "%Z"}},
                "timezone": {"value": zone},
            },
            "parameters": {},
        },
    ]
    filled = {
        "model": {"type": "constant", "value": model},
        "tools": {"type": "constant", "value": tools},
        "instruction": {"type": "constant", "value": "Be brief."},
        "query": {"type": "mixed", "value": "In {{#s.q#}}?"},
        "maximum_iterations": {"type": "constant", "value": "3"},
        **{name: {"type": "constant", "value": value} for name, value in parameters.items()},
    }
    agent = drawn(
        "g",
        "agent",
        agent_strategy_provider_name="langgenius/agent/agent",
        agent_strategy_name=strategy,
        agent_parameters=filled,
    )
    outputs: list[Any] = [
        {"variable": name, "value_selector": ["g", name]} for name in ("text", "json", "files")
    ]
    nodes = [drawn("s", "start", variables=FORM), agent, drawn("e", "end", outputs=outputs)]
    graph: JSONObject = {"nodes": [*nodes], "edges": [*edges("s > g > e")]}
    return DraftApp(client, runtime, owner, graph)


REACT: list[list[Piece]] = [
    ["Thought: add", "\nAction: eval_expression\nAction Input: 2+3\n"],
    ["Thought: time\nAction: current_time\nAction Input: {}"],
    ["Final Answer: It ", "is 5."],
]
FUNCTIONS: list[list[Piece]] = [SUM, [calls(("current_time", {}))], ["It ", "is 5."]]


@pytest.mark.parametrize(
    ("strategy", "turns", "text"),
    [("ReAct", REACT, "It is 5."), ("function_calling", FUNCTIONS, "Let me see.\n\nIt is 5.")],
)
def test_both_strategies_tell_their_steps_and_give_their_rounds(
    client: FlaskClient, runtime: Runtime, owner: Owner, strategy: str, turns: list[list[Piece]], text: str
) -> None:
    script = Script(turns=turns, features=CALLING)
    app = make_flow(client, runtime, owner, script, strategy)

    events = app.run(inputs={"q": "UTC"})

    logs = [event["data"] for event in events if event["event"] == "agent_log"]
    finished = events[-1]["data"]
    rounds = [log for log in logs if log["parent_id"] is None]
    steps = [log for log in logs if log["parent_id"] is not None]
    assert [(log["label"], log["status"]) for log in steps] == [
        (f"CALL {name}", status)
        for name in ("eval_expression", "current_time")
        for status in ("start", "success")
    ]
    assert [log["label"] for log in rounds] == [f"ROUND {n}" for n in (1, 1, 2, 2, 3, 3)]
    assert {log["parent_id"] for log in steps} == {log["id"] for log in rounds[:4]}
    assert finished["status"] == "succeeded", finished
    assert (finished["outputs"]["text"], finished["outputs"]["files"]) == (text, [])
    observed = [call["output"] for each in finished["outputs"]["json"] for call in each["tool_calls"]]
    assert observed == ["5", "UTC"]
    chunks = [event["data"] for event in events if event["event"] == "text_chunk"]
    own = [chunk["text"] for chunk in chunks if chunk["from_variable_selector"] == ["g", "text"]]
    assert "".join(own) == text
    node = next(e["data"] for e in events if e["event"] == "node_finished" and e["data"]["node_id"] == "g")
    assert node["execution_metadata"]["total_tokens"] == finished["total_tokens"] >= 24
    assert len(node["execution_metadata"]["agent_log"]) == 5
    assert [message.text for message in script.requests[0].messages][-1] == "In UTC?"
    assert script.requests[0].messages[0].text.startswith("Be brief.")


def test_what_is_missing_fails_the_node_in_words(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    for strategy, more, error in (
        ("tree_of_thought", {}, "The agent strategy 'tree_of_thought' is not installed here."),
        ("ReAct", {"query": ""}, "query: String should have at least 1 character"),
        ("ReAct", {"model": {"provider": "scripted"}}, "name: String should have at least 1 character"),
    ):
        app = make_flow(client, runtime, owner, Script(), strategy, **more)
        finished = app.run(inputs={"q": "UTC"})[-1]["data"]
        assert (finished["status"], error in finished["error"]) == ("failed", True), finished


def test_memory_that_is_none_is_refused_where_a_workflow_is_published(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = make_flow(client, runtime, owner, Script(), "ReAct")
    draft = app.call("GET", "workflows/draft").get_json()
    draft["graph"]["nodes"][1]["data"]["memory"] = {"window": 5}
    app.call("POST", "workflows/draft", graph=draft["graph"], hash=draft["hash"])

    refused = app.call("POST", "workflows/publish")

    assert (refused.status_code, "memory" in refused.get_json()["message"]) == (400, True), refused.text


def test_strategies_told_to_drawings_are_those_that_run(client: FlaskClient, owner: Owner) -> None:
    (told,) = client.get("/console/api/workspaces/current/agent-providers", headers=owner.headers).get_json()
    path = f"/console/api/workspaces/current/agent-provider/{told['provider']}"
    alone = client.get(path, headers=owner.headers)
    missing = client.get(path + "x", headers=owner.headers)

    strategies = told["declaration"]["strategies"]
    assert tuple(one["identity"]["name"].lower() for one in strategies) == STRATEGIES
    assert {one["name"] for one in strategies[0]["parameters"]} == set(Settings.model_fields)
    assert alone.get_json() == told
    assert (missing.status_code, missing.get_json()["code"]) == (404, "not_found")
