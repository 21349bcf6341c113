"""Forms: what is asked, that the run waits, and how an answer takes it on."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from api.core.events import FormAsked, NodeFinished, RunPaused
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.deps import FlowFacts
from api.core.workflow.engine import DoneNode
from api.core.workflow.forms import answered, timed_out
from api.core.workflow.node import NODES
from api.core.workflow.variables import ValueType
from api.errors import InvalidRequest
from tests.flows import FACTS, Ran, drawn, make_deps, run_flow

FILE: JSONObject = {"dify_model_identity": "__dify__file__", "filename": "a.pdf", "url": "u"}
ACTIONS = [
    {"id": "approve", "title": "Yes", "button_style": "primary"},
    {"id": "reject", "title": "No"},
]
WAYS = ["s > f [approve] > yes", "f [reject] > no", "f [__timeout] > late"]


@dataclass
class KeptForms:
    """Forms in memory."""

    asked: list[FormAsked] = field(default_factory=list)

    def ask(self, asked: FormAsked, facts: FlowFacts) -> FormAsked:
        assert facts is FACTS
        self.asked.append(asked)
        return replace(asked, form_id="form", token="token")


def drawing(**config: Any) -> list[JSONObject]:
    """Return a graph that asks and answers by what was done."""
    config = {"user_actions": ACTIONS, **config}
    return [
        drawn("s", "start"),
        drawn("f", "human-input", **config),
        drawn("yes", "answer", answer="yes: {{#f.note#}} {{#f.__action_value#}}"),
        drawn("no", "answer", answer="no"),
        drawn("late", "answer", answer="late"),
    ]


def ask(given: JSONObject | None = None, /, **config: Any) -> tuple[Ran, KeptForms]:
    """Run until the form is asked."""
    forms = KeptForms()
    flow = {"secrets": config.pop("secrets", ())}
    return run_flow(drawing(**config), WAYS, given, deps=make_deps(forms=forms), **flow), forms


def make_form(*fields: JSONObject, content: str = "", defaults: JSONObject | None = None) -> FormAsked:
    actions = tuple(dict[str, JSONValue](action) for action in ACTIONS)
    return FormAsked(
        node_id="f",
        title="f",
        content=content,
        fields=fields,
        actions=actions,
        defaults=defaults or {},
        expires_at=1,
    )


def asking(kind: str, **more: JSONValue) -> JSONObject:
    return {"type": kind, "output_variable_name": "note", **more}


def test_form_is_asked_filled_in_and_the_run_waits() -> None:
    ran, forms = ask(
        {"what": "leave", "kinds": ["a", 1], "file": FILE, "n": 3},
        secrets=["k3y"],
        form_content="Grant {{#s.what#}}? k3y {{#$output.note#}}",
        inputs=[
            asking("paragraph", default={"type": "variable", "selector": ["s", "n"]}),
            {"type": "select", "output_variable_name": "kind", "options": ["x"], "required": False},
            {
                "type": "select",
                "output_variable_name": "other",
                "option_source": {"type": "variable", "selector": ["s", "kinds"]},
                "default": {"type": "constant", "value": "a"},
            },
            {
                "type": "file",
                "output_variable_name": "doc",
                "default": {"type": "variable", "selector": ["s", "file"]},
            },
        ],
        delivery_methods=[
            {"type": "webapp", "enabled": True, "config": {}},
            {
                "id": "m",
                "type": "email",
                "config": {"subject": "{{#s.what#}}", "body": "k3y {{#url#}}", "debug_mode": True},
            },
            {"type": "email", "enabled": False},
        ],
        timeout=2,
        timeout_unit="day",
    )
    (form,) = forms.asked
    assert form.content == "Grant leave? ******** {{#$output.note#}}"
    assert [item.get("options") for item in form.fields] == [None, ["x"], ["a", "1"], None]
    assert [item["required"] for item in form.fields] == [True, False, True, True]
    assert form.defaults == {"note": "3", "kind": None, "other": "a", "doc": FILE}
    assert [action["id"] for action in form.actions] == ["approve", "reject"]
    assert form.deliveries == (
        {"id": "", "type": "webapp", "config": {}},
        {
            "id": "m",
            "type": "email",
            "config": {"subject": "leave", "body": "******** {{#url#}}", "debug_mode": True},
        },
    )
    assert abs(form.expires_at - time.time() - 2 * 86_400) < 60
    told = [event for event in ran.events if isinstance(event, FormAsked)]
    assert [(event.form_id, event.token) for event in told] == [("form", "token")]
    assert isinstance(ran.events[-1], RunPaused)
    assert ran.of("f")[0].status == "paused"


@pytest.mark.parametrize(("action", "text"), [("approve", "yes: fine Yes"), ("reject", "no"), (None, "late")])
def test_answer_takes_the_run_on_by_its_action(action: str | None, text: str) -> None:
    ran, forms = ask(inputs=[{"type": "paragraph", "output_variable_name": "note"}])
    (form,) = forms.asked
    end = answered(form, action, {"note": "fine"}) if action else timed_out(form)
    done = [event for event in ran.events if isinstance(event, NodeFinished) and event.status == "succeeded"]
    resumed = run_flow(
        drawing(),
        WAYS,
        done=(
            *(DoneNode(node_id=event.node_id, outputs=event.outputs, edge=event.edge) for event in done),
            DoneNode(node_id="f", outputs=end.outputs, edge=end.edge),
        ),
    )
    assert resumed.text == text


def test_form_of_old_has_one_way_to_go_on() -> None:
    _, forms = ask(user_actions=[], pause_reason="Look at it.", required_variables=["x"])
    (form,) = forms.asked
    assert (form.content, [action["id"] for action in form.actions]) == ("Look at it.", ["source"])


def test_nobody_is_asked_inside_a_container() -> None:
    forms = KeptForms()
    nodes = [
        drawn("s", "start"),
        drawn("lp", "loop", start_node_id="f", loop_count=1),
        drawn("f", "human-input", parent="lp", user_actions=ACTIONS),
    ]
    ran = run_flow(nodes, ["s > lp"], deps=make_deps(forms=forms))
    assert "inside an iteration or a loop" in str(ran.finished.error)
    assert forms.asked == []


def test_two_actions_of_one_id_are_refused() -> None:
    ran, _ = ask(user_actions=[{"id": "a"}, {"id": "a"}])
    assert "two actions have the same id" in str(ran.finished.error)


def test_variables_read_and_given_are_known() -> None:
    config = NODES["human-input", "1"].configured(
        {
            "type": "human-input",
            "form_content": "{{#n.a#}}",
            "inputs": [
                asking("select", default={"type": "variable", "selector": ["n", "b"]}),
                asking("select", option_source={"type": "constant", "value": ["x"]}),
                {"type": "file", "output_variable_name": "doc", "default": {"type": "variable"}},
            ],
        }
    )
    assert [*config.references()] == [("n", "a"), ("n", "b")]
    assert config.gives() == {
        "note": ValueType.STRING,
        "doc": ValueType.FILE,
        "__action_id": ValueType.STRING,
        "__action_value": ValueType.STRING,
        "__rendered_content": ValueType.STRING,
    }


@pytest.mark.parametrize(
    ("asked", "value", "shown"),
    [
        (asking("paragraph"), "a\0b", "ab"),
        (asking("text-input"), "", ""),
        (asking("select", options=["x", "y"]), "y", "y"),
        (asking("file"), FILE, "[a.pdf](u)"),
        (asking("file-list"), [FILE, FILE], "[a.pdf](u)\n[a.pdf](u)"),
        (asking("paragraph", required=False), None, ""),
        (asking("file-list", required=False), [], ""),
    ],
)
def test_values_go_out_and_into_the_text(asked: JSONObject, value: JSONValue, shown: str) -> None:
    form = make_form(asked, content="Noted: {{#$output.note#}}{{#$output.none#}}")
    end = answered(form, "reject", {"note": value, "unasked": 1})
    expected = value.replace("\0", "") if isinstance(value, str) else value
    assert end.outputs == {
        "note": expected,
        "__action_id": "reject",
        "__action_value": "No",
        "__rendered_content": f"Noted: {shown}",
    }
    assert (end.edge, end.content) == ("reject", f"Noted: {shown}")


def test_field_left_out_has_its_default() -> None:
    assert (
        answered(make_form(asking("paragraph"), defaults={"note": "so"}), "reject", {}).outputs["note"]
        == "so"
    )


@pytest.mark.parametrize(
    ("asked", "value", "fault"),
    [
        (asking("paragraph"), None, "required"),
        (asking("file-list"), [], "required"),
        (asking("paragraph"), 1, "invalid_type"),
        (asking("select", options=["x"]), "y", "invalid_choice"),
        (asking("file"), "a.pdf", "invalid_type"),
        (asking("file-list"), FILE, "invalid_type"),
        (asking("file-list"), [FILE, "x"], "invalid_type"),
    ],
)
def test_value_that_does_not_fit_is_refused(asked: JSONObject, value: JSONValue, fault: str) -> None:
    with pytest.raises(InvalidRequest, match="note") as refused:
        answered(make_form(asked), "approve", {"note": value})
    assert (refused.value.field, refused.value.fault) == ("note", fault)


def test_unknown_action_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no action 'maybe'"):
        answered(make_form(), "maybe", {})


def test_form_nobody_answered_has_no_values() -> None:
    end = timed_out(make_form(asking("paragraph"), content="[{{#$output.note#}}]", defaults={"note": "x"}))
    assert end.edge == "__timeout"
    assert end.outputs == {
        "note": None,
        "__action_id": "__timeout",
        "__action_value": None,
        "__rendered_content": "[]",
    }
