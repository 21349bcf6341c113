"""Variables a workflow declares, its features, the mark of a draft, and what new nodes begin with."""

from typing import Any

import pytest

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.block_defaults import all_defaults, defaults_of
from api.core.workflow.declared import (
    MAX_VALUE_BYTES,
    MAX_VARIABLES,
    SHOWN_SECRET,
    export_environment,
    read_conversation,
    read_environment,
    secrets_of,
    show_conversation,
    show_environment,
    types_of,
)
from api.core.workflow.draft import draft_hash
from api.core.workflow.node import NODES, NodeKind
from api.core.workflow.variables import ValueType
from api.errors import InvalidRequest


def variable(**values: Any) -> JSONObject:
    return {"id": "1", "name": "key", "value_type": "string", "value": "v", "description": "", **values}


SECRET = variable(value_type="secret", value="s3cret")


@pytest.mark.parametrize(
    ("raw", "field", "fault"),
    [
        ({}, "", "invalid_type"),
        ([variable()] * (MAX_VARIABLES + 1), "", "too_long"),
        (["x"], ".0", "invalid_type"),
        ([{"value_type": "string"}], ".0.name", "required"),
        ([variable(name="1st")], ".0.name", "invalid_value"),
        ([variable(name="a b")], ".0.name", "invalid_value"),
        ([variable(name="n" * 101)], ".0.name", "invalid_value"),
        ([variable(value_type="money")], ".0.value_type", "invalid_choice"),
        ([variable(value_type="object", value={})], ".0.value_type", "invalid_choice"),
        ([variable(value_type="number", value="1")], ".0.value", "invalid_type"),
        ([variable(value_type="number", value=True)], ".0.value", "invalid_type"),
        ([variable(value=1)], ".0.value", "invalid_type"),
        ([variable(value="x" * MAX_VALUE_BYTES)], ".0.value", "invalid_value"),
        ([variable(), variable(id="2")], ".1.name", "duplicate"),
        ([variable(), variable(name="other")], ".1.id", "duplicate"),
    ],
)
def test_bad_environment_variable_is_refused(raw: JSONValue, field: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_environment(raw)

    assert (caught.value.field, caught.value.fault) == (f"environment_variables{field}", fault)


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("string", "", True),
        ("number", 1.5, True),
        ("boolean", False, True),
        ("object", {"a": [1]}, True),
        ("array[string]", ["a"], True),
        ("array[number]", [], True),
        ("array[object]", [{}], True),
        ("array[boolean]", [True], True),
        ("array[string]", [1], False),
        ("secret", "x", False),
        ("array[file]", [], False),
        ("array[any]", [], False),
    ],
)
def test_conversation_variables_have_types_of_their_own(kind: str, value: JSONValue, fits: bool) -> None:
    raw: JSONValue = [variable(value_type=kind, value=value)]
    if fits:
        assert show_conversation(read_conversation(raw))[0]["value"] == value
    else:
        with pytest.raises(InvalidRequest, match="value"):
            read_conversation(raw)


def test_variable_without_value_begins_empty_and_gets_an_id() -> None:
    (read,) = read_conversation([{"name": "数", "value_type": "array[number]", "value": None}])

    assert read.begins_with == []
    assert len(read.id) == 36
    assert types_of([read]) == {"数": ValueType.ARRAY_NUMBER}
    assert read_environment(None) == ()


def test_secret_is_shown_as_a_mask_and_left_out_of_files() -> None:
    variables = read_environment([SECRET, variable(id="2", name="plain")])

    assert [item["value"] for item in show_environment(variables)] == [SHOWN_SECRET, "v"]
    assert [item["value"] for item in export_environment(variables, has_secrets=False)] == ["", "v"]
    assert [item["value"] for item in export_environment(variables, has_secrets=True)] == ["s3cret", "v"]
    assert export_environment(variables, has_secrets=False)[0]["selector"] == ["env", "key"]
    assert "s3cret" not in repr(variables)


@pytest.mark.parametrize("mask", [SHOWN_SECRET, "[__HIDDEN__]"])
def test_mask_that_comes_back_keeps_the_secret_of_its_id(mask: str) -> None:
    kept = secrets_of(read_environment([SECRET]))
    back: JSONValue = [{**SECRET, "value": mask}, {**SECRET, "id": "2", "name": "new", "value": mask}]

    assert secrets_of(read_environment(back, kept)) == {"1": "s3cret", "2": ""}
    assert show_environment(read_environment(back))[0]["value"] == ""


@pytest.mark.parametrize("value", [["s3cret"], {"s": 1}, 5, True])
def test_secret_that_is_no_text_is_refused_by_its_name(value: JSONValue) -> None:
    with pytest.raises(InvalidRequest, match="'key'") as caught:
        read_environment([{**SECRET, "value": value}])

    assert caught.value.field == "environment_variables.0.value"


def test_mask_in_a_plain_variable_is_text() -> None:
    assert read_environment([variable(value=SHOWN_SECRET)], {"1": "s3cret"})[0].value == SHOWN_SECRET


def test_hash_tells_graphs_and_features_apart_but_not_their_order() -> None:
    graph: JSONObject = {"nodes": [], "edges": []}
    mark = draft_hash(graph, {"a": 1, "b": 2})

    assert mark == draft_hash({"edges": [], "nodes": []}, {"b": 2, "a": 1})
    assert len(mark) == 64
    assert mark != draft_hash({"nodes": [], "edges": [], "viewport": {"x": 1}}, {"a": 1, "b": 2})
    assert mark != draft_hash(graph, {})


def test_defaults_are_those_of_the_node_types_and_may_be_changed_by_the_caller() -> None:
    listed = {str(item["type"]): item["config"] for item in all_defaults()}

    assert listed["iteration"] == defaults_of("iteration")
    assert defaults_of("start") is None
    assert defaults_of("teleport") is None
    found = defaults_of("iteration")
    assert found is not None
    found["is_parallel"] = "changed"
    assert defaults_of("iteration") != found


def test_code_begins_in_the_language_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = NODES["template-transform", "1"]
    defaults: JSONObject = {"code_language": "python3", "code": "def main(): ..."}
    kind = NodeKind(type="scripted", version="1", node=plain.node, waits=False, defaults=defaults)
    monkeypatch.setitem(NODES, ("scripted", "1"), kind)

    assert defaults_of("scripted") == defaults_of("scripted", "python3") == defaults
    found = defaults_of("scripted", "javascript")
    assert found is not None
    assert found["code_language"] == "javascript"
    assert defaults_of("template-transform", "javascript") == plain.defaults
