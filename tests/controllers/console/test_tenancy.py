"""Who may use which route of apps, keys and providers, and that a workspace sees only its own."""

from dataclasses import dataclass, replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.principal import Role
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.provider_calls import COMPATIBLE, MODELS, save, show
from tests.factories import Owner, make_app, make_key, make_member, make_owner
from tests.servers import ScriptedServer

UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
BAD_IDS = ("1", "not-a-uuid", "x" * 5000, "c0ffee0000004000800000000000000", "%00", "..")
P = f"/workspaces/current/model-providers/{COMPATIBLE}"
T = "/workspaces/current/tool-provider"
PETS = {"provider": "x", "credentials": {}, "schema": "x"}
SERVER = {"server_url": "http://10.0.0.1/mcp", "name": "x", "server_identifier": "x"}
PLUGIN = {"plugin_unique_identifier": "x"}
WHO_MAY = {"install_permission": "admins", "debug_permission": "noone"}
PREFERENCES = {"permission": WHO_MAY, "auto_upgrade": {"strategy_setting": "disabled"}}
PLUGINS = {"original_plugin_unique_identifier": "x", "new_plugin_unique_identifier": "x"}
GREETER = {"name": "x", "label": "x", "description": ""}
W, R = "/apps/{app}/workflows", "/apps/{app}/workflow-runs"
A = "/apps/{app}/annotations"
ANNOTATION_REPLY = {
    "score_threshold": 0.9,
    "embedding_provider_name": "builtin",
    "embedding_model_name": "x",
}
CREDENTIAL = {"credential_id": UNKNOWN_ID}
EXTENSION = {"name": "x", "api_endpoint": "http://10.0.0.1/", "api_key": "sk-12345"}
MODEL = {"model": "m", "model_type": "llm"}
NORMAL, EDITOR, ADMIN = Role.NORMAL, Role.EDITOR, Role.ADMIN
BELOW_OWNER = (Role.DATASET_OPERATOR, NORMAL, EDITOR, ADMIN)


@dataclass(frozen=True)
class Route:
    """A route, the least role it needs, and a body that gets past its parser."""

    method: str
    path: str
    role: Role
    body: object = None


ROUTES = (
    Route("GET", "/apps", NORMAL),
    Route("POST", "/apps", EDITOR, {"name": "x", "mode": "chat"}),
    Route("GET", "/apps/{app}", NORMAL),
    Route("PUT", "/apps/{app}", EDITOR, {"name": "Changed"}),
    Route("DELETE", "/apps/{app}", EDITOR),
    Route("POST", "/apps/{app}/site-enable", EDITOR, {"enable_site": False}),
    Route("POST", "/apps/{app}/api-enable", ADMIN, {"enable_api": False}),
    Route("GET", "/apps/{app}/trace", NORMAL),
    Route("POST", "/apps/{app}/trace", EDITOR, {"enabled": False}),
    Route("GET", "/installed-apps", NORMAL),
    Route("POST", "/installed-apps", EDITOR, {"app_id": UNKNOWN_ID}),
    Route("PATCH", "/installed-apps/{app}", EDITOR, {"is_pinned": True}),
    Route("DELETE", "/installed-apps/{app}", EDITOR),
    Route("POST", "/apps/{app}/audio-to-text", EDITOR),
    Route("POST", "/apps/{app}/text-to-audio", EDITOR, {"text": "Hi."}),
    Route("GET", "/apps/{app}/text-to-audio/voices", NORMAL),
    Route("GET", f"/apps/{{app}}/chat-messages/{UNKNOWN_ID}/suggested-questions", NORMAL),
    Route("GET", "/api-based-extension", NORMAL),
    Route("POST", "/api-based-extension", ADMIN, EXTENSION),
    Route("GET", f"/api-based-extension/{UNKNOWN_ID}", NORMAL),
    Route("POST", f"/api-based-extension/{UNKNOWN_ID}", ADMIN, EXTENSION),
    Route("DELETE", f"/api-based-extension/{UNKNOWN_ID}", ADMIN),
    Route("GET", "/code-based-extension?module=moderation", NORMAL),
    Route("GET", "/explore/apps", NORMAL),
    Route("GET", "/app/prompt-templates?app_mode=chat&model_mode=chat", NORMAL),
    Route("POST", "/apps/{app}/copy", EDITOR, {}),
    Route("POST", "/apps/{app}/name", EDITOR, {"name": "Changed"}),
    Route("POST", "/apps/{app}/icon", EDITOR, {"icon": "🦊"}),
    Route("POST", "/apps/{app}/site", EDITOR, {"title": "Changed"}),
    Route("POST", "/apps/{app}/site/access-token-reset", ADMIN),
    Route(
        "POST",
        "/apps/{app}/model-config",
        EDITOR,
        {"model": {"provider": "builtin", "name": "extractive-qa"}, "pre_prompt": "Changed"},
    ),
    Route("GET", "/apps/{app}/export", EDITOR),
    Route("POST", "/apps/imports", EDITOR, {"mode": "yaml-content", "yaml_content": ""}),
    Route("POST", "/apps/imports/{key}/confirm", EDITOR),
    Route("GET", "/apps/imports/{app}/check-dependencies", EDITOR),
    Route("GET", "/apps/{app}/api-keys", NORMAL),
    Route("POST", "/apps/{app}/api-keys", EDITOR),
    Route("DELETE", "/apps/{app}/api-keys/{key}", ADMIN),
    Route("GET", "/api-keys", NORMAL),
    Route("POST", "/api-keys", EDITOR, {"name": "x", "permissions": ["chat"]}),
    Route("DELETE", "/api-keys/{key}", ADMIN),
    Route("GET", "/workspaces/current/model-providers", NORMAL),
    Route("POST", P, ADMIN, {"credentials": {}}),
    Route("DELETE", P, ADMIN),
    Route("GET", f"{P}/credentials", NORMAL),
    Route("POST", f"{P}/credentials", ADMIN, {"credentials": {}}),
    Route("PUT", f"{P}/credentials", ADMIN, {**CREDENTIAL, "credentials": {}}),
    Route("DELETE", f"{P}/credentials", ADMIN, CREDENTIAL),
    Route("POST", f"{P}/credentials/switch", ADMIN, CREDENTIAL),
    Route("POST", f"{P}/credentials/validate", ADMIN, {"credentials": {}}),
    Route("GET", f"{P}/models", NORMAL),
    Route("POST", f"{P}/models", ADMIN, MODEL),
    Route("DELETE", f"{P}/models", ADMIN, MODEL),
    Route("GET", f"{P}/models/credentials?model=m&model_type=llm", NORMAL),
    Route("POST", f"{P}/models/credentials", ADMIN, {**MODEL, "credentials": {}}),
    Route("PUT", f"{P}/models/credentials", ADMIN, {**MODEL, **CREDENTIAL, "credentials": {}}),
    Route("DELETE", f"{P}/models/credentials", ADMIN, {**MODEL, **CREDENTIAL}),
    Route("POST", f"{P}/models/credentials/validate", ADMIN, {**MODEL, "credentials": {}}),
    Route("GET", f"{P}/models/parameter-rules?model=m", NORMAL),
    Route("GET", "/workspaces/current/models/model-types/llm", NORMAL),
    Route("GET", "/workspaces/current/tool-providers", NORMAL),
    Route("GET", "/workspaces/current/agent-providers", NORMAL),
    Route("GET", "/workspaces/current/agent-provider/agent", NORMAL),
    Route("GET", "/workspaces/current/tools/builtin", NORMAL),
    Route("GET", "/workspaces/current/tool-labels", NORMAL),
    Route("GET", f"{T}/builtin/time/tools", NORMAL),
    Route("GET", f"{T}/builtin/time/info", NORMAL),
    Route("GET", f"{T}/builtin/time/credentials", NORMAL),
    Route("GET", f"{T}/builtin/time/credential/info", NORMAL),
    Route("GET", f"{T}/builtin/time/credential/schema/api-key", NORMAL),
    Route("POST", f"{T}/builtin/time/add", ADMIN, {"credentials": {}}),
    Route("POST", f"{T}/builtin/time/update", ADMIN, CREDENTIAL),
    Route("POST", f"{T}/builtin/time/delete", ADMIN, CREDENTIAL),
    Route("POST", f"{T}/builtin/time/default-credential", ADMIN, {"id": UNKNOWN_ID}),
    Route("GET", "/workspaces/current/plugins", NORMAL),
    Route("POST", "/workspaces/current/plugins/install", ADMIN, PLUGIN),
    Route("POST", "/workspaces/current/plugins/upgrade", ADMIN, PLUGINS),
    Route("POST", "/workspaces/current/plugins/uninstall", ADMIN, {"install_id": UNKNOWN_ID}),
    Route("GET", "/workspaces/current/plugin/list", NORMAL),
    Route("POST", "/workspaces/current/plugin/list/installations/ids", NORMAL, {"plugin_ids": []}),
    Route("POST", "/workspaces/current/plugin/list/latest-versions", NORMAL, {"plugin_ids": []}),
    Route("POST", "/workspaces/current/plugin/upload/pkg", ADMIN),
    Route("POST", "/workspaces/current/plugin/install/pkg", ADMIN, {"plugin_unique_identifiers": ["x"]}),
    Route("POST", "/workspaces/current/plugin/upgrade/marketplace", ADMIN, PLUGINS),
    Route("POST", "/workspaces/current/plugin/uninstall", ADMIN, {"plugin_installation_id": UNKNOWN_ID}),
    Route("POST", "/workspaces/current/plugin/tasks/delete_all", ADMIN),
    Route("GET", "/workspaces/current/plugin/tasks", NORMAL),
    Route("GET", f"/workspaces/current/plugin/tasks/{UNKNOWN_ID}", NORMAL),
    Route("GET", "/workspaces/current/plugin/fetch-manifest?plugin_unique_identifier=x", NORMAL),
    Route("GET", "/workspaces/current/plugin/permission/fetch", NORMAL),
    Route("GET", "/workspaces/current/plugin/preferences/fetch", NORMAL),
    Route("GET", "/workspaces/current/plugin/debugging-key", NORMAL),
    Route("GET", "/workspaces/current/plugin/asset?plugin_unique_identifier=x&file_name=a.png", NORMAL),
    Route("GET", "/workspaces/current/plugin/readme?plugin_unique_identifier=x", NORMAL),
    Route("GET", "/workspaces/current/plugin/marketplace/pkg", NORMAL),
    Route("GET", "/workspaces/current/plugin/parameters/dynamic-options", NORMAL),
    Route("POST", "/workspaces/current/plugin/permission/change", ADMIN, WHO_MAY),
    Route("POST", "/workspaces/current/plugin/preferences/change", ADMIN, PREFERENCES),
    Route("POST", f"/workspaces/current/plugin/tasks/{UNKNOWN_ID}/delete", ADMIN),
    Route("POST", f"/workspaces/current/plugin/tasks/{UNKNOWN_ID}/delete/x", ADMIN),
    Route("POST", "/workspaces/current/plugin/upload/github", ADMIN),
    Route("POST", f"{T}/api/schema", EDITOR, {"schema": "x"}),
    Route("GET", f"{T}/api/remote?url=ftp://x", EDITOR),
    Route("POST", f"{T}/api/test/pre", ADMIN, {**PETS, "tool_name": "x", "parameters": {}}),
    Route("POST", f"{T}/api/add", ADMIN, PETS),
    Route("POST", f"{T}/api/update", ADMIN, {**PETS, "original_provider": "y"}),
    Route("POST", f"{T}/api/delete", ADMIN, {"provider": "x"}),
    Route("GET", f"{T}/api/get?provider=x", NORMAL),
    Route("GET", f"{T}/api/tools?provider=x", NORMAL),
    Route("POST", f"{T}/mcp", ADMIN, SERVER),
    Route("PUT", f"{T}/mcp", ADMIN, {**SERVER, "provider_id": UNKNOWN_ID}),
    Route("DELETE", f"{T}/mcp", ADMIN, {"provider_id": UNKNOWN_ID}),
    Route("POST", f"{T}/mcp/auth", ADMIN, {"provider_id": UNKNOWN_ID}),
    Route("GET", f"{T}/mcp/tools/{UNKNOWN_ID}", NORMAL),
    Route("GET", f"{T}/mcp/update/{UNKNOWN_ID}", ADMIN),
    Route("POST", f"{T}/workflow/create", ADMIN, {**GREETER, "workflow_app_id": UNKNOWN_ID}),
    Route("POST", f"{T}/workflow/update", ADMIN, {**GREETER, "workflow_tool_id": UNKNOWN_ID}),
    Route("POST", f"{T}/workflow/delete", ADMIN, {"workflow_tool_id": UNKNOWN_ID}),
    Route("GET", f"{T}/workflow/get?workflow_tool_id={UNKNOWN_ID}", NORMAL),
    Route("GET", f"{T}/workflow/tools?workflow_app_id={UNKNOWN_ID}", NORMAL),
    Route("GET", "/workspaces/current/default-model?model_type=llm", NORMAL),
    Route("POST", "/workspaces/current/default-model", ADMIN, {"model_settings": []}),
    Route("GET", f"{W}/draft", EDITOR),
    Route("POST", f"{W}/draft", EDITOR, {"graph": {"nodes": [], "edges": []}, "hash": ""}),
    Route("GET", f"{W}/publish", EDITOR),
    Route("POST", f"{W}/publish", EDITOR),
    Route("GET", W, EDITOR),
    Route("PATCH", f"{W}/{UNKNOWN_ID}", EDITOR, {"marked_name": "x"}),
    Route("DELETE", f"{W}/{UNKNOWN_ID}", EDITOR),
    Route("POST", f"{W}/{UNKNOWN_ID}/restore", EDITOR),
    Route("GET", f"{W}/default-workflow-block-configs", EDITOR),
    Route("GET", f"{W}/default-workflow-block-configs/code", EDITOR),
    Route("POST", f"{W}/draft/nodes/s/run", EDITOR, {"inputs": {}}),
    Route("GET", f"{W}/draft/nodes/s/last-run", EDITOR),
    Route("POST", f"{W}/draft/iteration/nodes/s/run", EDITOR, {"inputs": {}}),
    Route("POST", f"{W}/draft/loop/nodes/s/run", EDITOR, {"inputs": {}}),
    Route("POST", "/apps/{app}/advanced-chat/workflows/draft/iteration/nodes/s/run", EDITOR, {"inputs": {}}),
    Route("POST", "/apps/{app}/advanced-chat/workflows/draft/loop/nodes/s/run", EDITOR, {"inputs": {}}),
    Route("GET", f"{W}/draft/variables", EDITOR),
    Route("DELETE", f"{W}/draft/variables", EDITOR),
    Route("GET", f"{W}/draft/nodes/s/variables", EDITOR),
    Route("DELETE", f"{W}/draft/nodes/s/variables", EDITOR),
    Route("GET", f"{W}/draft/variables/{UNKNOWN_ID}", EDITOR),
    Route("PATCH", f"{W}/draft/variables/{UNKNOWN_ID}", EDITOR, {"value": 1}),
    Route("DELETE", f"{W}/draft/variables/{UNKNOWN_ID}", EDITOR),
    Route("PUT", f"{W}/draft/variables/{UNKNOWN_ID}/reset", EDITOR),
    Route("GET", f"{W}/draft/conversation-variables", EDITOR),
    Route("GET", f"{W}/draft/system-variables", EDITOR),
    Route("GET", f"{W}/draft/environment-variables", EDITOR),
    Route("POST", f"{W}/draft/run", EDITOR, {"inputs": {}}),
    Route("POST", f"{W}/draft/trigger/run", EDITOR, {"node_id": "t"}),
    Route("GET", f"{W}/triggers/webhook?node_id=t", NORMAL),
    Route("GET", "/apps/{app}/triggers", NORMAL),
    Route("POST", "/apps/{app}/trigger-enable", EDITOR, {"trigger_id": UNKNOWN_ID, "enable_trigger": False}),
    Route("POST", "/apps/{app}/advanced-chat/workflows/draft/run", EDITOR, {"inputs": {}}),
    Route("GET", R, EDITOR),
    Route("GET", "/apps/{app}/advanced-chat/workflow-runs", EDITOR),
    Route("GET", f"{R}/count", EDITOR),
    Route("GET", "/apps/{app}/advanced-chat/workflow-runs/count", EDITOR),
    Route("GET", f"{R}/{UNKNOWN_ID}", EDITOR),
    Route("GET", f"{R}/{UNKNOWN_ID}/node-executions", EDITOR),
    Route("POST", f"{R}/{UNKNOWN_ID}/rerun", EDITOR),
    Route("POST", f"{R}/tasks/{UNKNOWN_ID}/stop", EDITOR),
    Route("GET", f"/apps/{{app}}/chat-messages?conversation_id={UNKNOWN_ID}", EDITOR),
    Route("GET", f"/apps/{{app}}/messages/{UNKNOWN_ID}", EDITOR),
    Route("GET", f"/apps/{{app}}/agent/logs?message_id={UNKNOWN_ID}&conversation_id={UNKNOWN_ID}", EDITOR),
    Route("GET", f"/apps/{{app}}/conversation-variables?conversation_id={UNKNOWN_ID}", EDITOR),
    Route("GET", "/apps/{app}/feedbacks/export", EDITOR),
    Route("POST", "/apps/{app}/feedbacks", EDITOR, {"message_id": UNKNOWN_ID, "rating": "like"}),
    Route("POST", "/apps/{app}/chat-messages", EDITOR, {"inputs": {}, "query": "q", "model_config": {}}),
    Route("POST", f"/apps/{{app}}/chat-messages/{UNKNOWN_ID}/stop", EDITOR),
    Route("POST", "/apps/{app}/completion-messages", EDITOR, {"inputs": {}, "model_config": {}}),
    Route("POST", f"/apps/{{app}}/completion-messages/{UNKNOWN_ID}/stop", EDITOR),
    Route("GET", "/apps/{app}/chat-conversations", EDITOR),
    Route("GET", f"/apps/{{app}}/chat-conversations/{UNKNOWN_ID}", EDITOR),
    Route("DELETE", f"/apps/{{app}}/chat-conversations/{UNKNOWN_ID}", EDITOR),
    Route("GET", "/apps/{app}/completion-conversations", EDITOR),
    Route("GET", f"/apps/{{app}}/completion-conversations/{UNKNOWN_ID}", EDITOR),
    Route("DELETE", f"/apps/{{app}}/completion-conversations/{UNKNOWN_ID}", EDITOR),
    Route("GET", "/apps/{app}/workflow-app-logs", EDITOR),
    Route("GET", "/apps/{app}/workflow-archived-logs", EDITOR),
    Route("GET", "/apps/{app}/statistics/daily-messages", EDITOR),
    Route("GET", "/apps/{app}/workflow/statistics/daily-terminals", EDITOR),
    Route("GET", A, EDITOR),
    Route("POST", A, EDITOR, {"question": "q", "answer": "a"}),
    Route("DELETE", A, EDITOR),
    Route("POST", f"{A}/{UNKNOWN_ID}", EDITOR, {"question": "q", "answer": "a"}),
    Route("DELETE", f"{A}/{UNKNOWN_ID}", EDITOR),
    Route("GET", f"{A}/{UNKNOWN_ID}/hit-histories", EDITOR),
    Route("GET", f"{A}/count", EDITOR),
    Route("GET", f"{A}/export", EDITOR),
    Route("POST", f"{A}/batch-import", EDITOR),
    Route("GET", f"{A}/batch-import-status/{UNKNOWN_ID}", EDITOR),
    Route("POST", "/apps/{app}/annotation-reply/enable", EDITOR, ANNOTATION_REPLY),
    Route("GET", f"/apps/{{app}}/annotation-reply/enable/status/{UNKNOWN_ID}", EDITOR),
    Route("GET", "/apps/{app}/annotation-setting", EDITOR),
    Route("POST", f"/apps/{{app}}/annotation-settings/{UNKNOWN_ID}", EDITOR, {"score_threshold": 0.5}),
)
ONE_APP = tuple(route for route in ROUTES if "{app}" in route.path)


def call(
    client: FlaskClient, route: Route, caller: Owner | None, app: str = UNKNOWN_ID, key: str = UNKNOWN_ID
) -> tuple[int, bytes]:
    """Return status and body of a route called by someone."""
    url = "/console/api" + route.path.format(app=app, key=key)
    headers = caller.headers if caller else {}
    answer = client.open(url, method=route.method, json=route.body, headers=headers)
    return answer.status_code, answer.data


@dataclass(frozen=True)
class Shared:
    """A workspace with a member of each role, and a stranger: what is refused changes nothing of it."""

    members: dict[Role, Owner]
    stranger: Owner
    app_id: str
    key: str
    key_id: str


@pytest.fixture(scope="module")
def shared(house: Flask) -> Shared:
    runtime: Runtime = house.extensions["runtime"]
    owner = make_owner(runtime)
    members = {role: make_member(runtime, owner, role) for role in BELOW_OWNER}
    app_id = make_app(runtime, owner, name="Kept")
    key = make_key(runtime, owner, app_id)
    keys = house.test_client().get(f"/console/api/apps/{app_id}/api-keys", headers=owner.headers)
    return Shared(
        members={Role.OWNER: owner, **members},
        stranger=make_owner(runtime),
        app_id=app_id,
        key=key,
        key_id=keys.get_json()["data"][0]["id"],
    )


@pytest.fixture(autouse=True)
def uncounted(house: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account calls here more often than it may in a minute."""
    made: Runtime = house.extensions["runtime"]
    generous = replace(made, limits=replace(made.limits, console_rpm=0))
    monkeypatch.setitem(house.extensions, "runtime", generous)


@ONCE
def test_every_route_refuses_roles_below_its_own(client: FlaskClient, shared: Shared) -> None:
    owner, kept = shared.members[Role.OWNER], f"/console/api/apps/{shared.app_id}"
    before = client.get(kept, headers=owner.headers).data

    for route in ROUTES:
        for role in BELOW_OWNER:
            if role < route.role:
                status, body = call(client, route, shared.members[role], shared.app_id)
                assert (status, b'"access_denied"' in body) == (403, True), (role, route)
        assert client.get(kept, headers=owner.headers).data == before, route


@ONCE
def test_every_route_lets_its_role_and_those_above_in(
    client: FlaskClient, runtime: Runtime, shared: Shared
) -> None:
    for route in ROUTES:
        for role in (NORMAL, EDITOR, ADMIN, Role.OWNER):
            if role >= route.role:
                is_kept = "{app}" not in route.path
                app_id = shared.app_id if is_kept else make_app(runtime, shared.members[Role.OWNER])
                status, _ = call(client, route, shared.members[role], app_id)
                assert status not in (401, 403), (role, route)


@ONCE
def test_every_route_wants_a_console_session(client: FlaskClient, shared: Shared) -> None:
    key = {"Authorization": f"Bearer {shared.key}"}

    for route in ROUTES:
        url = "/console/api" + route.path.format(app=shared.app_id, key=UNKNOWN_ID)
        for headers in ({}, {"Authorization": "Bearer garbage"}, key):
            answer = client.open(url, method=route.method, json=route.body, headers=headers)
            assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized"), (route, headers)


def test_app_of_another_workspace_looks_like_none_to_every_route(client: FlaskClient, shared: Shared) -> None:
    owner, own = shared.members[Role.OWNER], f"/console/api/apps/{shared.app_id}"
    before = client.get(own, headers=owner.headers).data

    for route in ONE_APP:
        foreign = call(client, route, shared.stranger, shared.app_id, shared.key_id)
        missing = call(client, route, shared.stranger, UNKNOWN_ID, UNKNOWN_ID)
        assert (foreign[0], foreign) == (404, missing), route
        assert client.get(own, headers=owner.headers).data == before, route
        keys = client.get(f"{own}/api-keys", headers=owner.headers).get_json()["data"]
        assert len(keys) == 1, route


def test_app_with_a_bad_id_is_not_found_by_any_route(client: FlaskClient, shared: Shared) -> None:
    for route in ONE_APP:
        for bad in BAD_IDS:
            status, body = call(client, route, shared.members[Role.OWNER], bad, bad)
            assert (status, b"not_found" in body) == (404, True), (bad, route)


def test_key_of_another_workspace_looks_like_none(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    stranger = make_owner(runtime)
    make_key(runtime, owner, None)
    key = client.get("/console/api/api-keys", headers=owner.headers).get_json()["data"][0]["id"]
    route = Route("DELETE", "/api-keys/{key}", ADMIN)

    assert call(client, route, stranger, key=key) == call(client, route, stranger)
    assert client.get("/console/api/api-keys", headers=stranger.headers).get_json() == {"data": []}
    assert len(client.get("/console/api/api-keys", headers=owner.headers).get_json()["data"]) == 1


def test_lists_hold_nothing_of_another_workspace(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    stranger = make_owner(runtime)
    app_id = make_app(runtime, owner)
    with ScriptedServer(MODELS) as server:
        save(client, owner, server, name="owner's credentials")

    assert client.get("/console/api/apps", headers=stranger.headers).get_json()["data"] == []
    assert show(client, stranger, "openai_api_compatible")["status"] == "no-configure"
    catalogue = client.get("/console/api/workspaces/current/model-providers", headers=stranger.headers)
    assert owner.tenant_id not in catalogue.get_data(as_text=True)
    assert "owner's credentials" not in catalogue.get_data(as_text=True)
    assert client.get(f"/console/api/apps/{app_id}", headers=owner.headers).status_code == 200


def test_credentials_of_another_workspace_look_like_none(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    stranger = make_owner(runtime)
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
        configuration = show(client, owner, "openai_api_compatible")["custom_configuration"]
        foreign, routes = configuration["current_credential_id"], f"/console/api{P}/credentials"
        for method, url, body in (
            ("GET", f"{routes}?credential_id={{}}", None),
            ("PUT", routes, {"credentials": {"endpoint_url": f"{server.url}/v1"}}),
            ("DELETE", routes, {}),
            ("POST", f"{routes}/switch", {}),
        ):
            answers = [
                client.open(
                    url.format(credential_id),
                    method=method,
                    json=None if body is None else {**body, "credential_id": credential_id},
                    headers=stranger.headers,
                )
                for credential_id in (foreign, UNKNOWN_ID)
            ]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert answers[0].data == answers[1].data

    assert show(client, owner, "openai_api_compatible")["status"] == "active"


OPEN = {"/workspaces/current/tool-provider/builtin/<>/icon", "/workspaces/current/plugin/icon"}
"""Pictures of what the program and its plugins bring, which browsers load without a token."""
ELSEWHERE = "/installed-apps/<>/"
"""Below which test_installed_apps.py sees to all routes at once: any member uses them."""
OURS = (
    "/app/",
    "/apps",
    "/api-keys",
    "/explore",
    "/installed-apps",
    "/workspaces/current/agent-provider",
    "/workspaces/current/def",
    "/workspaces/current/model",
    "/workspaces/current/plugin",
    "/workspaces/current/tool",
    "/api-based-extension",
    "/code-based-extension",
)


def test_routes_of_these_doors_are_all_in_the_table(house: Flask) -> None:
    named = {
        (route.method, route.path.partition("?")[0].replace(COMPATIBLE, "<>").replace("{app}", "<>"))
        for route in ROUTES
    }
    named = {(method, path.replace("{key}", "<>").replace("types/llm", "types/<>")) for method, path in named}
    named = {
        (
            method,
            path.replace(UNKNOWN_ID, "<>")
            .replace("configs/code", "configs/<>")
            .replace("annotation-reply/enable", "annotation-reply/<>")
            .replace("install/pkg", "install/<>")
            .replace("upload/github", "<>/<>")
            .replace("<>/delete/x", "<>/delete/<>")
            .replace("builtin/time", "builtin/<>")
            .replace("agent-provider/agent", "agent-provider/<>")
            .replace("statistics/daily-messages", "statistics/<>")
            .replace("statistics/daily-terminals", "statistics/<>")
            .replace("tools/builtin", "tools/<>")
            .replace("schema/api-key", "schema/<>")
            .replace("nodes/s/", "nodes/<>/"),
        )
        for method, path in named
    }

    served = set()
    for rule in house.url_map.iter_rules():
        path = "/".join("<>" if part.startswith("<") else part for part in rule.rule.split("/"))
        path = path.removeprefix("/console/api")
        is_ours = path.startswith(OURS) and path not in OPEN and not path.startswith(ELSEWHERE)
        if is_ours and rule.rule.startswith("/console/api"):
            served |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}

    assert served == named
