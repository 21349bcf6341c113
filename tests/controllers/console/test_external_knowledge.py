"""External knowledge APIs and their datasets, over HTTP."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api.core.rag import external
from api.core.rag.external import ExternalAPI, ExternalQuery, ExternalRecord
from api.errors import ExternalKnowledgeFailed
from api.models.dataset import ExternalKnowledgeAPI
from api.principal import Role
from api.runtime import Runtime
from api.services import external_apis
from tests.factories import Owner, make_member, make_owner

APIS = "/console/api/datasets/external-knowledge-api"
SETTINGS = {"endpoint": "https://kb.example.com/v1/", "api_key": "sk-secret-1"}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ExternalAPI]:
    """The APIs that were asked, in place of services; one whose key is "wrong" refuses."""
    calls: list[ExternalAPI] = []

    def check(api: ExternalAPI, *_: object) -> None:
        calls.append(api)
        if api.api_key.get_secret_value() == "wrong":
            raise ExternalKnowledgeFailed("It does not accept the API key.")

    monkeypatch.setattr(external, "check_api", check)
    return calls


def connect(client: FlaskClient, caller: Owner, **settings: object) -> Any:
    body = {"name": "KB", "settings": {**SETTINGS, **settings}}
    return client.post(APIS, json=body, headers=caller.headers)


def test_api_is_stored_sealed_and_shown_masked(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    answer = connect(client, owner)

    api = answer.get_json()
    assert answer.status_code == 201
    assert api["settings"] == {"endpoint": "https://kb.example.com/v1", "api_key": "******"}
    page = client.get(APIS, headers=owner.headers).get_json()
    assert (page["data"], page["total"]) == ([api], 1)
    with runtime.transaction() as session:
        row = session.get_one(ExternalKnowledgeAPI, api["id"])
        assert b"sk-secret" not in row.sealed_key
        opened = external_apis.open_external_api(runtime, session, row)
    assert opened.api_key.get_secret_value() == "sk-secret-1"


def test_masked_key_stays_but_does_not_travel(
    client: FlaskClient, owner: Owner, asked: list[ExternalAPI]
) -> None:
    url = f"{APIS}/{connect(client, owner).get_json()['id']}"
    masked = {**SETTINGS, "api_key": "******"}

    kept = client.patch(url, json={"name": "New", "settings": masked}, headers=owner.headers)
    elsewhere = {**masked, "endpoint": "https://other.example.com"}
    refused = client.patch(url, json={"name": "New", "settings": elsewhere}, headers=owner.headers)

    assert (kept.status_code, kept.get_json()["name"], refused.status_code) == (200, "New", 400)
    assert [api.api_key.get_secret_value() for api in asked] == ["sk-secret-1", "sk-secret-1"]


def test_api_that_refuses_is_not_stored(client: FlaskClient, owner: Owner) -> None:
    refused = connect(client, owner, api_key="wrong")
    bad = connect(client, owner, endpoint="ftp://x")

    assert (refused.status_code, refused.get_json()["code"]) == (400, "external_knowledge_failed")
    assert (bad.status_code, bad.get_json()["details"]["field"]) == (400, "endpoint")
    assert connect(client, owner, api_key="").get_json()["details"]["field"] == "settings"
    assert client.get(APIS, headers=owner.headers).get_json()["data"] == []


def test_dataset_keeps_its_api_from_being_deleted(client: FlaskClient, owner: Owner) -> None:
    api = connect(client, owner).get_json()
    body = {"name": "Far", "external_knowledge_api_id": api["id"], "external_knowledge_id": "k1"}

    made = client.post("/console/api/datasets/external", json=body, headers=owner.headers)
    use = client.get(f"{APIS}/{api['id']}/use-check", headers=owner.headers).get_json()
    refused = client.delete(f"{APIS}/{api['id']}", headers=owner.headers)
    client.delete(f"/console/api/datasets/{made.get_json()['id']}", headers=owner.headers)
    deleted = client.delete(f"{APIS}/{api['id']}", headers=owner.headers)

    info = made.get_json()["external_knowledge_info"]
    assert (made.status_code, made.get_json()["provider"]) == (201, "external")
    assert (info["external_knowledge_id"], info["external_knowledge_api_name"]) == ("k1", "KB")
    assert use == {"is_using": True, "count": 1}
    assert (refused.status_code, deleted.status_code) == (409, 204)


def test_apis_are_changed_by_editors_and_stay_in_their_workspace(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    api = connect(client, owner).get_json()
    stranger = make_owner(runtime)
    body = {"name": "x", "external_knowledge_api_id": api["id"], "external_knowledge_id": "k"}

    assert connect(client, make_member(runtime, owner, Role.NORMAL)).status_code == 403
    for method in ("GET", "PATCH", "DELETE"):
        sent = {"name": "x", "settings": SETTINGS}
        answer = client.open(f"{APIS}/{api['id']}", method=method, json=sent, headers=stranger.headers)
        assert answer.status_code == 404, method
    far = client.post("/console/api/datasets/external", json=body, headers=stranger.headers)
    assert far.status_code == 404


def make_external(client: FlaskClient, caller: Owner, **body: object) -> Any:
    api = connect(client, caller).get_json()
    known = {"name": "Far", "external_knowledge_api_id": api["id"], "external_knowledge_id": "k1"}
    url = "/console/api/datasets/external"
    return client.post(url, json={**known, **body}, headers=caller.headers).get_json()


def test_search_asks_the_service_as_the_dataset_says_and_is_kept(
    client: FlaskClient, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[tuple[ExternalAPI, ExternalQuery]] = []
    record = ExternalRecord(content="On the ice.", score=0.9, title="birds.md", metadata={"page": 3})

    def retrieve(api: ExternalAPI, query: ExternalQuery, *_: object) -> list[ExternalRecord]:
        queries.append((api, query))
        return [record]

    monkeypatch.setattr(external, "retrieve", retrieve)
    dataset = make_external(client, owner, external_retrieval_model={"score_threshold": 0.5})
    url = f"/console/api/datasets/{dataset['id']}"

    found = client.post(f"{url}/external-hit-testing", json={"query": "where?"}, headers=owner.headers)
    asked = {"query": "where?", "external_retrieval_model": {"top_k": 1}}
    client.post(f"{url}/external-hit-testing", json=asked, headers=owner.headers)

    shown = {"content": "On the ice.", "score": 0.9, "title": "birds.md", "metadata": {"page": 3}}
    assert found.get_json() == {"query": {"content": "where?"}, "records": [shown]}
    assert [(query.top_k, query.score_threshold) for _, query in queries] == [(4, 0.5), (1, 0.0)]
    assert {(api.api_key.get_secret_value(), query.knowledge_id) for api, query in queries} == {
        ("sk-secret-1", "k1")
    }
    log = client.get(f"{url}/queries", headers=owner.headers).get_json()["data"]
    assert [row["content"] for row in log] == ["where?", "where?"]


def test_search_of_what_we_keep_ourselves_is_refused(client: FlaskClient, owner: Owner) -> None:
    dataset = client.post("/console/api/datasets", json={"name": "Near"}, headers=owner.headers).get_json()
    url = f"/console/api/datasets/{dataset['id']}/external-hit-testing"

    answers = [client.post(url, json={"query": text}, headers=owner.headers) for text in ("x", "", "x" * 251)]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert [answer.get_json().get("details", {}).get("field") for answer in answers] == [
        None,
        "query",
        "query",
    ]


def test_dataset_shows_and_checks_how_its_service_is_asked(client: FlaskClient, owner: Owner) -> None:
    dataset = make_external(client, owner)
    url = f"/console/api/datasets/{dataset['id']}"

    bad = client.patch(url, json={"external_retrieval_model": {"top_k": "x"}}, headers=owner.headers)
    good = client.patch(url, json={"external_retrieval_model": {"top_k": 9}}, headers=owner.headers)

    default = {"top_k": 4, "score_threshold": 0.0, "score_threshold_enabled": False}
    assert dataset["external_retrieval_model"] == default
    assert (bad.status_code, bad.get_json()["details"]["field"]) == (400, "external_retrieval_model.top_k")
    assert good.get_json()["external_retrieval_model"] == {**default, "top_k": 9}
