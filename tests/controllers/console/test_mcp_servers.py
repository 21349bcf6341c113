"""Servers of tools (MCP) over HTTP: kept, asked, changed, called by workflows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.models.tool import ToolProvider
from api.runtime import Runtime
from api.services import own_tools
from tests.conftest import ONCE
from tests.controllers.console.flow_calls import DraftApp
from tests.factories import Owner, make_owner
from tests.flows import drawn, edges
from tests.mcp_double import TOKEN, WEATHER, MCPDouble, see_off, serving
from tests.online import reachable
from tests.servers import ScriptedServer

W = "/console/api/workspaces/current"
MCP = f"{W}/tool-provider/mcp"
UNKNOWN = "c0ffee00-0000-4000-8000-000000000000"


@contextmanager
def online(house: Flask, double: MCPDouble) -> Iterator[ScriptedServer]:
    """Serve, where the program can reach it."""
    with serving(double) as server, reachable(house, server) as runtime:
        yield server
        runtime.mcp_sessions.close()
        see_off()


def body(url: str, **values: Any) -> dict[str, Any]:
    return {
        "server_url": url,
        "name": "Weather office",
        "server_identifier": "weather",
        "icon": "⛅",
        "icon_type": "emoji",
        "icon_background": "#eef",
        "configuration": {"timeout": 20, "sse_read_timeout": 60},
        **values,
    }


def send(client: FlaskClient, owner: Owner, method: str, path: str = "", **sent: Any) -> Any:
    return client.open(f"{MCP}{path}", method=method, json=sent or None, headers=owner.headers)


def listed(client: FlaskClient, owner: Owner, path: str) -> Any:
    return client.get(f"{W}/{path}", headers=owner.headers).get_json()


def test_server_is_kept_used_changed_and_forgotten(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    double = MCPDouble(token=TOKEN)
    with online(house, double) as server:
        url = f"{server.url}{double.path}"
        made = send(client, owner, "POST", **body(url, authentication={"token": TOKEN}))
        assert made.status_code == 200, made.text
        first = made.get_json()
        assert (first["type"], first["is_team_authorization"]) == ("mcp", True)
        assert (first["server_url"], first["server_identifier"]) == (f"{server.url}/******", "weather")
        assert first["masked_headers"] == {"Authorization": "Bearer************89"}
        assert first["icon"] == {"background": "#eef", "content": "⛅"}
        (tool,) = first["tools"]
        assert (tool["name"], tool["label"]["en_US"]) == ("weather_now", "Weather")
        assert tool["parameters"][0]["required"] is True
        with runtime.reading() as session:
            (kept,) = session.scalars(select(ToolProvider).where(ToolProvider.tenant_id == owner.tenant_id))
        assert TOKEN.encode() not in kept.sealed + kept.details + kept.document.encode()

        (choice,) = listed(client, owner, "tools/mcp")
        assert (choice["id"], choice["tools"]) == ("weather", first["tools"])
        (entry,) = listed(client, owner, "tool-providers?type=mcp")
        assert (entry["id"], entry["tools"]) == (first["id"], [])

        called = run(client, runtime, owner, "weather")
        assert called["outputs"] == {
            "text": "Clear in Oslo.",
            "json": [{"sky": "clear", "city": "Oslo"}],
            "files": [],
        }
        double.tools = [WEATHER, {"name": "tides"}]
        changed = body(first["server_url"], name="Office", headers=first["masked_headers"])
        assert send(client, owner, "PUT", provider_id=first["id"], **changed).status_code == 200
        assert len(shown(client, owner, first["id"])["tools"]) == 1
        asked = send(client, owner, "GET", f"/update/{first['id']}").get_json()
        assert [each["name"] for each in asked["tools"]] == ["weather_now", "tides"]
        assert asked["label"]["en_US"] == "Office"
        assert run(client, runtime, owner, first["id"], "weather.now")["status"] == "succeeded"

        assert send(client, owner, "DELETE", provider_id=first["id"]).status_code == 200
        assert listed(client, owner, "tools/mcp") == []
        assert "is not installed here" in run(client, runtime, owner, "weather")["error"]


def shown(client: FlaskClient, owner: Owner, server_id: str) -> Any:
    return send(client, owner, "GET", f"/tools/{server_id}").get_json()


def run(
    client: FlaskClient, runtime: Runtime, owner: Owner, provider: str, tool: str = "weather_now"
) -> dict[str, Any]:
    """Run a workflow of one tool; return how it ended."""
    outputs: list[Any] = [
        {"variable": name, "value_selector": ["t", name]} for name in ("text", "json", "files")
    ]
    named = {"provider_type": "mcp", "provider_id": provider, "tool_name": tool}
    city = {"city": {"type": "constant", "value": "Oslo"}}
    nodes: list[Any] = [
        drawn("s", "start", variables=[]),
        drawn("t", "tool", tool_parameters=city, **named),
        drawn("e", "end", outputs=outputs),
    ]
    app = DraftApp(client, runtime, owner, {"nodes": nodes, "edges": edges("s > t > e")})
    finished: dict[str, Any] = app.run(inputs={})[-1]["data"]
    return finished


def test_server_that_wants_a_key_is_let_in_later(house: Flask, client: FlaskClient, owner: Owner) -> None:
    double = MCPDouble("older", token=TOKEN)
    with online(house, double) as server:
        url = f"{server.url}{double.path}"
        made = send(client, owner, "POST", **body(url)).get_json()
        assert (made["is_team_authorization"], made["tools"]) == (False, [])
        refused = send(client, owner, "POST", "/auth", provider_id=made["id"])
        assert (refused.status_code, refused.get_json()["details"]["field"]) == (400, "headers")

        headers = {"Authorization": f"Bearer {TOKEN}", "X-Team": "harbour"}
        changed = body("[__HIDDEN__]", headers=headers)
        assert send(client, owner, "PUT", provider_id="weather", **changed).status_code == 200
        assert send(client, owner, "POST", "/auth", provider_id="weather").status_code == 200
        now = shown(client, owner, "weather")
        assert (now["is_team_authorization"], len(now["tools"])) == (True, 1)
        assert now["masked_headers"]["X-Team"] == "*" * 20
        double.token = "another"
        assert send(client, owner, "GET", f"/update/{made['id']}").status_code == 400
        after = shown(client, owner, made["id"])
        assert (after["is_team_authorization"], len(after["tools"])) == (False, 1)


def test_server_belongs_to_its_workspace_and_its_headers_to_its_address(
    house: Flask, client: FlaskClient, owner: Owner
) -> None:
    double, other = MCPDouble("json", token=TOKEN), MCPDouble("json")
    with online(house, double) as server, serving(other) as elsewhere:
        url = f"{server.url}/mcp"
        mine = send(
            client, owner, "POST", **body(url, headers={"Authorization": f"Bearer {TOKEN}"})
        ).get_json()
        taken = send(client, owner, "POST", **body(url))
        stranger = make_owner(house.extensions["runtime"])
        for method, path, sent in (
            ("GET", f"/tools/{mine['id']}", {}),
            ("GET", f"/update/{mine['id']}", {}),
            ("POST", "/auth", {"provider_id": mine["id"]}),
            ("DELETE", "", {"provider_id": mine["id"]}),
            ("PUT", "", {"provider_id": mine["id"], **body(url)}),
        ):
            assert send(client, stranger, method, path, **sent).status_code == 404
        for headers in (mine["masked_headers"], None):
            moved = send(
                client, owner, "PUT", provider_id="weather", **body(f"{elsewhere.url}/mcp", headers=headers)
            )
            assert (moved.status_code, moved.get_json()["details"]["field"]) == (400, "headers")

    assert (taken.status_code, taken.get_json()["details"]) == (
        400,
        {"field": "server_identifier", "type": "duplicate"},
    )
    assert elsewhere.seen == []


@ONCE
def test_server_that_cannot_be_asked_is_told_and_not_kept(
    house: Flask, client: FlaskClient, owner: Owner
) -> None:
    future = MCPDouble("json")
    future.version = "2099-01-01"
    with online(house, future) as server:
        no_server = send(client, owner, "POST", **body(f"{server.url}/nothing", server_identifier="a"))
    closed = send(client, owner, "POST", **body("http://127.0.0.1:1/mcp"))
    inside = send(client, owner, "POST", **body("http://10.0.0.1/mcp"))

    for answer in (no_server, closed, inside):
        assert answer.status_code == 400, answer.text
    assert no_server.get_json()["details"]["field"] == "server_url"
    assert "2099-01-01" in no_server.get_json()["message"]
    assert inside.get_json()["code"] == "egress_denied"
    assert listed(client, owner, "tool-providers?type=mcp") == []


@ONCE
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"server_url": "ftp://x"}, "server_url"),
        ({"server_url": "http://[::1"}, "server_url"),
        ({"server_url": "http://x:99999/"}, "server_url"),
        ({"server_url": "[__HIDDEN__]"}, "server_url"),
        ({"name": " "}, "name"),
        ({"server_identifier": "With Blanks"}, "server_identifier"),
        ({"icon_type": "photo"}, "icon_type"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"X": "a\nb"}}, "headers"),
        ({"headers": {"X": 7}}, "headers"),
        ({"configuration": {"timeout": 0}}, "configuration.timeout"),
        ({"configuration": {"sse_read_timeout": "x"}}, "configuration.sse_read_timeout"),
        ({"authentication": {"client_id": "x"}}, "authentication"),
        ({"authentication": {"token": 7}}, "authentication.token"),
    ],
)
def test_what_is_no_server_is_refused_by_field(
    client: FlaskClient, owner: Owner, values: dict[str, object], field: str
) -> None:
    answer = send(client, owner, "POST", **body("https://tools.example/mcp") | values)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)


@ONCE
def test_import_knows_the_tools_of_a_server(
    house: Flask, client: FlaskClient, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with online(house, MCPDouble("json")) as server:
        send(client, owner, "POST", **body(f"{server.url}/mcp"))
        monkeypatch.setattr(own_tools, "MAX_PROVIDERS", 1)
        full = send(client, owner, "POST", **body(f"{server.url}/mcp", server_identifier="b"))
    assert (full.status_code, full.get_json()["code"]) == (400, "limit_exceeded")
    named = {"provider_type": "mcp", "provider_id": "weather"}
    nodes = [drawn(name, "tool", tool_name=name, **named) for name in ("weather_now", "tides")]
    content = {
        "version": "0.5.0",
        "kind": "app",
        "app": {"name": "Tools", "mode": "workflow"},
        "workflow": {"graph": {"nodes": nodes, "edges": []}, "features": {}},
    }
    sent = {"mode": "yaml-content", "yaml_content": json.dumps(content)}
    done = client.post("/console/api/apps/imports", json=sent, headers=owner.headers).get_json()

    assert [(need["provider"], need["name"]) for need in done["missing"]] == [("weather", "tides")]
