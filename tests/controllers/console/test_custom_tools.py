"""Custom tools over HTTP: kept, changed, tried out."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import QueuePool, event, select

from api.models.tool import ToolProvider
from api.runtime import Memory, Runtime
from api.services import own_tools
from tests.conftest import ONCE
from tests.factories import Owner, make_owner
from tests.flows import drawn
from tests.online import reachable
from tests.servers import Reply, ScriptedServer

T = TypeVar("T")
W = "/console/api/workspaces/current"
API = f"{W}/tool-provider/api"
SECRET = "planted-secret-key-0001"
MASKED = "plante************01"
KEY = {"auth_type": "api_key_header", "api_key_value": SECRET, "api_key_header_prefix": "bearer"}


def document(url: str = "https://pets.example", **operation: object) -> str:
    parameters = [{"name": "id", "in": "path", "schema": {"type": "integer"}}]
    pet = {"operationId": "getPet", "summary": "A pet", "parameters": parameters, **operation}
    return json.dumps({"openapi": "3.0.0", "servers": [{"url": url}], "paths": {"/pets/{id}": {"get": pet}}})


def provider(name: str = "pets", **values: object) -> dict[str, object]:
    icon = {"background": "#fff", "content": "🐶"}
    return {
        "provider": name,
        "credentials": KEY,
        "schema_type": "openapi",
        "schema": document(),
        "icon": icon,
        "labels": ["utilities"],
        "privacy_policy": "none",
        **values,
    }


def post(client: FlaskClient, owner: Owner, path: str, body: object) -> Any:
    return client.post(f"{API}/{path}", json=body, headers=owner.headers)


def shown(client: FlaskClient, owner: Owner, name: str = "pets") -> Any:
    return client.get(f"{API}/get", query_string={"provider": name}, headers=owner.headers)


def test_provider_is_kept_shown_changed_and_forgotten(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    assert post(client, owner, "add", provider()).get_json() == {"result": "success"}

    found = shown(client, owner).get_json()
    assert found["credentials"] == {**KEY, "api_key_header": "Authorization", "api_key_value": MASKED} | {
        "api_key_query_param": "key"
    }
    assert (found["schema"], found["icon"]["content"], found["labels"]) == (document(), "🐶", ["utilities"])
    (listed,) = client.get(f"{W}/tools/api", headers=owner.headers).get_json()
    assert (listed["name"], [tool["name"] for tool in listed["tools"]]) == ("pets", ["getPet"])
    assert listed["tools"][0]["parameters"][0]["type"] == "number"
    with runtime.reading() as session:
        (kept,) = session.scalars(select(ToolProvider).where(ToolProvider.tenant_id == owner.tenant_id))
    assert SECRET.encode() not in kept.sealed + kept.details + kept.document.encode()
    tools = client.get(f"{API}/tools", query_string={"provider": "pets"}, headers=owner.headers).get_json()
    assert tools == listed["tools"]

    changed = provider("zoo", original_provider="pets", credentials=found["credentials"])
    changed["schema"] = document(operationId="findPet")
    assert post(client, owner, "update", changed).status_code == 200
    assert shown(client, owner).status_code == 404
    zoo = shown(client, owner, "zoo").get_json()
    assert (zoo["tools"][0]["operation_id"], zoo["credentials"]["api_key_value"]) == ("findPet", MASKED)

    assert post(client, owner, "delete", {"provider": "zoo"}).status_code == 200
    assert client.get(f"{W}/tool-providers?type=api", headers=owner.headers).get_json() == []


def test_provider_belongs_to_its_workspace_and_its_name_is_had_once(
    house: Flask, client: FlaskClient, owner: Owner
) -> None:
    post(client, owner, "add", provider())
    taken = post(client, owner, "add", provider())
    post(client, owner, "add", provider("other"))
    renamed = post(client, owner, "update", provider(original_provider="other"))
    stranger = make_owner(house.extensions["runtime"])

    for refused in (taken, renamed):
        assert (refused.status_code, refused.get_json()["details"]["type"]) == (400, "duplicate")
    assert shown(client, stranger).status_code == 404
    assert post(client, stranger, "delete", {"provider": "pets"}).status_code == 404
    assert post(client, stranger, "update", provider(original_provider="pets")).status_code == 404
    assert post(client, stranger, "add", provider()).status_code == 200


def test_stored_key_does_not_go_to_another_server(client: FlaskClient, owner: Owner) -> None:
    post(client, owner, "add", provider())
    masked = {**KEY, "api_key_value": MASKED}
    moved = provider(original_provider="pets", credentials=masked, schema=document("https://evil.example"))

    trial = {"tool_name": "getPet", "provider_name": "pets", "credentials": masked, "parameters": {"id": 1}}
    for answer in (
        post(client, owner, "update", moved),
        post(client, owner, "test/pre", {**trial, "schema": moved["schema"]}),
    ):
        assert (answer.status_code, answer.get_json()["details"]["field"]) == (
            400,
            "credentials.api_key_value",
        )


def test_tool_is_tried_out_with_the_stored_key(house: Flask, client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(Reply.of_json({"name": "Rex"})) as server, reachable(house, server):
        text = document(server.url)
        post(client, owner, "add", provider(schema=text))
        trial = {"tool_name": "getPet", "parameters": {"id": "7"}, "schema": text, "schema_type": "openapi"}
        masked = {**KEY, "api_key_value": MASKED}
        good = post(client, owner, "test/pre", {**trial, "provider_name": "pets", "credentials": masked})
        bad = post(
            client, owner, "test/pre", {**trial, "credentials": {"auth_type": "none"}, "parameters": {}}
        )

    assert good.get_json() == {"result": '{"name": "Rex"}'}
    assert (server.seen[0].target, server.seen[0].headers["authorization"]) == ("/pets/7", f"Bearer {SECRET}")
    assert bad.get_json() == {"error": "The parameter 'id' is required."}


@ONCE
def test_document_is_read_without_being_kept(client: FlaskClient, owner: Owner) -> None:
    answer = post(client, owner, "schema", {"schema": document()}).get_json()

    (operation,) = answer["parameters_schema"]
    assert (answer["schema_type"], answer["warning"]) == ("openapi", {})
    assert (operation["operation_id"], operation["method"]) == ("getPet", "get")
    assert operation["server_url"] == "https://pets.example/pets/{id}"
    assert operation["openapi"]["summary"] == "A pet"
    assert [field["name"] for field in answer["credentials_schema"]][:1] == ["auth_type"]
    assert client.get(f"{W}/tools/api", headers=owner.headers).get_json() == []
    assert post(client, owner, "schema", {"schema": document("/")}).get_json()["warning"]


@ONCE
def test_document_that_can_no_longer_be_read_is_said(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    post(client, owner, "add", provider())
    with runtime.transaction() as session:
        kept = session.scalars(select(ToolProvider).where(ToolProvider.tenant_id == owner.tenant_id)).one()
        kept.document = "{}"

    answer = shown(client, owner)
    assert (answer.status_code, "can no longer be read" in answer.get_json()["message"]) == (400, True)
    assert post(client, owner, "delete", {"provider": "pets"}).status_code == 200


@ONCE
def test_document_is_fetched(house: Flask, client: FlaskClient, owner: Owner) -> None:
    replies = (Reply(body=document().encode()), Reply(status=404), Reply(body=b"\xff"), Reply(body=b"x: 1"))
    with ScriptedServer(*replies) as server, reachable(house, server):
        answers = [
            client.get(f"{API}/remote", query_string={"url": f"{server.url}/a.json"}, headers=owner.headers)
            for _ in replies
        ]
        inside = client.get(f"{API}/remote", query_string={"url": "http://10.0.0.1/"}, headers=owner.headers)

    assert answers[0].get_json() == {"schema": document()}
    assert [answer.status_code for answer in answers[1:]] == [400, 400, 400]
    assert (inside.status_code, inside.get_json()["code"]) == (400, "egress_denied")


@ONCE
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"schema": "{}"}, "schema"),
        ({"schema": "nonsense: ["}, "schema"),
        ({"provider": " "}, "provider"),
        ({"credentials": {"auth_type": "api_key_header"}}, "credentials.api_key_value"),
        ({"credentials": {"auth_type": "magic"}}, "credentials.auth_type"),
        ({"schema_type": "other"}, "schema_type"),
        ({"labels": [7]}, "labels"),
        ({"icon": 7}, "icon"),
        ({"icon": {"content": "x" * 5000}}, "icon"),
    ],
)
def test_what_is_no_provider_is_refused_by_field(
    client: FlaskClient, owner: Owner, values: dict[str, object], field: str
) -> None:
    answer = post(client, owner, "add", provider() | values)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)


@ONCE
def test_words_of_old_and_nulls_are_taken(client: FlaskClient, owner: Owner) -> None:
    old = {"auth_type": "api_key", "api_key_value": SECRET, "api_key_header": "X-Key"}
    body = provider(credentials=old, privacy_policy=None, labels=None, custom_disclaimer=None)
    assert post(client, owner, "add", body).status_code == 200
    assert shown(client, owner).get_json()["credentials"]["auth_type"] == "api_key_header"
    unknown = {"tool_name": "none", "credentials": {}, "parameters": {}, "schema": document()}
    assert post(client, owner, "test/pre", unknown).status_code == 400


@ONCE
def test_workspace_has_so_many_providers_and_no_more(
    client: FlaskClient, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_tools, "MAX_PROVIDERS", 1)
    assert post(client, owner, "add", provider()).status_code == 200

    full = post(client, owner, "add", provider("more"))
    assert (full.status_code, full.get_json()["code"]) == (400, "limit_exceeded")
    assert post(client, owner, "update", provider(original_provider="pets")).status_code == 200


@dataclass
class WatchedOffload:
    """Runs calls right here, and notes how many connections are held meanwhile."""

    runtime: Runtime
    held: list[int] = field(default_factory=list)

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        """Return what the call gives."""
        assert timeout_s > 0
        pool = self.runtime.engine.pool
        assert isinstance(pool, QueuePool)
        self.held.append(pool.checkedout())
        return fn(*args)


def test_document_is_read_while_no_connection_is_held_and_not_for_a_list(
    client: FlaskClient, runtime: Runtime, house: Flask, owner: Owner
) -> None:
    post(client, owner, "add", provider())
    nodes = [
        drawn(name, "tool", provider_type="api", provider_id="pets", tool_name=name)
        for name in ("getPet", "getPets")
    ]
    content = {
        "version": "0.5.0",
        "kind": "app",
        "app": {"name": "Pets", "mode": "workflow"},
        "workflow": {"graph": {"nodes": nodes, "edges": []}, "features": {}},
    }
    imported = {"mode": "yaml-content", "yaml_content": json.dumps(content)}
    statements: list[str] = []
    watched = WatchedOffload(runtime)
    house.extensions["runtime"] = replace(runtime, offload=watched, memory=Memory(100))

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(runtime.engine, "before_cursor_execute", note)
    try:
        assert client.get(f"{W}/tool-providers?type=api", headers=owner.headers).status_code == 200
        assert not any("document" in statement for statement in statements)
        done = client.post("/console/api/apps/imports", json=imported, headers=owner.headers).get_json()
    finally:
        event.remove(runtime.engine, "before_cursor_execute", note)
        house.extensions["runtime"] = runtime

    assert [need["name"] for need in done["missing"]] == ["getPets"]
    assert watched.held
    assert set(watched.held) == {0}
