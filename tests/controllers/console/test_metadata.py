"""Metadata fields of datasets and values of documents, over HTTP."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.models.document import Document
from api.principal import Role
from api.runtime import Runtime
from tests.conftest import BOTH
from tests.controllers.console.test_datasets import DATASETS, UNKNOWN_ID, add_document, made
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import add_document as add_file
from tests.knowledge import make_dataset, wait_until_indexed


def make_field(client: FlaskClient, caller: Owner, dataset_id: str, name: str, kind: str = "string") -> Any:
    url = f"{DATASETS}/{dataset_id}/metadata"
    return client.post(url, json={"name": name, "type": kind}, headers=caller.headers)


def set_values(client: FlaskClient, caller: Owner, dataset_id: str, *operations: object) -> Any:
    url = f"{DATASETS}/{dataset_id}/documents/metadata"
    return client.post(url, json={"operation_data": operations}, headers=caller.headers)


def values_of(runtime: Runtime, document_id: str) -> Any:
    with runtime.reading() as session:
        return session.get_one(Document, document_id).doc_metadata


@dataclass(frozen=True)
class Searchable:
    """A dataset with a document of one segment that is indexed."""

    client: FlaskClient
    owner: Owner
    dataset_id: str

    def switch(self, word: str) -> None:
        switch_built_in(self.client, self.owner, self.dataset_id, word)

    def search(self, condition: dict[str, str]) -> Any:
        settings = {
            "search_method": "keyword_search",
            "reranking_enable": False,
            "top_k": 5,
            "score_threshold_enabled": False,
            "metadata_filtering_conditions": {"conditions": [condition]},
        }
        body = {"query": "ships", "retrieval_model": settings}
        url = f"{DATASETS}/{self.dataset_id}/retrieve"
        return self.client.post(url, json=body, headers=self.owner.headers).get_json()["records"]


@pytest.fixture
def harbour(client: FlaskClient, runtime: Runtime, owner: Owner) -> Searchable:
    dataset_id = make_dataset(runtime, owner)
    document_id = add_file(client, owner, dataset_id, content=b"Seven ships.")["id"]
    wait_until_indexed(runtime, document_id)
    return Searchable(client, owner, dataset_id)


def test_values_are_kept_by_field_and_counted(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    dataset_id = made(client, owner)["id"]
    kinds = {"author": "string", "year": "number", "seen": "time"}
    ids = {
        name: make_field(client, owner, dataset_id, name, kind).get_json()["id"]
        for name, kind in kinds.items()
    }
    document_id = add_document(runtime, owner, dataset_id)
    given = {"author": "Ann", "year": "1999", "seen": "1970-01-02T00:00:00Z"}
    entries = [{"id": ids[name], "name": name, "value": value} for name, value in given.items()]

    whole = set_values(client, owner, dataset_id, {"document_id": document_id, "metadata_list": entries})
    stored = values_of(runtime, document_id)
    more = [{"id": ids["author"], "value": "Bo"}, {"id": ids["year"], "value": None}]
    part = {"document_id": document_id, "metadata_list": more, "partial_update": True}
    set_values(client, owner, dataset_id, part)
    listed = client.get(f"{DATASETS}/{dataset_id}/metadata", headers=owner.headers).get_json()

    assert whole.get_json() == {"result": "success"}
    assert stored == {ids["author"]: "Ann", ids["year"]: 1999, ids["seen"]: 86400}
    assert values_of(runtime, document_id) == {ids["author"]: "Bo", ids["seen"]: 86400}
    counts = {field["name"]: field["count"] for field in listed["doc_metadata"]}
    assert counts == {"author": 1, "year": 0, "seen": 1}
    shown = client.get(f"{DATASETS}/{dataset_id}", headers=owner.headers).get_json()["doc_metadata"]
    assert [field["name"] for field in shown] == ["author", "seen", "year"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 5),
        ("string", "x" * 5001),
        ("number", "many"),
        ("number", True),
        ("time", "soon"),
        ("time", []),
    ],
)
def test_value_of_another_type_changes_nothing(
    client: FlaskClient, owner: Owner, runtime: Runtime, kind: str, value: object
) -> None:
    dataset_id = made(client, owner)["id"]
    good, bad = (make_field(client, owner, dataset_id, name, kind).get_json()["id"] for name in ("a", "b"))
    fine: object = "1" if kind != "time" else 1
    first, second = (add_document(runtime, owner, dataset_id) for _ in range(2))

    answer = set_values(
        client,
        owner,
        dataset_id,
        {"document_id": first, "metadata_list": [{"id": good, "value": fine}]},
        {"document_id": second, "metadata_list": [{"id": bad, "value": value}]},
    )

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "operation_data")
    assert (values_of(runtime, first), values_of(runtime, second)) == (None, None)


def test_unknown_field_and_document_are_refused(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    dataset_id = made(client, owner)["id"]
    document_id = add_document(runtime, owner, dataset_id)

    field = {"document_id": document_id, "metadata_list": [{"id": UNKNOWN_ID, "value": "x"}]}
    assert set_values(client, owner, dataset_id, field).status_code == 400
    assert set_values(client, owner, dataset_id, {"document_id": UNKNOWN_ID}).status_code == 404


@BOTH
def test_name_can_be_had_once_a_dataset_however_many_ask(house: Flask, owner: Owner) -> None:
    dataset_id = made(house.test_client(), owner)["id"]

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: make_field(house.test_client(), owner, dataset_id, "year"), range(4))
        statuses = Counter(answer.status_code for answer in answers)

    built_in = make_field(house.test_client(), owner, dataset_id, "uploader")
    assert statuses == {201: 1, 400: 3}
    assert built_in.get_json()["details"] == {"field": "name", "type": "duplicate"}


def test_field_is_renamed_and_deleted(client: FlaskClient, owner: Owner) -> None:
    dataset_id = made(client, owner)["id"]
    field = make_field(client, owner, dataset_id, "year").get_json()
    url = f"{DATASETS}/{dataset_id}/metadata/{field['id']}"

    renamed = client.patch(url, json={"name": "age"}, headers=owner.headers)
    first, again = (client.delete(url, headers=owner.headers).status_code for _ in range(2))

    assert renamed.get_json() == {**field, "name": "age"}
    assert (first, again) == (204, 404)


def test_built_in_fields_are_switched(client: FlaskClient, owner: Owner) -> None:
    dataset_id = made(client, owner)["id"]
    shown = []

    for switch in ("enable", "disable"):
        client.post(f"{DATASETS}/{dataset_id}/metadata/built-in/{switch}", headers=owner.headers)
        found = client.get(f"{DATASETS}/{dataset_id}/metadata", headers=owner.headers).get_json()
        shown.append(found["built_in_field_enabled"])

    assert shown == [True, False]


def test_fields_are_for_editors_of_their_workspace(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    dataset_id = made(client, owner, permission="all_team_members")["id"]

    normal = make_field(client, make_member(runtime, owner, Role.NORMAL), dataset_id, "year")
    foreign = make_field(client, make_owner(runtime), dataset_id, "year")
    bad = make_field(client, owner, dataset_id, "year", "color")

    assert (normal.status_code, foreign.status_code, bad.status_code) == (403, 404, 400)
    assert bad.get_json()["details"] == {"field": "type", "type": "invalid_choice"}


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("number", 1e308, 1e308),
        ("number", 2**53, 2**53),
        ("number", "-7.0", -7),
        ("time", 253_402_300_799, 253_402_300_799),
    ],
)
def test_extreme_values_are_kept(
    client: FlaskClient, owner: Owner, runtime: Runtime, kind: str, value: object, kept: object
) -> None:
    dataset_id = made(client, owner)["id"]
    field = make_field(client, owner, dataset_id, "f", kind).get_json()
    document_id = add_document(runtime, owner, dataset_id)
    operation = {"document_id": document_id, "metadata_list": [{"id": field["id"], "value": value}]}

    answer = set_values(client, owner, dataset_id, operation)

    assert answer.status_code == 200, answer.get_json()
    assert values_of(runtime, document_id) == {field["id"]: kept}


@pytest.mark.parametrize("value", [1e308, -1e15, "9" * 400, True])
def test_time_outside_the_calendar_is_refused(
    client: FlaskClient, owner: Owner, runtime: Runtime, value: object
) -> None:
    dataset_id = made(client, owner)["id"]
    field = make_field(client, owner, dataset_id, "f", "time").get_json()
    document_id = add_document(runtime, owner, dataset_id)
    operation = {"document_id": document_id, "metadata_list": [{"id": field["id"], "value": value}]}

    answer = set_values(client, owner, dataset_id, operation)

    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "operation_data")


def switch_built_in(client: FlaskClient, owner: Owner, dataset_id: str, word: str) -> None:
    url = f"{DATASETS}/{dataset_id}/metadata/built-in/{word}"
    assert client.post(url, headers=owner.headers).get_json() == {"result": "success"}


def test_built_in_fields_are_shown_while_they_are_on(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    dataset_id = made(client, owner)["id"]
    field = make_field(client, owner, dataset_id, "author").get_json()["id"]
    document_id = add_document(runtime, owner, dataset_id, created_by=owner.account_id)
    value = {"id": field, "value": "Ann"}
    set_values(client, owner, dataset_id, {"document_id": document_id, "metadata_list": [value]})

    def shown(path: str = "?metadata=only") -> Any:
        url = f"{DATASETS}/{dataset_id}/documents/{document_id}{path}"
        return client.get(url, headers=owner.headers).get_json()["doc_metadata"]

    given = {"id": field, "name": "author", "type": "string", "value": "Ann"}
    assert shown() == [given]
    switch_built_in(client, owner, dataset_id, "enable")
    with runtime.reading() as session:
        row = session.get_one(Document, document_id)
    built_in = [
        {"id": "built-in", "name": name, "type": kind, "value": value}
        for name, kind, value in (
            ("document_name", "string", row.name),
            ("uploader", "string", "Test Owner"),
            ("upload_date", "time", int(row.created_at.timestamp())),
            ("last_update_date", "time", int(row.updated_at.timestamp())),
            ("source", "string", "file_upload"),
        )
    ]
    assert shown() == shown("") == [given, *built_in]
    listed = client.get(f"{DATASETS}/{dataset_id}/documents", headers=owner.headers).get_json()
    assert listed["data"][0]["doc_metadata"] == [given, *built_in]
    switch_built_in(client, owner, dataset_id, "disable")
    assert shown() == [given]


@pytest.mark.parametrize(
    ("name", "operator", "value", "is_found"),
    [
        ("document_name", "is", "harbour.txt", True),
        ("document_name", "is", "other.txt", False),
        ("uploader", "contains", "Owner", True),
        ("uploader", "is not", "Test Owner", False),
        ("upload_date", "after", "2020-01-01", True),
        ("last_update_date", "before", "2020-01-01", False),
        ("source", "is", "file_upload", True),
        ("source", "is", "website", False),
    ],
)
def test_search_is_limited_by_built_in_fields(
    harbour: Searchable, name: str, operator: str, value: str, is_found: bool
) -> None:
    harbour.switch("enable")
    found = harbour.search({"name": name, "comparison_operator": operator, "value": value})
    assert [record["segment"]["document"]["name"] for record in found] == ["harbour.txt"] * is_found
    shown = {record["segment"]["document"]["doc_metadata"]["uploader"] for record in found}
    assert shown == ({"Test Owner"} if is_found else set())


def test_search_knows_the_name_alone_while_built_in_fields_are_off(harbour: Searchable) -> None:
    by_name = {"name": "document_name", "comparison_operator": "is", "value": "harbour.txt"}
    by_source = {"name": "source", "comparison_operator": "is", "value": "file_upload"}
    assert [record["segment"]["document"]["doc_metadata"] for record in harbour.search(by_name)] == [None]
    assert harbour.search(by_source) == []
