"""Apps as files, over HTTP: exported, imported, confirmed, and what stays behind."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.core.ports import JSONObject, JSONValue
from api.core.text.yaml_text import dump_yaml, load_yaml
from api.core.workflow.declared import SHOWN_SECRET
from api.principal import Role
from api.runtime import Runtime
from api.services import workflows
from tests.factories import Owner, make_app, make_chat_app, make_member, make_owner
from tests.flows import drawn, edges, end
from tests.knowledge import make_dataset
from tests.online import reachable
from tests.servers import Reply, ScriptedServer

APPS = "/console/api/apps"
IMPORTS = f"{APPS}/imports"
SECRET: JSONObject = {"id": "v1", "name": "key", "value_type": "secret", "value": "s3cret"}
UNKNOWN = "c0ffee00-0000-4000-8000-000000000000"
BILLION = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def graph(**knowledge: Any) -> JSONObject:
    nodes: list[JSONValue] = [drawn("s", "start", variables=[]), end()]
    if knowledge:
        nodes.append(drawn("k", "knowledge-retrieval", **knowledge))
    return {"nodes": nodes, "edges": edges("s > e")}


def app_file(*, mode: str = "workflow", name: str = "Mine", **parts: Any) -> str:
    app: JSONObject = {"name": name, "mode": mode, "icon": "🐳", "icon_background": "#FFFFFF"}
    raw: JSONObject = {"version": "0.5.0", "kind": "app", "app": app}
    if mode in ("workflow", "advanced-chat"):
        raw["workflow"] = {"graph": graph(), "features": {}}
    else:
        raw["model_config"] = {"model": {"provider": "builtin", "name": "extractive-qa"}, "pre_prompt": "Hi"}
    return dump_yaml({**raw, **parts})


def draw(runtime: Runtime, owner: Owner, app_id: str, **changes: Any) -> None:
    """Save a draft of an app."""
    wanted = workflows.DraftChanges(**{"graph": graph(), "is_strict": False, **changes})
    with runtime.transaction() as session:
        workflows.save_draft(runtime, session, owner.principal, app_id, wanted)


def drawn_app(runtime: Runtime, owner: Owner, **changes: Any) -> str:
    """Make a workflow app with a draft."""
    app_id = make_app(runtime, owner, mode="workflow")
    draw(runtime, owner, app_id, **changes)
    return app_id


def bring(client: FlaskClient, owner: Owner, text: str, **body: Any) -> TestResponse:
    asked = {"mode": "yaml-content", "yaml_content": text, **body}
    return client.post(IMPORTS, json=asked, headers=owner.headers)


def made(client: FlaskClient, owner: Owner, text: str, **body: Any) -> Any:
    """Import a file that can be, and return the answer."""
    answer = bring(client, owner, text, **body)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def taken_out(client: FlaskClient, owner: Owner, app_id: str, **query: Any) -> Any:
    """Export an app and return what the file says."""
    answer = client.get(f"{APPS}/{app_id}/export", query_string=query, headers=owner.headers)
    assert answer.status_code == 200, answer.get_json()
    return load_yaml(answer.get_json()["data"])


def shown(client: FlaskClient, owner: Owner, app_id: str) -> Any:
    return client.get(f"{APPS}/{app_id}", headers=owner.headers).get_json()


@pytest.mark.parametrize("mode", ["chat", "agent-chat", "completion", "workflow", "advanced-chat"])
def test_app_of_a_file_is_exported_as_it_came(client: FlaskClient, owner: Owner, mode: str) -> None:
    done = made(client, owner, app_file(mode=mode))

    assert (done["status"], done["app_mode"], done["error"], done["missing"]) == ("completed", mode, "", [])
    assert (done["current_dsl_version"], done["imported_dsl_version"]) == ("0.5.0", "0.5.0")
    app = shown(client, owner, done["app_id"])
    assert (app["name"], app["mode"], app["icon"], app["icon_background"]) == ("Mine", mode, "🐳", "#FFFFFF")
    out = taken_out(client, owner, done["app_id"])
    assert (out["kind"], out["version"], out["app"]["name"]) == ("app", "0.5.0", "Mine")
    if "workflow" in out:
        assert out["workflow"]["graph"] == graph()
    else:
        assert out["model_config"]["pre_prompt"] == "Hi"
        assert "model_config" in app
        assert app["model_config"]["pre_prompt"] == "Hi"


def test_names_are_numbered_and_may_be_given(client: FlaskClient, owner: Owner) -> None:
    names = [
        shown(client, owner, made(client, owner, app_file(name="Mine"), **body)["app_id"])["name"]
        for body in ({}, {}, {}, {"name": "Other"}, {"name": "Other"})
    ]

    assert names == ["Mine", "Mine (2)", "Mine (3)", "Other", "Other (2)"]
    long = made(client, owner, app_file(name="n" * 60, description="d"), description="Mine alone")
    app = shown(client, owner, long["app_id"])
    assert (app["name"], app["description"]) == ("n" * 40, "Mine alone")


def test_looks_that_do_not_fit_here_become_the_usual_ones(client: FlaskClient, owner: Owner) -> None:
    app: JSONObject = {"name": "Odd", "mode": "chat", "icon": "<b>", "icon_background": "red"}
    odd = shown(client, owner, made(client, owner, app_file(mode="chat", app=app))["app_id"])

    assert (odd["icon_type"], odd["icon"], odd["icon_background"]) == ("emoji", "🤖", "#FFEAD5")


def test_older_file_is_taken_with_warnings(client: FlaskClient, owner: Owner) -> None:
    done = made(client, owner, app_file(version="0.1.5"))

    assert (done["status"], done["imported_dsl_version"]) == ("completed-with-warnings", "0.1.5")


def test_newer_file_waits_for_a_second_word_of_the_same_person(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    answer = bring(client, owner, app_file(version="0.6.0"), name="Later")
    waiting: Any = answer.get_json()
    confirm = f"{IMPORTS}/{waiting['id']}/confirm"
    other = make_member(runtime, owner, Role.EDITOR)

    assert (answer.status_code, waiting["status"], waiting["app_id"]) == (202, "pending", None)
    assert client.post(confirm, headers=other.headers).status_code == 400
    done = client.post(confirm, headers=owner.headers)
    assert (done.status_code, done.get_json()["status"]) == (200, "completed")
    assert done.get_json()["imported_dsl_version"] == "0.6.0"
    assert shown(client, owner, done.get_json()["app_id"])["name"] == "Later"
    again = client.post(confirm, headers=owner.headers)
    assert (again.status_code, again.get_json()["status"]) == (400, "failed")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no yaml_content"),
        ("just text", "not a mapping"),
        ("a: [", "no valid YAML"),
        (BILLION, "values"),
        ("app: {name: x, mode: channel}", "channel"),
        (app_file(version="newest"), "version"),
        (app_file(workflow={"graph": {"nodes": [drawn("x", "teleport")], "edges": []}}), "no known type"),
        (app_file(mode="chat", model_config={"model": {}}), "model.provider"),
    ],
)
def test_file_that_is_no_app_says_why(client: FlaskClient, owner: Owner, text: str, reason: str) -> None:
    answer = bring(client, owner, text)

    failed: Any = answer.get_json()
    assert (answer.status_code, failed["status"], failed["app_id"]) == (400, "failed", None)
    assert reason in failed["error"]
    assert client.get(APPS, headers=owner.headers).get_json()["total"] == 0


def test_repeated_request_makes_one_app(client: FlaskClient, owner: Owner) -> None:
    asked = {"mode": "yaml-content", "yaml_content": app_file()}
    headers = {**owner.headers, "Idempotency-Key": uuid.uuid4().hex}
    first, second = (client.post(IMPORTS, json=asked, headers=headers) for _ in range(2))
    other = client.post(IMPORTS, json={**asked, "name": "Other"}, headers=headers)

    assert first.status_code == second.status_code == 200
    assert first.get_json() == second.get_json()
    assert other.status_code == 422
    assert client.get(APPS, headers=owner.headers).get_json()["total"] == 1


def test_imports_at_once_get_names_of_their_own(house: Flask, owner: Owner) -> None:
    def one(_: int) -> int:
        return bring(house.test_client(), owner, app_file(name="Raced")).status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == [200] * 4

    listed = house.test_client().get(APPS, headers=owner.headers).get_json()["data"]
    assert {app["name"] for app in listed} == {"Raced", "Raced (2)", "Raced (3)", "Raced (4)"}


@pytest.mark.parametrize("body", [{}, {"mode": "yaml-file"}, {"mode": "yaml-content", "yaml_content": 1}])
def test_request_that_is_none_is_refused(client: FlaskClient, owner: Owner, body: JSONObject) -> None:
    answer = client.post(IMPORTS, json=body, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


# -- over an app that is there -------------------------------------------------------------------


def test_file_takes_the_place_of_a_draft_and_keeps_its_secrets(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = drawn_app(runtime, owner, environment_variables=[SECRET])
    out = taken_out(client, owner, app_id)
    out["app"]["name"] = "Renamed"
    out["workflow"]["features"] = {"opening_statement": "New"}

    done = made(client, owner, dump_yaml(out), app_id=app_id)

    assert done["app_id"] == app_id
    assert shown(client, owner, app_id)["name"] == "Renamed"
    whole = taken_out(client, owner, app_id, include_secret="true")
    assert whole["workflow"]["features"] == {"opening_statement": "New"}
    assert whole["workflow"]["environment_variables"][0]["value"] == "s3cret"


def test_file_takes_the_place_of_nothing_else(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    stranger = make_owner(runtime)
    chat = make_chat_app(runtime, owner).id
    flow = drawn_app(runtime, owner)
    foreign = drawn_app(runtime, stranger)

    for app_id, mode in (
        (chat, "chat"),
        (flow, "advanced-chat"),
        (foreign, "workflow"),
        (UNKNOWN, "workflow"),
    ):
        answer = bring(client, owner, app_file(mode=mode), app_id=app_id)
        assert (answer.status_code, answer.get_json()["status"]) == (400, "failed"), app_id
        assert answer.get_json()["error"]
    assert taken_out(client, stranger, foreign)["workflow"]["graph"] == graph()


# -- what stays behind ---------------------------------------------------------------------------


def test_secrets_leave_for_an_owner_who_asks_and_for_no_one_else(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = drawn_app(runtime, owner, environment_variables=[SECRET])
    editor = make_member(runtime, owner, Role.EDITOR)

    for caller in (owner, editor):
        variables = taken_out(client, caller, app_id)["workflow"]["environment_variables"]
        assert [(item["name"], item["value"]) for item in variables] == [("key", "")]
    whole = taken_out(client, owner, app_id, include_secret="true")
    assert whole["workflow"]["environment_variables"][0]["value"] == "s3cret"
    refused = client.get(f"{APPS}/{app_id}/export?include_secret=true", headers=editor.headers)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "access_denied")
    assert SHOWN_SECRET not in dump_yaml(whole)


def test_datasets_come_back_to_their_workspace_only(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    stranger = make_owner(runtime)
    dataset_id = make_dataset(runtime, owner)
    app_id = drawn_app(runtime, owner, graph=graph(dataset_ids=[dataset_id]))
    text = client.get(f"{APPS}/{app_id}/export", headers=owner.headers).get_json()["data"]

    def found(caller: Owner, file: str) -> tuple[Any, list[str]]:
        done = made(client, caller, file)
        with runtime.reading() as session:
            view = workflows.get_draft(runtime, session, caller.principal, done["app_id"])
        ids = [node["data"].get("dataset_ids") for node in view.row.graph["nodes"]][-1]
        return ids, [need["kind"] for need in done["missing"]]

    assert dataset_id not in text
    assert found(owner, text) == ([dataset_id], [])
    assert found(stranger, text) == ([], ["dataset"])
    plain = app_file(workflow={"graph": graph(dataset_ids=[dataset_id, "junk"])})
    assert found(owner, plain) == ([dataset_id], ["dataset"])
    assert found(stranger, plain) == ([], ["dataset", "dataset"])


def test_dataset_of_a_chat_app_that_is_not_there_is_left_out(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    named = [{"dataset": {"enabled": True, "id": one}} for one in (make_dataset(runtime, owner), UNKNOWN)]
    config = {
        "model": {"provider": "builtin", "name": "extractive-qa"},
        "dataset_configs": {"retrieval_model": "multiple", "datasets": {"datasets": named}},
    }
    done = made(client, owner, app_file(mode="chat", model_config=config))

    kept = shown(client, owner, done["app_id"])["model_config"]["dataset_configs"]["datasets"]["datasets"]
    assert kept == named[:1]
    assert [(need["kind"], need["name"]) for need in done["missing"]] == [("dataset", UNKNOWN)]


def test_app_with_a_model_that_is_not_there_comes_and_says_so(client: FlaskClient, owner: Owner) -> None:
    model = {"provider": "langgenius/tongyi/tongyi", "name": "qwen-max", "mode": "chat"}
    done = made(client, owner, app_file(mode="chat", model_config={"model": model}))
    lacking = [{"kind": "model", "provider": "langgenius/tongyi/tongyi", "name": "qwen-max"}]

    assert done["missing"] == lacking
    asked = client.get(f"{IMPORTS}/{done['app_id']}/check-dependencies", headers=owner.headers)
    assert asked.get_json() == {"leaked_dependencies": [], "missing": lacking}


def test_version_is_exported_where_it_is_asked_for(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = drawn_app(runtime, owner)
    with runtime.transaction() as session:
        version = workflows.publish(runtime, session, owner.principal, app_id).id
    draw(runtime, owner, app_id, graph={"nodes": [], "edges": []})

    assert taken_out(client, owner, app_id)["workflow"]["graph"]["nodes"] == []
    assert taken_out(client, owner, app_id, workflow_id=version)["workflow"]["graph"] == graph()
    for unknown in (UNKNOWN, "1"):
        answer = client.get(f"{APPS}/{app_id}/export?workflow_id={unknown}", headers=owner.headers)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


def test_app_that_was_not_drawn_cannot_be_exported(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = make_app(runtime, owner, mode="workflow")
    answer = client.get(f"{APPS}/{app_id}/export", headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    assert answer.get_json()["message"] == "Missing draft workflow configuration, please check."
    asked = client.get(f"{IMPORTS}/{app_id}/check-dependencies", headers=owner.headers)
    assert asked.get_json()["missing"] == []


# -- files at addresses --------------------------------------------------------------------------


def test_file_is_fetched_from_its_address(house: Flask, client: FlaskClient, owner: Owner) -> None:
    name = f"Fetched {uuid.uuid4().hex[:6]}"
    with ScriptedServer(Reply(body=app_file(name=name).encode())) as server, reachable(house, server):
        answer = client.post(
            IMPORTS, json={"mode": "yaml-url", "yaml_url": f"{server.url}/a.yml"}, headers=owner.headers
        )

    assert answer.status_code == 200
    assert shown(client, owner, answer.get_json()["app_id"])["name"] == name


@pytest.mark.parametrize(
    ("reply", "reason"), [(Reply(status=404), "404"), (Reply(body=b"\xff\xfe\x00"), "UTF-8")]
)
def test_address_without_a_file_says_why(
    house: Flask, client: FlaskClient, owner: Owner, reply: Reply, reason: str
) -> None:
    with ScriptedServer(reply) as server, reachable(house, server):
        answer = client.post(
            IMPORTS, json={"mode": "yaml-url", "yaml_url": f"{server.url}/a.yml"}, headers=owner.headers
        )

    assert (answer.status_code, answer.get_json()["status"]) == (400, "failed")
    assert reason in answer.get_json()["error"]


def test_address_inside_the_house_is_not_called(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(Reply(body=b"x")) as server:
        answer = client.post(
            IMPORTS, json={"mode": "yaml-url", "yaml_url": f"{server.url}/a.yml"}, headers=owner.headers
        )

    assert (answer.status_code, answer.get_json()["code"]) == (400, "egress_denied")
    assert server.seen == []
