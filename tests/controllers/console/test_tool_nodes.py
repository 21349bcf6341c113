"""Tools in workflows, over HTTP: built-in and custom ones run, and what an app lacks of them is told."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.core.ports import JSONObject
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.flow_calls import DraftApp
from tests.factories import Owner, make_owner
from tests.flows import drawn, edges
from tests.online import reachable
from tests.servers import Reply, ScriptedServer

API = "/console/api/workspaces/current/tool-provider/api"
SECRET = "planted-secret-key-0001"
CITY = {"variable": "city", "label": "City", "type": "text-input", "required": False, "max_length": 50}


def graph(**tool: Any) -> JSONObject:
    """Return a flow whose one tool gives its text, JSON and files."""
    outputs: list[Any] = [
        {"variable": name, "value_selector": ["t", name]} for name in ("text", "json", "files")
    ]
    named = {"provider_type": "builtin", "provider_id": "time", "tool_name": "current_time"}
    nodes: list[Any] = [
        drawn("s", "start", variables=[CITY]),
        drawn("t", "tool", **{**named, **tool}),
        drawn("e", "end", outputs=outputs),
    ]
    return {"nodes": nodes, "edges": edges("s > t > e")}


def run(app: DraftApp, **inputs: Any) -> dict[str, Any]:
    """Run the draft; return how it ended."""
    finished: dict[str, Any] = app.run(inputs=inputs)[-1]["data"]
    return finished


def add_provider(client: FlaskClient, owner: Owner, url: str, name: str = "weather") -> str:
    """Keep a provider with one tool; return its id."""
    place = {"name": "city", "in": "query", "required": True, "schema": {"type": "string"}}
    units = {"name": "units", "in": "query", "schema": {"type": "string", "enum": ["C", "F"]}}
    operation = {"operationId": "getWeather", "parameters": [place, units]}
    paths = {"/w": {"get": operation}}
    body = {
        "provider": name,
        "credentials": {"auth_type": "api_key_query", "api_key_value": SECRET},
        "schema": json.dumps({"openapi": "3.0.0", "servers": [{"url": url}], "paths": paths}),
    }
    assert client.post(f"{API}/add", json=body, headers=owner.headers).status_code == 200
    listed = client.get("/console/api/workspaces/current/tool-providers?type=api", headers=owner.headers)
    found: str = next(each["id"] for each in listed.get_json() if each["name"] == name)
    return found


def test_built_in_tool_runs_with_what_its_author_set(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    configured = {"format": "%Z", "timezone": {"type": "mixed", "value": "Asia/{{#s.city#}}"}}
    app = DraftApp(
        client,
        runtime,
        owner,
        graph(provider_id="langgenius/time/time", tool_configurations=configured),
    )

    assert run(app, city="Shanghai")["outputs"] == {"text": "CST", "json": [], "files": []}
    failed = run(app, city="Atlantis")
    assert (failed["status"], "no time zone" in failed["error"]) == ("failed", True)


def test_custom_tool_runs_with_its_key(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    with ScriptedServer(Reply.of_json({"sky": "clear"})) as server, reachable(house, server):
        drawn_tool = {
            "provider_type": "api",
            "provider_id": add_provider(client, owner, server.url),
            "provider_name": "weather",
            "tool_name": "getWeather",
            "tool_parameters": {
                "city": {"type": "variable", "value": ["s", "city"]},
                "units": {"type": "constant", "value": "C"},
            },
        }
        app = DraftApp(client, runtime, owner, graph(**drawn_tool))
        first = run(app, city="Oslo & Rome")
        by_name = DraftApp(client, runtime, owner, graph(**{**drawn_tool, "provider_id": "weather"}))
        second = run(by_name, city="Rome")

    assert first["outputs"] == {"text": '{"sky": "clear"}', "json": [{"sky": "clear"}], "files": []}
    assert server.seen[0].target == f"/w?city=Oslo%20%26%20Rome&units=C&key={SECRET}"
    assert second["status"] == "succeeded"
    assert SECRET not in json.dumps([first, second])


def test_file_of_a_tool_is_kept_and_given(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    png = Reply(headers={"Content-Type": "image/png"}, body=b"\x89PNG\r\n\x1a\n")
    with ScriptedServer(png) as server, reachable(house, server):
        url = {"type": "constant", "value": f"{server.url}/cat.png"}
        tool = {"provider_id": "http", "tool_name": "request", "tool_parameters": {"url": url}}
        (file,) = run(DraftApp(client, runtime, owner, graph(**tool)))["outputs"]["files"]

    assert (file["filename"], file["type"], file["mime_type"], file["size"]) == (
        "cat.png",
        "image",
        "image/png",
        8,
    )


@pytest.mark.parametrize(
    ("tool", "fault"),
    [
        ({"provider_id": "none"}, "The tool none/current_time is not installed here."),
        ({"provider_id": "stranger/time/time"}, "The tool stranger/time/time/current_time is not installed"),
        ({"tool_name": "none"}, "The tool time/none is not installed here."),
        ({"provider_type": "api"}, "The tool time/current_time is not installed here."),
        ({"provider_type": "mcp"}, "The tool time/current_time is not installed here."),
        (
            {"provider_id": "searxng", "tool_name": "searxng_search", "tool_parameters": {"query": "x"}},
            "There are no credentials for SearXNG here.",
        ),
        ({"provider_id": "maths", "tool_name": "eval_expression"}, "'expression' is required"),
    ],
)
@ONCE
def test_tool_that_cannot_run_says_why(
    client: FlaskClient, runtime: Runtime, owner: Owner, tool: dict[str, Any], fault: str
) -> None:
    ended = run(DraftApp(client, runtime, owner, graph(**tool)))

    assert ended["status"] == "failed"
    assert fault in ended["error"]


def test_tool_of_another_workspace_is_none(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    foreign = add_provider(client, make_owner(runtime), "https://weather.example")
    tool = {
        "provider_type": "api",
        "provider_id": foreign,
        "provider_name": "weather",
        "tool_name": "getWeather",
    }

    assert "is not installed here" in run(DraftApp(client, runtime, owner, graph(**tool)))["error"]


def test_import_tells_which_tools_are_missing(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    add_provider(client, owner, "https://weather.example")
    elsewhere = "c0ffee00-0000-4000-8000-000000000000"

    def tool(node_id: str, kind: str, provider: str, name: str, **more: Any) -> JSONObject:
        return drawn(node_id, "tool", provider_type=kind, provider_id=provider, tool_name=name, **more)

    nodes: list[Any] = [
        drawn("s", "start", variables=[]),
        tool("a", "builtin", "time", "current_time"),
        tool("b", "builtin", "langgenius/time/time", "weekday"),
        tool("c", "builtin", "time", "moon_phase"),
        tool("d", "builtin", "google", "google_search"),
        tool("f", "api", elsewhere, "getWeather", provider_name="weather"),
        tool("g", "api", elsewhere, "getTides", provider_name="weather"),
        tool("h", "workflow", elsewhere, "flow"),
        tool("i", "builtin", "searxng", "searxng_search"),
    ]
    content = {
        "version": "0.5.0",
        "kind": "app",
        "app": {"name": "Tools", "mode": "workflow"},
        "workflow": {"graph": {"nodes": nodes, "edges": []}, "features": {}},
    }
    body = {"mode": "yaml-content", "yaml_content": json.dumps(content)}
    done = client.post("/console/api/apps/imports", json=body, headers=owner.headers).get_json()

    told = [(need["kind"], need["provider"], need["name"]) for need in done["missing"]]
    assert told == [
        ("tool", "time", "moon_phase"),
        ("tool", "google", "google_search"),
        ("tool", elsewhere, "getTides"),
        ("tool", elsewhere, "flow"),
    ]
    asked = client.get(
        f"/console/api/apps/imports/{done['app_id']}/check-dependencies", headers=owner.headers
    )
    assert asked.get_json()["missing"] == done["missing"]
