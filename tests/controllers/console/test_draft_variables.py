"""The variables that tests of a draft leave to their account."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.models.app import App
from api.models.workflow import Workflow
from api.principal import Role
from api.runtime import Runtime, Session
from api.services import draft_variables, workflows
from tests.conftest import BOTH
from tests.controllers.console.flow_calls import DraftApp
from tests.factories import Owner, make_member
from tests.flows import drawn, edges, template

pytestmark = BOTH

FORM = [
    {"variable": "name", "label": "Name", "type": "paragraph", "required": True},
    {"variable": "age", "label": "Age", "type": "number"},
]
GREET: dict[str, Any] = {
    "nodes": [
        drawn("s", "start", variables=FORM),
        template("t", "Hello {{ who }}", who="s.name"),
        drawn("e", "end", outputs=[{"variable": "said", "value_selector": ["t", "output"]}]),
    ],
    "edges": edges("s > t > e"),
}
BROKEN_CASE = {
    "case_id": "x",
    "conditions": [{"variable_selector": ["s", "name"], "comparison_operator": ">", "value": "1"}],
}
BROKEN: dict[str, Any] = {
    "nodes": [*GREET["nodes"][:2], drawn("c", "if-else", cases=[BROKEN_CASE]), GREET["nodes"][2]],
    "edges": edges("s > t > c [x] > e"),
}
REMEMBER: dict[str, Any] = {
    "nodes": [
        drawn("s", "start"),
        drawn(
            "v",
            "assigner",
            version="2",
            items=[
                {
                    "operation": "append",
                    "input_type": "variable",
                    "value": ["sys", "query"],
                    "variable_selector": ["conversation", "said"],
                }
            ],
        ),
        drawn("a", "answer", answer="{{#conversation.said#}}"),
    ],
    "edges": edges("s > v > a"),
}
SAID = {"name": "said", "value_type": "array[string]", "value": ["hi"], "description": "All of it."}
KEY = {"id": "k1", "name": "key", "value_type": "secret", "value": "sesame-open"}


@pytest.fixture
def greet(client: FlaskClient, runtime: Runtime, owner: Owner) -> DraftApp:
    return DraftApp(client, runtime, owner, GREET, environment_variables=[KEY])


@pytest.fixture
def chatflow(client: FlaskClient, runtime: Runtime, owner: Owner) -> DraftApp:
    return DraftApp(client, runtime, owner, REMEMBER, mode="advanced-chat", conversation_variables=[SAID])


def test_test_leaves_what_its_nodes_gave(greet: DraftApp) -> None:
    greet.run(inputs={"name": "Ada", "age": 36})

    listed = greet.get("variables").json
    system = greet.values("system-variables")

    assert greet.values("nodes/s/variables") == {"name": "Ada", "age": 36}
    assert greet.values("nodes/t/variables") == {"output": "Hello Ada"}
    assert (system["app_id"], system["user_id"]) == (greet.id, greet.owner.account_id)
    assert listed["total"] == len(listed["items"]) == 3 + len(system) + len(greet.values("nodes/e/variables"))
    assert all("value" not in item for item in listed["items"])
    (shown,) = greet.get("nodes/t/variables").json["items"]
    assert shown == {
        "id": shown["id"],
        "type": "node",
        "name": "output",
        "description": "",
        "selector": ["t", "output"],
        "value_type": "string",
        "edited": False,
        "visible": True,
        "is_truncated": False,
        "value": "Hello Ada",
        "full_content": None,
    }
    assert greet.get(f"variables/{shown['id']}").json == shown
    page = greet.get("variables", page=2, limit=2).json
    assert [item["id"] for item in page["items"]] == [item["id"] for item in listed["items"][2:4]]


def test_later_test_overwrites_and_forgets_what_its_nodes_no_longer_give(greet: DraftApp) -> None:
    greet.run(inputs={"name": "Ada", "age": 36})
    start = drawn("s", "start", variables=FORM[:1])
    saved = greet.call(
        "POST",
        "workflows/draft",
        graph={**GREET, "nodes": [start, *GREET["nodes"][1:]]},
        conversation_variables=[],
    )

    greet.run(inputs={"name": "Bob"})

    assert saved.status_code == 200
    assert greet.values("nodes/s/variables") == {"name": "Bob"}
    assert greet.values("nodes/t/variables") == {"output": "Hello Bob"}


def test_failed_test_leaves_what_it_reached(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = DraftApp(client, runtime, owner, BROKEN)

    events = app.run(inputs={"name": "Ada"})

    assert events[-1]["data"]["status"] == "failed"
    assert app.values("nodes/t/variables") == {"output": "Hello Ada"}
    assert app.values("nodes/e/variables") == {}


def test_variables_belong_to_the_account_that_made_the_test(greet: DraftApp, runtime: Runtime) -> None:
    other = make_member(runtime, greet.owner, Role.EDITOR)
    greet.run(inputs={"name": "Ada"})
    greet.run(caller=other, inputs={"name": "Bob"})
    row_id = greet.id_of("nodes/s/variables", "name")

    seen = greet.call("GET", "workflows/draft/nodes/s/variables", caller=other).json["items"]
    foreign = greet.call("GET", f"workflows/draft/variables/{row_id}", caller=other)
    greet.call("DELETE", "workflows/draft/variables", caller=other)

    assert {item["name"]: item["value"] for item in seen} == {"name": "Bob", "age": None}
    assert (foreign.status_code, foreign.json["code"]) == (404, "not_found")
    assert greet.values("nodes/s/variables") == {"name": "Ada", "age": None}


def test_variable_is_edited_reset_and_deleted(greet: DraftApp) -> None:
    greet.run(inputs={"name": "Ada", "age": 36})
    path = f"workflows/draft/variables/{greet.id_of('nodes/s/variables', 'age')}"

    edited = greet.call("PATCH", path, value=40)
    refused = greet.call("PATCH", path, value="forty")
    reset = greet.call("PUT", f"{path}/reset")
    deleted = greet.call("DELETE", path)

    assert (edited.json["value"], edited.json["edited"]) == (40, True)
    assert (refused.status_code, refused.json["message"]) == (400, "value: must be of type number")
    assert (reset.json["value"], reset.json["edited"]) == (36, False)
    assert deleted.status_code == 204
    assert greet.values("nodes/s/variables") == {"name": "Ada"}
    assert greet.call("GET", path).status_code == 404
    assert greet.call("PUT", f"{path}/reset").status_code == 404


def test_variable_is_renamed_unless_the_name_is_taken(greet: DraftApp) -> None:
    greet.run(inputs={"name": "Ada", "age": 36})
    path = f"workflows/draft/variables/{greet.id_of('nodes/s/variables', 'age')}"
    system = f"workflows/draft/variables/{greet.id_of('system-variables', 'app_id')}"

    taken = greet.call("PATCH", path, name="name")
    bad = greet.call("PATCH", path, name="a.b")
    of_system = greet.call("PATCH", system, name="other")
    renamed = greet.call("PATCH", path, name="years")

    assert {answer.status_code for answer in (taken, bad, of_system)} == {400}
    assert (renamed.json["selector"], renamed.json["value"]) == (["s", "years"], 36)
    assert greet.get(f"variables/{renamed.json['id']}").json["name"] == "years"
    assert set(greet.values("nodes/s/variables")) == {"name", "years"}


def test_variable_that_no_known_run_left_is_gone_when_reset(greet: DraftApp) -> None:
    greet.run(inputs={"name": "Ada", "age": 36})
    path = f"workflows/draft/variables/{greet.id_of('nodes/s/variables', 'age')}"
    renamed = greet.call("PATCH", path, name="years").json["id"]

    reset = greet.call("PUT", f"workflows/draft/variables/{renamed}/reset")

    assert reset.status_code == 204
    assert greet.values("nodes/s/variables") == {"name": "Ada"}


def test_system_variable_is_reset_to_what_the_run_brought(greet: DraftApp) -> None:
    greet.run(inputs={"name": "Ada"})
    path = f"workflows/draft/variables/{greet.id_of('system-variables', 'user_id')}"

    greet.call("PATCH", path, value="somebody")
    edited = greet.values("system-variables")["user_id"]
    reset = greet.call("PUT", f"{path}/reset").json

    assert (edited, reset["value"], reset["type"]) == ("somebody", greet.owner.account_id, "sys")


def test_variables_of_a_node_are_forgotten(greet: DraftApp) -> None:
    greet.run(inputs={"name": "Ada"})

    forgotten = greet.call("DELETE", "workflows/draft/nodes/s/variables")

    assert forgotten.status_code == 204
    assert greet.values("nodes/s/variables") == {}
    assert greet.values("nodes/t/variables") == {"output": "Hello Ada"}


def test_conversation_variable_is_there_before_any_test(chatflow: DraftApp) -> None:
    (before,) = chatflow.get("conversation-variables").json["items"]
    chatflow.run(query="one")
    (after,) = chatflow.get("conversation-variables").json["items"]
    path = f"workflows/draft/variables/{after['id']}"
    edited = chatflow.call("PATCH", path, value=["x"]).json
    refused = chatflow.call("PATCH", path, value=[1])
    reset = chatflow.call("PUT", f"{path}/reset").json

    assert (before["value"], before["description"], before["type"]) == (
        ["hi"],
        "All of it.",
        "conversation",
    )
    assert (after["id"], after["value"], after["value_type"]) == (
        before["id"],
        ["hi", "one"],
        "array[string]",
    )
    assert (edited["value"], edited["edited"]) == (["x"], True)
    assert refused.status_code == 400
    assert reset == before


def test_untouched_conversation_variable_can_be_edited(chatflow: DraftApp) -> None:
    (before,) = chatflow.get("conversation-variables").json["items"]

    edited = chatflow.call("PATCH", f"workflows/draft/variables/{before['id']}", value=["mine"]).json

    assert edited == {**before, "value": ["mine"], "edited": True}
    assert chatflow.values("conversation-variables") == {"said": ["mine"]}
    assert chatflow.get("variables").json["total"] == 1


def test_first_two_edits_of_a_variable_at_once_are_both_taken(
    chatflow: DraftApp, house: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/console/api/apps/{chatflow.id}/workflows/draft/variables"
    path = f"{path}/{chatflow.id_of('conversation-variables', 'said')}"
    both, scope_of = threading.Barrier(2, timeout=30), workflows.access_draft

    def meet(session: Session, app: App) -> Workflow:
        both.wait()
        return scope_of(session, app)

    def edit(value: str) -> int:
        answer = house.test_client().patch(path, json={"value": [value]}, headers=chatflow.owner.headers)
        return answer.status_code

    monkeypatch.setattr(draft_variables, "access_draft", meet)
    with ThreadPoolExecutor() as pool:
        assert set(pool.map(edit, ("one", "two"))) == {200}
    monkeypatch.undo()

    assert chatflow.values("conversation-variables")["said"] in (["one"], ["two"])


def test_secrets_are_shown_and_kept_as_masks(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    graph = {
        "nodes": [GREET["nodes"][0], template("t", "{{ key }}", key="env.key"), GREET["nodes"][2]],
        "edges": GREET["edges"],
    }
    app = DraftApp(client, runtime, owner, graph, environment_variables=[KEY])
    app.run(inputs={"name": "Ada"})

    (shown,) = app.get("environment-variables").json["items"]

    assert (shown["value"], shown["type"], shown["selector"]) == ("*" * 20, "env", ["env", "key"])
    assert app.values("nodes/t/variables") == {"output": "********"}


def test_long_value_is_cut_and_says_how_long_it_is(greet: DraftApp) -> None:
    greet.run(inputs={"name": "A" * 150_000})

    item = next(item for item in greet.get("variables").json["items"] if item["name"] == "name")
    shown = greet.get(f"variables/{item['id']}").json

    assert item["is_truncated"] is shown["is_truncated"] is True
    assert len(shown["value"]) == 100_001
    assert shown["full_content"] == {
        "size_bytes": 150_002,
        "value_type": "string",
        "length": 150_000,
        "download_url": None,
    }


def test_app_without_a_draft_has_no_variables(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = DraftApp(client, runtime, owner, GREET)
    chat = DraftApp(client, runtime, owner, REMEMBER, mode="advanced-chat", conversation_variables=[SAID])

    assert app.get("variables").json == {"items": [], "total": 0}
    assert app.get("conversation-variables").json == {"items": []}
    assert chat.get("variables/c0ffee00-0000-4000-8000-000000000000").status_code == 404
    assert chat.get("variables/nothing").status_code == 404
