"""Single nodes of a draft: run alone, run up to, looked at afterwards."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.principal import Role
from api.runtime import Runtime
from tests.controllers.console.flow_calls import DraftApp
from tests.factories import Owner, make_member
from tests.fakes import Script
from tests.flows import drawn, edges, template
from tests.sse import read_events

NAME = {"variable": "name", "label": "Name", "type": "text-input", "required": True, "max_length": 10}
CASE = {
    "case_id": "x",
    "conditions": [{"variable_selector": ["t", "output"], "comparison_operator": ">", "value": "1"}],
}
INSIDE = {"isInIteration": True, "iteration_id": "i"}
FLOW: dict[str, Any] = {
    "nodes": [
        drawn("s", "start", variables=[NAME]),
        template("t", "{{ who }}!", who="s.name"),
        drawn("c", "if-else", cases=[CASE]),
        drawn(
            "i",
            "iteration",
            iterator_selector=["t", "rows"],
            output_selector=["up", "output"],
            start_node_id="begin",
        ),
        drawn("begin", "iteration-start", parent="i", **INSIDE),
        template("up", "{{ row | upper }}", parent="i", row="i.item"),
        drawn(
            "l",
            "loop",
            start_node_id="lb",
            loop_count=2,
            loop_variables=[{"label": "n", "var_type": "number", "value_type": "constant", "value": 1}],
        ),
        drawn("lb", "loop-start", parent="l"),
        template("in", "{{ n }}", parent="l", n="l.n"),
        template("key", "{{ k }}", k="env.key"),
        drawn("bad", "template-transform"),
        drawn("e", "end", outputs=[{"variable": "said", "value_selector": ["t", "output"]}]),
    ],
    "edges": edges("s > t > c [x] > e", "s > key > e", "t > i > e", "begin > up", "t > l > e", "lb > in"),
}
KEY = {"id": "k1", "name": "key", "value_type": "secret", "value": "sesame-open"}


@pytest.fixture
def flow(client: FlaskClient, runtime: Runtime, owner: Owner) -> DraftApp:
    return DraftApp(client, runtime, owner, FLOW, environment_variables=[KEY])


def run_node(app: DraftApp, node_id: str, caller: Owner | None = None, **body: Any) -> Any:
    return app.call("POST", f"workflows/draft/nodes/{node_id}/run", caller=caller, **{"inputs": {}, **body})


@pytest.mark.parametrize("inputs", [{"#s.name#": "Ada"}, {"who": "Ada"}, {"s.name": "Ada", "x": 1}])
def test_node_runs_alone_with_what_the_request_gives(flow: DraftApp, inputs: Any) -> None:
    answer = run_node(flow, "t", inputs=inputs)

    told = answer.json
    assert answer.status_code == 200, told
    assert (told["status"], told["outputs"], told["error"]) == ("succeeded", {"output": "Ada!"}, None)
    assert told["inputs"] == {"who": "Ada"}
    assert (told["node_id"], told["node_type"], told["index"]) == ("t", "template-transform", 1)
    assert told["created_by_account"]["id"] == flow.owner.account_id
    assert flow.values("nodes/t/variables") == {"output": "Ada!"}
    assert flow.values("nodes/s/variables") == {}
    assert flow.call("GET", "workflow-runs").json["data"] == []


def test_node_runs_alone_with_what_a_test_left_and_what_was_edited(flow: DraftApp) -> None:
    flow.run(inputs={"name": "Ada"})

    as_left = run_node(flow, "t").json["outputs"]
    path = f"workflows/draft/variables/{flow.id_of('nodes/s/variables', 'name')}"
    flow.call("PATCH", path, value="Bob")
    as_edited = run_node(flow, "t").json["outputs"]
    as_given = run_node(flow, "t", inputs={"who": "Eve"}).json["outputs"]

    assert (as_left, as_edited, as_given) == (
        {"output": "Ada!"},
        {"output": "Bob!"},
        {"output": "Eve!"},
    )
    assert flow.values("nodes/s/variables") == {"name": "Bob"}


@pytest.mark.parametrize(
    ("node_id", "inputs", "word"),
    [("c", {"#t.output#": "x"}, "not a number"), ("bad", {}, "not set up"), ("c", {}, "t.output")],
)
def test_node_that_fails_is_an_answer_not_an_error(
    flow: DraftApp, node_id: str, inputs: Any, word: str
) -> None:
    answer = run_node(flow, node_id, inputs=inputs)

    assert (answer.status_code, answer.json["status"]) == (200, "failed")
    assert word in answer.json["error"]


def test_last_run_is_the_latest_alone_or_in_a_test(flow: DraftApp, runtime: Runtime) -> None:
    other = make_member(runtime, flow.owner, Role.EDITOR)
    never = flow.get("nodes/t/last-run")
    flow.run(inputs={"name": "Ada"})
    in_test = flow.get("nodes/t/last-run").json
    alone = run_node(flow, "t", inputs={"who": "Bob"}).json
    run_node(flow, "t", caller=other, inputs={"who": "Eve"})

    assert (never.status_code, never.json["code"]) == (404, "not_found")
    assert in_test["outputs"] == {"output": "Ada!"}
    assert flow.get("nodes/t/last-run").json == alone
    assert alone["id"] != in_test["id"]
    flow.run(inputs={"name": "Zoe"})
    assert flow.get("nodes/t/last-run").json["outputs"] == {"output": "Zoe!"}


def test_secret_is_used_and_shown_to_nobody(flow: DraftApp) -> None:
    told = run_node(flow, "key", inputs={"#env.key#": "[__HIDDEN__]", "k": "x"})

    assert told.json["outputs"] == {"output": "********"}
    assert "sesame" not in told.text
    assert flow.values("nodes/key/variables") == {"output": "********"}


def test_start_node_takes_its_form(flow: DraftApp) -> None:
    refused = run_node(flow, "s", inputs={"name": "A" * 11})
    told = run_node(flow, "s", inputs={"name": "Ada"}).json

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_param")
    assert told["outputs"]["name"] == "Ada"
    assert told["outputs"]["sys.app_id"] == flow.id
    assert flow.values("nodes/s/variables") == {"name": "Ada"}
    assert flow.values("system-variables")["app_id"] == flow.id


def test_unknown_nodes_and_bad_bodies_are_refused(flow: DraftApp) -> None:
    assert run_node(flow, "nothing").json["code"] == "not_found"
    assert run_node(flow, "begin").status_code == 400
    assert run_node(flow, "t", inputs="x").status_code == 400
    assert (
        run_node(flow, "t", files=[{"transfer_method": "local_file", "upload_file_id": "x"}]).status_code
        == 400
    )
    assert run_node(flow, "t", inputs={"who": {"transfer_method": "local_file"}}).status_code == 400
    many = [{"transfer_method": "remote_url", "url": "https://example.com/a.txt"}] * 101
    assert run_node(flow, "t", inputs={"who": many}).status_code == 400


@pytest.mark.parametrize("before", ["", "advanced-chat/"])
@pytest.mark.parametrize(
    ("kind", "node_id", "inputs", "outputs"),
    [
        ("iteration", "i", {"i.input_selector": ["a", "b"]}, {"output": ["A", "B"]}),
        ("loop", "l", {}, {"n": 1, "loop_round": 2}),
    ],
)
def test_container_streams_its_rounds(
    flow: DraftApp, before: str, kind: str, node_id: str, inputs: Any, outputs: Any
) -> None:
    path = f"{before}workflows/draft/{kind}/nodes/{node_id}/run"
    events = read_events(flow.call("POST", path, inputs=inputs))

    names = [event["event"] for event in events]
    assert names[:2] == ["workflow_started", f"{kind}_started"]
    assert names.count(f"{kind}_next") == 2
    assert names.count("node_finished") == 2
    assert names[-2:] == [f"{kind}_completed", "workflow_finished"]
    assert events[-2]["data"]["outputs"] == outputs
    assert flow.values(f"nodes/{node_id}/variables") == outputs
    assert flow.get(f"nodes/{node_id}/last-run").json["outputs"] == outputs
    assert flow.call("POST", path.replace(f"/{node_id}/", "/t/"), inputs={}).status_code == 404


def test_model_of_a_chatflow_is_asked_alone(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    script = Script(["Hi ", "Ada"])
    model = {**script.choice, "mode": "chat"}
    prompt = [
        {"role": "system", "text": "Use {{#context#}} for {{#conversation.who#}}"},
        {"role": "user", "text": "{{#sys.query#}}"},
    ]
    graph = {
        "nodes": [
            drawn("s", "start"),
            drawn(
                "m",
                "llm",
                model=model,
                prompt_template=prompt,
                context={"enabled": True, "variable_selector": ["s", "facts"]},
                vision={"enabled": False},
                memory={"window": {"enabled": True, "size": 3}},
            ),
            drawn("a", "answer", answer="{{#m.text#}}"),
        ],
        "edges": edges("s > m > a"),
    }
    who = {"name": "who", "value_type": "string", "value": "Bob"}
    app = DraftApp(client, runtime, owner, graph, mode="advanced-chat", conversation_variables=[who])

    told = run_node(app, "m", query="Who?", inputs={"#context#": "facts"}).json

    assert (told["status"], told["outputs"]["text"]) == ("succeeded", "Hi Ada")
    asked = str(script.requests[0].messages)
    assert "Use facts for Bob" in asked
    assert "Who?" in asked
    assert told["execution_metadata"]["total_tokens"] > 0


def test_assigner_alone_leaves_the_conversation_variable(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    item = {
        "operation": "append",
        "input_type": "constant",
        "value": "more",
        "variable_selector": ["conversation", "said"],
    }
    graph = {"nodes": [drawn("s", "start"), drawn("v", "assigner", version="2", items=[item])], "edges": []}
    said = {"name": "said", "value_type": "array[string]", "value": ["hi"]}
    app = DraftApp(client, runtime, owner, graph, mode="advanced-chat", conversation_variables=[said])

    first, second = (run_node(app, "v").json["status"] for _ in range(2))

    assert (first, second) == ("succeeded", "succeeded")
    assert app.values("conversation-variables") == {"said": ["hi", "more", "more"]}


def test_files_of_the_request_are_read(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    graph = {
        "nodes": [drawn("s", "start"), drawn("d", "document-extractor", variable_selector=["s", "doc"])],
        "edges": edges("s > d"),
    }
    app = DraftApp(client, runtime, owner, graph)
    upload = client.post(
        "/console/api/files/upload",
        data={"file": (io.BytesIO(b"Read me."), "a.txt")},
        headers=owner.headers,
    ).get_json()
    file = {"type": "document", "transfer_method": "local_file", "upload_file_id": upload["id"]}

    told = run_node(app, "d", inputs={"#s.doc#": file}).json

    assert told["outputs"] == {"text": "Read me."}, told
    (given_back,) = told["inputs"].values()
    again = run_node(app, "d", inputs={"variable_selector": given_back}).json
    assert again["outputs"] == {"text": "Read me."}


def test_test_ends_with_the_node_it_is_run_up_to(flow: DraftApp) -> None:
    events = flow.run(inputs={"name": "Ada"}, until_node_id="t")
    ran = [event["data"]["node_id"] for event in events if event["event"] == "node_finished"]

    assert ran == ["s", "t"]
    assert events[-1]["data"]["status"] == "succeeded"
    assert flow.values("nodes/t/variables") == {"output": "Ada!"}
    for nowhere in ("nothing", "up", "bad"):
        answer = flow.call("POST", "workflows/draft/run", inputs={"name": "Ada"}, until_node_id=nowhere)
        assert (answer.status_code, answer.json["params"]) == (400, "until_node_id"), nowhere


def test_test_up_to_a_node_is_run_again_no_further(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    def graph(least: str) -> object:
        condition = {"variable_selector": ["s", "n"], "comparison_operator": "≥", "value": least}
        nodes = [
            drawn("s", "start", variables=[{"variable": "n", "label": "N", "type": "number"}]),
            drawn("c", "if-else", cases=[{"case_id": "x", "conditions": [condition]}]),
            drawn("e", "end", outputs=[{"variable": "n", "value_selector": ["s", "n"]}]),
        ]
        return {"nodes": nodes, "edges": edges("s > c [x] > e")}

    app = DraftApp(client, runtime, owner, graph("old"))
    failed = app.run(inputs={"n": 2}, until_node_id="c")
    assert failed[-1]["data"]["status"] == "failed"
    app.call("POST", "workflows/draft", graph=graph("1"), conversation_variables=[])

    again = read_events(app.call("POST", f"workflow-runs/{failed[0]['workflow_run_id']}/rerun"))

    ran = [event["data"]["node_id"] for event in again if event["event"] == "node_started"]
    assert (ran, again[-1]["data"]["status"]) == (["c"], "succeeded")
