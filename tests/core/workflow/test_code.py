"""The code node: what it hands to the code and what it lets through of what that gives."""

from typing import Any

import pytest

from api.core.ports import Cancel, CodeFailed, JSONObject
from api.core.workflow.deps import FlowLimits
from api.core.workflow.node import NODES
from tests.flows import Ran, drawn, end, make_deps, run_flow


class Gives:
    """A sandbox whose code gives what the test says."""

    def __init__(self, result: JSONObject | CodeFailed) -> None:
        self.result = result
        self.asked: list[tuple[str, str, JSONObject, float]] = []

    def run(
        self, language: str, code: str, inputs: JSONObject, *, timeout_s: float, cancel: Cancel
    ) -> JSONObject:
        self.asked.append((language, code, inputs, timeout_s))
        if isinstance(self.result, CodeFailed):
            raise self.result
        return self.result

    def render(self, template: str, variables: JSONObject, *, timeout_s: float, cancel: Cancel) -> str:
        raise AssertionError("nothing here is a template")

    def stop(self) -> None:
        raise AssertionError("nobody stops it")


def run_code(
    outputs: dict[str, Any],
    gives: JSONObject | CodeFailed,
    limits: FlowLimits | None = None,
    **data: Any,
) -> Ran:
    """Run a code node between a start and an end."""
    node = drawn("c", "code", **{"code": "…", "code_language": "python3", "outputs": outputs, **data})
    deps = make_deps(sandbox=Gives(gives), limits=limits or FlowLimits())
    return run_flow([drawn("s", "start"), node, end(x="c.x")], ["s > c > e"], deps=deps)


def given(outputs: dict[str, Any], gives: JSONObject, limits: FlowLimits | None = None) -> JSONObject:
    """Return what the node lets through."""
    ran = run_code(outputs, gives, limits)
    assert ran.of("c")[0].error is None, ran.of("c")[0].error
    return ran.of("c")[0].outputs


def refusal(outputs: dict[str, Any], gives: JSONObject, limits: FlowLimits | None = None) -> str:
    """Return why the node refuses what the code gives."""
    return str(run_code(outputs, gives, limits).of("c")[0].error)


def test_code_gets_its_variables_and_the_time_of_the_limits() -> None:
    sandbox = Gives({"x": 1})
    variables = [
        {"variable": "a", "value_selector": ["s", "text"]},
        {"variable": "b", "value_selector": ["s", "absent"]},
    ]
    node = drawn(
        "c",
        "code",
        code="…",
        code_language="javascript",
        variables=variables,
        outputs={"x": {"type": "number"}},
    )
    deps = make_deps(sandbox=sandbox, limits=FlowLimits(code_timeout_s=3.0))
    ran = run_flow(
        [drawn("s", "start"), node, end(x="c.x")], ["s > c > e"], {"text": "中文", "absent": None}, deps=deps
    )
    assert sandbox.asked == [("javascript", "…", {"a": "中文", "b": None}, 3.0)]
    assert ran.of("c")[0].inputs == {"a": "中文", "b": None}
    assert ran.outputs == {"x": 1}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "中文"),
        ("string", None),
        ("number", 1),
        ("number", 1.5),
        ("number", -(2**63 - 1)),
        ("boolean", True),
        ("object", {"a": {"b": [1, "2", None, False]}}),
        ("array[string]", ["a", None]),
        ("array[number]", [1, 2.5]),
        ("array[object]", [{"a": 1}, None]),
        ("array[boolean]", [True, False]),
        ("array[string]", []),
        ("array[object]", None),
        ("array[string]", ["x"] * 1000),
        ("string", "x" * 400_000),
    ],
)
def test_code_value_of_the_declared_type_goes_through(kind: str, value: Any) -> None:
    assert given({"x": {"type": kind}}, {"x": value, "more": 1}) == {"x": value}


def test_code_boolean_for_a_number_is_one_or_zero() -> None:
    declared = {"x": {"type": "number"}, "y": {"type": "array[number]"}}
    outputs = given(declared, {"x": True, "y": [False, True]})
    assert [type(outputs["x"]), outputs] == [int, {"x": 1, "y": [0, 1]}]


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("string", 1, "Output x must be a string; the code gave a number."),
        ("number", "1", "Output x must be a number; the code gave a string."),
        ("boolean", 1, "Output x must be a boolean; the code gave a number."),
        ("object", [], "Output x must be an object; the code gave a list."),
        ("array[string]", "a", "Output x must be a list; the code gave a string."),
        ("array[string]", ["a", 1], "Output x[1] must be a string; the code gave a number."),
        ("array[number]", [1, None], "Output x[1] must be a number; the code gave null."),
        ("array[object]", [True], "Output x[0] must be an object; the code gave a boolean."),
        ("number", 2**63, "beyond ±(2^63 - 1)"),
        ("object", {"a": [2.0**70]}, "Output x.a[0] is 1.18059e+21"),
    ],
)
def test_code_value_of_another_type_is_refused(kind: str, value: Any, sentence: str) -> None:
    assert sentence in refusal({"x": {"type": kind}}, {"x": value})


def test_code_declared_output_that_is_absent_is_refused() -> None:
    assert refusal({"x": {"type": "string"}}, {"y": "a"}) == "Output x is missing."


def test_code_children_are_checked_and_others_dropped() -> None:
    declared = {"x": {"type": "array[object]", "children": {"n": {"type": "number"}}}}
    assert given(declared, {"x": [{"n": True, "more": 2}]}) == {"x": [{"n": 1}]}
    assert refusal(declared, {"x": [{"n": 1}, {}]}) == "Output x[1].n is missing."
    nested = {"x": {"type": "object", "children": {"o": {"type": "object", "children": declared}}}}
    assert (
        refusal(nested, {"x": {"o": {"x": [{"n": "1"}]}}})
        == "Output x.o.x[0].n must be a number; the code gave a string."
    )


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("string", "abcdef", "Output x has 6 characters; the limit is 5."),
        ("object", {"a": "abcdef"}, "Output x.a has 6 characters"),
        ("array[number]", [1, 2, 3, 4], "Output x has 4 elements; the limit is 3."),
        ("object", {"a": [1, 2, 3, 4]}, "Output x.a has 4 elements"),
        ("object", {"a": {"b": {}}}, "Output x.a.b has 3 levels of nesting; the limit is 2."),
        ("array[object]", [{"a": {}}], "Output x[0].a has 3 levels of nesting"),
    ],
)
def test_code_over_a_limit_names_it(kind: str, value: Any, sentence: str) -> None:
    limits = FlowLimits(max_text_chars=5, max_code_items=3, max_code_depth=2)
    assert sentence in refusal({"x": {"type": kind}}, {"x": value}, limits)


def test_code_that_fails_fails_the_node_with_what_it_said() -> None:
    ran = run_code({"x": {"type": "string"}}, CodeFailed("NameError: name 'y' is not defined"))
    assert (ran.finished.status, ran.finished.error) == ("failed", "NameError: name 'y' is not defined")


def test_code_that_fails_with_defaults_gives_them() -> None:
    defaults = [{"key": "x", "type": "number", "value": -1}]
    ran = run_code(
        {"x": {"type": "number"}}, CodeFailed("no"), error_strategy="default-value", default_value=defaults
    )
    assert ran.finished.status == "partial-succeeded"
    assert ran.outputs == {"x": -1}
    assert ran.of("c")[0].outputs["error_type"] == "CodeExecutionError"


def test_code_of_another_language_is_not_set_up() -> None:
    ran = run_code({}, {}, code_language="cobol")
    assert "code_language" in str(ran.finished.error)


@pytest.mark.parametrize("language", ["python3", "javascript"])
def test_code_begins_with_a_config_that_is_complete(language: str) -> None:
    kind = NODES["code", "1"]
    defaults = kind.defaults_by_language[language]
    config = kind.configured({"type": "code", "title": "Code", **defaults})
    assert config.model_dump()["code_language"] == language
