"""Graphs and values at the limits and over them: a sentence that names the limit, never a fault of ours."""

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.core.ports import JSONObject
from api.core.text.yaml_text import dump_yaml
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.service_api.test_workflows import FlowApp
from tests.factories import Owner, make_app
from tests.flows import drawn, edges, end, template
from tests.waiting import assert_quick

pytestmark = ONCE

MAX_NODES = 500
CHECKED_S = 2.0
"""How long a graph at the limit may take to be checked and kept; 0.2 s is the promise for the check."""
CYCLES = ("s > a > b > a > e", "s > a > a > e", "s > b > a > b;a > e")
TEXTS = "def main(): return {'x': 'y' * 400_001}"
MANY = "def main(): return {'x': ['y'] * 100_001}"
BIG = "def main(): return {'x': ['y' * 120] * 100_000}"
DEEP = "def main():\n    x = {}\n    for _ in range(30): x = {'x': x}\n    return {'x': x}"
TEXT = {"variable": "text", "label": "Text", "type": "paragraph", "required": True}


def chain(nodes: int) -> JSONObject:
    """Return a graph of so many nodes, one after the other."""
    names = [f"t{number}" for number in range(nodes - 2)]
    inner = [template(name, "x") for name in names]
    return {
        "nodes": [drawn("s", "start"), *inner, end(o="t0.output")],
        "edges": edges(" > ".join(["s", *names, "e"])),
    }


def code(text: str, kind: str) -> JSONObject:
    """Return a graph that runs code whose ``x`` is of a type."""
    node = drawn("c", "code", code_language="python3", code=text, variables=[], outputs={"x": {"type": kind}})
    return {"nodes": [drawn("s", "start"), node, end(o="c.x")], "edges": edges("s > c > e")}


def keep(client: FlaskClient, owner: Owner, app_id: str, graph: JSONObject) -> Any:
    """Save and publish a graph; return the first answer that refuses it, else the last."""
    path = f"/console/api/apps/{app_id}/workflows"
    saved = client.post(f"{path}/draft", json={"graph": graph}, headers=owner.headers)
    return saved if saved.status_code != 200 else client.post(f"{path}/publish", headers=owner.headers)


def test_graph_at_the_limit_is_kept_quickly_and_runs(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    began = time.monotonic()
    app = FlowApp(client, runtime, owner, "workflow", chain(MAX_NODES))
    kept_s = time.monotonic() - began

    data = app.post("/v1/workflows/run").json["data"]

    assert_quick(kept_s, CHECKED_S)
    assert (data["status"], data["total_steps"], data["outputs"]) == ("succeeded", MAX_NODES, {"o": "x"})


def test_graph_over_the_limit_is_refused(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app_id = make_app(runtime, owner, mode="workflow")
    refused = keep(client, owner, app_id, chain(MAX_NODES + 1))
    assert refused.status_code == 400
    assert "at most 500 nodes; this one has 501" in refused.text


@pytest.mark.parametrize("ways", CYCLES)
@pytest.mark.parametrize("is_file", [False, True])
def test_cycle_is_refused_with_its_node(
    client: FlaskClient, runtime: Runtime, owner: Owner, ways: str, is_file: bool
) -> None:
    nodes = [drawn("s", "start"), template("a", "x"), template("b", "x"), end(o="a.output")]
    graph: JSONObject = {"nodes": list(nodes), "edges": edges(*ways.split(";"))}
    if is_file:
        app: JSONObject = {"name": "C", "mode": "workflow", "icon": "x", "icon_background": "#FFFFFF"}
        text = dump_yaml(
            {"version": "0.5.0", "kind": "app", "app": app, "workflow": {"graph": graph, "features": {}}}
        )
        asked = {"mode": "yaml-content", "yaml_content": text}
        made = client.post("/console/api/apps/imports", json=asked, headers=owner.headers).get_json()
        path = f"/console/api/apps/{made['app_id']}/workflows/publish"
        refused = client.post(path, headers=owner.headers)
    else:
        refused = keep(client, owner, make_app(runtime, owner, mode="workflow"), graph)

    assert refused.status_code == 400
    (fault,) = refused.get_json()["details"]["errors"]
    assert "goes in a circle through a" in fault["message"]
    assert (fault["node_id"], fault["field"]) == ("a", "graph.edges")


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [
        (TEXTS, "string", "400,000"),
        (MANY, "array[string]", "100,000"),
        (BIG, "array[string]", "10,485,760"),
        (DEEP, "object", "20"),
    ],
)
def test_value_over_a_limit_fails_the_run_and_names_it(
    client: FlaskClient, runtime: Runtime, owner: Owner, text: str, kind: str, limit: str
) -> None:
    app = FlowApp(client, runtime, owner, "workflow", code(text, kind))

    answer = app.post("/v1/workflows/run")

    assert answer.status_code == 200
    assert answer.json["data"]["status"] == "failed"
    assert limit in answer.json["data"]["error"]


def test_input_over_the_limit_is_refused(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    graph = {"nodes": [drawn("s", "start", variables=[TEXT]), end(o="s.text")], "edges": edges("s > e")}
    app = FlowApp(client, runtime, owner, "workflow", graph)

    refused = app.post("/v1/workflows/run", inputs={"text": "x" * (10 * 1024 * 1024 + 1)})
    taken = app.post("/v1/workflows/run", inputs={"text": "x" * (9 * 1024 * 1024)})

    assert refused.status_code == 413
    assert taken.json["data"]["status"] == "succeeded"
