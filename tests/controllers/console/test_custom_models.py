"""Models added to a provider by name, and credentials of their own, over HTTP."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.controllers.console.provider_calls import (
    ANSWER,
    COMPATIBLE,
    MASKED,
    MODELS,
    PROVIDERS,
    SECRET,
    form,
    save,
    show,
)
from tests.factories import ChatApp, Owner, make_chat_app
from tests.servers import Reply, ScriptedServer

ADDED = f"{PROVIDERS}/{COMPATIBLE}/models"
CREDENTIALS = f"{ADDED}/credentials"
QWEN: dict[str, object] = {"model": "qwen3:8b", "model_type": "llm"}
REFUSED = Reply.of_json({"error": {"message": "no"}}, status=401)


def give_own(client: FlaskClient, owner: Owner, credentials: object, **body: object) -> Any:
    return client.post(CREDENTIALS, json={**QWEN, "credentials": credentials, **body}, headers=owner.headers)


def show_own(client: FlaskClient, owner: Owner) -> Any:
    return client.get(CREDENTIALS, query_string=QWEN, headers=owner.headers).get_json()


def models(client: FlaskClient, owner: Owner) -> dict[str, Any]:
    listed = client.get(ADDED, headers=owner.headers).get_json()["data"]
    return {model["model"]: model for model in listed}


def ask(client: FlaskClient, app: ChatApp) -> Any:
    body = {"query": "Hi", "inputs": {}, "user": "u", "auto_generate_name": False}
    return client.post("/v1/chat-messages", json=body, headers=app.headers)


def qwen_app(runtime: Runtime, owner: Owner) -> ChatApp:
    choice = {"provider": COMPATIBLE, "name": "qwen3:8b", "mode": "chat", "completion_params": {}}
    return make_chat_app(runtime, owner, model=choice)


def test_model_added_uses_the_providers_credentials(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
    for _ in range(2):
        added = client.post(ADDED, json=QWEN, headers=owner.headers)
        assert (added.status_code, added.get_json()) == (200, {"result": "success"})

    listed = models(client, owner)
    assert [*listed] == ["qwen3:8b"]
    assert listed["qwen3:8b"]["fetch_from"] == "customizable-model"
    assert (listed["qwen3:8b"]["model_type"], listed["qwen3:8b"]["status"]) == ("llm", "active")
    assert show(client, owner, "openai_api_compatible")["custom_configuration"]["custom_models"] == [
        {
            "model": "qwen3:8b",
            "model_type": "llm",
            "current_credential_id": None,
            "current_credential_name": None,
            "available_model_credentials": [],
        }
    ]


def test_model_added_stays_when_the_providers_credentials_go(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
    client.post(ADDED, json=QWEN, headers=owner.headers)

    client.delete(f"{PROVIDERS}/{COMPATIBLE}", headers=owner.headers)

    assert models(client, owner)["qwen3:8b"]["status"] == "no-configure"


def test_model_added_without_any_credentials_is_refused(client: FlaskClient, owner: Owner) -> None:
    answer = client.post(ADDED, json=QWEN, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "provider")


@pytest.mark.parametrize(
    ("provider", "body", "field"),
    [
        (COMPATIBLE, {**QWEN, "model": " "}, "model"),
        (COMPATIBLE, {**QWEN, "model": "m" * 256}, "model"),
        (COMPATIBLE, {**QWEN, "model": 5}, "model"),
        (COMPATIBLE, {"model": "x"}, "model_type"),
        (COMPATIBLE, {**QWEN, "model_type": "chatty"}, "model_type"),
        (COMPATIBLE, {**QWEN, "model_type": "moderation"}, "model_type"),
        ("builtin", QWEN, "model_type"),
    ],
)
def test_model_that_cannot_be_added_is_refused(
    client: FlaskClient, owner: Owner, provider: str, body: dict[str, object], field: str
) -> None:
    answer = client.post(f"{PROVIDERS}/{provider}/models", json=body, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)


def test_model_removed_is_gone(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
    client.post(ADDED, json=QWEN, headers=owner.headers)

    removed = client.delete(ADDED, json=QWEN, headers=owner.headers)
    again = client.delete(ADDED, json=QWEN, headers=owner.headers)

    assert (removed.status_code, removed.data, again.status_code) == (204, b"", 404)
    assert models(client, owner) == {}


def test_model_with_credentials_of_its_own_needs_none_of_the_provider(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with ScriptedServer(MODELS, ANSWER) as server:
        own = form(server, context_size="8192", vision_support="support")
        saved = give_own(client, owner, own)
        answer = ask(client, qwen_app(runtime, owner))

    model = models(client, owner)["qwen3:8b"]
    shown = show_own(client, owner)
    assert (saved.status_code, saved.get_json()) == (201, {"result": "success"})
    assert answer.get_json()["answer"] == "Hello"
    assert (model["status"], model["features"]) == ("active", ["vision"])
    assert model["model_properties"]["context_size"] == 8192
    assert show(client, owner, "openai_api_compatible")["status"] == "active"
    assert shown["credentials"]["api_key"] == MASKED
    assert shown["credentials"]["context_size"] == "8192"
    assert shown["load_balancing"] == {"enabled": False, "configs": []}
    assert [c["credential_id"] for c in shown["available_credentials"]] == [shown["current_credential_id"]]


def test_model_with_only_figures_of_its_own_completes_the_providers_credentials(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with ScriptedServer(MODELS, MODELS, ANSWER) as server:
        save(client, owner, server)
        give_own(client, owner, {"context_size": "16384"})
        answer = ask(client, qwen_app(runtime, owner))

    assert answer.get_json()["answer"] == "Hello"
    assert models(client, owner)["qwen3:8b"]["model_properties"]["context_size"] == 16384
    assert "endpoint_url" not in show_own(client, owner)["credentials"]


def test_model_with_an_address_of_its_own_never_sees_the_providers_key(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with ScriptedServer(MODELS) as server, ScriptedServer(MODELS, ANSWER) as other:
        save(client, owner, server)
        give_own(client, owner, {"endpoint_url": f"{other.url}/v1"})
        ask(client, qwen_app(runtime, owner))

    assert len(other.seen) == 2
    assert all(SECRET not in str(seen.headers) for seen in other.seen)


def test_model_credentials_changed_keep_a_secret_sent_back_masked(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with ScriptedServer(MODELS, MODELS, ANSWER) as server:
        give_own(client, owner, form(server))
        body = {
            **QWEN,
            "credential_id": show_own(client, owner)["current_credential_id"],
            "credentials": form(server, MASKED, context_size="2048"),
        }
        changed = client.put(CREDENTIALS, json=body, headers=owner.headers)
        ask(client, qwen_app(runtime, owner))

    assert changed.status_code == 200
    assert models(client, owner)["qwen3:8b"]["model_properties"]["context_size"] == 2048
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {SECRET}"}


def test_model_credentials_the_provider_refuses_are_not_saved(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(REFUSED) as server:
        refused = give_own(client, owner, form(server))
        body = {**QWEN, "credentials": form(server)}
        checked = client.post(f"{CREDENTIALS}/validate", json=body, headers=owner.headers)

    assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid_param")
    assert (checked.status_code, checked.get_json()) == (200, {"result": "error", "error": "no"})
    assert show_own(client, owner)["credentials"] == {}
    assert models(client, owner) == {}


def test_model_credentials_accepted_in_a_check_are_not_saved(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        body = {**QWEN, "credentials": form(server)}
        checked = client.post(f"{CREDENTIALS}/validate", json=body, headers=owner.headers)

    assert checked.get_json() == {"result": "success"}
    assert models(client, owner) == {}


def test_model_credentials_deleted_take_the_model_along(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        give_own(client, owner, form(server))
    body = {**QWEN, "credential_id": show_own(client, owner)["current_credential_id"]}

    wrong = client.delete(
        CREDENTIALS, json={**body, "credential_id": owner.account_id}, headers=owner.headers
    )
    deleted = client.delete(CREDENTIALS, json=body, headers=owner.headers)
    again = client.delete(CREDENTIALS, json=body, headers=owner.headers)

    assert [a.status_code for a in (wrong, deleted, again)] == [404, 204, 404]
    assert models(client, owner) == {}


def test_model_credentials_of_others_are_not_changed(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        give_own(client, owner, form(server))
        body = {**QWEN, "credential_id": owner.account_id, "credentials": form(server, "another-key-0")}
        answer = client.put(CREDENTIALS, json=body, headers=owner.headers)

    assert answer.status_code == 404
    assert show_own(client, owner)["credentials"]["api_key"] == MASKED
