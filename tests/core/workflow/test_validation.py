"""Graphs that are none, and graphs that cannot be run: one broken graph per rule."""

import time
from itertools import pairwise
from typing import Any

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.graph import read_graph
from api.core.workflow.validation import (
    MAX_EDGES,
    MAX_NODES,
    MAX_PROBLEMS,
    FlowMode,
    check_graph,
    check_shape,
    find_problems,
)
from api.core.workflow.variables import ValueType
from api.errors import InvalidRequest
from tests.flows import drawn, edges, end, template
from tests.waiting import assert_quick

START = drawn(
    "s",
    "start",
    variables=[
        {"variable": "text", "label": "Text", "type": "paragraph"},
        {"variable": "file", "label": "File", "type": "file"},
    ],
)
LIST: dict[str, Any] = {
    "start_node_id": "b",
    "iterator_selector": ["env", "list"],
    "output_selector": ["in", "output"],
}


def graph(nodes: list[JSONObject], *ways: str) -> JSONObject:
    return {"nodes": list(nodes), "edges": edges(*ways)}


def problems(
    nodes: list[JSONObject], *ways: str, mode: FlowMode = "workflow", **given: Any
) -> list[tuple[str | None, str, str]]:
    """Return node, field and type of each problem."""
    found = find_problems(check_shape(graph(nodes, *ways)), mode=mode, **given)
    return [(problem.node_id, problem.field, problem.type) for problem in found]


def iteration(**data: Any) -> list[JSONObject]:
    """Return an iteration ``it`` with a start ``b`` and a template ``in``."""
    return [
        drawn("it", "iteration", **{**LIST, **data}),
        drawn("b", "iteration-start", parent="it"),
        template("in", "{{ x }}", x="it.item", parent="it"),
    ]


# -- what holds for everything that is stored ----------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "field", "fault"),
    [
        (None, "graph", "invalid_type"),
        ([], "graph", "invalid_type"),
        ({"edges": []}, "graph.nodes", "required"),
        ({"nodes": {}, "edges": []}, "graph.nodes", "invalid_type"),
        ({"nodes": []}, "graph.edges", "required"),
        ({"nodes": [], "edges": "e"}, "graph.edges", "invalid_type"),
        ({"nodes": [{}] * (MAX_NODES + 1), "edges": []}, "graph.nodes", "too_long"),
        ({"nodes": [], "edges": [{}] * (MAX_EDGES + 1)}, "graph.edges", "too_long"),
    ],
)
def test_what_is_no_graph_is_refused(raw: JSONValue, field: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_shape(raw)

    assert (caught.value.field, caught.value.fault) == (field, fault)


@pytest.mark.parametrize(
    ("nodes", "details"),
    [
        (["s"], {"field": "graph.nodes[0]", "type": "invalid_type"}),
        ([{"data": {"type": "start"}}], {"field": "graph.nodes[0].id", "type": "required"}),
        ([{"id": "s"}], {"field": "graph.nodes[0].data", "node_id": "s", "type": "required"}),
        (
            [{"id": "s", "data": {}}],
            {"field": "graph.nodes[0].data.type", "node_id": "s", "type": "required"},
        ),
        (
            [START, drawn("x", "teleport")],
            {"field": "graph.nodes[1].data.type", "node_id": "x", "type": "invalid_choice"},
        ),
        ([START, START], {"field": "graph.nodes[1]", "node_id": "s", "type": "duplicate"}),
        (
            [START, drawn("t", "trigger-webhook")],
            {"field": "graph.nodes[1]", "node_id": "t", "type": "invalid_value"},
        ),
    ],
)
def test_broken_node_is_refused_by_its_place_and_id(nodes: list[JSONValue], details: JSONObject) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_shape({"nodes": nodes, "edges": []})

    assert caught.value.details == details


@pytest.mark.parametrize("edge", ["s", {"source": "s"}, {"target": "s"}, {"source": 1, "target": "s"}])
def test_edge_without_ends_is_refused(edge: JSONValue) -> None:
    with pytest.raises(InvalidRequest, match=r"graph\.edges\[0\]\.(source|target)"):
        check_shape({"nodes": [START], "edges": [edge]})


def test_half_built_graphs_with_notes_and_types_not_run_here_keep_their_shape() -> None:
    note: JSONObject = {"id": "n", "type": "custom-note", "data": {"type": "", "text": "todo"}}
    raw = graph([note, drawn("d", "datasource"), drawn("a", "variable-assigner")], "d > gone")

    assert check_shape(raw) is raw
    assert check_shape({"nodes": [], "edges": []}) == {"nodes": [], "edges": []}


# -- what keeps a graph from being run -----------------------------------------------------------


def test_sound_graph_has_no_problems() -> None:
    nodes = [START, template("t", "hi {{ x }}", x="s.text"), end(o="t.output", u="sys.user_id")]

    assert problems(nodes, "s > t > e") == []
    check_graph(graph(nodes, "s > t > e"), mode="workflow", max_loop_rounds=100)


def test_root_and_outlet_must_be_there_once() -> None:
    assert problems([]) == [(None, "graph.nodes", "required")] * 2
    assert problems([end()]) == [(None, "graph.nodes", "required")]
    assert problems([START, drawn("z", "start"), end()], "s > e") == [("z", "graph.nodes", "duplicate")]


@pytest.mark.parametrize("outlet", ["end", "answer", "llm"])
def test_each_outlet_is_enough(outlet: str) -> None:
    assert problems([START, drawn("o", outlet)]) == []


def test_triggers_begin_workflows_but_no_chatflows() -> None:
    nodes = [drawn("t", "trigger-webhook"), drawn("u", "trigger-schedule"), end()]

    assert problems(nodes, "t > e", "u > e") == []
    assert problems(nodes, "t > e", mode="advanced-chat") == [
        ("t", "type", "invalid_choice"),
        ("u", "type", "invalid_choice"),
    ]


def test_edge_to_a_node_that_is_not_there_is_named() -> None:
    assert problems([START, end()], "s > e > gone") == [(None, "graph.edges[1]", "invalid_value")]


def test_circle_is_found_with_those_in_it_and_no_others() -> None:
    nodes = [START, *(template(name, "x") for name in ("a", "b", "after")), end()]
    ways = ("s > a > b > a", "b > after > e")

    assert problems(nodes, *ways) == [("a", "graph.edges", "invalid_value")]
    assert read_graph(graph(nodes, *ways)).on_cycles == {"a", "b"}


def test_circle_inside_a_container_is_none_of_ours() -> None:
    nodes = [START, *iteration(), end(o="it.output")]
    ways = ("s > it > e", "b > in > in")

    assert problems(nodes, *ways, environment={"list": ValueType.ARRAY_STRING}) == []


@pytest.mark.parametrize(
    ("node", "field"),
    [
        (drawn("x", "answer"), "answer"),
        (drawn("x", "template-transform", template=""), "template"),
        (drawn("x", "template-transform", template="t", title=""), "title"),
        (drawn("x", "end", outputs=[{"variable": "o"}]), "outputs.0.value_selector"),
        (drawn("x", "end", outputs=[{"value_selector": ["s", "text"]}]), "outputs.0.variable"),
        (drawn("x", "if-else"), "cases"),
        (drawn("x", "if-else", cases=[{"case_id": "1", "conditions": []}]), "cases.0.conditions"),
        (
            drawn("x", "iteration", iterator_selector=["s", "text"], output_selector=["a", "b"]),
            "start_node_id",
        ),
        (drawn("x", "loop", start_node_id="b"), "loop_count"),
        (drawn("x", "http-request", method="get"), "url"),
        (drawn("x", "tool", provider_id="time", provider_type="builtin"), "tool_name"),
        (drawn("x", "assigner", items=[{"operation": "clear"}]), "items.0.variable_selector"),
    ],
)
def test_node_that_is_not_set_up_says_what_is_missing(node: JSONObject, field: str) -> None:
    found = [
        problem
        for problem in problems([START, node, end()], "s > x > e")
        if problem[:2] == ("x", field) and problem[2] in ("required", "too_short")
    ]

    assert len(found) == 1


def test_wrong_types_in_a_node_are_named_by_their_path() -> None:
    broken = drawn("x", "iteration", **{**LIST, "start_node_id": "b", "parallel_nums": 0, "is_parallel": []})
    body = [drawn("b", "iteration-start", parent="x")]
    found = problems([START, broken, *body, end()], "s > x > e", environment={"list": ValueType.ARRAY_STRING})

    assert ("x", "is_parallel", "invalid_type") in found
    assert ("x", "parallel_nums", "out_of_range") in found


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"mode": "cron", "cron_expression": "now and then"}, "cron_expression"),
        ({"mode": "cron"}, "cron_expression"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"visual_config": {"time": "25:00 PM"}}, "visual_config.time"),
        ({"frequency": "weekly", "visual_config": {"weekdays": []}}, "visual_config.weekdays"),
    ],
)
def test_schedule_that_is_none_is_named_by_its_field(data: Any, field: str) -> None:
    nodes = [drawn("t", "trigger-schedule", **data), end()]

    assert problems(nodes, "t > e") == [("t", field, "invalid_value")]


def test_old_condition_without_cases_is_complete() -> None:
    condition = {"variable_selector": ["s", "text"], "comparison_operator": "is", "value": "x"}
    nodes = [START, drawn("c", "if-else", conditions=[condition], logical_operator="or"), end()]

    assert problems(nodes, "s > c [true] > e") == []


def test_what_no_way_leads_to_is_not_looked_at() -> None:
    loose = [drawn("x", "answer"), *iteration(iterator_selector=[])]

    assert problems([START, end(), *loose], "s > e") == []


# -- variables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "is_there"),
    [
        ("s.text", True),
        ("s.other", False),
        ("before.output", True),
        ("before.text", False),
        ("aside.output", False),
        ("behind.output", False),
        ("t.output", False),
        ("gone.output", False),
        ("sys.user_id", True),
        ("sys.query", False),
        ("env.key", True),
        ("env.other", False),
        ("conversation.topic", True),
        ("tool.whatever", True),
    ],
)
def test_variable_must_come_from_before(selector: str, is_there: bool) -> None:
    nodes = [
        START,
        drawn("tool", "tool", provider_id="p", provider_type="api", tool_name="t"),
        *(template(name, "x") for name in ("before", "aside", "behind")),
        template("t", "{{ v }}", v=selector),
        end(),
    ]
    found = problems(
        nodes,
        "s > tool > before > t > behind > e",
        "s > aside > e",
        environment={"key": ValueType.SECRET},
        conversation={"topic": ValueType.STRING},
    )

    assert found == ([] if is_there else [("t", "variables.0.value_selector", "invalid_value")])


def test_chat_variables_are_there_in_chatflows() -> None:
    nodes = [START, drawn("a", "answer", answer="{{#sys.query#}} {{#sys.dialogue_count#}}")]

    assert problems(nodes, "s > a", mode="advanced-chat") == []
    assert problems(nodes, "s > a") == [("a", "answer", "invalid_value")] * 2


def test_start_node_gives_the_system_variables_by_their_dotted_names() -> None:
    query = {"variable": "q", "value_selector": ["s", "sys.query"]}
    nodes = [START, drawn("t", "template-transform", template="{{ q }}", variables=[query]), end()]

    assert problems(nodes, "s > t > e", mode="advanced-chat") == []
    assert problems(nodes, "s > t > e") == [("t", "variables.0.value_selector", "invalid_value")]


def test_failure_of_a_node_can_be_read_where_it_is_provided_for() -> None:
    nodes = [START, template("t", "x"), end(o="t.error_message")]
    provided = [START, drawn("t", "template-transform", template="x", error_strategy="fail-branch"), nodes[2]]

    assert problems(nodes, "s > t > e") == [("e", "outputs.0.value_selector", "invalid_value")]
    assert problems(provided, "s > t [fail-branch] > e") == []


def test_inside_of_a_container_is_seen_from_inside_only() -> None:
    environment = {"list": ValueType.ARRAY_STRING}
    ways = ("s > it > e", "b > in")

    assert problems([START, *iteration(), end(o="it.output")], *ways, environment=environment) == []
    assert problems([START, *iteration(), end(o="it.item")], *ways, environment=environment) == [
        ("e", "outputs.0.value_selector", "invalid_value")
    ]
    outside = iteration(output_selector=["s", "nothing"])
    assert problems([START, *outside, end()], *ways, environment=environment) == [
        ("it", "output_selector", "invalid_value")
    ]
    deep = [*iteration()[:2], template("in", "{{ x }}", x="s.text", parent="it")]
    assert problems([START, *deep, end(o="in.output")], *ways, environment=environment) == [
        ("e", "outputs.0.value_selector", "invalid_value")
    ]


def test_loop_lends_its_variables_and_gives_them_at_the_end() -> None:
    loop = drawn(
        "l",
        "loop",
        start_node_id="b",
        loop_count=3,
        loop_variables=[
            {"label": "n", "var_type": "number", "value": "1"},
            {"label": "m", "var_type": "string", "value_type": "variable", "value": ["s", "gone"]},
        ],
        break_conditions=[{"variable_selector": ["l", "n"], "comparison_operator": ">", "value": "2"}],
    )
    body = [drawn("b", "loop-start", parent="l"), template("in", "{{ x }}", x="l.n", parent="l")]
    nodes = [START, loop, *body, end(n="l.n", rounds="l.loop_round")]

    assert problems(nodes, "s > l > e", "b > in") == [("l", "loop_variables.1.value", "invalid_value")]


def test_container_begins_with_a_node_inside_it() -> None:
    nodes = [START, *iteration(start_node_id="s"), end()]

    assert problems(nodes, "s > it > e", "b > in", environment={"list": ValueType.ARRAY_ANY}) == [
        ("it", "start_node_id", "invalid_value")
    ]


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        (ValueType.ARRAY_STRING, True),
        (ValueType.ARRAY_ANY, True),
        (ValueType.STRING, False),
        (ValueType.OBJECT, False),
    ],
)
def test_iteration_goes_through_lists_only(kind: ValueType, fits: bool) -> None:
    found = problems([START, *iteration(), end()], "s > it > e", "b > in", environment={"list": kind})

    assert found == ([] if fits else [("it", "iterator_selector", "invalid_type")])


@pytest.mark.parametrize(
    ("operator", "name", "fits"), [("≥", "text", True), (">=", "file", False), ("exists", "file", True)]
)
def test_numbers_are_compared_with_what_can_be_one(operator: str, name: str, fits: bool) -> None:
    condition = {"variable_selector": ["s", name], "comparison_operator": operator, "value": "1"}
    nodes = [START, drawn("c", "if-else", cases=[{"case_id": "1", "conditions": [condition]}]), end()]

    found = problems(nodes, "s > c [1] > e")

    assert found == ([] if fits else [("c", "cases.0.conditions.0.variable_selector", "invalid_type")])


@pytest.mark.parametrize(
    ("output_type", "fits"), [("string", True), ("any", True), ("object", False), ("array[any]", False)]
)
def test_aggregated_variables_are_of_its_type(output_type: str, fits: bool) -> None:
    pick = drawn("p", "variable-aggregator", output_type=output_type, variables=[["t", "output"]])
    nodes = [START, template("t", "x"), pick, end(o="p.output")]

    found = problems(nodes, "s > t > p > e")

    assert found == ([] if fits else [("p", "variables.0", "invalid_type")])


MODEL = {"provider": "openai", "name": "gpt-4o", "mode": "chat"}
VISION = {"enabled": True, "configs": {"variable_selector": ["conversation", "x"]}}
X = ["conversation", "x"]


@pytest.mark.parametrize(
    ("kind", "data", "field", "fitting", "unfitting"),
    [
        ("list-operator", {"variable": X}, "variable", ValueType.ARRAY_NUMBER, ValueType.STRING),
        (
            "document-extractor",
            {"variable_selector": X},
            "variable_selector",
            ValueType.ARRAY_FILE,
            ValueType.STRING,
        ),
        (
            "knowledge-retrieval",
            {"query_variable_selector": X, "dataset_ids": ["d"], "retrieval_mode": "multiple"},
            "query_variable_selector",
            ValueType.NUMBER,
            ValueType.OBJECT,
        ),
        (
            "question-classifier",
            {"query_variable_selector": X, "model": MODEL, "classes": [{"id": "1", "name": "a"}]},
            "query_variable_selector",
            ValueType.STRING,
            ValueType.ARRAY_STRING,
        ),
        (
            "parameter-extractor",
            {"query": X, "model": MODEL, "parameters": [{"name": "n", "type": "string", "description": "d"}]},
            "query",
            ValueType.STRING,
            ValueType.FILE,
        ),
        (
            "llm",
            {"model": MODEL, "prompt_template": [{"role": "user", "text": "hi"}], "vision": VISION},
            "vision.configs.variable_selector",
            ValueType.FILE,
            ValueType.STRING,
        ),
    ],
)
def test_nodes_take_variables_they_can_use(
    kind: str, data: dict[str, Any], field: str, fitting: ValueType, unfitting: ValueType
) -> None:
    nodes = [START, drawn("n", kind, **data), end()]

    assert problems(nodes, "s > n > e", conversation={"x": fitting}) == []
    assert problems(nodes, "s > n > e", conversation={"x": unfitting}) == [("n", field, "invalid_type")]


def test_what_code_declares_is_all_it_gives() -> None:
    code = drawn(
        "c",
        "code",
        code_language="python3",
        code="def main(): ...",
        variables=[],
        outputs={"rows": {"type": "array[string]"}},
    )
    loop = iteration(iterator_selector=["c", "rows"])

    assert problems([START, code, *loop, end(o="c.rows")], "s > c > it > e", "b > in") == []
    assert problems([START, code, end(o="c.other")], "s > c > e") == [
        ("e", "outputs.0.value_selector", "invalid_value")
    ]


def test_groups_of_an_aggregator_are_objects() -> None:
    group = {"group_name": "g", "output_type": "string", "variables": [["t", "output"]]}
    advanced = {"group_enabled": True, "groups": [group]}
    pick = drawn("p", "variable-aggregator", output_type="string", variables=[], advanced_settings=advanced)

    assert problems([START, template("t", "x"), pick, end(o="p.g.output")], "s > t > p > e") == []


# -- size and time -------------------------------------------------------------------------------


def test_strict_check_tells_all_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_graph(
            graph([START, drawn("a", "answer"), end(o="s.gone")], "s > a > e"),
            mode="workflow",
            max_loop_rounds=100,
        )

    assert caught.value.details is not None
    errors = caught.value.details["errors"]
    assert isinstance(errors, list)
    assert [error["node_id"] for error in errors] == ["a", "e"]
    assert caught.value.message == errors[0]["message"]
    assert set(errors[0]) == {"node_id", "field", "type", "message"}


def test_problems_are_bounded() -> None:
    many = [drawn(f"a{number}", "answer") for number in range(MAX_NODES - 1)]

    assert (
        len(problems([START, *many], *(f"s > a{number}" for number in range(MAX_NODES - 1)))) == MAX_PROBLEMS
    )


def test_largest_graph_is_checked_at_once() -> None:
    names = [f"t{number}" for number in range(MAX_NODES - 2)]
    nodes = [START, template("t0", "x"), end(o=f"{names[-1]}.output")]
    nodes += [template(name, "{{ x }}", x=f"{before}.output") for before, name in pairwise(names)]
    ways = ["s > t0", f"{names[-1]} > e", *(f"{one} > {two}" for one, two in pairwise(names))]
    ways += [f"{one} > {two}" for step in range(2, 9) for one, two in zip(names, names[step:], strict=False)]
    raw = graph(nodes, *ways)

    began = time.process_time()
    check_graph(raw, mode="workflow", max_loop_rounds=100)

    assert_quick(time.process_time() - began, 0.2)
