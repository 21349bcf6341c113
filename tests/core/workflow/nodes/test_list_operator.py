"""Lists filtered, picked, ordered and cut."""

from typing import Any

import pytest

from api.core.ports import JSONValue
from api.core.workflow.node import NODES, Demand
from api.core.workflow.variables import ANY_ARRAY, ValueType
from tests.flows import Ran, drawn, end, file_value, run_flow

A = file_value("a.PNG", "image", size=30)
B = file_value("b.pdf", "document", size=10)
C = file_value("c.pdf", "document", size=20)
WORDS: list[JSONValue] = ["pear", "fig", "plum", "apple"]


def operate(items: JSONValue, **steps: Any) -> Ran:
    nodes = [
        drawn("s", "start"),
        drawn("n", "list-operator", variable=["s", "x"], **steps),
        end(all="n.result", first="n.first_record", last="n.last_record"),
    ]
    return run_flow(nodes, ["s > n > e"], {"x": items, "wanted": "p", "place": 2})


def keep(operator: str, value: JSONValue, key: str = "") -> dict[str, Any]:
    condition = {"key": key, "comparison_operator": operator, "value": value}
    return {"filter_by": {"enabled": True, "conditions": [condition]}}


def test_list_without_steps_stays_and_shows_its_ends() -> None:
    ran = operate(WORDS)

    assert ran.outputs == {"all": WORDS, "first": "pear", "last": "apple"}
    assert ran.of("n")[0].inputs == {"variable": WORDS}


def test_empty_list_has_no_ends() -> None:
    steps: Any = {**keep("contains", "x"), "extract_by": {"enabled": True, "serial": "1"}}

    assert operate([], **steps).outputs == {"all": [], "first": None, "last": None}


@pytest.mark.parametrize(
    ("items", "steps", "left"),
    [
        (WORDS, keep("start with", "{{#s.wanted#}}"), ["pear", "plum"]),
        (WORDS, keep("in", ["fig", "plum"]), ["fig", "plum"]),
        ([1, 2.5, 3], keep("≥", "2.5"), [2.5, 3]),
        ([True, False], keep("is", "true"), [True]),
        ([A, B, C], keep("in", ["image"], "type"), [A]),
        ([A, B, C], keep("<", "25", "size"), [B, C]),
        ([A, B, C], keep("is", "pdf", "extension"), [B, C]),
        ([A, B, C], keep("in", ["pdf"], "extension"), [B, C]),
        ([A, B, C], keep("contains", "b.", "name"), [B]),
        ([A, B, C], keep("is not", "image", "type"), [B, C]),
    ],
)
def test_filter_keeps_what_meets_all_conditions(items: JSONValue, steps: Any, left: JSONValue) -> None:
    assert operate(items, **steps).outputs["all"] == left


def test_conditions_must_all_hold() -> None:
    conditions = [
        {"key": "", "comparison_operator": "contains", "value": "p"},
        {"key": "", "comparison_operator": "end with", "value": "m"},
    ]

    assert operate(WORDS, filter_by={"enabled": True, "conditions": conditions}).outputs["all"] == ["plum"]


@pytest.mark.parametrize(
    ("items", "step", "left"),
    [
        (WORDS, {"key": "", "value": "asc"}, ["apple", "fig", "pear", "plum"]),
        ([2, 1.5, 3], {"value": "desc"}, [3, 2, 1.5]),
        ([A, B, C], {"key": "size", "value": "asc"}, [B, C, A]),
        ([C, A, B], {"key": "name", "value": "desc"}, [C, B, A]),
    ],
)
def test_order_is_by_value_or_by_an_attribute(items: JSONValue, step: Any, left: JSONValue) -> None:
    assert operate(items, order_by={"enabled": True, **step}).outputs["all"] == left


def test_steps_come_in_their_order() -> None:
    steps = {
        **keep("contains", "p"),
        "order_by": {"enabled": True, "value": "asc"},
        "limit": {"enabled": True, "size": 2},
    }

    assert operate(WORDS, **steps).outputs == {"all": ["apple", "pear"], "first": "apple", "last": "pear"}


def test_limit_below_zero_keeps_all() -> None:
    assert operate(WORDS, limit={"enabled": True, "size": -1}).outputs["all"] == WORDS


@pytest.mark.parametrize(("serial", "left"), [("1", "pear"), ("{{#s.place#}}", "fig"), (4, "apple")])
def test_extract_picks_one_counted_from_one(serial: str | int, left: str) -> None:
    assert operate(WORDS, extract_by={"enabled": True, "serial": serial}).outputs["all"] == [left]


@pytest.mark.parametrize("serial", ["0", "5", "-1", "two", "", "9" * 30])
def test_extract_outside_the_list_fails(serial: str) -> None:
    assert "among 4" in str(operate(WORDS, extract_by={"enabled": True, "serial": serial}).finished.error)


@pytest.mark.parametrize(
    ("items", "steps", "said"),
    [
        (None, {}, "s.x is not a list."),
        ("text", {}, "s.x is not a list."),
        ([{"a": 1}], keep("contains", "a"), "Objects cannot be filtered."),
        ([1], keep("resembles", "a"), "'resembles' is not known"),
        ([1, "a"], {"order_by": {"enabled": True}}, "Only texts or numbers"),
    ],
)
def test_what_cannot_be_done_fails(items: JSONValue, steps: Any, said: str) -> None:
    assert said in str(operate(items, **steps).finished.error)


def test_objects_can_be_picked_and_cut() -> None:
    items: list[JSONValue] = [{"a": 1}, {"a": 2}]

    assert operate(items, limit={"enabled": True, "size": 1}).outputs["all"] == [{"a": 1}]
    assert operate(items, extract_by={"enabled": True, "serial": "2"}).outputs["all"] == [{"a": 2}]


def test_references_are_the_list_and_what_the_steps_that_are_on_name() -> None:
    steps: Any = {**keep("is", "{{#s.wanted#}}"), "extract_by": {"enabled": True, "serial": "{{#s.place#}}"}}
    kind = NODES["list-operator", "1"]
    data: Any = {"type": "list-operator", "variable": ["s", "x"]}

    assert list(kind.configured({**data, **steps}).references()) == [
        ("s", "x"),
        ("s", "place"),
        ("s", "wanted"),
    ]
    off: Any = {"filter_by": {**steps["filter_by"], "enabled": False}}
    assert list(kind.configured({**data, **off}).references()) == [("s", "x")]


@pytest.mark.parametrize(
    ("drawn_as", "kind", "element"),
    [
        ("array[file]", ValueType.ARRAY_FILE, ValueType.FILE),
        ("array[any]", ValueType.ARRAY_ANY, None),
        (None, None, None),
    ],
)
def test_any_list_will_do_and_its_type_stays(drawn_as: str, kind: ValueType, element: ValueType) -> None:
    data: Any = {"type": "list-operator", "variable": ["s", "x"], "var_type": drawn_as}

    config = NODES["list-operator", "1"].configured(data)

    assert list(config.demands()) == [Demand(("s", "x"), ANY_ARRAY)]
    assert config.gives() == {"result": kind, "first_record": element, "last_record": element}
