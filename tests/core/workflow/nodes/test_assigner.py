"""Changes of variables: what each operation makes of what is held, and who else gets to know."""

from typing import Any

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.node import NODES, Demand
from api.core.workflow.variables import ANY_ARRAY, ValueType
from tests.flows import Ran, drawn, end, make_deps, run_flow, template


def change(operation: str, value: Any = None, *, target: str = "conversation.v", by: str = "") -> JSONObject:
    """Return one change, by a constant or by a variable."""
    return {
        "variable_selector": [*target.split(".")],
        "operation": operation,
        "input_type": "variable" if by else "constant",
        "value": [*by.split(".")] if by else value,
    }


def assign(
    *items: JSONObject, held: JSONValue, inputs: JSONObject | None = None, **deps: Any
) -> tuple[Ran, list[tuple[str, JSONValue]]]:
    """Run an assigner over a conversation variable ``v``; return the run and what was kept."""
    kept: list[tuple[str, JSONValue]] = []
    nodes = [
        drawn("s", "start"),
        drawn("a", "assigner", version="2", items=[*items]),
        end(v="conversation.v"),
    ]
    made = make_deps(**{"assign": lambda name, value: kept.append((name, value)), **deps})
    return run_flow(nodes, ["s > a > e"], inputs, deps=made, pool={"conversation": {"v": held}}), kept


@pytest.mark.parametrize(
    ("held", "operation", "value", "after"),
    [
        ("a", "over-write", "b", "b"),
        ("a", "set", "b", "b"),
        (1, "set", "2.5", 2.5),
        (False, "set", "true", True),
        ({}, "set", '{"a": 1}', {"a": 1}),
        ({"a": 1}, "set", {"b": 2}, {"b": 2}),
        (None, "set", "anything", "anything"),
        ("a", "clear", None, ""),
        (3, "clear", None, 0),
        (True, "clear", None, False),
        ({"a": 1}, "clear", None, {}),
        (["a"], "clear", None, []),
        (None, "clear", None, None),
        (6, "+=", 2, 8),
        (6, "-=", "2", 4),
        (6, "*=", 1.5, 9.0),
        (6, "/=", 4, 1.5),
        (["a", "b"], "remove-first", None, ["b"]),
        (["a", "b"], "remove-last", None, ["a"]),
        ([], "remove-first", None, []),
        ([], "remove-last", None, []),
        (None, "remove-last", None, []),
    ],
)
def test_operation_changes_the_variable(
    held: JSONValue, operation: str, value: JSONValue, after: JSONValue
) -> None:
    ran, kept = assign(change(operation, value), held=held)
    assert ran.outputs == {"v": after}
    assert kept == [("v", after)]


@pytest.mark.parametrize(
    ("held", "operation", "value", "after"),
    [
        ("a", "over-write", "b", "b"),
        (["a"], "append", "b", ["a", "b"]),
        ([], "append", 1, [1]),
        (None, "append", {"a": 1}, [{"a": 1}]),
        ([1], "extend", [2, 3], [1, 2, 3]),
        (None, "extend", ["a"], ["a"]),
        (1, "+=", 4, 5),
    ],
)
def test_operation_takes_a_variable(
    held: JSONValue, operation: str, value: JSONValue, after: JSONValue
) -> None:
    ran, kept = assign(change(operation, by="s.x"), held=held, inputs={"x": value})
    assert ran.outputs == {"v": after}
    assert kept == [("v", after)]


@pytest.mark.parametrize(
    ("held", "item"),
    [
        ("a", change("over-write", by="s.x")),
        ("a", change("over-write", 1)),
        (1, change("set", "one")),
        ({}, change("set", "{")),
        (["a"], change("append", by="s.x")),
        (["a"], change("extend", by="s.x")),
        ("a", change("append", "b")),
        ("a", change("+=", 1)),
        (True, change("+=", 1)),
        (1, change("+=", "a")),
        (1, change("/=", 0)),
        (2**62, change("*=", 4)),
        (1e308, change("*=", 1e10)),
        (1.5, change("*=", 10**400)),
        ("a", change("over-write", by="s.missing")),
        ("a", change("over-write", by="s")),
        ("a", change("set", "b", target="conversation.other")),
        ("a", change("set", "b", target="s.x")),
        ("a", change("set", "b", target="env.x")),
    ],
)
def test_change_that_does_not_fit_fails_and_keeps_nothing(held: JSONValue, item: JSONObject) -> None:
    ran, kept = assign(item, held=held, inputs={"x": 1})
    assert ran.finished.status == "failed"
    assert "inside the server" not in str(ran.finished.error)
    assert kept == []


def test_later_changes_see_earlier_ones_and_all_are_made_or_none() -> None:
    ran, kept = assign(change("+=", 1), change("*=", 10), change("+=", by="conversation.v"), held=1)
    assert ran.outputs == {"v": 40}
    assert kept == [("v", 40)]

    ran, kept = assign(change("+=", 1), change("/=", 0), held=1)
    assert ran.finished.status == "failed"
    assert kept == []


def test_null_changes_nothing() -> None:
    ran, kept = assign(change("over-write", by="s.x"), held="a", inputs={"x": None})
    assert ran.outputs == {"v": "a"}
    assert kept == []


def test_declared_type_counts_where_nothing_is_held_yet() -> None:
    declared = {"v": ValueType.ARRAY_STRING}
    ran, _ = assign(change("append", by="s.x"), held=[], inputs={"x": 1}, conversation_types=declared)
    assert "number, not string" in str(ran.finished.error)


def test_what_was_changed_is_told() -> None:
    ran, _ = assign(change("over-write", by="s.x"), held="a", inputs={"x": "b"})
    told = ran.of("a")[0]
    assert told.inputs == {"conversation.v": "b"}
    assert told.outputs == {}
    assert told.process_data == {
        "__updated_variables": [
            {"name": "v", "selector": ["conversation", "v"], "new_value": "b", "value_type": "string"}
        ]
    }


@pytest.mark.parametrize(("mode", "after"), [("over-write", ["b"]), ("append", ["a", "b"]), ("clear", [])])
def test_form_of_old_makes_one_change_and_returns_it(mode: str, after: JSONValue) -> None:
    kept: list[tuple[str, JSONValue]] = []
    node = drawn(
        "a",
        "assigner",
        assigned_variable_selector=["conversation", "v"],
        write_mode=mode,
        input_variable_selector=["s", "x"],
    )
    ran = run_flow(
        [drawn("s", "start"), node, end(v="a.value")],
        ["s > a > e"],
        {"x": ["b"] if mode == "over-write" else "b"},
        deps=make_deps(assign=lambda name, value: kept.append((name, value))),
        pool={"conversation": {"v": ["a"]}},
    )
    assert ran.outputs == {"v": after}
    assert kept == [("v", after)]


def test_loop_variable_stays_in_the_loop_and_keeps_its_type() -> None:
    kept: list[str] = []
    variables = [
        {"label": "n", "var_type": "number", "value_type": "constant", "value": 1},
        {"label": "names", "var_type": "array[string]", "value_type": "constant", "value": "[]"},
    ]
    items = [change("*=", 2, target="lp.n"), change("append", by="t.output", target="lp.names")]
    nodes = [
        drawn("s", "start"),
        drawn("lp", "loop", start_node_id="t", loop_count=3, loop_variables=variables),
        template("t", "n{{ n }}", parent="lp", n="lp.n"),
        drawn("a", "assigner", parent="lp", version="2", items=items),
        end(n="lp.n", names="lp.names"),
    ]
    deps = make_deps(assign=lambda name, _value: kept.append(name))
    ran = run_flow(nodes, ["s > lp > e", "t > a"], deps=deps)
    assert ran.outputs == {"n": 8, "names": ["n1", "n2", "n4"]}
    assert kept == []

    items[1] = change("append", by="lp.n", target="lp.names")
    assert "number, not string" in str(run_flow(nodes, ["s > lp > e", "t > a"], deps=deps).finished.error)

    items[1] = change("set", "b", target="lp.loop_round")
    assert "no variable" in str(run_flow(nodes, ["s > lp > e", "t > a"], deps=deps).finished.error)


def test_changes_of_branches_side_by_side_are_all_kept() -> None:
    kept: list[JSONValue] = []

    def keep(_name: str, value: JSONValue) -> None:
        kept.append(value)

    nodes = [
        drawn("s", "start"),
        *(
            drawn(f"a{place}", "assigner", version="2", items=[change("append", by="s.x")])
            for place in range(8)
        ),
        end(v="conversation.v"),
    ]
    ways = [f"s > a{place} > e" for place in range(8)]
    deps = make_deps(assign=keep)
    ran = run_flow(nodes, ways, {"x": "y"}, deps=deps, pool={"conversation": {"v": []}})
    assert ran.outputs == {"v": ["y"] * 8}
    assert [len(value) for value in kept if isinstance(value, list)] == [*range(1, 9)]


def test_variables_read_and_changed_are_known() -> None:
    config = NODES["assigner", "2"].configured(
        {"type": "assigner", "items": [change("set", 1), change("append", by="n.x", target="lp.y")]}
    )
    assert [*config.references()] == [("conversation", "v"), ("lp", "y"), ("n", "x")]
    assert [*config.demands()] == [Demand(("lp", "y"), ANY_ARRAY)]
    assert config.gives() == {}
    config = NODES["assigner", "1"].configured(
        {
            "type": "assigner",
            "assigned_variable_selector": ["conversation", "v"],
            "input_variable_selector": ["n", "x"],
        }
    )
    assert [*config.references()] == [("conversation", "v"), ("n", "x")]
    assert [*config.demands()] == []
    assert config.gives() == {"value": None}


@pytest.mark.parametrize(
    ("item", "demands"),
    [
        (change("+=", 1), [Demand(("conversation", "v"), frozenset({ValueType.NUMBER}))]),
        (
            change("extend", by="n.x"),
            [Demand(("conversation", "v"), ANY_ARRAY), Demand(("n", "x"), ANY_ARRAY)],
        ),
        (change("extend", []), [Demand(("conversation", "v"), ANY_ARRAY)]),
        (change("over-write", by="n.x"), []),
    ],
)
def test_operations_demand_their_types(item: JSONObject, demands: list[Demand]) -> None:
    config = NODES["assigner", "2"].configured({"type": "assigner", "items": [item]})
    assert [*config.demands()] == demands


@pytest.mark.parametrize("form", ["today", "old"])
@pytest.mark.parametrize(("target", "waits"), [("shown", True), ("other", False)])
def test_answer_waits_for_an_assigner_that_changes_what_it_shows(
    target: str, form: str, *, waits: bool
) -> None:
    items = [change("set", "new", target=f"conversation.{target}")]
    old = {"assigned_variable_selector": ["conversation", target], "input_variable_selector": ["s", "x"]}
    config: dict[str, Any] = {"version": "2", "items": items} if form == "today" else old
    nodes = [
        drawn("s", "start"),
        drawn("a", "assigner", **config),
        drawn("b", "answer", answer="<{{#conversation.shown#}}>"),
    ]
    pool: dict[str, JSONObject] = {"conversation": {"shown": "old", "other": "old"}}
    ran = run_flow(nodes, ["s > a > b"], {"x": "new"}, pool=pool)
    told = [type(event).__name__ for event in ran.events]
    assert (told.index("TextChunk") > told.index("NodeFinished")) == waits
    assert ran.text == ("<new>" if waits else "<old>")
