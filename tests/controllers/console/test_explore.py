"""The console's pages around apps: those to use, prompts to begin with, whether an app is traced."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.principal import Role
from api.runtime import Runtime
from tests.factories import Owner, make_app, make_member, make_owner


def read(client: FlaskClient, owner: Owner, path: str, **query: object) -> Any:
    return client.get(f"/console/api{path}", query_string=query, headers=owner.headers)


def test_installed_apps_are_those_of_the_workspace_whose_page_is_open(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    make_app(runtime, make_owner(runtime))
    closed, old, new = make_app(runtime, owner), make_app(runtime, owner), make_app(runtime, owner)
    path = f"/console/api/apps/{closed}/site-enable"
    client.post(path, json={"enable_site": False}, headers=owner.headers)

    found = read(client, owner, "/installed-apps").get_json()["installed_apps"]
    one = read(client, owner, "/installed-apps", app_id=old).get_json()["installed_apps"]
    none = read(client, owner, "/installed-apps", app_id="no-id").get_json()["installed_apps"]

    assert [item["app"]["id"] for item in found] == [new, old]
    assert [item["id"] for item in one] == [old]
    assert one[0]["app_owner_tenant_id"] == owner.tenant_id
    assert one[0]["app"]["icon"] == "🤖"
    assert none == []


def test_apps_are_used_pinned_and_stay(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    old, new = make_app(runtime, owner), make_app(runtime, owner)
    url = "/console/api/installed-apps"

    def listed() -> list[tuple[str, bool]]:
        found = read(client, owner, "/installed-apps").get_json()["installed_apps"]
        return [(item["id"], item["is_pinned"]) for item in found]

    used = client.post(url, json={"app_id": old}, headers=owner.headers)
    pinned = client.patch(f"{url}/{old}", json={"is_pinned": True}, headers=owner.headers)
    assert [used.status_code, pinned.status_code] == [200, 200]
    assert listed() == [(old, True), (new, False)]
    client.patch(f"{url}/{old}", json={"is_pinned": False}, headers=owner.headers)
    kept = client.delete(f"{url}/{old}", headers=owner.headers)
    assert (kept.status_code, kept.get_json()["code"]) == (400, "invalid_param")
    assert listed() == [(new, False), (old, False)]
    foreign = make_app(runtime, make_owner(runtime))
    assert client.post(url, json={"app_id": foreign}, headers=owner.headers).status_code == 404


def test_installed_apps_say_who_may_edit_them(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    make_app(runtime, owner)
    member = make_member(runtime, owner, Role.NORMAL)

    editable = [
        read(client, caller, "/installed-apps").get_json()["installed_apps"][0]["editable"]
        for caller in (owner, member)
    ]

    assert editable == [True, False]


def test_explore_lists_no_app_of_elsewhere(client: FlaskClient, owner: Owner) -> None:
    answer = read(client, owner, "/explore/apps", language="en-US")

    assert answer.get_json() == {"recommended_apps": [], "categories": []}


@pytest.mark.parametrize(
    ("app_mode", "model_mode", "has_context", "marks"),
    [
        ("chat", "chat", "true", {"context", "pre_prompt"}),
        ("chat", "chat", "false", {"pre_prompt"}),
        ("chat", "completion", "false", {"pre_prompt", "histories", "query"}),
        ("completion", "completion", "true", {"context", "pre_prompt"}),
        ("completion", "chat", "false", {"pre_prompt"}),
    ],
)
def test_prompt_template_has_the_marks_its_app_fills(
    client: FlaskClient, owner: Owner, app_mode: str, model_mode: str, has_context: str, marks: set[str]
) -> None:
    query = {"app_mode": app_mode, "model_mode": model_mode, "model_name": "m", "has_context": has_context}

    answer = read(client, owner, "/app/prompt-templates", **query)

    assert answer.status_code == 200
    assert f"{model_mode}_prompt_config" in answer.get_json()
    known = {"context", "pre_prompt", "histories", "query"}
    assert {mark for mark in known if f"{{{{#{mark}#}}}}" in answer.text} == marks


def test_prompt_template_of_an_unknown_mode_is_refused(client: FlaskClient, owner: Owner) -> None:
    answer = read(client, owner, "/app/prompt-templates", app_mode="x", model_mode="chat")

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "app_mode")


def test_tracing_is_off_and_cannot_be_on_without_a_service(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    path = f"/apps/{make_app(runtime, owner)}/trace"

    on = client.post(f"/console/api{path}", json={"enabled": True}, headers=owner.headers)
    off = client.post(f"/console/api{path}", json={"enabled": False}, headers=owner.headers)

    assert (on.status_code, on.get_json()["code"]) == (400, "trace_config_not_exist")
    assert off.status_code == 200
    assert read(client, owner, path).get_json() == {"enabled": False, "tracing_provider": None}
