"""What the console answers about workflows is what its own description says of it."""

from collections.abc import Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.controllers.http.openapi import to_openapi3
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.test_app_files import app_file
from tests.controllers.console.test_draft_variables import GREET, REMEMBER, SAID
from tests.controllers.console.test_node_runs import FLOW, KEY
from tests.controllers.described import body, check_answer, operations
from tests.controllers.test_triggers import hook
from tests.factories import Owner, make_app, make_chat_app
from tests.fakes import Script
from tests.sse import read_events

pytestmark = ONCE

TAGS = {
    *("workflows", "workflow_runs", "node_runs", "draft_variables", "triggers", "app_files"),
    *("conversation_logs", "statistics"),
}
CONSOLE = "/console/api"
HERE = "/apps/{app_id}"
DRAFT = f"{HERE}/workflows/draft"
KINDS = ("iteration", "loop")


class Desk:
    """Calls routes of the console by the name they have in its description, and checks each answer."""

    def __init__(self, client: FlaskClient, owner: Owner) -> None:
        self.client, self.owner = client, owner
        self.spec: dict[str, Any] = to_openapi3(body(client.get(f"{CONSOLE}/spec/swagger.json")))
        self.called: set[str] = set()

    def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, sent: Any = None, **ids: str
    ) -> Any:
        """Return what a route answers that is to succeed: its JSON, its events, or None."""
        name = f"{method} {path}"
        answer: TestResponse = self.client.open(
            CONSOLE + path.format(**ids),
            method=method,
            json=sent,
            query_string=query,
            headers=self.owner.headers,
            buffered=True,
        )
        assert answer.status_code < 300, f"{name}: {answer.text}"
        check_answer(self.spec, name, answer)
        self.called.add(name)
        return read_events(answer) if answer.mimetype == "text/event-stream" else answer.json

    def routes(self, tags: set[str]) -> set[str]:
        """Return the names of all routes of some namespaces."""
        return {name for name, said in operations(self.spec) if tags & set(said["tags"])}


@pytest.fixture
def desk(client: FlaskClient, owner: Owner) -> Desk:
    return Desk(client, owner)


def draw(desk: Desk, runtime: Runtime, graph: object, *, mode: str = "workflow", **draft: Any) -> str:
    """Make an app and save a draft of it; return its id."""
    app_id = make_app(runtime, desk.owner, mode=mode)
    sent = {"graph": graph, "conversation_variables": [], **draft}
    desk.call("POST", DRAFT, app_id=app_id, sent=sent)
    return app_id


def use_versions(desk: Desk, runtime: Runtime) -> None:
    """Draw a chatflow, publish it twice, and do with its versions what can be done."""
    app_id = draw(desk, runtime, REMEMBER, mode="advanced-chat", conversation_variables=[SAID])
    assert desk.call("GET", f"{HERE}/workflows/publish", app_id=app_id) is None
    first, _ = (desk.call("POST", f"{HERE}/workflows/publish", app_id=app_id, sent={}) for _ in range(2))
    version = {"app_id": app_id, "workflow_id": first["workflow_id"]}
    one = f"{HERE}/workflows/{{workflow_id}}"
    desk.call("GET", DRAFT, app_id=app_id)
    desk.call("GET", f"{HERE}/workflows/publish", app_id=app_id)
    desk.call("GET", f"{HERE}/workflows", app_id=app_id)
    desk.call("PATCH", one, sent={"marked_name": "First"}, **version)
    desk.call("POST", f"{one}/restore", **version)
    desk.call("DELETE", one, **version)
    assert desk.call("GET", "/spec/schema-definitions") == []
    desk.call("GET", f"{HERE}/workflows/default-workflow-block-configs", app_id=app_id)
    desk.call(
        "GET",
        f"{HERE}/workflows/default-workflow-block-configs/{{node_type}}",
        app_id=app_id,
        node_type="code",
    )


def use_runs(desk: Desk, runtime: Runtime) -> None:
    """Test a chatflow, look at its run, and run again a workflow that fails."""
    app_id = draw(desk, runtime, REMEMBER, mode="advanced-chat", conversation_variables=[SAID])
    chat = f"{HERE}/advanced-chat"
    told = desk.call("POST", f"{chat}/workflows/draft/run", app_id=app_id, sent={"query": "Hello"})
    run = {"app_id": app_id, "run_id": told[0]["workflow_run_id"]}
    for path in (HERE, chat):
        desk.call("GET", f"{path}/workflow-runs", app_id=app_id)
        desk.call("GET", f"{path}/workflow-runs/count", app_id=app_id)
    desk.call("GET", f"{HERE}/workflow-app-logs", app_id=app_id)
    assert desk.call("GET", f"{HERE}/workflow-archived-logs", app_id=app_id)["total"] == 0
    desk.call("GET", f"{HERE}/workflow-runs/{{run_id}}", **run)
    desk.call("GET", f"{HERE}/workflow-runs/{{run_id}}/node-executions", **run)
    for stop in ("workflow-runs/tasks", "chat-messages", "completion-messages"):
        desk.call("POST", f"{HERE}/{stop}/{{task_id}}/stop", app_id=app_id, task_id=told[0]["task_id"])
    failing = draw(desk, runtime, FLOW, environment_variables=[KEY])
    told = desk.call("POST", f"{DRAFT}/run", app_id=failing, sent={"inputs": {"name": "Ada"}})
    run = {"app_id": failing, "run_id": told[0]["workflow_run_id"]}
    desk.call("POST", f"{HERE}/workflow-runs/{{run_id}}/rerun", **run)
    desk.call("GET", f"{HERE}/workflow-runs/{{run_id}}", **run)
    desk.call("GET", f"{HERE}/workflow-runs/{{run_id}}/node-executions", **run)


def use_logs(desk: Desk, runtime: Runtime) -> None:
    """Chat, complete, and look at what was said, in the log and in the statistics."""
    for kind in ("chat", "completion"):
        app = make_chat_app(runtime, desk.owner, mode=kind, model=Script(["said"]).choice)
        asked = {"query": "one", "inputs": {}, "user": "ann", "auto_generate_name": False}
        made = desk.client.post(f"/v1/{kind}-messages", json=asked, headers=app.headers).get_json()
        annotation = {"message_id": made["message_id"], "question": "one", "answer": "two"}
        desk.client.post(f"{CONSOLE}/apps/{app.id}/annotations", json=annotation, headers=desk.owner.headers)
        (item,) = desk.call("GET", f"{HERE}/{kind}-conversations", app_id=app.id)["data"]
        one = {"app_id": app.id, "conversation_id": item["id"]}
        desk.call("GET", f"{HERE}/{kind}-conversations/{{conversation_id}}", **one)
        desk.call("DELETE", f"{HERE}/{kind}-conversations/{{conversation_id}}", **one)
        for path, name in (("statistics", "daily-messages"), ("workflow/statistics", "daily-terminals")):
            desk.call("GET", f"{HERE}/{path}/{{name}}", app_id=app.id, name=name)


def use_nodes(desk: Desk, runtime: Runtime) -> None:
    """Run single nodes of a draft."""
    app_id = draw(desk, runtime, FLOW, environment_variables=[KEY])
    for node_id in ("t", "bad"):  # one that succeeds, one that fails
        node: dict[str, Any] = {"app_id": app_id, "node_id": node_id}
        desk.call("POST", f"{DRAFT}/nodes/{{node_id}}/run", sent={"inputs": {"who": "Ada"}}, **node)
        desk.call("GET", f"{DRAFT}/nodes/{{node_id}}/last-run", **node)
    for kind in KINDS:
        for path in (HERE, f"{HERE}/advanced-chat"):
            desk.call(
                "POST",
                f"{path}/workflows/draft/{kind}/nodes/{{node_id}}/run",
                sent={"inputs": {"#t.rows#": ["a"]}},
                app_id=app_id,
                node_id=kind[0],
            )


def use_variables(desk: Desk, runtime: Runtime) -> None:
    """Look at what tests left beside a draft, change it, and forget it."""
    app_id = draw(desk, runtime, GREET, environment_variables=[KEY])
    desk.call("POST", f"{DRAFT}/run", app_id=app_id, sent={"inputs": {"name": "Ada", "age": 36}})
    for which in ("system-variables", "environment-variables"):
        assert desk.call("GET", f"{DRAFT}/{which}", app_id=app_id)["items"]
    desk.call("GET", f"{DRAFT}/variables", app_id=app_id)
    found = desk.call("GET", f"{DRAFT}/nodes/{{node_id}}/variables", app_id=app_id, node_id="s")["items"]
    assert {type(item["value"]) for item in found} == {str, int}
    variable = {"app_id": app_id, "variable_id": found[0]["id"]}
    one = f"{DRAFT}/variables/{{variable_id}}"
    desk.call("GET", one, **variable)
    desk.call("PATCH", one, sent={"value": found[0]["value"]}, **variable)
    desk.call("PUT", f"{one}/reset", **variable)
    desk.call("DELETE", one, **variable)
    desk.call("DELETE", f"{DRAFT}/nodes/{{node_id}}/variables", app_id=app_id, node_id="s")
    desk.call("DELETE", f"{DRAFT}/variables", app_id=app_id)
    chat_id = draw(desk, runtime, REMEMBER, mode="advanced-chat", conversation_variables=[SAID])
    (said,) = desk.call("GET", f"{DRAFT}/conversation-variables", app_id=chat_id)["items"]
    assert said["value"] == ["hi"]


def use_triggers(desk: Desk, runtime: Runtime) -> None:
    """Find a webhook, switch it, and try it out."""
    app_id = draw(desk, runtime, hook())
    desk.call("POST", f"{HERE}/workflows/publish", app_id=app_id, sent={})
    (trigger,) = desk.call("GET", f"{HERE}/triggers", app_id=app_id)["data"]
    switch = {"trigger_id": trigger["id"], "enable_trigger": False}
    desk.call("POST", f"{HERE}/trigger-enable", app_id=app_id, sent=switch)
    found = desk.call("GET", f"{HERE}/workflows/triggers/webhook", app_id=app_id, query={"node_id": "w"})
    tried = desk.client.post(f"/triggers/webhook-debug/{found['webhook_id']}", json={"text": "hi"})
    assert tried.status_code == 202
    desk.call("POST", f"{DRAFT}/trigger/run", app_id=app_id, sent={"node_id": "w"})


def use_files(desk: Desk) -> None:
    """Bring apps in as files, one of which has to wait, and take one out."""
    sent = [
        {"mode": "yaml-content", "yaml_content": app_file(**version)}
        for version in ({}, {"version": "0.6.0"})
    ]
    done, waits = (desk.call("POST", "/apps/imports", sent=file) for file in sent)
    assert (done["status"], waits["status"], waits["app_id"]) == ("completed", "pending", None)
    desk.call("POST", "/apps/imports/{import_id}/confirm", import_id=waits["id"])
    desk.call("GET", "/apps/imports/{app_id}/check-dependencies", app_id=done["app_id"])
    desk.call("GET", f"{HERE}/export", app_id=done["app_id"])


def test_every_answer_about_workflows_is_as_documented(desk: Desk, runtime: Runtime) -> None:
    use_versions(desk, runtime)
    use_runs(desk, runtime)
    use_logs(desk, runtime)
    use_nodes(desk, runtime)
    use_variables(desk, runtime)
    use_triggers(desk, runtime)
    use_files(desk)

    assert desk.called == desk.routes(TAGS)


def test_values_of_variables_are_described_as_any_json(desk: Desk) -> None:
    schemas = desk.spec["components"]["schemas"]

    assert "type" not in schemas["DraftVariable"]["properties"]["value"]
    assert "type" not in schemas["DraftVariableChange"]["properties"]["value"]
