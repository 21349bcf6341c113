"""Workflows as tools, over HTTP: offered, called by others, as deep as is allowed."""

import io
import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.core.model_runtime.types import Role
from api.models.workflow import WorkflowRun
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.service_api.test_agents import ask, calls, history, make_agent, stream
from tests.controllers.service_api.test_moderation import INPUTS, OUTPUTS, keywords
from tests.factories import BUILTIN, Owner, make_app, make_chat_app, make_key, make_owner
from tests.flows import drawn, edges, template
from tests.online import reachable
from tests.servers import Reply, ScriptedServer, Step
from tests.statements import count_statements
from tests.uploads import PNG, uploaded
from tests.waiting import wait_until

W = "/console/api/workspaces/current"
TOOLS = f"{W}/tool-provider/workflow"
NAME = {"variable": "name", "label": "Name", "type": "text-input", "required": True, "max_length": 50}
LIST = {"variable": "docs", "label": "Files", "type": "file-list", "required": False, "max_length": 5}


def greeter(greeting: str = "Hello", *more: Any, ways: str = "s > t > e") -> dict[str, Any]:
    """Return a workflow that greets whom it is told to, and gives back the files it was given."""
    said = [{"variable": "said", "value_selector": ["t", "output"], "value_type": "string"}]
    nodes: list[Any] = [
        drawn("s", "start", variables=[NAME, LIST]),
        template("t", f"{greeting} {{{{ name }}}}", name="s.name"),
        drawn("e", "end", outputs=[*said, {"variable": "docs", "value_selector": ["s", "docs"]}]),
        *more,
    ]
    return {"nodes": nodes, "edges": edges(ways)}


def caller(tool_id: str, **parameters: Any) -> dict[str, Any]:
    """Return a workflow that calls one as a tool, with a name unless other parameters are given."""
    chosen = parameters or {"name": {"type": "mixed", "value": "{{#s.who#}}"}}
    tool = {"provider_type": "workflow", "provider_id": tool_id, "tool_name": "greet"}
    outputs = [
        {"variable": name, "value_selector": ["t", name]} for name in ("text", "json", "said", "files")
    ]
    nodes: list[Any] = [
        drawn("s", "start", variables=[{**NAME, "variable": "who"}]),
        drawn("t", "tool", tool_parameters=chosen, **tool),
        drawn("e", "end", outputs=outputs),
    ]
    return {"nodes": nodes, "edges": edges("s > t > e")}


def published(client: FlaskClient, runtime: Runtime, owner: Owner, graph: object, **draft: Any) -> DraftApp:
    """Return an app whose workflow is published."""
    app = DraftApp(client, runtime, owner, graph, **draft)
    assert app.call("POST", "workflows/publish").status_code == 200
    return app


def offer(app: DraftApp, path: str = "create", **values: Any) -> Any:
    """Offer an app's workflow as the tool ``greet``."""
    said = {"name": "name", "description": "Whom to greet.", "form": "llm"}
    body = {
        "workflow_app_id": app.id,
        "name": "greet",
        "label": "Greeter",
        "description": "Greets somebody.",
        "icon": {"background": "#fff", "content": "👋"},
        "parameters": [said],
        "privacy_policy": "none",
        "labels": ["utilities"],
        **values,
    }
    return app.client.post(f"{TOOLS}/{path}", json=body, headers=app.owner.headers)


def shown(app: DraftApp, **query: Any) -> Any:
    """Return the app's tool as it is shown."""
    asked = query or {"workflow_app_id": app.id}
    return app.client.get(f"{TOOLS}/get", query_string=asked, headers=app.owner.headers)


def offered(
    client: FlaskClient, runtime: Runtime, owner: Owner, graph: object, **draft: Any
) -> tuple[DraftApp, str]:
    """Return an app that is a tool, and the tool's id."""
    app = published(client, runtime, owner, graph, **draft)
    answer = offer(app)
    assert answer.get_json() == {"result": "success"}, answer.text
    return app, shown(app).get_json()["workflow_tool_id"]


def runs_of(runtime: Runtime, app_id: str) -> list[WorkflowRun]:
    with runtime.reading() as session:
        return list(session.scalars(select(WorkflowRun).where(WorkflowRun.app_id == app_id)))


def test_workflow_is_offered_called_brought_up_to_date_and_withdrawn(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app, tool_id = offered(client, runtime, owner, greeter())
    found = shown(app, workflow_tool_id=tool_id).get_json()
    assert found == shown(app).get_json()
    assert (found["name"], found["workflow_app_id"], found["synced"]) == ("greet", app.id, True)
    assert found["parameters"] == [
        {"name": "name", "description": "Whom to greet.", "form": "llm", "type": "string", "required": True},
        {"name": "docs", "description": "", "form": "llm", "type": "files", "required": False},
    ]
    assert found["tool"]["output_schema"]["properties"]["said"]["type"] == "string"
    (listed,) = client.get(f"{W}/tools/workflow", headers=owner.headers).get_json()
    assert (listed["id"], listed["type"], listed["tools"]) == (tool_id, "workflow", [found["tool"]])
    query = {"workflow_tool_id": tool_id}
    tools = client.get(f"{TOOLS}/tools", query_string=query, headers=owner.headers).get_json()
    assert tools == listed["tools"]
    assert app.call("GET", "workflows/draft").get_json()["tool_published"] is True

    outer = DraftApp(client, runtime, owner, caller(tool_id))
    ended = outer.run(inputs={"who": "Ada"})[-1]["data"]
    assert ended["outputs"]["said"] == "Hello Ada"
    assert ended["outputs"]["json"] == [{"said": "Hello Ada", "docs": None}]
    (inner,) = runs_of(runtime, app.id)
    assert (inner.status, inner.inputs["name"], inner.outputs) == (
        "succeeded",
        "Ada",
        {"said": "Hello Ada", "docs": None},
    )
    assert (inner.triggered_from, inner.invoke_from) == ("debugging", "debugger")
    assert inner.from_account_id == owner.account_id
    rows = app.call("GET", f"workflow-runs/{inner.id}/node-executions").get_json()["data"]
    assert [row["node_id"] for row in rows] == ["e", "t", "s"]
    assert app.get("variables").json["items"] == []

    first = app.call("GET", "workflows/publish").get_json()["id"]
    draft = app.call("GET", "workflows/draft").get_json()
    app.call("POST", "workflows/draft", graph=greeter("Good day"), hash=draft["hash"])
    assert app.call("POST", "workflows/publish").status_code == 200
    assert shown(app).get_json()["synced"] is False
    assert outer.run(inputs={"who": "Ada"})[-1]["data"]["outputs"]["said"] == "Hello Ada"
    refused = app.call("DELETE", f"workflows/{first}")
    assert (refused.status_code, "offered as a tool" in refused.get_json()["message"]) == (400, True)
    assert offer(app, "update", workflow_tool_id=tool_id).status_code == 200
    assert shown(app).get_json()["synced"] is True
    assert outer.run(inputs={"who": "Ada"})[-1]["data"]["outputs"]["said"] == "Good day Ada"
    assert app.call("DELETE", f"workflows/{first}").status_code == 204

    assert client.post(f"{TOOLS}/delete", json=query, headers=owner.headers).status_code == 200
    assert shown(app).status_code == 404
    assert "is not installed here" in outer.run(inputs={"who": "Ada"})[-1]["data"]["error"]


def test_call_of_an_end_user_is_one_of_the_api(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app, tool_id = offered(client, runtime, owner, greeter())
    outer = published(client, runtime, owner, caller(tool_id))
    headers = {"Authorization": f"Bearer {make_key(runtime, owner, outer.id)}"}
    body = {"inputs": {"who": "Ada"}, "user": "guest-7", "response_mode": "blocking"}

    answer = client.post("/v1/workflows/run", json=body, headers=headers)

    assert answer.get_json()["data"]["outputs"]["said"] == "Hello Ada", answer.text
    (inner,), (run,) = runs_of(runtime, app.id), runs_of(runtime, outer.id)
    assert (inner.triggered_from, inner.invoke_from) == ("app-run", "service-api")
    assert inner.from_end_user_id == run.from_end_user_id is not None
    (listed,) = app.call("GET", "workflow-runs?triggered_from=app-run").get_json()["data"]
    assert (listed["id"], listed["status"]) == (inner.id, "succeeded")


def test_tool_is_of_one_workspace_and_an_app_is_one_tool(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app, tool_id = offered(client, runtime, owner, greeter())
    again, other = offer(app, name="again"), offer(published(client, runtime, owner, greeter()))
    for refused, field in ((again, "workflow_app_id"), (other, "name")):
        assert (refused.status_code, refused.get_json()["details"]) == (
            400,
            {"field": field, "type": "duplicate"},
        )
    stranger = make_owner(runtime)
    theirs = DraftApp(client, runtime, stranger, caller(tool_id))
    assert "is not installed here" in theirs.run(inputs={"who": "Ada"})[-1]["data"]["error"]
    assert shown(theirs, workflow_tool_id=tool_id).status_code == 404
    assert shown(theirs, workflow_app_id=app.id).status_code == 404
    assert offer(theirs, workflow_app_id=app.id).status_code == 404
    assert offer(theirs, "update", workflow_tool_id=tool_id).status_code == 404
    sent = {"workflow_tool_id": tool_id}
    assert client.post(f"{TOOLS}/delete", json=sent, headers=stranger.headers).status_code == 404
    client.delete(f"/console/api/apps/{app.id}", headers=owner.headers)
    assert client.get(f"{W}/tools/workflow", headers=owner.headers).get_json() == []


def test_workflow_that_calls_itself_ends_at_the_depth_that_is_allowed(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app, tool_id = offered(client, runtime, owner, greeter())
    tool = {"provider_type": "workflow", "provider_id": tool_id, "tool_name": "greet"}
    name = {"name": {"type": "mixed", "value": "{{#s.name#}}"}}
    itself = greeter("Hi", drawn("c", "tool", tool_parameters=name, **tool), ways="s > c > t > e")
    draft = app.call("GET", "workflows/draft").get_json()
    app.call("POST", "workflows/draft", graph=itself, hash=draft["hash"])
    app.call("POST", "workflows/publish")
    assert offer(app, "update", workflow_tool_id=tool_id).status_code == 200
    outer = DraftApp(client, runtime, owner, caller(tool_id))

    ended = outer.run(inputs={"who": "Ada"})[-1]["data"]

    assert (ended["status"], "more than 5 deep" in ended["error"]) == ("failed", True)
    assert [run.status for run in runs_of(runtime, app.id)] == ["failed"] * 5


def test_tokens_and_files_of_a_workflow_are_its_callers(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    prompt = [{"role": "user", "text": "Who is {{#s.name#}}?"}]
    model = drawn("m", "llm", model=BUILTIN, prompt_template=prompt, context={"enabled": False})
    app, tool_id = offered(client, runtime, owner, greeter("Hello", model, ways="s > m > t > e"))
    files = [{"type": "image", "transfer_method": "remote_url", "url": "https://pics.example/a.png"}]
    graph = caller(
        tool_id,
        name={"type": "variable", "value": ["s", "who"]},
        docs={"type": "variable", "value": ["s", "given"]},
    )
    graph["nodes"][0]["data"]["variables"] += [{**LIST, "variable": "given"}]
    ended = DraftApp(client, runtime, owner, graph).run(inputs={"who": "Ada", "given": files})[-1]["data"]

    (inner,) = runs_of(runtime, app.id)
    assert ended["status"] == "succeeded", ended
    assert inner.total_tokens > 0
    assert ended["total_tokens"] == inner.total_tokens
    assert [file["remote_url"] for file in ended["outputs"]["files"]] == ["https://pics.example/a.png"]


def test_file_a_tool_made_is_read_inside(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    made = Reply(headers={"Content-Type": "text/plain", "Content-Disposition": "attachment"}, body=b"Ahoy")
    with ScriptedServer(made) as server, reachable(house, server):
        inner = greeter(
            "Hello",
            drawn("d", "document-extractor", variable_selector=["s", "docs"], is_array_file=True),
            ways="s > d > t > e",
        )
        inner["nodes"][1] = template("t", "{{ x }}", x="d.text")
        _, tool_id = offered(client, runtime, owner, inner)
        docs = {"type": "variable", "value": ["h", "files"]}
        graph = caller(tool_id, name={"type": "constant", "value": "x"}, docs=docs)
        url = {"type": "constant", "value": f"{server.url}/a.txt"}
        tool = {"provider_type": "builtin", "provider_id": "http", "tool_name": "request"}
        graph["nodes"].append(drawn("h", "tool", tool_parameters={"url": url}, **tool))
        graph["edges"] = edges("s > h > t > e")
        ended = DraftApp(client, runtime, owner, graph).run(inputs={"who": "Ada"})[-1]["data"]

    assert ended["status"] == "succeeded", ended
    assert "Ahoy" in ended["outputs"]["said"]


def test_stop_reaches_the_workflow_that_is_called(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    with ScriptedServer(Reply(steps=[b"x", Step.HANG])) as server, reachable(house, server):
        wait = drawn(
            "h", "http-request", method="get", url=f"{server.url}/", authorization={"type": "no-auth"}
        )
        app, tool_id = offered(client, runtime, owner, greeter("Hello", wait, ways="s > h > t > e"))
        outer = DraftApp(client, runtime, owner, caller(tool_id))
        ended: list[Any] = []
        running = threading.Thread(target=lambda: ended.extend(outer.run(inputs={"who": "Ada"})))
        running.start()
        wait_until(lambda: bool(server.seen))
        (run,) = runs_of(runtime, outer.id)
        assert outer.call("POST", f"workflow-runs/tasks/{run.task_id}/stop").status_code == 200
        running.join(30.0)
        assert server.wait_for_hangup(30.0)

    assert ended[-1]["data"]["status"] == "stopped"
    assert [each.status for each in runs_of(runtime, app.id)] == ["stopped"]


@ONCE
def test_failure_inside_is_told_outside(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app, tool_id = offered(client, runtime, owner, greeter("{% if %}"))
    outer = DraftApp(client, runtime, owner, caller(tool_id))
    long = outer.run(inputs={"who": "x" * 50})[-1]["data"]
    missing = DraftApp(client, runtime, owner, caller(tool_id, docs={"type": "constant", "value": []}))

    assert (long["status"], "failed:" in long["error"]) == ("failed", True)
    assert [run.status for run in runs_of(runtime, app.id)] == ["failed"]
    assert "'name' is required" in missing.run(inputs={"who": "x"})[-1]["data"]["error"]


@ONCE
def test_workflow_is_moderated_by_its_own_features_and_ends_nothing_else(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    avoidance = keywords("bomb", "Hello Ida", inputs_config=INPUTS, outputs_config=OUTPUTS)
    app, tool_id = offered(
        client, runtime, owner, greeter(), features={"sensitive_word_avoidance": avoidance}
    )
    graph = caller(tool_id)
    provided = {"error_strategy": "default-value", "default_value": [{"key": "text", "value": "nothing"}]}
    graph["nodes"][1]["data"].update(provided)
    outer, stopping = (
        DraftApp(client, runtime, owner, graph),
        DraftApp(client, runtime, owner, caller(tool_id)),
    )

    def ran(flow: DraftApp, who: str) -> tuple[str, Any, str]:
        end = flow.run(inputs={"who": who})[-1]["data"]
        return end["status"], end["outputs"].get("text"), end["error"] or ""

    refused, unsaid = str(INPUTS["preset_response"]), str(OUTPUTS["preset_response"])
    for who, said in (("A bomb", refused), ("Ida", unsaid)):
        status, _, error = ran(stopping, who)
        assert (status, said in error) == ("failed", True)
    assert [ran(outer, who)[:2] for who in ("A bomb", "Ida")] == [("partial-succeeded", "nothing")] * 2
    status, text, _ = ran(stopping, "Ada")
    assert (status, "Hello Ada" in text) == ("succeeded", True)
    inner = sorted((run.status, run.error or "") for run in runs_of(runtime, app.id))
    assert inner == sorted([("succeeded", ""), *[("stopped", refused)] * 2, *[("stopped", unsaid)] * 2])
    assert "Hello Ida" not in str([run.outputs for run in runs_of(runtime, app.id)])


@ONCE
@pytest.mark.parametrize(
    ("values", "status", "field"),
    [
        ({"name": "with-dash"}, 400, "name"),
        ({"parameters": [{"name": "other"}]}, 400, "parameters"),
        ({"parameters": [{"name": "name"}, {"name": "name"}]}, 400, "parameters"),
        ({"parameters": [{"name": "name", "form": "x"}]}, 400, "parameters"),
        ({"parameters": [7]}, 400, "parameters"),
        ({"icon": {"content": "x" * 5000}}, 400, "icon"),
        ({"workflow_app_id": "c0ffee00-0000-4000-8000-000000000000"}, 404, None),
    ],
)
def test_what_is_no_tool_is_refused(
    client: FlaskClient,
    runtime: Runtime,
    owner: Owner,
    values: dict[str, Any],
    status: int,
    field: str | None,
) -> None:
    answer = offer(published(client, runtime, owner, greeter()), **values)

    assert answer.status_code == status, answer.text
    assert (answer.get_json().get("details") or {}).get("field") == field


@ONCE
def test_only_a_published_workflow_can_be_a_tool(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    app = DraftApp(client, runtime, owner, greeter())
    chat = make_app(runtime, owner, mode="chat")

    assert offer(app).get_json()["message"] == "Workflow not published"
    assert offer(app, workflow_app_id=chat).get_json()["details"]["field"] == "workflow_app_id"
    assert shown(app).status_code == 404
    asked = client.get(f"{TOOLS}/get", headers=owner.headers)
    assert (asked.status_code, asked.get_json()["details"]["field"]) == (400, "workflow_tool_id")


def test_agent_calls_a_workflow_as_one_of_its_tools(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app, tool_id = offered(client, runtime, owner, greeter())
    tool = {"provider_type": "workflow", "provider_id": tool_id, "tool_name": "greet", "enabled": True}
    agent, script = make_agent(runtime, owner, [calls(("greet", {"name": "Ada"}))], ["Done."], tools=[tool])

    answer = ask(client, agent).get_json()

    assert answer["answer"] == "Done."
    (thought, _) = answer["agent_thoughts"]
    assert thought["observation"] == '{"said": "Hello Ada", "docs": null}'  # not again as JSON, and variables
    assert [run.status for run in runs_of(runtime, app.id)] == ["succeeded"]
    assert "docs" not in str(script.requests[0].tools[0].parameters)


OBJECT = {"variable": "obj", "label": "O", "type": "json_object", "required": True}
AT = {"dify_model_identity": "__dify__file__", "type": "image", "filename": "a.png"}


def echo() -> dict[str, Any]:
    """Return a workflow that gives back an object, which may look like a file."""
    outputs = [{"variable": "made", "value_selector": ["s", "obj"]}]
    nodes: list[Any] = [drawn("s", "start", variables=[OBJECT]), drawn("e", "end", outputs=outputs)]
    return {"nodes": nodes, "edges": edges("s > e")}


def test_agent_shows_files_of_a_workflow_that_are_its_users_own(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    app = published(client, runtime, owner, echo())
    assert offer(app, parameters=[]).status_code == 200
    tool_id = shown(app).get_json()["workflow_tool_id"]
    tool = {"provider_type": "workflow", "provider_id": tool_id, "tool_name": "greet", "enabled": True}
    stranger = make_chat_app(runtime, make_owner(runtime), file_upload={"enabled": True})
    foreign, address = uploaded(client, stranger), "https://example.com/a.png"
    theirs = {**AT, "id": foreign["id"], "related_id": foreign["id"], "transfer_method": "local_file"}
    remote = {**AT, "transfer_method": "remote_url", "remote_url": address}
    script = {**AT, "transfer_method": "remote_url", "remote_url": "javascript:alert(1)"}
    asked = calls(*(("greet", {"obj": value}) for value in (AT, theirs, script, remote)))
    agent, model = make_agent(runtime, owner, [asked], ["Done."], tools=[tool])

    events = stream(client, agent)
    (message,) = history(client, agent, events[0]["conversation_id"])

    observed = [one.text for one in model.requests[1].messages if one.role is Role.TOOL]
    assert observed[1] == "Invalid upload file"
    assert "must be an http(s) address" in observed[2]
    (made,) = [event for event in events if event["event"] == "message_file"]
    (file,) = message["message_files"]
    assert (made["id"], made["url"]) == (file["id"], file["url"]) == (address, address)
    assert (file["transfer_method"], file["upload_file_id"]) == ("remote_url", None)
    assert message["agent_thoughts"][0]["files"] == [address]

    picture = {"file": (io.BytesIO(PNG), "picture.png")}
    kept = client.post("/console/api/files/upload", data=picture, headers=owner.headers).get_json()["id"]
    mine = {**AT, "related_id": kept, "transfer_method": "local_file"}
    model.turns += [[calls(("greet", {"obj": mine}))], ["Done."]]
    body = {"query": "?", "inputs": {}, "response_mode": "blocking", "auto_generate_name": False}
    path = f"/console/api/installed-apps/{agent.id}/chat-messages"
    answer = client.post(path, json=body, headers=owner.headers).get_json()
    assert answer["agent_thoughts"][0]["files"] == [kept]


def test_tools_of_an_agent_are_found_by_two_statements(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    _, tool_id = offered(client, runtime, owner, greeter())
    by_name = {"provider_type": "workflow", "provider_name": "greet", "tool_name": "greet", "enabled": True}
    agent, script = make_agent(
        runtime, owner, ["One."], ["Two."], tools=[by_name, {**by_name, "provider_id": tool_id}, by_name]
    )
    ask(client, agent)

    with count_statements(runtime.engine) as statements:
        ask(client, agent)

    assert [tool.name for tool in script.requests[1].tools] == ["greet", "greet_greet", "greet_2"]
    found = [text for text in statements if "tool_providers" in text or "data_keys" in text]
    assert len(found) == 2
