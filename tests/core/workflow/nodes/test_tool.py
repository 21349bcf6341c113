"""Tool nodes: which call they make, and what becomes of the answer."""

from dataclasses import dataclass, field
from typing import Any

from api.core.ports import Cancel, JSONObject
from api.core.workflow.deps import FlowFacts, ToolAnswer, ToolCall
from api.core.workflow.node import NODES
from api.core.workflow.work import NodeFailed
from tests.flows import FACTS, Ran, drawn, end, make_deps, run_flow

FILE: JSONObject = {"dify_model_identity": "__dify__file__", "filename": "a.png"}


@dataclass
class ScriptedTools:
    """Answers as told and remembers what it was asked."""

    answer: ToolAnswer | NodeFailed = field(default_factory=ToolAnswer)
    calls: list[ToolCall] = field(default_factory=list)

    def call(self, call: ToolCall, facts: FlowFacts, cancel: Cancel) -> ToolAnswer:
        assert facts is FACTS
        assert not cancel.is_set()
        self.calls.append(call)
        if isinstance(self.answer, NodeFailed):
            raise self.answer
        return self.answer


def use(tools: ScriptedTools, inputs: JSONObject | None = None, **config: Any) -> Ran:
    """Run a tool node."""
    named = {"provider_id": "time", "provider_type": "builtin", "tool_name": "now"}
    tool = drawn("t", "tool", **{**named, **config})
    outputs = end(text="t.text", files="t.files", json="t.json", own="t.own")
    return run_flow([drawn("s", "start"), tool, outputs], ["s > t > e"], inputs, deps=make_deps(tools=tools))


def test_parameters_are_filled_whichever_way_they_are_drawn() -> None:
    tools = ScriptedTools()
    ran = use(
        tools,
        {"city": "Oslo", "file": FILE, "count": 3},
        tool_parameters={
            "q": {"type": "mixed", "value": "weather in {{#s.city#}}"},
            "file": {"type": "variable", "value": ["s", "file"]},
            "count": {"type": "variable", "value": ["s", "count"]},
            "absent": {"type": "variable", "value": ["s", "none"]},
            "written": {"type": "variable", "value": "{{#s.city#}}"},
            "units": {"type": "constant", "value": "{{#s.city#}} C"},
            "money": {"type": "constant", "value": 1},
            "empty": {"type": "mixed", "value": ""},
            "none": {"type": "mixed", "value": None},
            "bare": "in {{#s.city#}}",
        },
        tool_configurations={
            "model": {"type": "constant", "value": {"name": "m", "stop": ["{{#s.city#}}"]}},
            "plain": 5,
            "off": False,
            "unset": None,
            "shape": {"type": "object", "of": "x"},
        },
        credential_id="c",
    )
    (call,) = tools.calls
    assert (call.provider_type, call.provider_id, call.tool_name) == ("builtin", "time", "now")
    assert call.credential_id == "c"
    assert call.parameters == {
        "q": "weather in Oslo",
        "file": FILE,
        "count": 3,
        "written": "Oslo",
        "units": "Oslo C",
        "money": 1,
        "empty": "",
        "bare": "in Oslo",
    }
    assert call.configurations == {
        "model": {"name": "m", "stop": ["Oslo"]},
        "plain": 5,
        "off": False,
        "shape": {"type": "object", "of": "x"},
    }
    assert ran.of("t")[0].inputs == call.parameters


def test_answer_and_the_tools_own_variables_go_out() -> None:
    answer = ToolAnswer(text="hi", json=[{"a": 1}], files=[FILE], variables={"own": 1}, info={"icon": "i"})
    ran = use(ScriptedTools(answer))
    assert ran.outputs == {"text": "hi", "json": [{"a": 1}], "files": [FILE], "own": 1}
    assert ran.of("t")[0].metadata["tool_info"] == {
        "provider_type": "builtin",
        "provider_id": "time",
        "icon": "i",
    }


def test_failure_of_a_tool_is_the_nodes() -> None:
    ran = use(ScriptedTools(NodeFailed("There is no such tool.")), credential_id="")
    assert ran.finished.error == "There is no such tool."


def test_variables_read_are_known() -> None:
    config = NODES["tool", "1"].configured(
        {
            "type": "tool",
            "provider_id": "p",
            "provider_type": "api",
            "tool_name": "t",
            "tool_parameters": {
                "a": {"type": "variable", "value": ["n", "a"]},
                "b": "{{#n.b#}}",
                "c": 1,
                "none": {"type": "variable", "value": []},
            },
            "tool_configurations": {"d": {"type": "constant", "value": [{"e": "{{#n.e#}}"}]}},
        }
    )
    assert [*config.references()] == [("n", "a"), ("n", "b"), ("n", "e")]
