"""Plugins over HTTP: listed, installed, called, upgraded, removed, and each workspace's own."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient

from api.core.plugins.package import SIGNATURE
from api.core.ports import JSONObject
from api.principal import Role
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.flow_calls import DraftApp
from tests.controllers.console.plugin_calls import Desk, W
from tests.factories import Owner, make_member, make_owner
from tests.flows import drawn, edges
from tests.plugins import make_package, to_archive, to_files

BUILTIN = f"{W}/tool-provider/builtin/tests/echo/echo"
SECRET = "planted-secret-key-0001"
FORM: JSONObject = {"key": {"type": "secret-input", "required": True, "label": "Key"}}
KEYED = """
from slipway_plugin import ToolFailed, serve

def check(credentials):
    if credentials["key"].startswith("bad"):
        raise ToolFailed("The key is refused.")

serve({"say": lambda call: [f"{call.arguments['word']} {len(call.credentials['key'])}"]}, check)
"""


@pytest.fixture
def desk(client: FlaskClient, owner: Owner) -> Desk:
    return Desk(client, owner)


def graph(kind: str = "plugin", **parameters: Any) -> JSONObject:
    """Return a flow whose one tool is that of the plugin."""
    outputs: list[Any] = [{"variable": "text", "value_selector": ["t", "text"]}]
    given = {name: {"type": "constant", "value": value} for name, value in parameters.items()}
    tool: Any = {
        "provider_type": kind,
        "provider_id": "tests/echo/echo",
        "tool_name": "say",
        "tool_parameters": given,
    }
    nodes: list[Any] = [
        drawn("s", "start", variables=[]),
        drawn("t", "tool", **tool),
        drawn("e", "end", outputs=outputs),
    ]
    return {"nodes": nodes, "edges": edges("s > t > e")}


def run(app: DraftApp) -> dict[str, Any]:
    finished: dict[str, Any] = app.run(inputs={})[-1]["data"]
    return finished


def test_plugin_of_the_index_is_installed_once_and_called(desk: Desk, runtime: Runtime) -> None:
    listed = desk.get("plugins?search=TABLES")
    (tables,) = listed["plugins"]
    assert (tables["plugin_id"], tables["installed"], tables["verified"]) == ("slipway/tables", False, True)
    assert (tables["name"], tables["category"], tables["current_version"]) == ("Tables", "tool", None)
    assert (listed["total"], listed["has_more"]) == (1, False)
    assert desk.client.get(tables["icon"]).content_type == "image/svg+xml"

    body = {"plugin_unique_identifier": tables["plugin_unique_identifier"]}
    first, again = (desk.post("plugins/install", body)["plugin"] for _ in range(2))
    assert (first, first["source"]) == (again, "package")
    assert first["tenant_id"] == desk.owner.tenant_id
    (after,) = desk.get("plugins?search=tables")["plugins"]
    assert (after["installed"], after["current_version"], after["install_count"]) == (True, "1.0.0", 1)

    parameters = {"csv": "a\n1\n2", "sql": "SELECT sum(a) AS s FROM t"}
    drawing: Any = graph(**parameters)
    drawing["nodes"][1]["data"] |= {"provider_id": "slipway/tables/tables", "tool_name": "query"}
    ended = run(DraftApp(desk.client, runtime, desk.owner, drawing))
    assert ended["outputs"] == {"text": "| s |\n| --- |\n| 3 |"}, ended


def test_plugin_that_is_installed_by_many_at_once_is_there_once(house: Flask, desk: Desk) -> None:
    content = to_archive(to_files(version="0.9.0"))
    uploads = [Thread(target=Desk(house.test_client(), desk.owner).upload, args=(content,)) for _ in range(3)]
    for each in uploads:
        each.start()
    for each in uploads:
        each.join(30.0)
    newer, older = (
        desk.upload(to_archive(to_files(version=version)))["unique_identifier"]
        for version in ("1.1.0", "1.0.0")
    )
    (listed,) = desk.get("plugins?search=redact")["plugins"]
    assert desk.get("plugins?search=echo")["total"] == 1
    answers: list[tuple[str, int]] = []

    def install(identifier: str) -> None:
        body = {"plugin_unique_identifier": identifier}
        client = house.test_client()
        answer = client.post(f"{W}/plugins/install", json=body, headers=desk.owner.headers)
        answers.append((identifier, answer.status_code))

    index = listed["plugin_unique_identifier"]
    calls = [Thread(target=install, args=(each,)) for each in (newer, older, index, index, newer, index)]
    for each in calls:
        each.start()
    for each in calls:
        each.join(30.0)
    assert {status for identifier, status in answers if identifier != older} == {200}
    assert dict(answers)[older] in (200, 400)  # by whether the newer one came first
    installed = {each["plugin_unique_identifier"] for each in desk.get("plugin/list")["plugins"]}
    assert (installed, desk.get("plugin/list")["total"]) == ({newer, index}, 2)


def test_uploaded_plugin_is_used_upgraded_and_removed(desk: Desk, runtime: Runtime) -> None:
    installed = desk.install()
    provider = desk.provider()
    assert provider is not None
    assert (provider["plugin_id"], provider["author"], provider["type"]) == ("tests/echo", "tests", "builtin")
    assert provider["plugin_unique_identifier"] == installed["plugin_unique_identifier"]
    assert desk.client.get(provider["icon"]).status_code == 200
    app = DraftApp(desk.client, runtime, desk.owner, graph(word="one"))
    assert run(app)["outputs"] == {"text": "one"}

    newer = desk.upload(to_archive(to_files("x = 1", version="1.1.0")))["unique_identifier"]
    assert desk.get("plugin/list")["plugins"][0]["latest_unique_identifier"] == newer
    names = {
        "original_plugin_unique_identifier": installed["plugin_unique_identifier"],
        "new_plugin_unique_identifier": newer,
    }
    assert desk.post("plugins/upgrade", names)["plugin"]["version"] == "1.1.0"
    desk.post("plugins/upgrade", names, 404)
    (listed,) = desk.get("plugin/list")["plugins"]
    assert (listed["version"], desk.get("plugin/list")["total"]) == ("1.1.0", 1)
    failed = run(app)
    assert (failed["status"], "ended within the call" in failed["error"]) == ("failed", True)
    older = desk.upload(to_archive(to_files()))["unique_identifier"]
    refused = desk.post("plugins/install", {"plugin_unique_identifier": older}, 400)
    assert "newer version" in refused["message"]

    assert desk.post("plugins/uninstall", {"install_id": listed["id"]}) == {"result": "success"}
    desk.post("plugin/uninstall", {"plugin_installation_id": listed["id"]}, 404)
    assert "is not installed here" in run(app)["error"]
    assert desk.provider() is None


def test_credentials_are_checked_by_the_plugin_and_go_with_it(desk: Desk, runtime: Runtime) -> None:
    files = to_files(KEYED, form=FORM)
    identifier = desk.upload(to_archive(files))["unique_identifier"]
    assert desk.post("plugin/install/pkg", {"plugin_unique_identifiers": [identifier]})["all_installed"]
    app = DraftApp(desk.client, runtime, desk.owner, graph("builtin", word="key of"))
    assert "There are no credentials" in run(app)["error"]

    path = BUILTIN.removeprefix(f"{W}/")
    refused = desk.post(f"{path}/add", {"credentials": {"key": "bad key"}}, 400)
    assert refused["message"] == "The key is refused."
    desk.post(f"{path}/add", {"credentials": {"key": SECRET}})
    assert desk.get(f"{path}/info")["team_credentials"] == {"key": "plante************01"}
    assert [field["name"] for field in desk.get(f"{path}/credential/schema/api-key")] == ["key"]
    assert run(app)["outputs"] == {"text": f"key of {len(SECRET)}"}

    content = {"version": "0.5.0", "kind": "app", "app": {"name": "K", "mode": "workflow"}}
    flow = json.dumps({**content, "workflow": {"graph": graph(), "features": {}}})
    body = {"mode": "yaml-content", "yaml_content": flow}
    headers = desk.owner.headers

    def missing() -> Any:
        return desk.client.post("/console/api/apps/imports", json=body, headers=headers).get_json()["missing"]

    assert missing() == []
    (one,) = desk.get("plugin/list")["plugins"]
    assert desk.post("plugin/uninstall", {"plugin_installation_id": one["id"]}) == {"success": True}
    assert missing() == [{"kind": "tool", "provider": "tests/echo/echo", "name": "say"}]
    desk.get(f"{path}/credentials", 404)
    desk.upload(to_archive(files))
    desk.post("plugins/install", {"plugin_unique_identifier": identifier})
    assert desk.get(f"{path}/credentials") == []


def test_workspaces_see_only_their_own(house: Flask, desk: Desk) -> None:
    installed = desk.install()
    stranger = Desk(house.test_client(), make_owner(house.extensions["runtime"]))
    identifier = installed["plugin_unique_identifier"]
    assert stranger.get("plugin/list") == {"plugins": [], "total": 0}
    assert stranger.get("plugins?search=echo")["total"] == 0
    assert stranger.provider() is None
    stranger.post("plugins/install", {"plugin_unique_identifier": identifier}, 404)
    stranger.get(f"plugin/fetch-manifest?plugin_unique_identifier={identifier}", 404)
    stranger.post("plugins/uninstall", {"install_id": installed["install_id"]}, 404)
    stranger.get("tool-provider/builtin/tests/echo/echo/tools", 404)
    stranger.install()
    stranger.post("plugins/uninstall", {"install_id": stranger.get("plugin/list")["plugins"][0]["id"]})
    shown = desk.get(f"plugin/fetch-manifest?plugin_unique_identifier={identifier}")["manifest"]
    assert (shown["name"], shown["label"]["zh_Hans"], shown["category"]) == ("echo", "回声", "tool")
    assert desk.provider() is not None


@ONCE
def test_server_that_asks_for_signatures_takes_no_other_uploads(house: Flask, desk: Desk) -> None:
    before = desk.upload(to_archive(to_files()))["unique_identifier"]
    key = Ed25519PrivateKey.generate()
    public_key = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    files = to_files(version="2.0.0")
    signature = key.sign(make_package(version="2.0.0").digest.encode())
    with asking_for(house, public_key):
        unsigned = desk.upload(to_archive(files), 400)
        early = desk.post("plugins/install", {"plugin_unique_identifier": before}, 400)
        signed = {**files, SIGNATURE: base64.b64encode(signature).decode()}
        identifier = desk.upload(to_archive(signed))["unique_identifier"]
        desk.post("plugins/install", {"plugin_unique_identifier": identifier})
        (ours,) = desk.get("plugins?search=redact")["plugins"]
        desk.post("plugins/install", {"plugin_unique_identifier": ours["plugin_unique_identifier"]})
    assert "not signed" in unsigned["message"]
    assert "not signed" in early["message"]
    assert [each["declaration"]["verified"] for each in desk.get("plugin/list")["plugins"]] == [True, True]


@contextmanager
def asking_for(house: Flask, public_key: str) -> Iterator[None]:
    """Have the program ask for signatures for a while."""
    was: Runtime = house.extensions["runtime"]
    house.extensions["runtime"] = replace(was, limits=replace(was.limits, plugin_public_key=public_key))
    yield
    house.extensions["runtime"] = was


@ONCE
def test_what_dify_s_console_asks_is_answered(desk: Desk) -> None:
    desk.install()
    asked = {"plugin_ids": ["tests/echo", "slipway/redact", "a/b"]}
    (found,) = desk.post("plugin/list/installations/ids", asked)["plugins"]
    versions = desk.post("plugin/list/latest-versions", asked)["versions"]
    assert (found["plugin_id"], found["declaration"]["plugins"]) == ("tests/echo", {"tools": ["echo"]})
    assert (versions["slipway/redact"]["version"], versions["a/b"]) == ("1.0.0", None)
    assert desk.get("plugin/tasks") == {"tasks": []}
    desk.get("plugin/tasks/x", 404)
    assert desk.post("plugin/tasks/delete_all", {}) == {"success": True}
    assert desk.get("plugin/permission/fetch")["install_permission"] == "admins"
    assert desk.get("plugin/preferences/fetch")["auto_upgrade"]["strategy_setting"] == "disabled"
    desk.get("plugin/debugging-key", 400)
    assert (desk.get("triggers"), desk.get("endpoints/list")["endpoints"]) == ([], [])
    (ollama,) = desk.get("plugins?category=model")["plugins"]
    assert (ollama["plugin_id"], ollama["category"]) == ("slipway/ollama", "model")
    assert desk.get("plugins?category=extension")["plugins"] == []
    page = desk.get("plugins?page=2&page_size=1")
    assert (len(page["plugins"]), page["total"], page["has_more"]) == (1, 4, True)


@ONCE
def test_workspace_says_who_may_install(house: Flask, desk: Desk, runtime: Runtime) -> None:
    editor = Desk(house.test_client(), make_member(runtime, desk.owner, Role.EDITOR))
    keeper = Desk(house.test_client(), make_member(runtime, desk.owner, Role.DATASET_OPERATOR))
    stranger = Desk(house.test_client(), make_owner(runtime))
    package = to_archive(to_files())
    assert "Only administrators" in editor.upload(package, 403)["message"]
    everyone = {"install_permission": "everyone", "debug_permission": "admins"}
    editor.post("plugin/permission/change", everyone, 403)
    assert desk.post("plugin/permission/change", everyone) == {"success": True}
    assert (desk.get("plugin/permission/fetch"), stranger.get("plugin/permission/fetch")) == (
        everyone,
        {"install_permission": "admins", "debug_permission": "noone"},
    )
    keeper.upload(package, 403)
    identifier = editor.upload(package)["unique_identifier"]
    editor.post("plugin/install/pkg", {"plugin_unique_identifiers": [identifier]})

    upgrades = {
        "strategy_setting": "disabled",
        "upgrade_time_of_day": 3600,
        "upgrade_mode": "exclude",
        "exclude_plugins": ["tests/echo"],
        "include_plugins": [],
    }
    nobody = {"permission": {**everyone, "install_permission": "noone"}, "auto_upgrade": upgrades}
    assert desk.post("plugin/preferences/change", nobody) == {"success": True}
    assert desk.get("plugin/preferences/fetch") == nobody
    (one,) = desk.get("plugin/list")["plugins"]
    refused = desk.post("plugin/uninstall", {"plugin_installation_id": one["id"]}, 403)
    assert "Nobody may install" in refused["message"]
    unasked = {**nobody, "auto_upgrade": {**upgrades, "strategy_setting": "latest"}}
    assert "by hand" in desk.post("plugin/preferences/change", unasked, 400)["message"]
    unknown: JSONObject = {"permission": {"install_permission": "me"}, "auto_upgrade": {}}
    refused_bodies: list[JSONObject] = [{}, {"permission": {}}, {**unknown}]
    for wrong in refused_bodies:
        desk.post("plugin/preferences/change", wrong, 400)
    desk.post("plugin/permission/change", {"install_permission": "everyone"}, 400)
    desk.post("plugin/permission/change", {**everyone, "install_permission": "admins"})
    assert desk.get("plugin/preferences/fetch")["auto_upgrade"] == upgrades
    desk.post("plugin/uninstall", {"plugin_installation_id": one["id"]})


@ONCE
def test_pictures_and_words_of_a_package_are_shown(house: Flask, desk: Desk) -> None:
    files = {
        **to_files(),
        "_assets/shot.png": "picture",
        "_assets/page.html": "<script>",
        "README.md": "# Echo",
        "readme/README_zh_Hans.md": "# 回声",
    }
    identifier = desk.upload(to_archive(files))["unique_identifier"]
    named = f"plugin_unique_identifier={identifier}"
    shot = desk.client.get(f"{W}/plugin/asset?{named}&file_name=shot.png", headers=desk.owner.headers)
    assert (shot.data, shot.content_type) == (b"picture", "image/png")
    assert "sandbox" in shot.headers["Content-Security-Policy"]
    for name in ("page.html", "gone.png", "../icon.svg", "../main.py"):
        desk.get(f"plugin/asset?{named}&file_name={name}", 404)
    assert desk.get(f"plugin/readme?{named}&language=zh_Hans") == {"readme": "# 回声"}
    for language in ("en_US", "../x", "de_DE"):
        assert desk.get(f"plugin/readme?{named}&language={language}") == {"readme": "# Echo"}
    (ollama,) = desk.get("plugins?search=ollama")["plugins"]
    listed = f"plugin_unique_identifier={ollama['plugin_unique_identifier']}"
    assert "Ollama" in desk.get(f"plugin/readme?{listed}")["readme"]
    stranger = Desk(house.test_client(), make_owner(house.extensions["runtime"]))
    stranger.get(f"plugin/readme?{named}", 404)
    stranger.get(f"plugin/asset?{named}&file_name=shot.png", 404)
    desk.get("plugin/readme?plugin_unique_identifier=x", 400)
    desk.get("plugin/asset?plugin_unique_identifier=x", 400)


@ONCE
def test_what_plugins_do_not_have_here_is_told(desk: Desk) -> None:
    for path in ("upload/github", "upload/bundle", "install/github", "upgrade/github"):
        assert "upload them" in desk.post(f"plugin/{path}", {}, 400)["message"]
    desk.get("plugin/marketplace/pkg?plugin_unique_identifier=x", 400)
    desk.post("plugin/tasks/x/delete", {}, 404)
    desk.post(f"plugin/tasks/x/delete/a/b:1.0.0@{'0' * 64}", {}, 404)
    options = "plugin_id=a/b&provider=p&action=a&parameter=x&provider_type=tool"
    assert desk.get(f"plugin/parameters/dynamic-options?{options}") == {"options": []}
    assert desk.get("endpoints/list/plugin?plugin_id=a/b")["endpoints"] == []
    for word in ("create", "update", "delete", "enable", "disable"):
        assert "serve no addresses" in desk.post(f"endpoints/{word}", {}, 400)["message"]


@ONCE
def test_what_will_not_do_is_refused(desk: Desk) -> None:
    unknown = f"a/b:1.0.0@{'0' * 64}"
    desk.post("plugins/install", {"plugin_unique_identifier": "a/b"}, 400)
    desk.post("plugins/install", {}, 400)
    desk.post("plugins/install", {"plugin_unique_identifier": unknown}, 404)
    desk.post("plugin/install/marketplace", {"plugin_unique_identifiers": []}, 400)
    installed = desk.install()["plugin_unique_identifier"]
    names = {"original_plugin_unique_identifier": installed, "new_plugin_unique_identifier": unknown}
    desk.post("plugin/upgrade/marketplace", names, 400)
    refused = desk.upload(to_archive(to_files(plugins={"endpoints": ["x"]})), 400)
    assert "bring endpoints do not run here" in refused["message"]
    assert "damaged" in desk.upload(b"no archive", 400)["message"]
    desk.post("plugins/uninstall", {"install_id": "x"}, 404)
    for page in ("page=0", "page_size=257", "category=x"):
        desk.get(f"plugins?{page}", 400)
    for name in ("x.svg", "x.html", "%00.svg", ""):
        desk.get(
            f"plugin/icon?tenant_id={desk.owner.tenant_id}&filename={name}", 400 if name == "%00.svg" else 404
        )
