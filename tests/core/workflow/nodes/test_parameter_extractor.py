"""Values that a model reads out of a text."""

import json
from typing import Any

import orjson
import pytest

from api.core.model_runtime.types import ChatChunk, ToolCall
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.node import NODES, Demand
from api.core.workflow.variables import ANY_FILE, ANY_TEXT, ValueType
from api.errors import CompletionFailed
from tests.fakes import TOKENS, Script
from tests.flows import Ran, drawn, end, make_deps, make_models, run_flow

TOOLS = frozenset({"tool-call"})
CITY: JSONObject = {"name": "city", "type": "string", "description": "Where", "required": True}
COUNT: JSONObject = {"name": "count", "type": "number", "description": "How many", "required": False}


def node(script: Script, parameters: list[JSONObject], **data: Any) -> JSONObject:
    values = {
        "model": script.choice,
        "query": ["s", "q"],
        "parameters": parameters,
        "reasoning_mode": "prompt",
    }
    return drawn("n", "parameter-extractor", **{**values, **data})


def extract(script: Script, *parameters: JSONObject, **data: Any) -> Ran:
    nodes = [drawn("s", "start"), node(script, list(parameters), **data), end(o="n.city")]
    inputs: JSONObject = {"q": "Two to Oslo, please.", "where": "Norway"}
    return run_flow(nodes, ["s > n > e"], inputs, deps=make_deps(models=make_models()))


def values(ran: Ran) -> JSONObject:
    """Return what the node gave besides its usage."""
    outputs = ran.of("n")[0].outputs or {}
    return {key: value for key, value in outputs.items() if key != "__usage"}


def one(kind: str, written: JSONValue, **more: JSONValue) -> JSONObject:
    """Return what a node of one parameter ``x`` makes of what the model wrote."""
    parameter: JSONObject = {"name": "x", "type": kind, "description": "", **more}
    return values(extract(Script(pieces=[json.dumps({"x": written})]), parameter))


def call(arguments: str) -> ChatChunk:
    return ChatChunk(tool_calls=(ToolCall(id="c", name="extract_parameters", arguments=arguments),))


def test_values_the_model_wrote_are_outputs() -> None:
    script = Script(pieces=['{"city": "Oslo", ', '"count": 2}'])

    ran = extract(script, CITY, COUNT, instruction="Think of {{#s.where#}}.")

    assert values(ran) == {"city": "Oslo", "count": 2, "__is_success": 1, "__reason": None}
    assert ran.outputs == {"o": "Oslo"}
    rules, asked = script.requests[0].messages
    assert rules.text.endswith("Think of Norway.")
    assert '"required":["city"]' in rules.text
    assert json.loads(asked.text) == {"input": "Two to Oslo, please.", "history": []}
    (finished,) = ran.of("n")
    assert (finished.outputs or {})["__usage"] == (finished.process_data or {})["usage"]
    assert finished.metadata["total_tokens"] == TOKENS.prompt_tokens + TOKENS.completion_tokens
    assert finished.inputs is not None
    assert finished.inputs["query"] == "Two to Oslo, please."
    assert finished.inputs["instruction"] == "Think of Norway."


def test_model_that_can_call_tools_is_asked_for_a_call() -> None:
    script = Script(pieces=[call('{"city": "Oslo"}')], features=TOOLS)

    ran = extract(script, CITY, COUNT, reasoning_mode="function_call")

    assert values(ran) == {"city": "Oslo", "count": 0, "__is_success": 1, "__reason": None}
    (tool,) = script.requests[0].tools
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"description": "Where", "type": "string"},
            "count": {"description": "How many", "type": "number"},
        },
        "required": ["city"],
    }
    assert (ran.of("n")[0].process_data or {})["tool_call"] == [
        {"name": "extract_parameters", "arguments": '{"city": "Oslo"}'}
    ]


@pytest.mark.parametrize(
    ("features", "mode"),
    [(frozenset(), "function_call"), (TOOLS, "prompt"), (frozenset({"vision"}), "prompt")],
)
def test_other_models_are_asked_for_json(features: frozenset[str], mode: str) -> None:
    script = Script(pieces=['{"city": "Oslo"}'], features=features)

    assert extract(script, CITY, reasoning_mode=mode).outputs == {"o": "Oslo"}
    assert script.requests[0].tools == ()


def test_model_that_writes_where_it_should_call_is_read() -> None:
    script = Script(pieces=['{"city": "Oslo"}'], features=TOOLS)

    assert extract(script, CITY, reasoning_mode="function_call").outputs == {"o": "Oslo"}


@pytest.mark.parametrize("answer", ["Oslo.", "[1]", ""])
def test_answer_that_is_no_object_still_succeeds_with_defaults(answer: str) -> None:
    ran = extract(Script(pieces=[answer]), CITY, COUNT)

    assert ran.finished.status == "succeeded"
    expected = {"city": "", "count": 0, "__is_success": 0, "__reason": "The model wrote no JSON object."}
    assert values(ran) == expected


def test_missing_required_value_is_said() -> None:
    ran = extract(Script(pieces=['{"count": 2}']), CITY, COUNT)

    assert values(ran) == {
        "city": "",
        "count": 2,
        "__is_success": 0,
        "__reason": "city is required and was not found.",
    }


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("string", "a", "a"),
        ("number", 1.5, 1.5),
        ("boolean", True, True),
        ("bool", False, False),
        ("array[string]", ["a"], ["a"]),
        ("array[number]", [1, 2.5], [1, 2.5]),
        ("array[boolean]", [True], [True]),
        ("array[object]", [{"a": 1}], [{"a": 1}]),
        ("string", None, ""),
        ("number", None, 0),
        ("boolean", None, False),
        ("array[object]", None, []),
    ],
)
def test_value_of_its_type_is_taken(kind: str, written: JSONValue, value: JSONValue) -> None:
    assert one(kind, written) == {"x": value, "__is_success": 1, "__reason": None}


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("string", 5, "5"),
        ("number", "5", 5),
        ("number", " 2.5 ", 2.5),
        ("number", "many", 0),
        ("number", "inf", 0),
        ("number", "1e30", 1e30),
        ("number", True, 1),
        ("number", [1], 0),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("boolean", "perhaps", False),
        ("array[number]", ["1", "x", 2], [1, 2]),
        ("array[string]", "a", []),
        ("array[object]", [{"a": 1}, 2], [{"a": 1}]),
    ],
)
def test_value_of_another_type_is_converted_and_said(kind: str, written: JSONValue, value: JSONValue) -> None:
    found = one(kind, written)

    assert orjson.loads(orjson.dumps(found["x"])) == value
    assert found["__is_success"] == 0
    assert "is not of type" in str(found["__reason"])


@pytest.mark.parametrize(
    ("written", "value", "success"),
    [("red", "red", 1), ("blue", "", 0), ("", "", 1), (None, "", 1), (5, "", 0)],
)
def test_select_takes_only_its_options(written: JSONValue, value: str, success: int) -> None:
    found = one("select", written, options=["red", "green"])

    assert (found["x"], found["__is_success"]) == (value, success)


def test_options_and_elements_are_in_the_schema() -> None:
    script = Script(pieces=[call("{}")], features=TOOLS)
    colour: JSONObject = {"name": "c", "type": "select", "options": ["red"], "description": "Colour"}
    free: JSONObject = {"name": "f", "type": "select", "description": ""}
    flags: JSONObject = {"name": "l", "type": "array[boolean]", "description": "Flags"}

    extract(script, colour, free, flags, reasoning_mode="function_call")

    assert script.requests[0].tools[0].parameters["properties"] == {
        "c": {"description": "Colour", "type": "string", "enum": ["red"]},
        "f": {"description": "", "type": "string"},
        "l": {"description": "Flags", "type": "array", "items": {"type": "boolean"}},
    }


def test_failure_of_the_model_fails_the_node_and_is_in_its_outputs() -> None:
    def fail() -> None:
        raise CompletionFailed("no answer")

    ran = extract(Script(pieces=[fail]), CITY)

    assert ran.finished.error == "no answer"
    assert ran.of("n")[0].outputs == {"__is_success": 0, "__reason": "no answer"}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ([{**CITY, "name": "__reason"}], "reserved"),
        ([CITY, CITY], "two parameters have one name"),
        ([{**CITY, "type": "file"}], "parameters.0.type"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters: list[JSONObject], said: str) -> None:
    assert said in str(extract(Script(), *parameters).finished.error)


def test_references_are_the_text_its_images_and_the_instruction() -> None:
    vision = {"enabled": True, "configs": {"variable_selector": ["s", "pic"]}}
    data: Any = node(Script(), [CITY], vision=vision, instruction="{{#s.x#}}")["data"]

    config = NODES["parameter-extractor", "1"].configured(data)

    assert list(config.references()) == [("s", "q"), ("s", "pic"), ("s", "x")]
    assert list(config.demands()) == [Demand(("s", "q"), ANY_TEXT), Demand(("s", "pic"), ANY_FILE)]
    assert config.gives() == {
        "city": ValueType.STRING,
        "__is_success": ValueType.NUMBER,
        "__reason": ValueType.STRING,
        "__usage": ValueType.OBJECT,
    }
