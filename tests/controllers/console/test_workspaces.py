"""Workspaces one has joined, over HTTP."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.controllers.schemas.workspace import WORKSPACE, WORKSPACE_ITEM
from api.models.account import Account, Tenant
from api.models.base import utc_now
from api.principal import Role
from api.runtime import Runtime
from api.services import tenants, workspace_control
from tests.factories import Owner, make_member

CURRENT = "/console/api/workspaces/current"
WORKSPACES = "/console/api/workspaces"


def add_workspace(runtime: Runtime, owner: Owner, status: str = "normal") -> str:
    """Make the account a second workspace, which becomes the current one."""
    with runtime.transaction() as session:
        account = session.get_one(Account, owner.account_id)
        tenant = tenants.create_tenant(runtime, session, name="Second", owner=account)
        tenant.status = status
        return tenant.id


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_current_workspace_has_the_documented_shape(
    client: FlaskClient, runtime: Runtime, owner: Owner, method: str
) -> None:
    answer = client.open(CURRENT, method=method, headers=owner.headers)

    assert answer.status_code == 200
    assert set(answer.get_json()) == set(WORKSPACE)
    assert answer.get_json()["id"] == owner.tenant_id
    assert answer.get_json()["plan"] == runtime.limits.default_plan
    assert (answer.get_json()["status"], answer.get_json()["role"]) == ("normal", "owner")
    assert (answer.get_json()["in_trial"], answer.get_json()["trial_end_at"]) == (False, None)
    assert isinstance(answer.get_json()["created_at"], int)


@pytest.mark.parametrize("role", list(Role))
def test_current_workspace_tells_each_member_their_role(
    client: FlaskClient, runtime: Runtime, owner: Owner, role: Role
) -> None:
    member = make_member(runtime, owner, role)

    answer = client.get(CURRENT, headers=member.headers).get_json()

    assert (answer["id"], answer["role"]) == (owner.tenant_id, role.wire)


def test_workspace_the_operator_makes_leaves_its_owner_where_they_are(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    with runtime.transaction() as session:
        made = workspace_control.create_workspace(runtime, session, name=" Research ", email=owner.email)

    joined = client.get(WORKSPACES, headers=owner.headers).get_json()["workspaces"]

    assert {(one["id"], one["name"], one["current"]) for one in joined} == {
        (owner.tenant_id, "Test Workspace", True),
        (made, "Research", False),
    }


@pytest.mark.parametrize(("days", "status"), [(1, "trial"), (-1, "normal")])
def test_current_workspace_is_on_trial_only_until_the_trial_ends(
    client: FlaskClient, runtime: Runtime, owner: Owner, days: int, status: str
) -> None:
    end = utc_now() + timedelta(days=days)
    with runtime.transaction() as session:
        session.get_one(Tenant, owner.tenant_id).trial_end_at = end

    answer = client.get(CURRENT, headers=owner.headers).get_json()

    assert (answer["status"], answer["in_trial"]) == (status, status == "trial")
    assert answer["trial_end_at"] == int(end.timestamp())


def test_current_workspace_suspended_gives_way_to_another(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    suspended = add_workspace(runtime, owner, status="archive")

    assert client.get(CURRENT, headers=owner.headers).get_json()["id"] == owner.tenant_id

    listed = client.get(WORKSPACES, headers=owner.headers).get_json()["workspaces"]
    assert {item["id"]: (item["status"], item["current"]) for item in listed} == {
        owner.tenant_id: ("normal", True),
        suspended: ("suspended", False),
    }


def test_current_workspace_all_suspended_is_refused(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    with runtime.transaction() as session:
        session.get_one(Tenant, owner.tenant_id).status = "archive"

    answer = client.get(CURRENT, headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")


def test_workspaces_lists_those_joined_and_no_other(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    second = add_workspace(runtime, owner)

    answer = client.get(WORKSPACES, headers=owner.headers)

    items = answer.get_json()["workspaces"]
    assert [(item["id"], item["current"]) for item in items] == [(owner.tenant_id, False), (second, True)]
    assert all(set(item) == set(WORKSPACE_ITEM) for item in items)


@pytest.mark.parametrize("path", [CURRENT, WORKSPACES])
def test_workspaces_without_credentials_is_refused(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")


def test_operator_lists_all_workspaces_with_the_key_of_the_settings(
    house: Flask, client: FlaskClient, runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = add_workspace(runtime, owner, status="suspended")
    key = "a-key-of-the-operator"

    def ask(headers: dict[str, str], **query: int) -> TestResponse:
        return client.get("/console/api/all-workspaces", headers=headers, query_string=query)

    closed = [ask({}), ask({"Authorization": "Bearer "}), ask(owner.headers)]
    limits = replace(runtime.limits, admin_api_key=key)
    monkeypatch.setitem(house.extensions, "runtime", replace(runtime, limits=limits))
    closed += [
        ask({}),
        ask(owner.headers),
        ask({"Authorization": key}),
        ask({"Authorization": f"Bearer {key}x"}),
    ]
    first = ask({"Authorization": f"Bearer {key}"}, limit=1).get_json()
    following = ask({"Authorization": f"Bearer {key}"}, limit=1, page=2).get_json()

    assert {answer.status_code for answer in closed} == {401}
    assert (first["total"] >= 2, first["has_more"]) == (True, True)  # other tests may have made some
    assert following["has_more"] is (following["total"] > 2)
    (newest,) = first["data"]
    assert set(newest) == {"id", "name", "status", "created_at"}
    assert (newest["id"], newest["name"], newest["status"]) == (second, "Second", "suspended")
    assert following["data"][0]["id"] == owner.tenant_id
    assert key not in repr(limits)
