"""Documents of the public API, over HTTP."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.controllers.schemas.document_answer import DOCUMENT, DOCUMENT_DETAIL, SOURCE_FILE
from api.models.dataset import Dataset
from api.models.file import UploadFile
from api.principal import Role
from api.runtime import Runtime
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import (
    TEXT,
    load_document,
    make_dataset,
    make_dataset_key,
    put_to_sleep,
    send_file,
    set_document,
)


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def key(runtime: Runtime, owner: Owner) -> dict[str, str]:
    return make_dataset_key(runtime, owner)


@pytest.fixture
def base(runtime: Runtime, owner: Owner) -> str:
    return f"/v1/datasets/{make_dataset(runtime, owner)}"


def add_text(client: FlaskClient, base: str, key: dict[str, str], **body: object) -> Any:
    sent = {"name": "Note", "text": "One text.", "indexing_technique": "economy", **body}
    return client.post(f"{base}/document/create-by-text", json=sent, headers=key)


@pytest.mark.parametrize("door", ["create-by-text", "create_by_text"])
def test_text_becomes_a_document_whose_file_it_is(
    client: FlaskClient, base: str, key: dict[str, str], runtime: Runtime, door: str
) -> None:
    body = {
        "name": "a/b: note",
        "text": "Köln 城",
        "indexing_technique": "economy",
        "process_rule": {"mode": "automatic"},
    }
    answer = client.post(f"{base}/document/{door}", json=body, headers=key)

    assert answer.status_code == 200, answer.text
    made = answer.get_json()["document"]
    assert set(made) == set(DOCUMENT)
    assert (made["name"], made["indexing_status"], made["created_from"]) == ("a/b: note", "waiting", "api")
    file = client.get(f"{base}/documents/{made['id']}/upload-file", headers=key).get_json()
    assert set(file) == set(SOURCE_FILE)
    assert (file["name"], file["extension"]) == ("ab note.txt", "txt")
    row = load_document(runtime, made["id"])
    with runtime.reading() as session:
        stored = session.get_one(UploadFile, row.source["upload_file_id"])
    with runtime.storage.open(stored.storage_key) as content:
        assert content.read().decode() == "Köln 城"


@pytest.mark.parametrize("door", ["create-by-file", "create_by_file"])
def test_file_becomes_a_document(client: FlaskClient, base: str, key: dict[str, str], door: str) -> None:
    data = json.dumps({"indexing_technique": "economy", "process_rule": {"mode": "automatic"}})
    form = {"data": data, "file": (io.BytesIO(TEXT), "harbour.txt")}
    answer = client.post(f"{base}/document/{door}", data=form, headers=key)

    assert answer.status_code == 200, answer.text
    assert answer.get_json()["document"]["indexing_status"] == "waiting"
    assert set(answer.get_json()["document"]) == set(DOCUMENT)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": None}, ("name", "invalid_type")),
        ({"text": ""}, ("text", "required")),
        ({"text": 5}, ("text", "invalid_type")),
        ({"indexing_technique": "x"}, ("indexing_technique", "invalid_choice")),
        ({"indexing_technique": None}, ("indexing_technique", "required")),
        ({"process_rule": {"mode": "odd"}}, ("process_rule.mode", "invalid_choice")),
        ({"process_rule": []}, ("process_rule", "invalid_type")),
    ],
)
def test_text_with_a_bad_value_is_refused_and_it_is_named(
    client: FlaskClient, base: str, key: dict[str, str], body: dict[str, object], expected: tuple[str, str]
) -> None:
    answer = add_text(client, base, key, **body)

    assert answer.status_code == 400, answer.text
    assert tuple(answer.get_json()["details"].values()) == expected


@pytest.mark.parametrize("door", ["update-by-text", "update_by_text"])
def test_update_by_text_makes_the_next_version(
    client: FlaskClient, base: str, key: dict[str, str], runtime: Runtime, door: str
) -> None:
    made = add_text(client, base, key).get_json()["document"]["id"]
    path = f"{base}/documents/{made}/{door}"

    changed = client.post(path, json={"name": "New", "text": "Other words."}, headers=key)
    renamed = client.post(path, json={"name": "Newer"}, headers=key)
    nameless = client.post(path, json={"text": "Words."}, headers=key)

    row = load_document(runtime, made)
    assert (changed.status_code, renamed.status_code) == (200, 200)
    assert (row.name, row.version, row.indexing_status) == ("Newer", 2, "waiting")
    assert nameless.get_json()["details"] == {"field": "name", "type": "required"}


@pytest.mark.parametrize(
    ("method", "door"), [("POST", "/update-by-file"), ("POST", "/update_by_file"), ("PATCH", "")]
)
def test_update_by_file_makes_the_next_version(
    client: FlaskClient, base: str, key: dict[str, str], method: str, door: str
) -> None:
    made = send_file(client, f"{base}/document/create-by-file", key).get_json()["document"]["id"]
    form = {"file": (io.BytesIO(b"Other words."), "other.txt"), "data": '{"name": "Other"}'}

    answer = client.open(f"{base}/documents/{made}{door}", method=method, data=form, headers=key)

    assert answer.status_code == 200, answer.text
    assert (answer.get_json()["document"]["id"], answer.get_json()["document"]["name"]) == (made, "Other")


def test_archived_document_is_not_changed(
    client: FlaskClient, base: str, key: dict[str, str], runtime: Runtime
) -> None:
    made = add_text(client, base, key).get_json()["document"]["id"]
    set_document(runtime, made, archived=True)
    path = f"{base}/documents/{made}"

    answers = (
        client.delete(path, headers=key),
        client.post(f"{path}/update-by-text", json={"name": "x", "text": "y"}, headers=key),
    )

    assert [a.get_json()["code"] for a in answers] == ["archived_document_immutable"] * 2


def test_list_show_status_and_delete(client: FlaskClient, base: str, key: dict[str, str]) -> None:
    answer = add_text(client, base, key).get_json()
    made, batch = answer["document"]["id"], answer["batch"]

    page = client.get(f"{base}/documents?limit=500&status=queuing&keyword=not", headers=key).get_json()
    detail = client.get(f"{base}/documents/{made}", headers=key).get_json()
    status = client.get(f"{base}/documents/{batch}/indexing-status", headers=key).get_json()
    unknown = client.get(f"{base}/documents/1/indexing-status", headers=key)

    assert ([item["id"] for item in page["data"]], page["limit"]) == ([made], 100)
    assert set(detail) == set(DOCUMENT_DETAIL)
    assert [item["id"] for item in status["data"]] == [made]
    assert (unknown.status_code, unknown.get_json()["message"]) == (404, "Documents not found.")
    assert client.delete(f"{base}/documents/{made}", headers=key).status_code == 204
    gone = client.get(f"{base}/documents/{made}", headers=key)
    assert (gone.status_code, gone.get_json()["message"]) == (404, "Document Not Exists.")


def test_switch_names_documents_in_its_body(
    client: FlaskClient, base: str, key: dict[str, str], runtime: Runtime
) -> None:
    made = add_text(client, base, key).get_json()["document"]["id"]
    set_document(runtime, made, indexing_status="completed")

    path = f"{base}/documents/status"
    done = client.patch(f"{path}/disable", json={"document_ids": [made]}, headers=key)
    odd = client.patch(f"{path}/odd", json={"document_ids": [made]}, headers=key)

    assert done.get_json() == {"result": "success"}
    assert not load_document(runtime, made).enabled
    assert (odd.status_code, odd.get_json()["code"]) == (400, "invalid_action")


def test_keys_open_their_own_workspace_and_what_is_open_to_keys(
    client: FlaskClient, base: str, key: dict[str, str], runtime: Runtime
) -> None:
    foreign = make_dataset_key(runtime, make_owner(runtime))
    made = add_text(client, base, key).get_json()["document"]["id"]

    assert client.get(f"{base}/documents/{made}", headers=foreign).status_code == 404
    assert add_text(client, base, foreign).status_code == 404
    with runtime.transaction() as session:
        session.get_one(Dataset, base.rpartition("/")[2]).enable_api = False
    closed = client.get(f"{base}/documents", headers=key)
    assert (closed.status_code, closed.get_json()["message"]) == (403, "Dataset api access is not enabled.")


def test_key_of_a_reader_changes_nothing(
    client: FlaskClient, base: str, owner: Owner, runtime: Runtime
) -> None:
    reader = make_dataset_key(runtime, make_member(runtime, owner, Role.NORMAL))

    assert client.get(f"{base}/documents", headers=reader).status_code == 200
    assert add_text(client, base, reader).status_code == 403
