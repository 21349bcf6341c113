"""Documents of the console, over HTTP: what a request writes; the indexing is tested beside its jobs."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from api.controllers.schemas.document_answer import DOCUMENT, DOCUMENT_DETAIL, SEED_DOCUMENT, STATUS
from api.models.base import utc_now
from api.models.dataset import Dataset
from api.models.document import Document
from api.models.file import UploadFile
from api.models.job import JobRow
from api.principal import Role
from api.runtime import Runtime
from tests.conftest import BOTH, make_house, make_settings, stop_house
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import (
    CONSOLE,
    TEXT,
    add_document,
    load_document,
    make_dataset,
    put_to_sleep,
    send_file,
    set_document,
)
from tests.uploads import FORM, form, part

UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
CUSTOM = {
    "mode": "custom",
    "rules": {
        "pre_processing_rules": [{"id": "remove_extra_spaces", "enabled": True}],
        "segmentation": {"separator": "\n", "max_tokens": 200},
    },
}


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def dataset_id(runtime: Runtime, owner: Owner) -> str:
    return make_dataset(runtime, owner)


def create(client: FlaskClient, owner: Owner, dataset_id: str, **options: Any) -> Any:
    return send_file(client, f"{CONSOLE}/{dataset_id}/document/create_by_file", owner.headers, **options)


def upload(
    client: FlaskClient, owner: Owner, name: str = "a.txt", content: bytes = TEXT, **form: object
) -> Any:
    return client.post(
        "/console/api/files/upload", data={**form, "file": (io.BytesIO(content), name)}, headers=owner.headers
    )


def sources(*ids: str) -> dict[str, object]:
    info = {"data_source_type": "upload_file", "file_info_list": {"file_ids": list(ids)}}
    return {"data_source": {"info_list": info}, "indexing_technique": "economy"}


# -- create_by_file ------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["create_by_file", "create-by-file"])
def test_create_by_file_answers_as_the_seed_says(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime, door: str
) -> None:
    answer = send_file(
        client,
        f"{CONSOLE}/{dataset_id}/document/{door}",
        owner.headers,
        name="Harbour.MD",
        process_rule=json.dumps(CUSTOM),
    )

    assert answer.status_code == 200, answer.text
    made = answer.get_json()["document"]
    assert set(made) == set(SEED_DOCUMENT)
    assert (made["doc_type"], made["indexing_status"], made["display_status"]) == ("md", "queuing", "queuing")
    assert (made["name"], made["data_source_type"], made["doc_form"]) == (
        "Harbour.MD",
        "upload_file",
        "text_model",
    )
    assert (made["tokens"], made["position"], made["created_from"]) == (0, 1, "web")
    assert len(answer.get_json()["batch"]) == 20
    assert answer.get_json()["batch"].isdigit()
    row = load_document(runtime, made["id"])
    assert (row.indexing_status, row.version, row.batch) == ("waiting", 1, answer.get_json()["batch"])
    with runtime.reading() as session:
        dataset = session.get_one(Dataset, dataset_id)
        file = session.get_one(UploadFile, row.source["upload_file_id"])
        jobs = session.scalars(select(JobRow).where(JobRow.tenant_id == owner.tenant_id)).all()
    assert (dataset.indexing_technique, dataset.doc_form) == ("economy", "text_model")
    assert dataset.data_source_type == "upload_file"
    assert file.attached_at is not None
    with runtime.storage.open(file.storage_key) as content:
        assert content.read() == TEXT
    assert [job.payload["document_id"] for job in jobs] == [row.id]


def test_create_takes_its_settings_from_the_part_data_too(
    client: FlaskClient, owner: Owner, dataset_id: str
) -> None:
    data = json.dumps({"indexing_technique": "high_quality", "doc_form": "hierarchical_model", "name": "x"})
    document = add_document(client, owner, dataset_id, data=data, name="y.txt", indexing_technique="economy")

    assert (document["doc_form"], document["name"]) == ("hierarchical_model", "x")
    listed = client.get(f"{CONSOLE}/{dataset_id}/documents", headers=owner.headers).get_json()
    assert [item["doc_form"] for item in listed["data"]] == ["hierarchical_model"]


def test_create_gives_a_high_quality_dataset_the_workspaces_embedding_model(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    add_document(client, owner, dataset_id, indexing_technique="high_quality")

    with runtime.reading() as session:
        dataset = session.get_one(Dataset, dataset_id)
    assert (dataset.embedding_provider, dataset.embedding_model) == ("builtin", "multilingual-e5-small")


def test_documents_are_numbered_and_the_second_needs_no_technique(
    client: FlaskClient, owner: Owner, dataset_id: str
) -> None:
    first = add_document(client, owner, dataset_id)
    path = f"{CONSOLE}/{dataset_id}/document/create_by_file"
    second = client.post(path, data={"file": (io.BytesIO(TEXT), "b.txt")}, headers=owner.headers)

    assert (first["position"], second.get_json()["document"]["position"]) == (1, 2)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"indexing_technique": "best"}, ("indexing_technique", "invalid_choice")),
        ({"doc_form": "poem"}, ("doc_form", "invalid_choice")),
        ({"process_rule": "{"}, ("process_rule", "invalid_format")),
        ({"process_rule": '{"mode": "custom"}'}, ("process_rule.rules", "required")),
        ({"data": "no json"}, ("data", "invalid_format")),
        ({"data": '{"doc_language": 5}'}, ("doc_language", "invalid_type")),
        ({"original_document_id": "7"}, ("original_document_id", "invalid_format")),
        (
            {"embedding_model": "m", "indexing_technique": "high_quality"},
            ("embedding_model_provider", "invalid_value"),
        ),
        ({"retrieval_model": '{"top_k": 0}'}, ("retrieval_model.top_k", "out_of_range")),
    ],
)
def test_create_refuses_a_bad_value_names_it_and_keeps_nothing(
    client: FlaskClient,
    owner: Owner,
    dataset_id: str,
    runtime: Runtime,
    form: dict[str, str],
    expected: tuple[str, str],
) -> None:
    answer = create(client, owner, dataset_id, **form)

    assert answer.status_code == 400, answer.text
    assert tuple(answer.get_json()["details"].values()) == expected
    with runtime.reading() as session:
        for table in (UploadFile, Document):
            assert session.scalar(select(func.count()).where(table.tenant_id == owner.tenant_id)) == 0


def test_first_document_needs_a_technique(client: FlaskClient, owner: Owner, dataset_id: str) -> None:
    path = f"{CONSOLE}/{dataset_id}/document/create_by_file"
    answer = client.post(path, data={"file": (io.BytesIO(TEXT), "b.txt")}, headers=owner.headers)

    assert answer.status_code == 400
    assert answer.get_json()["details"] == {"field": "indexing_technique", "type": "required"}


def test_create_refuses_files_that_are_none(client: FlaskClient, owner: Owner, dataset_id: str) -> None:
    path = f"{CONSOLE}/{dataset_id}/document/create_by_file"
    none = client.post(path, data={"x": "y"}, content_type="multipart/form-data", headers=owner.headers)
    two = client.post(
        path,
        data={"file": [(io.BytesIO(TEXT), "a.txt"), (io.BytesIO(TEXT), "b.txt")]},
        headers=owner.headers,
    )
    picture = create(client, owner, dataset_id, name="a.png", content=b"\x89PNG\r\n\x1a\n")
    unknown = create(client, owner, dataset_id, name="a.xyz")

    assert [(a.status_code, a.get_json()["code"]) for a in (none, two, picture, unknown)] == [
        (400, "no_file_uploaded"),
        (400, "too_many_files"),
        (415, "unsupported_file_type"),
        (415, "unsupported_file_type"),
    ]


def test_create_refuses_another_form_than_the_datasets(
    client: FlaskClient, owner: Owner, dataset_id: str
) -> None:
    add_document(client, owner, dataset_id)

    answer = create(client, owner, dataset_id, doc_form="qa_model")

    assert (answer.status_code, answer.get_json()["params"]) == (400, "doc_form")


@BOTH
def test_create_with_an_idempotency_key_is_done_once(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    once = {**owner.headers, "Idempotency-Key": "k-1"}
    path = f"{CONSOLE}/{dataset_id}/document/create_by_file"
    first, again = (send_file(client, path, once) for _ in range(2))
    other = send_file(client, path, once, content=b"Something else.")

    assert first.get_json() == again.get_json()
    assert other.status_code == 422
    with runtime.reading() as session:
        assert session.scalar(select(func.count()).where(Document.dataset_id == dataset_id)) == 1


# -- replaced ------------------------------------------------------------------------------------


def test_replaced_document_keeps_its_id_and_becomes_its_next_version(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    first = add_document(client, owner, dataset_id)
    old = load_document(runtime, first["id"])

    second = add_document(
        client, owner, dataset_id, name="new.txt", content=b"New words.", original_document_id=first["id"]
    )

    row = load_document(runtime, first["id"])
    assert (second["id"], second["name"], second["position"]) == (first["id"], "new.txt", 1)
    assert (row.version, row.indexing_status) == (2, "waiting")
    with runtime.reading() as session:
        assert session.get_one(UploadFile, old.source["upload_file_id"]).attached_at is None
        assert session.get_one(UploadFile, row.source["upload_file_id"]).attached_at is not None


def test_replacing_what_is_not_in_the_dataset_or_archived_is_refused(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    elsewhere = add_document(client, owner, make_dataset(runtime, owner))
    archived = add_document(client, owner, dataset_id)
    set_document(runtime, archived["id"], archived=True)

    codes = [
        create(client, owner, dataset_id, original_document_id=found).get_json()["code"]
        for found in (elsewhere["id"], UNKNOWN_ID, archived["id"])
    ]

    assert codes == ["not_found", "not_found", "archived_document_immutable"]


# -- from uploads --------------------------------------------------------------------------------


def test_init_makes_a_dataset_named_after_the_first_file(client: FlaskClient, owner: Owner) -> None:
    ids = [upload(client, owner, f"{n}.txt", source="datasets").get_json()["id"] for n in ("one", "two")]

    answer = client.post(f"{CONSOLE}/init", json=sources(*ids), headers=owner.headers)
    again = client.post(
        f"{CONSOLE}/init",
        json=sources(upload(client, owner, "one.txt").get_json()["id"]),
        headers=owner.headers,
    )

    body = answer.get_json()
    assert answer.status_code == 200, body
    assert [(d["name"], d["position"]) for d in body["documents"]] == [("one.txt", 1), ("two.txt", 2)]
    assert body["dataset"]["name"] == "one.txt"
    assert again.get_json()["dataset"]["name"] == "one.txt 2"
    status = client.get(
        f"{CONSOLE}/{body['dataset']['id']}/batch/{body['batch']}/indexing-status", headers=owner.headers
    ).get_json()["data"]
    assert [(set(item), item["indexing_status"]) for item in status] == [(set(STATUS), "waiting")] * 2


def test_documents_of_uploads_take_each_file_once(client: FlaskClient, owner: Owner, dataset_id: str) -> None:
    file_id = upload(client, owner).get_json()["id"]
    path = f"{CONSOLE}/{dataset_id}/documents"
    first = client.post(path, json=sources(file_id), headers=owner.headers)
    second = client.post(path, json=sources(file_id), headers=owner.headers)
    missing = client.post(path, json=sources(UNKNOWN_ID), headers=owner.headers)
    none = client.post(path, json=sources(), headers=owner.headers)

    assert [a.status_code for a in (first, second, missing, none)] == [200, 409, 404, 400]


def test_upload_that_is_about_to_be_removed_becomes_no_document(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    file_id = upload(client, owner).get_json()["id"]
    with runtime.transaction() as session:
        session.get_one(UploadFile, file_id).created_at = utc_now() - timedelta(hours=22, minutes=1)

    answer = client.post(f"{CONSOLE}/{dataset_id}/documents", json=sources(file_id), headers=owner.headers)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "file_not_found")


def test_document_is_processed_anew_with_the_same_file(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    made = add_document(client, owner, dataset_id)
    file_id = made["data_source_info"]["upload_file_id"]
    body = {**sources(file_id), "original_document_id": made["id"], "process_rule": CUSTOM}

    answer = client.post(f"{CONSOLE}/{dataset_id}/documents", json=body, headers=owner.headers)

    assert [item["id"] for item in answer.get_json()["documents"]] == [made["id"]]
    assert load_document(runtime, made["id"]).version == 2
    rule = client.get(
        f"{CONSOLE}/process-rule", query_string={"document_id": made["id"]}, headers=owner.headers
    ).get_json()
    assert (rule["mode"], rule["rules"]["segmentation"]["max_tokens"]) == ("custom", 200)


# -- shown ---------------------------------------------------------------------------------------


def test_list_pages_searches_sorts_and_filters(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    made = [
        add_document(client, owner, dataset_id, name=f"{name}.txt")["id"] for name in ("ant", "bee", "cat")
    ]
    set_document(runtime, made[0], indexing_status="completed", hit_count=5)
    set_document(runtime, made[1], indexing_status="completed", enabled=False)

    def names(**query: object) -> list[str]:
        answer = client.get(f"{CONSOLE}/{dataset_id}/documents", query_string=query, headers=owner.headers)
        assert answer.status_code == 200, answer.text
        return [item["name"][:3] for item in answer.get_json()["data"]]

    assert names() == ["cat", "bee", "ant"]
    assert names(sort="created_at", limit=2) == ["ant", "bee"]
    assert names(sort="-hit_count")[0] == "ant"
    assert names(keyword="BE") == ["bee"]
    assert (names(status="available"), names(status="disabled"), names(status="queuing")) == (
        ["ant"],
        ["bee"],
        ["cat"],
    )
    page = client.get(f"{CONSOLE}/{dataset_id}/documents?limit=2", headers=owner.headers).get_json()
    assert (page["total"], page["has_more"], set(page["data"][0])) == (3, True, set(DOCUMENT))


@pytest.mark.parametrize(
    ("query", "field"), [("sort=name", "sort"), ("status=odd", "status"), ("limit=101", "limit")]
)
def test_list_refuses_a_bad_value_and_names_it(
    client: FlaskClient, owner: Owner, dataset_id: str, query: str, field: str
) -> None:
    answer = client.get(f"{CONSOLE}/{dataset_id}/documents?{query}", headers=owner.headers)

    assert (answer.status_code, answer.get_json()["params"]) == (400, field)


def test_detail_shows_rules_and_file(client: FlaskClient, owner: Owner, dataset_id: str) -> None:
    made = add_document(client, owner, dataset_id)
    path = f"{CONSOLE}/{dataset_id}/documents/{made['id']}"

    detail = client.get(path, headers=owner.headers).get_json()
    only = client.get(f"{path}?metadata=only", headers=owner.headers).get_json()
    without = client.get(f"{path}?metadata=without", headers=owner.headers).get_json()
    bad = client.get(f"{path}?metadata=some", headers=owner.headers)

    assert set(detail) == set(DOCUMENT_DETAIL)
    assert detail["document_process_rule"]["rules"]["segmentation"]["max_tokens"] == 500
    assert detail["data_source_info"]["upload_file"]["size"] == len(TEXT)
    assert set(only) == {"id", "doc_type", "doc_metadata"}
    assert set(detail) - set(without) == {"doc_type", "doc_metadata"}
    assert (bad.status_code, bad.get_json()["code"]) == (400, "invalid_metadata")


def test_download_address_gives_the_file(client: FlaskClient, owner: Owner, dataset_id: str) -> None:
    made = add_document(client, owner, dataset_id)

    url = client.get(
        f"{CONSOLE}/{dataset_id}/documents/{made['id']}/download", headers=owner.headers
    ).get_json()["url"]

    assert client.get(url.removeprefix("http://localhost"), buffered=True).data == TEXT


# -- changed -------------------------------------------------------------------------------------


def test_switches_change_all_or_none(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    ids = [add_document(client, owner, dataset_id)["id"] for _ in range(2)]

    def switch(action: str) -> Any:
        path = f"{CONSOLE}/{dataset_id}/documents/status/{action}/batch"
        return client.patch(path, query_string={"document_id": ids}, headers=owner.headers)

    for found in ids:
        set_document(runtime, found, indexing_status="completed")
    assert switch("disable").get_json() == {"result": "success"}
    assert [load_document(runtime, found).enabled for found in ids] == [False, False]
    assert load_document(runtime, ids[0]).disabled_by == owner.account_id
    assert switch("enable").status_code == 200
    assert switch("archive").status_code == 200
    assert [load_document(runtime, found).archived for found in ids] == [True, True]
    assert switch("un_archive").status_code == 200
    set_document(runtime, ids[1], indexing_status="indexing")
    assert switch("disable").get_json()["code"] == "document_indexing"
    assert load_document(runtime, ids[0]).enabled
    assert switch("shred").get_json()["code"] == "invalid_action"


def test_pause_resume_and_retry(client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime) -> None:
    made = add_document(client, owner, dataset_id)["id"]
    path = f"{CONSOLE}/{dataset_id}/documents/{made}/processing"

    assert client.patch(f"{path}/pause", headers=owner.headers).status_code == 204
    assert load_document(runtime, made).is_paused
    assert client.patch(f"{path}/resume", headers=owner.headers).status_code == 204
    assert not load_document(runtime, made).is_paused
    assert client.patch(f"{path}/resume", headers=owner.headers).status_code == 400
    assert client.patch(f"{path}/dance", headers=owner.headers).get_json()["code"] == "invalid_action"
    set_document(runtime, made, indexing_status="error", error="It failed.")
    retried = client.post(
        f"{CONSOLE}/{dataset_id}/retry", json={"document_ids": [made]}, headers=owner.headers
    )
    row = load_document(runtime, made)
    assert (retried.status_code, row.indexing_status, row.error) == (204, "waiting", None)


def test_rename_and_delete(client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime) -> None:
    kept, gone, archived = (add_document(client, owner, dataset_id)["id"] for _ in range(3))
    set_document(runtime, archived, archived=True)
    path = f"{CONSOLE}/{dataset_id}/documents"

    renamed = client.post(f"{path}/{kept}/rename", json={"name": " New "}, headers=owner.headers)
    refused = client.delete(path, query_string={"document_id": [gone, archived]}, headers=owner.headers)
    deleted = client.delete(f"{path}?document_id={gone}", headers=owner.headers)

    assert renamed.get_json()["name"] == "New"
    assert (refused.status_code, refused.get_json()["code"]) == (403, "archived_document_immutable")
    assert deleted.status_code == 204
    assert client.get(f"{path}/{gone}", headers=owner.headers).status_code == 404
    assert client.get(f"{path}/{kept}", headers=owner.headers).status_code == 200


# -- files ---------------------------------------------------------------------------------------


def test_uploads_of_datasets_take_documents_only(client: FlaskClient, owner: Owner) -> None:
    png = b"\x89PNG\r\n\x1a\n"
    taken = upload(client, owner, "a.png", png)
    refused = upload(client, owner, "a.png", png, source="datasets")
    by_query = client.post(
        "/console/api/files/upload?source=datasets",
        data={"file": (io.BytesIO(png), "a.png")},
        headers=owner.headers,
    )

    assert [a.status_code for a in (taken, refused, by_query)] == [201, 415, 415]


def test_preview_shows_the_text_to_its_uploader_alone(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    file_id = upload(client, owner, content=b"word " * 1000).get_json()["id"]
    other = make_member(runtime, owner, Role.EDITOR)
    path = f"/console/api/files/{file_id}/preview"

    assert len(client.get(path, headers=owner.headers).get_json()["content"]) == 3000
    assert client.get(path, headers=other.headers).status_code == 404


def test_limits_and_types_of_uploads_are_told(client: FlaskClient, owner: Owner) -> None:
    limits = client.get("/console/api/files/upload", headers=owner.headers).get_json()
    types = client.get("/console/api/files/support-type", headers=owner.headers).get_json()

    assert (limits["file_size_limit"], limits["image_file_size_limit"]) == (100, 15)
    assert {"pdf", "PDF", "docx", "md"} <= set(types["allowed_extensions"])


# -- who may -------------------------------------------------------------------------------------

D = "/{dataset}/documents"
ROUTES = (
    ("GET", D, False),
    ("DELETE", D + "?document_id={document}", True),
    ("GET", D + "/{document}", False),
    ("DELETE", D + "/{document}", True),
    ("GET", D + "/{document}/indexing-status", False),
    ("GET", "/{dataset}/batch/{batch}/indexing-status", False),
    ("PATCH", D + "/{document}/processing/pause", True),
    ("PATCH", D + "/status/enable/batch?document_id={document}", True),
    ("POST", D + "/{document}/rename", True),
    ("POST", "/{dataset}/retry", True),
    ("GET", D + "/{document}/download", False),
)
IDS = [f"{method} {path.partition('?')[0]}" for method, path, _ in ROUTES]


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_strangers_find_nothing_and_readers_change_nothing(
    client: FlaskClient,
    owner: Owner,
    dataset_id: str,
    runtime: Runtime,
    route: tuple[str, str, bool],
) -> None:
    method, path, may_edit = route
    made = add_document(client, owner, dataset_id)
    batch = load_document(runtime, made["id"]).batch
    url = CONSOLE + path.format(dataset=dataset_id, document=made["id"], batch=batch)
    stranger, reader = make_owner(runtime), make_member(runtime, owner, Role.NORMAL)

    def call(who: Owner) -> int:
        body = {"name": "x", "document_ids": [made["id"]]} if method == "POST" else None
        return client.open(url, method=method, json=body, headers=who.headers).status_code

    assert call(stranger) == 404
    assert call(reader) == (403 if may_edit else 200)
    assert load_document(runtime, made["id"]).name == "harbour.txt"
    assert call(owner) in (200, 204)


# -- sizes ---------------------------------------------------------------------------------------


def test_file_above_the_limit_is_refused_while_it_comes_in(tmp_path: Path) -> None:
    app = make_house(make_settings(tmp_path, document_max_mb=1))
    try:
        owner = make_owner(app.extensions["runtime"])
        dataset = make_dataset(app.extensions["runtime"], owner)
        path = f"/console/api/datasets/{dataset}/document/create_by_file"
        most = 1024 * 1024
        # By hand: a test client makes a large form in a temporary file that it leaves open.
        fits, over = (
            app.test_client().post(
                path,
                data=form(
                    part("indexing_technique", b"economy"),
                    part("file", b"a" * size, filename="a.txt", mime="text/plain"),
                ),
                content_type=FORM,
                headers=owner.headers,
            )
            for size in (most, most + 1)
        )
    finally:
        stop_house(app)

    assert fits.status_code == 200
    assert (over.status_code, over.get_json()["code"]) == (413, "file_too_large")
