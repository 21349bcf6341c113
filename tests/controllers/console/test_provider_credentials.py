"""Credentials of model providers, over HTTP: checked, masked, kept, switched, forgotten."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.controllers.http.door import guard_of
from api.models.provider import CustomModel, ProviderCredential
from api.runtime import Runtime
from tests.conftest import BOTH, make_house, make_settings, stop_house
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
from tests.factories import ChatApp, Owner, make_app, make_chat_app, make_key, make_owner
from tests.servers import Reply, ScriptedServer, Seen

CREDENTIALS = f"{PROVIDERS}/{COMPATIBLE}/credentials"
REFUSED = Reply.of_json({"error": {"message": f"Incorrect API key provided: {SECRET}"}}, status=401)
HIDDEN = "[__HIDDEN__]"


def named(client: FlaskClient, owner: Owner) -> dict[str, str]:
    """Return the stored credentials of the compatible provider, id by name."""
    configuration = show(client, owner, "openai_api_compatible")["custom_configuration"]
    return {c["credential_name"]: c["credential_id"] for c in configuration["available_credentials"]}


def current(client: FlaskClient, owner: Owner) -> str | None:
    name: str | None = show(client, owner, "openai_api_compatible")["custom_configuration"][
        "current_credential_name"
    ]
    return name


def answer_of(client: FlaskClient, app: ChatApp) -> Any:
    body = {"query": "Hi", "inputs": {}, "user": "u", "auto_generate_name": False}
    return client.post("/v1/chat-messages", json=body, headers=app.headers)


def compatible_app(runtime: Runtime, owner: Owner, model: str = "any") -> ChatApp:
    choice = {"provider": COMPATIBLE, "name": model, "mode": "chat", "completion_params": {}}
    return make_chat_app(runtime, owner, model=choice)


def test_credentials_the_provider_accepts_are_saved_and_used(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with ScriptedServer(MODELS, ANSWER) as server:
        saved = save(client, owner, server)
        answer = answer_of(client, compatible_app(runtime, owner))

    assert (saved.status_code, saved.get_json()) == (201, {"result": "success"})
    assert show(client, owner, "openai_api_compatible")["status"] == "active"
    assert answer.get_json()["answer"] == "Hello"
    assert [seen.headers["authorization"] for seen in server.seen] == [f"Bearer {SECRET}"] * 2


def test_credentials_the_provider_refuses_are_not_saved(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(REFUSED) as server:
        answer = save(client, owner, server)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    assert "Incorrect API key provided" in answer.get_json()["message"]
    assert SECRET not in answer.get_data(as_text=True)
    assert named(client, owner) == {}


def test_credentials_of_an_unreachable_provider_are_not_saved(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        pass

    answer = save(client, owner, server)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")
    assert named(client, owner) == {}


@pytest.mark.parametrize(
    "address",
    ["nowhere", "ftp://h/v1", "http://", "http://[::1", "http://h:99999", "http://a b", "http://\u2024"],
)
def test_credentials_with_an_impossible_address_are_refused(
    client: FlaskClient, owner: Owner, address: str
) -> None:
    body = {"credentials": {"endpoint_url": address, "api_key": "käse\n"}}

    answer = client.post(CREDENTIALS, json=body, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


def test_credentials_are_checked_without_a_database_connection(tmp_path: Path) -> None:
    house = make_house(make_settings(tmp_path, database_pool_size=1))
    runtime: Runtime = house.extensions["runtime"]
    owner = make_owner(runtime)

    def answer(_seen: Seen) -> Reply:
        with runtime.transaction() as session:  # waits ten seconds and fails while the only one is held
            session.execute(select(ProviderCredential.id))
        return MODELS

    with ScriptedServer(answer) as server:
        saved = save(house.test_client(), owner, server)

    stop_house(house)
    assert saved.status_code == 201


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({}, "credentials", "required"),
        ({"credentials": None}, "credentials", "invalid_type"),
        ({"credentials": []}, "credentials", "invalid_type"),
        ({"credentials": {}}, "credentials.endpoint_url", "required"),
        ({"credentials": {"endpoint_url": " "}}, "credentials.endpoint_url", "required"),
        ({"credentials": {"endpoint_url": 5}}, "credentials.endpoint_url", "invalid_type"),
        ({"credentials": {"endpoint_url": "u" * 20000}}, "credentials.endpoint_url", "too_long"),
        ({"credentials": {}, "name": "n" * 31}, "name", "too_long"),
        ({"credentials": {}, "name": 7}, "name", "invalid_type"),
    ],
)
def test_credentials_with_a_bad_form_name_the_field(
    client: FlaskClient, owner: Owner, body: dict[str, object], field: str, fault: str
) -> None:
    answer = client.post(CREDENTIALS, json=body, headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": field, "type": fault}


def test_credentials_of_the_built_in_provider_are_refused(client: FlaskClient, owner: Owner) -> None:
    url = f"{PROVIDERS}/builtin/credentials"

    answer = client.post(url, json={"credentials": {"api_key": "x"}}, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "credentials")
    assert client.get(url, headers=owner.headers).get_json() == {"credentials": None}


@pytest.mark.parametrize(
    ("secret", "shown"),
    [(SECRET, MASKED), ("12345678", "*" * 20), ("123456789", "123456************89")],
)
def test_credentials_are_shown_masked(client: FlaskClient, owner: Owner, secret: str, shown: str) -> None:
    with ScriptedServer(MODELS) as server:
        save(client, owner, server, secret)

    answer = client.get(CREDENTIALS, headers=owner.headers)

    assert answer.get_json()["credentials"] == {"endpoint_url": f"{server.url}/v1", "api_key": shown}


@pytest.mark.parametrize("kept", [HIDDEN, MASKED])
def test_credentials_sent_back_masked_keep_the_secret(
    client: FlaskClient, owner: Owner, runtime: Runtime, kept: str
) -> None:
    with ScriptedServer(MODELS, MODELS, ANSWER) as server:
        save(client, owner, server, name="first")
        body = {
            "credential_id": named(client, owner)["first"],
            "credentials": {"endpoint_url": f"{server.url}/v1/", "api_key": kept},
            "name": "renamed",
        }
        updated = client.put(CREDENTIALS, json=body, headers=owner.headers)
        answer_of(client, compatible_app(runtime, owner))

    assert (updated.status_code, updated.get_json()) == (200, {"result": "success"})
    assert [*named(client, owner)] == ["renamed"]
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {SECRET}"}
    assert len(server.seen) == 3


def test_credentials_masked_without_a_stored_secret_are_refused(client: FlaskClient, owner: Owner) -> None:
    url = f"{PROVIDERS}/openai/credentials"

    answer = client.post(url, json={"credentials": {"openai_api_key": HIDDEN}}, headers=owner.headers)

    assert answer.get_json()["details"] == {"field": "credentials.openai_api_key", "type": "required"}


def test_credentials_validated_are_not_stored(client: FlaskClient, owner: Owner) -> None:
    url = f"{CREDENTIALS}/validate"
    with ScriptedServer(MODELS, REFUSED) as server:
        good, bad = (
            client.post(url, json={"credentials": form(server)}, headers=owner.headers) for _ in range(2)
        )
    shapeless = client.post(url, json={"credentials": {}}, headers=owner.headers)

    assert (good.status_code, good.get_json()) == (200, {"result": "success"})
    assert (bad.status_code, bad.get_json()["result"]) == (200, "error")
    assert "Incorrect API key" in bad.get_json()["error"]
    assert SECRET not in bad.get_json()["error"]
    assert shapeless.get_json() == {"result": "error", "error": "API endpoint is required"}
    assert named(client, owner) == {}


def test_credentials_first_stored_stay_in_use_until_switched(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    with ScriptedServer(MODELS, MODELS, ANSWER) as server:
        save(client, owner, server, "key-of-the-first", name="first")
        save(client, owner, server, "key-of-the-second")
        before = current(client, owner)
        body = {"credential_id": named(client, owner)["API KEY 1"]}
        switched = client.post(f"{CREDENTIALS}/switch", json=body, headers=owner.headers)
        answer_of(client, compatible_app(runtime, owner))

    assert (before, current(client, owner)) == ("first", "API KEY 1")
    assert (switched.status_code, switched.get_json()) == (200, {"result": "success"})
    assert server.seen[-1].headers["authorization"] == "Bearer key-of-the-second"


def test_credentials_in_use_once_deleted_leave_none_in_use(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        for name in ("first", "second"):
            save(client, owner, server, name=name)
    body = {"credential_id": named(client, owner)["first"]}

    deleted = client.delete(CREDENTIALS, json=body, headers=owner.headers)
    again = client.delete(CREDENTIALS, json=body, headers=owner.headers)

    assert (deleted.status_code, deleted.data) == (204, b"")
    assert again.status_code == 404
    assert [*named(client, owner)] == ["second"]
    assert current(client, owner) is None
    assert show(client, owner, "openai_api_compatible")["status"] == "no-configure"


def test_credentials_deleted_are_not_used_again(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    with ScriptedServer(MODELS, ANSWER) as server:
        save(client, owner, server)
        app = compatible_app(runtime, owner)
        used = answer_of(client, app)
        client.delete(f"{PROVIDERS}/{COMPATIBLE}", headers=owner.headers)
        refused = answer_of(client, app)

    assert used.status_code == 200
    assert (refused.status_code, refused.get_json()["code"]) == (400, "provider_not_initialize")
    assert len(server.seen) == 2


def test_credentials_with_a_taken_name_are_refused(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        save(client, owner, server, name="twin")
        created = save(client, owner, server, name=" twin ")
        save(client, owner, server, name="other")
        body = {
            "credential_id": named(client, owner)["other"],
            "credentials": form(server),
            "name": "twin",
        }
        renamed = client.put(CREDENTIALS, json=body, headers=owner.headers)

    for answer in (created, renamed):
        assert (answer.status_code, answer.get_json()["details"]) == (
            400,
            {"field": "name", "type": "duplicate"},
        )


@BOTH
def test_credentials_saved_in_a_race_have_one_in_use(house: Flask, owner: Owner) -> None:
    barrier = threading.Barrier(4)

    def race(_number: int) -> int:
        barrier.wait()
        status: int = save(house.test_client(), owner, server).status_code
        return status

    with ScriptedServer(MODELS) as server, ThreadPoolExecutor(4) as pool:
        statuses = [*pool.map(race, range(4))]

    runtime: Runtime = house.extensions["runtime"]
    with runtime.transaction() as session:
        rows = session.scalars(
            select(ProviderCredential).where(ProviderCredential.tenant_id == owner.tenant_id)
        ).all()
    assert statuses == [201] * 4
    assert sorted(row.name for row in rows) == [f"API KEY {n}" for n in range(1, 5)]
    assert [row.is_current for row in rows].count(True) == 1


@BOTH
def test_credentials_saved_twice_with_one_idempotency_key_are_stored_once(
    client: FlaskClient, owner: Owner
) -> None:
    headers = {**owner.headers, "Idempotency-Key": "once"}
    with ScriptedServer(MODELS) as server:
        body = {"credentials": form(server), "name": "once"}
        statuses = [client.post(CREDENTIALS, json=body, headers=headers).status_code for _ in range(2)]

    assert statuses == [201, 201]
    assert [*named(client, owner)] == ["once"]


def test_credentials_saved_the_old_way_replace_those_in_use(client: FlaskClient, owner: Owner) -> None:
    url = f"{PROVIDERS}/openai_api_compatible"
    with ScriptedServer(MODELS) as server:
        for key in ("the-first-key-of-all", "the-second-key-of-all"):
            saved = client.post(url, json={"credentials": form(server, key)}, headers=owner.headers)
            assert (saved.status_code, saved.get_json()) == (201, {"result": "success"})

    shown = client.get(CREDENTIALS, headers=owner.headers).get_json()["credentials"]
    assert shown["api_key"] == "the-se************ll"
    assert [*named(client, owner)] == ["API KEY 1"]


def test_credentials_are_found_by_their_id(client: FlaskClient, owner: Owner) -> None:
    with ScriptedServer(MODELS) as server:
        save(client, owner, server, "key-of-the-first", name="first")
        save(client, owner, server, "key-of-the-second", name="second")
    ids = named(client, owner)

    shown = client.get(f"{CREDENTIALS}?credential_id={ids['second']}", headers=owner.headers)
    unknown = client.get(f"{CREDENTIALS}?credential_id={owner.account_id}", headers=owner.headers)

    assert shown.get_json()["credentials"]["api_key"] == "key-of************nd"
    assert unknown.status_code == 404


def test_quota_used_up_is_shown_until_a_call_succeeds(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    used_up = Reply.of_json(
        {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}, status=429
    )
    add = {"model": "any", "model_type": "llm"}
    with ScriptedServer(MODELS, used_up) as server:
        save(client, owner, server)
        client.post(f"{PROVIDERS}/{COMPATIBLE}/models", json=add, headers=owner.headers)
        app = compatible_app(runtime, owner)
        failed = answer_of(client, app)
        exceeded = show(client, owner, "openai_api_compatible")
        server.then(ANSWER)
        answered = answer_of(client, app)
        restored = show(client, owner, "openai_api_compatible")

    assert failed.get_json()["code"] == "provider_quota_exceeded"
    assert (exceeded["status"], exceeded["models"][0]["status"]) == ("quota-exceeded", "quota-exceeded")
    assert answered.status_code == 200
    assert (restored["status"], restored["models"][0]["status"]) == ("active", "active")


def test_secret_is_in_no_answer_and_not_in_clear_in_the_database(
    house: Flask, client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = make_app(runtime, owner)
    make_key(runtime, owner, app_id)
    model = {"model": "own", "model_type": "llm"}
    with ScriptedServer(MODELS) as server:
        save(client, owner, server)
        client.post(
            f"{PROVIDERS}/{COMPATIBLE}/models/credentials",
            json={**model, "credentials": form(server)},
            headers=owner.headers,
        )
    values = {"app_id": app_id, "provider": COMPATIBLE, "kind": "llm", "tenant": owner.tenant_id}
    query = {"model": "own", "model_type": "llm"}

    asked = 0
    for rule in house.url_map.iter_rules():
        guard = guard_of(house, rule.endpoint, "GET") if "GET" in (rule.methods or set()) else None
        if guard is None or guard.kind != "console" or not rule.arguments <= set(values):
            continue
        url = "/" + "/".join(
            values.get(part.strip("<>").rpartition(":")[2], part) if part.startswith("<") else part
            for part in rule.rule.strip("/").split("/")
        )
        answer = client.get(url, query_string=query, headers=owner.headers)
        asked += answer.status_code == 200
        assert SECRET not in answer.get_data(as_text=True), url
    with runtime.transaction() as session:
        sealed = [
            *session.scalars(
                select(ProviderCredential.sealed).where(ProviderCredential.tenant_id == owner.tenant_id)
            ),
            *session.scalars(select(CustomModel.sealed).where(CustomModel.tenant_id == owner.tenant_id)),
        ]

    assert asked >= 12
    assert len(sealed) == 2
    assert all(SECRET.encode() not in bytes(value or b"") for value in sealed)
    assert SECRET not in json.dumps([seen.target for seen in server.seen])
