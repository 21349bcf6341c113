"""What the console tells of datasets beside themselves, and their keys."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.models.document import DatasetQuery
from api.principal import Role
from api.runtime import Runtime
from tests.controllers.console.test_datasets import DATASETS, add_document, made, use
from tests.factories import Owner, make_app, make_member, make_owner

REPORTS = (
    "permission-part-users",
    "related-apps",
    "auto-disable-logs",
    "queries",
    "indexing-status",
    "error-docs",
)


def read(client: FlaskClient, caller: Owner, path: str) -> Any:
    answer = client.get(f"{DATASETS}/{path}", headers=caller.headers)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def test_key_opens_datasets_until_it_is_revoked(client: FlaskClient, owner: Owner) -> None:
    made_key = client.post(f"{DATASETS}/api-keys", headers=owner.headers)
    key = made_key.get_json()
    headers = {"Authorization": f"Bearer {key['token']}"}

    opened = client.get("/v1/datasets", headers=headers)
    listed = read(client, owner, "api-keys")["data"]
    revoked = client.delete(f"{DATASETS}/api-keys/{key['id']}", headers=owner.headers)

    assert (made_key.status_code, key["type"], key["token"][:8]) == (200, "dataset", "dataset-")
    assert [(each["id"], each["token"]) for each in listed] == [(key["id"], f"dataset-…{key['token'][-4:]}")]
    assert (opened.status_code, revoked.status_code) == (200, 204)
    assert client.get("/v1/datasets", headers=headers).status_code == 401


def test_keys_are_for_admins(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    editor = make_member(runtime, owner, Role.EDITOR)

    assert client.post(f"{DATASETS}/api-keys", headers=editor.headers).status_code == 403
    assert client.get(f"{DATASETS}/api-keys", headers=editor.headers).status_code == 403


def test_closed_dataset_is_refused_to_keys_alone(client: FlaskClient, owner: Owner) -> None:
    key = client.post(f"{DATASETS}/api-keys", headers=owner.headers).get_json()["token"]
    dataset_id = made(client, owner)["id"]
    statuses = []

    for switch in ("disable", "enable"):
        client.post(f"{DATASETS}/{dataset_id}/api-keys/{switch}", headers=owner.headers)
        answer = client.get(f"/v1/datasets/{dataset_id}", headers={"Authorization": f"Bearer {key}"})
        statuses.append(answer.status_code)
        assert read(client, owner, dataset_id)["enable_api"] is (switch == "enable")

    assert statuses == [403, 200]


def test_reports_tell_of_apps_searches_and_documents(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    member = make_member(runtime, owner, Role.NORMAL)
    members = [{"user_id": member.account_id}]
    dataset_id = made(client, owner, permission="partial_members", partial_member_list=members)["id"]
    use(runtime, owner, dataset_id)
    failed = add_document(runtime, owner, dataset_id, indexing_status="error", error="broken")
    add_document(runtime, owner, dataset_id, indexing_status="completed")
    with runtime.transaction() as session:
        for word in ("one", "two"):
            query = DatasetQuery(content=word, source="hit_testing", created_by_role="account")
            query.tenant_id, query.dataset_id, query.created_by = (
                owner.tenant_id,
                dataset_id,
                owner.account_id,
            )
            session.add(query)
            session.flush()

    reports = {name: read(client, owner, f"{dataset_id}/{name}") for name in REPORTS}

    assert reports["permission-part-users"] == {"data": [member.account_id]}
    assert (reports["related-apps"]["total"], len(reports["related-apps"]["data"])) == (1, 1)
    assert reports["auto-disable-logs"] == {"document_ids": [], "count": 0}
    assert [row["content"] for row in reports["queries"]["data"]] == ["two", "one"]
    assert reports["queries"]["data"][0]["queries"][0]["content"] == "two"
    assert len(reports["indexing-status"]["data"]) == 2
    assert [row["id"] for row in reports["error-docs"]["data"]] == [failed]
    assert reports["error-docs"]["data"][0]["error"] == "broken"


@pytest.mark.parametrize("name", REPORTS)
def test_report_of_another_workspace_is_not_found(
    client: FlaskClient, owner: Owner, runtime: Runtime, name: str
) -> None:
    dataset_id = made(client, owner)["id"]

    answer = client.get(f"{DATASETS}/{dataset_id}/{name}", headers=make_owner(runtime).headers)

    assert answer.status_code == 404


def test_settings_of_the_server_are_told(client: FlaskClient, owner: Owner) -> None:
    assert read(client, owner, "api-base-info") == {"api_base_url": "http://localhost/v1"}
    assert read(client, owner, "retrieval-setting") == read(client, owner, "retrieval-setting/weaviate")
    assert "hybrid_search" in read(client, owner, "retrieval-setting")["retrieval_method"]


def test_keys_of_apps_are_not_revoked_here(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    app_keys = f"/console/api/apps/{make_app(runtime, owner)}/api-keys"
    key_id = client.post(app_keys, headers=owner.headers).get_json()["id"]

    answer = client.delete(f"{DATASETS}/api-keys/{key_id}", headers=owner.headers)

    assert answer.status_code == 404
    assert len(client.get(app_keys, headers=owner.headers).get_json()["data"]) == 1
