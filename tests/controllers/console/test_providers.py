"""The catalogue of model providers, defaults, rules and icons, over HTTP."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from api.controllers.schemas.provider import PROVIDER_MODEL
from api.core.model_runtime.provider import PROVIDERS as REGISTRY
from api.runtime import Runtime
from tests.conftest import make_house, make_settings, stop_house
from tests.controllers.console.provider_calls import COMPATIBLE, MODELS, PROVIDERS, save, show
from tests.factories import Owner, make_app, make_owner
from tests.servers import ScriptedServer
from tests.statements import count_statements

DEFAULT = "/console/api/workspaces/current/default-model"
OFFERED = ("anthropic", "azure_openai", "builtin", "openai", "openai_api_compatible")
BUILTIN = {"provider": "slipway/builtin/builtin", "model": "extractive-qa"}


def test_catalogue_lists_every_provider_in_full(client: FlaskClient, owner: Owner) -> None:
    data = client.get(PROVIDERS, headers=owner.headers).get_json()["data"]

    assert {provider["provider_short"] for provider in data} >= set(OFFERED)
    for provider in data:
        assert set(provider) == set(PROVIDER_MODEL)
        assert provider["provider"] == REGISTRY[provider["provider_short"]].schema.long_id
        assert provider["tenant_id"] == owner.tenant_id
        for name in ("label", "description", "icon_small", "icon_large"):
            assert set(provider[name]) == {"zh_Hans", "en_US"}
        for model in provider["models"]:
            figures = [model["model_properties"][name] for name in ("context_size", "max_chunks")]
            assert all(isinstance(figure, int) for figure in figures)
            assert model["model_properties"]["file_upload_limit"] == 0
            assert set(model["label"]) == {"zh_Hans", "en_US"}
            assert model["model_type"] in provider["supported_model_types"]
            assert model["fetch_from"] == "predefined-model"
            assert isinstance(model["features"], list)


def test_catalogue_tells_what_is_usable_without_credentials(client: FlaskClient, owner: Owner) -> None:
    status = {short: show(client, owner, short)["status"] for short in OFFERED}

    assert status == {short: "active" if short == "builtin" else "no-configure" for short in OFFERED}
    openai, builtin = (show(client, owner, short) for short in ("openai", "builtin"))
    assert {model["status"] for model in openai["models"]} == {"no-configure"}
    assert {model["status"] for model in builtin["models"]} == {"active"}
    assert openai["custom_configuration"]["status"] == "no-configure"
    assert builtin["provider_credential_schema"] is None
    assert builtin["model_credential_schema"] is None


def test_catalogue_describes_the_form_of_credentials(client: FlaskClient, owner: Owner) -> None:
    openai = show(client, owner, "openai")

    fields = {f["variable"]: f for f in openai["provider_credential_schema"]["credential_form_schemas"]}
    assert fields["openai_api_key"]["type"] == "secret-input"
    assert fields["openai_api_key"]["required"] is True
    assert set(fields["openai_api_key"]["label"]) == {"zh_Hans", "en_US"}
    assert openai["configurate_methods"] == ["predefined-model", "customizable-model"]
    assert openai["preferred_provider_type"] == "custom"
    assert openai["system_configuration"]["enabled"] is False
    assert openai["help"]["url"]["en_US"].startswith("https://")


def test_catalogue_filtered_by_type_holds_only_that_type(client: FlaskClient, owner: Owner) -> None:
    url = f"{PROVIDERS}?model_type=text-embedding"
    data = client.get(url, headers=owner.headers).get_json()["data"]

    shorts = {provider["provider_short"] for provider in data}
    assert "builtin" in shorts
    assert "anthropic" not in shorts
    types = {model["model_type"] for provider in data for model in provider["models"]}
    assert types == {"text-embedding"}


def test_catalogue_with_an_unknown_type_is_refused(client: FlaskClient, owner: Owner) -> None:
    answer = client.get(f"{PROVIDERS}?model_type=chatty", headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": "model_type", "type": "invalid_choice"}


def test_catalogue_takes_one_statement_beside_authentication(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
    client.get(PROVIDERS, headers=owner.headers)

    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        client.get(PROVIDERS, headers=owner.headers)

    own = [text for text in statements if "jobs" not in text and "worker_beats" not in text]
    assert len(own) <= 2, own


def test_ids_are_short_where_the_operator_wants_them(tmp_path: Path) -> None:
    house = make_house(make_settings(tmp_path, model_provider_id_style="short"))
    owner = make_owner(house.extensions["runtime"])
    client = house.test_client()
    path = "/console/api/workspaces/current"

    shown = client.get(f"{path}/model-providers", headers=owner.headers).get_json()["data"]
    default = client.get(f"{path}/default-model?model_type=text-embedding", headers=owner.headers).get_json()
    stop_house(house)

    assert {provider["provider"] for provider in shown} == {provider["provider_short"] for provider in shown}
    assert default["data"]["provider"]["provider"] == "builtin"


@pytest.mark.parametrize("provider", ["builtin", "slipway/builtin/builtin", "slipway%2Fbuiltin%2Fbuiltin"])
def test_provider_is_found_by_short_and_long_id(client: FlaskClient, owner: Owner, provider: str) -> None:
    answer = client.get(f"{PROVIDERS}/{provider}/models", headers=owner.headers)

    assert answer.status_code == 200
    assert [model["model"] for model in answer.get_json()["data"]] == [
        "extractive-qa",
        "multilingual-e5-small",
    ]


@pytest.mark.parametrize("provider", ["unheard_of", "someone/else/builtin", "builtin/builtin", "x" * 5000])
def test_provider_that_is_unknown_is_not_found(client: FlaskClient, owner: Owner, provider: str) -> None:
    for path in ("models", "credentials", "models/parameter-rules?model=x"):
        answer = client.get(f"{PROVIDERS}/{provider}/{path}", headers=owner.headers)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


def test_rules_list_the_parameters_of_a_chat_model(client: FlaskClient, owner: Owner) -> None:
    url = f"{PROVIDERS}/builtin/models/parameter-rules"

    rules = client.get(f"{url}?model=extractive-qa", headers=owner.headers).get_json()["data"]
    unknown = client.get(f"{url}?model=gpt-4o", headers=owner.headers)
    missing = client.get(url, headers=owner.headers)

    assert [(rule["name"], rule["type"], rule["min"]) for rule in rules] == [("max_tokens", "int", 1)]
    assert unknown.status_code == 404
    assert missing.get_json()["details"] == {"field": "model", "type": "required"}


def test_usable_models_are_those_that_can_be_called_now(client: FlaskClient, owner: Owner) -> None:
    url = "/console/api/workspaces/current/models/model-types/llm"
    before = client.get(url, headers=owner.headers).get_json()["data"]
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
        client.post(
            f"{PROVIDERS}/{COMPATIBLE}/models",
            json={"model": "qwen3:8b", "model_type": "llm"},
            headers=owner.headers,
        )

    after = client.get(url, headers=owner.headers).get_json()["data"]

    listed = {p["provider"]: [model["model"] for model in p["models"]] for p in before}
    assert listed["slipway/builtin/builtin"] == ["extractive-qa"]
    assert "langgenius/openai/openai" not in listed
    added = {p["provider"]: p for p in after}[COMPATIBLE]
    assert [model["model"] for model in added["models"]] == ["qwen3:8b"]
    assert added["status"] == "active"


def test_usable_models_of_an_unknown_type_are_refused(client: FlaskClient, owner: Owner) -> None:
    answer = client.get("/console/api/workspaces/current/models/model-types/chatty", headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


def test_default_model_is_built_in_until_one_is_chosen(client: FlaskClient, owner: Owner) -> None:
    shown = {
        kind: client.get(f"{DEFAULT}?model_type={kind}", headers=owner.headers).get_json()["data"]
        for kind in ("llm", "text-embedding", "rerank")
    }

    assert (shown["llm"]["model"], shown["llm"]["provider"]["provider"]) == (
        "extractive-qa",
        "slipway/builtin/builtin",
    )
    assert shown["llm"]["provider"]["tenant_id"] == owner.tenant_id
    assert set(shown["llm"]["provider"]["icon_small"]) == {"zh_Hans", "en_US"}
    assert shown["text-embedding"]["model"] == "multilingual-e5-small"
    assert shown["rerank"] is None


def test_default_model_chosen_is_the_one_of_new_apps(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    setting = {"model_type": "llm", "provider": COMPATIBLE, "model": "qwen3:8b"}
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
        answer = client.post(
            DEFAULT,
            json={"model_settings": [setting, {"model_type": "text-embedding"}]},
            headers=owner.headers,
        )
    app_id = make_app(runtime, owner)

    shown = client.get(f"{DEFAULT}?model_type=llm", headers=owner.headers).get_json()["data"]
    config = client.get(f"/console/api/apps/{app_id}", headers=owner.headers).get_json()["model_config"]
    assert (answer.status_code, answer.get_json()) == (200, {"result": "success"})
    assert (shown["model"], shown["provider"]["provider"]) == ("qwen3:8b", COMPATIBLE)
    assert (config["model"]["provider"], config["model"]["name"]) == (COMPATIBLE, "qwen3:8b")


def test_default_model_may_be_chosen_again(client: FlaskClient, owner: Owner) -> None:
    for kind, model in (("text-embedding", "multilingual-e5-small"), ("llm", "extractive-qa")) * 2:
        setting = {"model_type": kind, **BUILTIN, "model": model}
        answer = client.post(DEFAULT, json={"model_settings": [setting]}, headers=owner.headers)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (None, "model_settings"),
        ({}, "model_settings"),
        (["llm"], "model_settings"),
        ([{"model_type": "chatty"}], "model_settings"),
        ([{"provider": "builtin", "model": "extractive-qa"}], "model_settings"),
        ([{"model_type": "llm", "provider": "builtin", "model": 5}], "model_settings"),
        ([{"model_type": "llm", "provider": "unheard_of", "model": "x"}], "provider"),
        ([{"model_type": "llm", "provider": "openai", "model": "gpt-4o"}], "provider"),
        ([{"model_type": "llm", "provider": "builtin", "model": "gpt-4o"}], "model"),
        ([{"model_type": "rerank", **BUILTIN}], "model"),
    ],
)
def test_default_model_that_cannot_be_used_is_refused(
    client: FlaskClient, owner: Owner, settings: object, field: str
) -> None:
    answer = client.post(DEFAULT, json={"model_settings": settings}, headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"]["field"] == field


def test_default_model_of_a_workspace_is_its_own(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    setting = {"model_type": "llm", "provider": COMPATIBLE, "model": "qwen3:8b"}
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
        client.post(DEFAULT, json={"model_settings": [setting]}, headers=owner.headers)

    other = make_owner(runtime)

    shown = client.get(f"{DEFAULT}?model_type=llm", headers=other.headers).get_json()["data"]
    assert shown["model"] == "extractive-qa"


@pytest.mark.parametrize("short", OFFERED)
def test_icon_is_served_to_anyone_and_runs_nothing(client: FlaskClient, owner: Owner, short: str) -> None:
    for name in ("icon_small", "icon_large"):
        for url in show(client, owner, short)[name].values():
            icon = client.get(url)
            assert icon.status_code == 200
            assert icon.content_type == "image/svg+xml; charset=utf-8"
            assert icon.headers["X-Content-Type-Options"] == "nosniff"
            assert icon.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert icon.data.startswith(b"<svg")


@pytest.mark.parametrize("path", ["unheard_of/icon_small/en_US", "builtin/icon_huge/en_US"])
def test_icon_that_is_not_there_is_not_found(client: FlaskClient, owner: Owner, path: str) -> None:
    answer = client.get(f"/console/api/workspaces/{owner.tenant_id}/model-providers/{path}")

    assert answer.status_code == 404
