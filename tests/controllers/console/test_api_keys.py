"""Keys of the public API, over HTTP."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.controllers.schemas.api_key import KEY_MODEL
from api.models.app import APIToken
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.factories import Owner, make_app, make_owner

KEYS = "/console/api/api-keys"
PERMISSIONS = ["chat", "completion", "workflow"]


def app_keys(app_id: str) -> str:
    return f"/console/api/apps/{app_id}/api-keys"


def create(client: FlaskClient, owner: Owner, **body: object) -> Any:
    return client.post(
        KEYS, json={"name": "My key", "permissions": PERMISSIONS, **body}, headers=owner.headers
    )


def test_app_key_is_shown_whole_once_and_stored_nowhere(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    url = app_keys(make_app(runtime, owner))

    made = client.post(url, headers=owner.headers)

    key = made.get_json()
    masked = f"app-…{key['token'][-4:]}"
    assert made.status_code == 201
    assert set(key) == set(KEY_MODEL)
    assert (len(key["token"]), key["token"][:4], key["type"]) == (28, "app-", "app")
    assert (key["permissions"], key["last_used_at"]) == (PERMISSIONS, None)
    for listed in (url, KEYS):
        data = client.get(listed, headers=owner.headers).get_json()["data"]
        assert data == [{**key, "token": masked}]
    with runtime.transaction() as session:
        row = session.scalars(select(APIToken).where(APIToken.id == key["id"])).one()
        assert key["token"] not in str(vars(row))


def test_app_key_opens_its_app_until_it_is_deleted(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    url = app_keys(make_app(runtime, owner))
    key = client.post(url, json={"name": "k", "permissions": ["chat"]}, headers=owner.headers).get_json()
    headers = {"Authorization": f"Bearer {key['token']}"}

    opened = client.get("/v1/info", headers=headers)
    deleted = client.delete(f"{url}/{key['id']}", headers=owner.headers)
    again = client.delete(f"{url}/{key['id']}", headers=owner.headers)

    assert opened.status_code == 200
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert "Content-Type" not in deleted.headers
    assert (again.status_code, again.get_json()["code"]) == (404, "not_found")
    assert client.get("/v1/info", headers=headers).status_code == 401
    assert client.get(url, headers=owner.headers).get_json() == {"data": []}


def test_workspace_key_needs_no_app(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    app_id = make_app(runtime, owner)
    key = create(client, owner, permissions=["chat", "chat", "file"]).get_json()
    headers = {"Authorization": f"Bearer {key['token']}", "X-App-Id": app_id}

    assert (key["app_id"], key["name"], key["permissions"]) == (None, "My key", ["chat", "file"])
    assert client.get("/v1/info", headers=headers).status_code == 200
    assert client.get(app_keys(app_id), headers=owner.headers).get_json() == {"data": []}
    assert client.delete(f"{KEYS}/{key['id']}", headers=owner.headers).status_code == 204
    assert client.get("/v1/info", headers=headers).status_code == 401


def test_key_for_a_named_app_is_a_key_of_that_app(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    app_id = make_app(runtime, owner)

    key = create(client, owner, app_id=app_id).get_json()

    assert key["app_id"] == app_id
    listed = client.get(app_keys(app_id), headers=owner.headers).get_json()["data"]
    assert [item["id"] for item in listed] == [key["id"]]
    assert client.delete(f"{KEYS}/{key['id']}", headers=owner.headers).status_code == 204


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({"name": None}, "name", "invalid_type"),
        ({"name": 1}, "name", "invalid_type"),
        ({"name": " "}, "name", "too_short"),
        ({"name": "n" * 51}, "name", "too_long"),
        ({"permissions": None}, "permissions", "invalid_type"),
        ({"permissions": []}, "permissions", "too_short"),
        ({"permissions": "chat"}, "permissions", "invalid_type"),
        ({"permissions": ["root"]}, "permissions", "invalid_choice"),
        ({"permissions": ["chat", 1]}, "permissions", "invalid_type"),
        ({"app_id": "not-a-uuid"}, "app_id", "invalid_format"),
        ({"app_id": 5}, "app_id", "invalid_type"),
    ],
)
def test_key_with_a_bad_value_is_refused(
    client: FlaskClient, owner: Owner, body: dict[str, object], field: str, fault: str
) -> None:
    answer = create(client, owner, **body)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": field, "type": fault}
    assert client.get(KEYS, headers=owner.headers).get_json() == {"data": []}


@pytest.mark.parametrize("missing", ["name", "permissions"])
def test_key_without_a_required_field_is_refused(client: FlaskClient, owner: Owner, missing: str) -> None:
    body = {"name": "x", "permissions": PERMISSIONS}
    del body[missing]

    answer = client.post(KEYS, json=body, headers=owner.headers)

    assert answer.get_json()["details"] == {"field": missing, "type": "required"}


def test_key_for_anothers_app_is_not_found(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    foreign = make_app(runtime, make_owner(runtime))

    answers = [create(client, owner, app_id=app_id) for app_id in (foreign, owner.account_id)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].data == answers[1].data


def test_key_of_one_app_is_not_reached_through_another(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    first, second = (make_app(runtime, owner) for _ in range(2))
    key = client.post(app_keys(first), headers=owner.headers).get_json()

    answer = client.delete(f"{app_keys(second)}/{key['id']}", headers=owner.headers)

    assert answer.status_code == 404
    assert len(client.get(app_keys(first), headers=owner.headers).get_json()["data"]) == 1


@BOTH
@pytest.mark.parametrize("of_app", [True, False])
def test_eleventh_key_is_refused_however_many_ask_at_once(
    house: Flask, owner: Owner, runtime: Runtime, of_app: bool
) -> None:
    app_id = make_app(runtime, owner) if of_app else None
    barrier = threading.Barrier(14)

    def race(_number: int) -> tuple[int, str | None]:
        client = house.test_client()
        barrier.wait()
        answer = create(client, owner, app_id=app_id)
        return answer.status_code, answer.get_json().get("code")

    with ThreadPoolExecutor(14) as pool:
        outcomes = Counter(pool.map(race, range(14)))

    assert outcomes == {(201, None): 10, (400, "max_keys_exceeded"): 4}
