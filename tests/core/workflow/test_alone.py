"""What the keys of a request stand for where a node is run alone."""

from typing import Any

import pytest

from api.core.ports import JSONObject
from api.core.workflow.alone import put_at, selector_of
from api.core.workflow.graph import read_graph
from tests.flows import drawn, edges

NODES = [
    drawn("s", "start"),
    drawn("c", "code", variables=[{"variable": "x", "value_selector": ["s", "text"]}]),
    drawn(
        "m",
        "llm",
        context={"enabled": True, "variable_selector": ["k", "result"]},
        vision={"enabled": True, "configs": {"variable_selector": ["sys", "files"]}},
        prompt_config={"jinja2_variables": [{"variable": "j", "value_selector": ["s", "name"]}]},
    ),
    drawn("k", "knowledge-retrieval", query_variable_selector=["s", "ask"]),
    drawn("p", "parameter-extractor", query=["sys", "query"]),
    drawn("i", "iteration", iterator_selector=["c", "rows"]),
    drawn("t", "tool", tool_parameters={"city": {"type": "variable", "value": ["s", "city"]}}),
    drawn("l", "list-operator", variable=["c", "rows"]),
]
GRAPH = read_graph({"nodes": list(NODES), "edges": edges("s > c")})


@pytest.mark.parametrize(
    ("node_id", "key", "selector"),
    [
        ("c", "#s.text#", ("s", "text")),
        ("m", "#k.result.0#", ("k", "result", "0")),
        ("c", "x", ("s", "text")),
        ("c", "s.text", ("s", "text")),
        ("c", "sys.query", ("sys", "query")),
        ("m", "#context#", ("k", "result")),
        ("m", "#files#", ("sys", "files")),
        ("m", "j", ("s", "name")),
        ("k", "query", ("s", "ask")),
        ("p", "query", ("sys", "query")),
        ("i", "i.input_selector", ("c", "rows")),
        ("i", "iterator_selector", ("c", "rows")),
        ("t", "city", ("s", "city")),
        ("l", "variable", ("c", "rows")),
        ("c", "y", None),
        ("c", "#context#", None),
        ("c", "##", None),
        ("c", "#s#", None),
        ("c", "#s.#", None),
        ("c", "nobody.text", None),
        ("c", "", None),
    ],
)
def test_key_stands_for_a_variable(node_id: str, key: str, selector: Any) -> None:
    assert selector_of(GRAPH, GRAPH.nodes[node_id], key) == selector


def test_part_of_a_variable_is_set_beside_its_other_parts() -> None:
    kept: JSONObject = {"a": {"b": 1, "c": 2}}
    pool: dict[str, JSONObject] = {"n": kept}

    put_at(pool, ("n", "a", "b"), 5)
    put_at(pool, ("n", "new", "x", "y"), True)
    put_at(pool, ("other", "z"), None)

    assert pool == {"n": {"a": {"b": 5, "c": 2}, "new": {"x": {"y": True}}}, "other": {"z": None}}
    assert kept == {"a": {"b": 1, "c": 2}}


def test_part_of_a_graph_keeps_what_is_inside_its_nodes() -> None:
    graph = read_graph(
        {
            "nodes": [
                drawn("s", "start"),
                drawn("i", "iteration"),
                drawn("b", "iteration-start", parent="i"),
                drawn("l", "loop", parent="i"),
                drawn("x", "code", parent="l"),
                drawn("e", "end"),
                drawn("odd", "code", parent="odd"),
            ],
            "edges": edges("s > i > e", "b > l"),
        }
    )

    alone, first = graph.part({"i"}), graph.part(graph.before("i"))

    assert set(alone.nodes) == {"i", "b", "l", "x"}
    assert [(edge.source, edge.target) for edge in alone.edges] == [("b", "l")]
    assert set(first.nodes) == {"s", "i", "b", "l", "x"}
    assert [(edge.source, edge.target) for edge in first.edges] == [("s", "i"), ("b", "l")]
