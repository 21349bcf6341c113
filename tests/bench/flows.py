"""The workflows the bench runs: nodes that only cost what the engine costs, templates, and code."""

from collections.abc import Mapping
from itertools import pairwise

from tests.bench.calls import Call, do

NODES = 10
SAID = {"text": "the quick brown fox jumps over the lazy dog"}


def publish_flows(call: Call, token: str) -> Mapping[str, str]:
    """Make and publish an app for each workflow; return their keys by name."""
    return {name: _publish(call, token, name, graph) for name, graph in _graphs().items()}


def _publish(call: Call, token: str, name: str, graph: Mapping[str, object]) -> str:
    app = do(call, "POST", "/console/api/apps", token, {"name": f"Flow {name}", "mode": "workflow"})
    path = f"/console/api/apps/{app['id']}"
    do(call, "POST", f"{path}/workflows/draft", token, {"graph": graph})
    do(call, "POST", f"{path}/workflows/publish", token, {})
    return str(do(call, "POST", f"{path}/api-keys", token, {"name": "bench"})["token"])


def _graphs() -> dict[str, dict[str, object]]:
    return {
        "plain": _chain([_plain(place) for place in range(NODES)]),
        "templates": _chain([_template(place) for place in range(NODES)]),
        "short": _chain([_template(0)]),
        "code": _chain([_code()]),
    }


def _chain(inner: list[dict[str, object]]) -> dict[str, object]:
    """Return a graph of a start, nodes one after the other, and an end that gives the last one's output."""
    variables = [{"variable": "text", "label": "Text", "type": "paragraph", "required": True}]
    outputs = [{"variable": "text", "value_selector": [inner[-1]["id"], "output"]}]
    nodes = [_node("s", "start", variables=variables), *inner, _node("e", "end", outputs=outputs)]
    ids = [str(node["id"]) for node in nodes]
    edges = [{"source": source, "target": target} for source, target in pairwise(ids)]
    return {"nodes": nodes, "edges": edges}


def _node(node_id: str, node_type: str, **data: object) -> dict[str, object]:
    return {"id": node_id, "data": {"type": node_type, "title": node_id, **data}}


def _before(place: int) -> list[str]:
    return [f"n{place - 1}", "output"] if place else ["s", "text"]


def _plain(place: int) -> dict[str, object]:
    return _node(f"n{place}", "variable-aggregator", output_type="string", variables=[_before(place)])


def _template(place: int) -> dict[str, object]:
    variables = [{"variable": "text", "value_selector": _before(place)}]
    return _node(f"n{place}", "template-transform", variables=variables, template="{{ text }}.")


def _code() -> dict[str, object]:
    return _node(
        "n0",
        "code",
        code_language="python3",
        code="def main(text: str) -> dict:\n    return {'output': text.upper()}\n",
        variables=[{"variable": "text", "value_selector": ["s", "text"]}],
        outputs={"output": {"type": "string"}},
    )
