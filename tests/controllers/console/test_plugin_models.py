"""Models that a plugin brings, over HTTP: configured, chosen, asked, counted, and gone with it."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.core.plugins.package import pack
from api.models.usage import UsageDay
from api.runtime import Runtime
from tests.conftest import ONCE
from tests.controllers.console.plugin_calls import Desk, W
from tests.factories import Owner, make_app, make_chat_app, make_owner
from tests.plugins import VENDOR, to_archive, to_files
from tests.servers import Reply, ScriptedServer, Seen, Step
from tests.sse import read_events, text_of
from tests.vendors import SECRET, OpenAIWire

ID = "tests/vendor/vendor"
PROVIDER = f"model-providers/{ID}"
CHOICE = {"provider": ID, "name": "chat-1", "mode": "chat", "completion_params": {"max_tokens": 50}}
WIRE = OpenAIWire()
LISTED = Reply.of_json({"data": []})


@pytest.fixture
def desk(client: FlaskClient, owner: Owner) -> Desk:
    return Desk(client, owner)


@pytest.fixture
def vendor() -> Iterator[ScriptedServer]:
    with ScriptedServer(LISTED) as server:
        yield server


def install(desk: Desk) -> dict[str, Any]:
    identifier = desk.upload(pack(VENDOR))["unique_identifier"]
    plugin: dict[str, Any] = desk.post("plugins/install", {"plugin_unique_identifier": identifier})["plugin"]
    return plugin


def shown(desk: Desk) -> dict[str, Any] | None:
    """Return the provider as the catalogue shows it."""
    listed = desk.get("model-providers")["data"]
    return next((each for each in listed if each["provider"] == ID), None)


def save(desk: Desk, server: ScriptedServer) -> None:
    server.then(LISTED)
    desk.post(f"{PROVIDER}/credentials", {"credentials": {"base_url": server.url, "api_key": SECRET}}, 201)


def ask(desk: Desk, headers: dict[str, str], query: str = "hi", **body: Any) -> Any:
    sent = {"query": query, "user": "u", "inputs": {}, **body}
    return desk.client.post("/v1/chat-messages", json=sent, headers=headers)


def test_provider_of_a_plugin_is_configured_asked_and_counted(
    desk: Desk, runtime: Runtime, vendor: ScriptedServer
) -> None:
    assert shown(desk) is None
    install(desk)
    provider = shown(desk)
    assert provider is not None
    assert (provider["provider_short"], provider["status"]) == (ID, "no-configure")
    assert [model["model"] for model in provider["models"]] == [
        "chat-1",
        "an-embedding-model",
        "a-rerank-model",
    ]
    assert provider["models"][0]["model_properties"]["context_size"] == 32_768
    assert provider["configurate_methods"] == ["predefined-model", "customizable-model"]
    form = provider["provider_credential_schema"]["credential_form_schemas"]
    assert [field["variable"] for field in form] == ["base_url", "api_key"]
    icon = desk.client.get(provider["icon_small"]["en_US"].removeprefix("http://localhost"))
    assert (icon.status_code, icon.content_type) == (200, "image/svg+xml")

    bad = {"credentials": {"base_url": vendor.url, "api_key": SECRET}}
    vendor.then(Reply.of_json(WIRE.error(f"bad key {SECRET}"), 401))
    refused = desk.post(f"{PROVIDER}/credentials/validate", bad)
    assert refused == {"result": "error", "error": "bad key ***"}
    assert "credentials.base_url" in str(desk.post(f"{PROVIDER}/credentials", {"credentials": {}}, 400))
    save(desk, vendor)
    masked = desk.get(f"{PROVIDER}/credentials")["credentials"]
    assert (masked["base_url"], SECRET in masked["api_key"]) == (vendor.url, False)
    (usable,) = [each for each in desk.get("models/model-types/rerank")["data"] if each["provider"] == ID]
    assert [model["model"] for model in usable["models"]] == ["a-rerank-model"]
    rules = desk.get(f"{PROVIDER}/models/parameter-rules?model=chat-1")["data"]
    assert [(rule["name"], rule["max"]) for rule in rules] == [("temperature", 1.0), ("max_tokens", 4096.0)]
    setting = {"model_type": "llm", "provider": ID, "model": "chat-1"}
    desk.post("default-model", {"model_settings": [setting]})
    assert desk.get("default-model?model_type=llm")["data"]["provider"]["provider"] == ID

    app = make_chat_app(runtime, desk.owner, model=CHOICE)
    vendor.then(Reply.of_events(*WIRE.text("Hel", "lo")))
    streamed = read_events(ask(desk, app.headers, response_mode="streaming"))
    assert text_of(streamed) == "Hello"
    assert [each["answer"] for each in streamed if each["event"] == "message"] == ["Hel", "lo"]
    usage = streamed[-1]["metadata"]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_price"]) == (7, 3, "0.0000440")
    assert vendor.seen[-1].json["max_tokens"] == 50
    with runtime.transaction() as session:
        (day,) = session.scalars(select(UsageDay).where(UsageDay.tenant_id == desk.owner.tenant_id)).all()
    assert (day.provider, day.model, day.prompt_tokens) == (ID, "chat-1", 7)


def test_plugin_s_model_that_fails_is_a_typed_error_of_that_call(
    desk: Desk, runtime: Runtime, vendor: ScriptedServer
) -> None:
    install(desk)
    save(desk, vendor)
    app = make_chat_app(runtime, desk.owner, model=CHOICE)
    for query, reply, code in (
        ("crash", LISTED, "completion_request_error"),
        ("hi", Reply.of_json(WIRE.error("no such model"), 404), "model_currently_not_support"),
        ("hi", WIRE.quota(), "provider_quota_exceeded"),
        ("leak", LISTED, "egress_denied"),
    ):
        vendor.then(reply)
        answer = ask(desk, app.headers, query)
        assert (answer.status_code, answer.json["code"]) == (400, code), answer.json
    provider = shown(desk)
    assert provider is not None
    assert provider["status"] == "quota-exceeded"
    vendor.then(Reply.of_events(*WIRE.text("well again")))
    assert ask(desk, app.headers).json["answer"] == "well again"
    vendor.then(Reply.of_events(*WIRE.text("half", end=False), Step.DROP, done=False))
    events = read_events(ask(desk, app.headers, response_mode="streaming"))
    assert (events[-1]["event"], events[-1]["code"]) == ("error", "completion_request_error")
    forgotten = desk.client.delete(f"{W}/{PROVIDER}", headers=desk.owner.headers)
    unset = ask(desk, app.headers)
    assert (forgotten.status_code, unset.status_code, unset.json["code"]) == (
        204,
        400,
        "provider_not_initialize",
    )


def test_provider_is_its_workspace_s_own_and_goes_with_the_plugin(
    house: Flask, desk: Desk, runtime: Runtime, vendor: ScriptedServer
) -> None:
    plugin = install(desk)
    save(desk, vendor)
    added = {"model": "my-model", "model_type": "llm"}
    desk.post(f"{PROVIDER}/models", added)
    desk.post("default-model", {"model_settings": [{**added, "provider": ID}]})
    app = make_chat_app(runtime, desk.owner, model={**CHOICE, "name": "my-model"})
    vendor.then(Reply.of_events(*WIRE.text("mine")))
    assert ask(desk, app.headers).json["answer"] == "mine"

    stranger = Desk(house.test_client(), make_owner(house.extensions["runtime"]))
    assert shown(stranger) is None
    stranger.get(f"{PROVIDER}/credentials", 404)
    stranger.post(f"{PROVIDER}/credentials", {"credentials": {"base_url": "x", "api_key": "y"}}, 404)
    stranger.get(f"{PROVIDER}/models/parameter-rules?model=chat-1", 404)
    stranger.post(
        "default-model", {"model_settings": [{"model_type": "llm", "provider": ID, "model": "chat-1"}]}, 400
    )
    theirs = f"/console/api/apps/{make_app(runtime, stranger.owner)}/model-config"
    refused: Any = stranger.client.post(theirs, json={"model": CHOICE}, headers=stranger.owner.headers)
    assert (refused.status_code, refused.json["details"]["field"]) == (400, "model.provider")

    desk.post("plugins/uninstall", {"install_id": plugin["install_id"]})
    assert shown(desk) is None
    for mode in ("blocking", "streaming"):
        gone = ask(desk, app.headers, response_mode=mode)
        assert (gone.status_code, gone.json["code"]) == (400, "provider_not_initialize")
        assert "the plugin that brings it is not installed here" in gone.json["message"]
    default = desk.get("default-model?model_type=llm")["data"]
    assert default["provider"]["provider"] == "slipway/builtin/builtin"

    install(desk)
    again = shown(desk)
    assert again is not None
    assert (again["status"], len(again["models"])) == ("no-configure", 3)


@ONCE
def test_models_with_credentials_of_their_own_alone_are_asked_with_them(desk: Desk, runtime: Runtime) -> None:
    form = [{"variable": "greeting", "label": "Greeting", "required": True}]
    provider = {
        "provider": "own",
        "label": "Own",
        "supported_model_types": ["llm"],
        "configurate_methods": ["customizable-model"],
        "model_credential_schema": {"credential_form_schemas": form},
    }
    main = """
from slipway_plugin import Chunk, ModelFailed, Models, serve

def check(credentials):
    if credentials["greeting"] == "none":
        raise ModelFailed("That is no greeting.")

def chat(asked):
    yield asked.credentials["greeting"]
    yield Chunk(finish_reason="stop")

serve(models={"own": Models(check, chat)})
"""
    files = {**to_files(main, plugins={"models": ["own.yaml"]}), "own.yaml": yaml.safe_dump(provider)}
    identifier = desk.upload(to_archive(files))["unique_identifier"]
    desk.post("plugins/install", {"plugin_unique_identifier": identifier})
    named = {"model": "mine", "model_type": "llm"}
    path = "model-providers/tests/echo/own"
    refused = desk.post(f"{path}/models/credentials", {**named, "credentials": {"greeting": "none"}}, 400)
    assert refused["message"] == "That is no greeting."
    desk.post(f"{path}/models", named, 400)
    desk.post(f"{path}/models/credentials", {**named, "credentials": {"greeting": "Grüezi"}}, 201)
    choice = {**CHOICE, "provider": "tests/echo/own", "name": "mine"}
    app = make_chat_app(runtime, desk.owner, model=choice)
    assert ask(desk, app.headers).json["answer"] == "Grüezi"


@ONCE
def test_knowledge_knows_whether_its_embedding_model_is_still_there(
    desk: Desk, runtime: Runtime, vendor: ScriptedServer
) -> None:
    install(desk)
    save(desk, vendor)
    body = {
        "name": "K",
        "indexing_technique": "high_quality",
        "embedding_model": "an-embedding-model",
        "embedding_model_provider": ID,
    }
    headers = desk.owner.headers
    made: Any = desk.client.post("/console/api/datasets", json=body, headers=headers)
    assert made.status_code == 201, made.data
    told: Any = desk.client.get(f"/console/api/datasets/{made.json['id']}", headers=headers).json
    assert (told["embedding_model_provider"], told["embedding_available"]) == (ID, True)
    (one,) = desk.get("plugin/list")["plugins"]
    desk.post("plugin/uninstall", {"plugin_installation_id": one["installation_id"]})
    told = desk.client.get(f"/console/api/datasets/{made.json['id']}", headers=headers).json
    assert (told["embedding_model_provider"], told["embedding_available"]) == (ID, False)


@ONCE
def test_credentials_of_a_plugin_removed_while_they_are_checked_are_not_kept(
    desk: Desk, vendor: ScriptedServer
) -> None:
    plugin = install(desk)

    def removes(_seen: Seen) -> Reply:
        desk.post("plugins/uninstall", {"install_id": plugin["install_id"]})
        return LISTED

    form = {"credentials": {"base_url": vendor.url, "api_key": SECRET}}
    for path in (f"{PROVIDER}/credentials", PROVIDER):
        vendor.then(removes)
        desk.post(path, form, 404)
        plugin = install(desk)
        assert desk.get(f"{PROVIDER}/credentials")["credentials"] is None


@ONCE
def test_owner_is_told_what_a_plugin_may_call(desk: Desk) -> None:
    manifest = desk.upload(pack(VENDOR))["manifest"]
    assert manifest["resource"]["permission"]["network"] == {"hosts": [], "credentials": ["base_url"]}
    assert (manifest["category"], manifest["plugins"], manifest["tool"]) == (
        "model",
        {"models": ["vendor"]},
        None,
    )
    assert manifest["model"]["provider"] == "vendor"
