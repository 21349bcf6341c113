"""Files of several documents as one ZIP, over HTTP on the console and the public API."""

import io
import zipfile
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.models.file import UploadFile
from api.principal import Role
from api.runtime import Runtime
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import (
    CONSOLE,
    TEXT,
    add_document,
    load_document,
    make_dataset,
    make_dataset_key,
    put_to_sleep,
    set_document,
)

UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def dataset_id(runtime: Runtime, owner: Owner) -> str:
    return make_dataset(runtime, owner)


def fetch(client: FlaskClient, headers: dict[str, str], url: str, *ids: str) -> TestResponse:
    path = f"{url}/documents/download-zip"
    return client.post(path, json={"document_ids": ids}, headers=headers, buffered=True)


def unpack(answer: TestResponse) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_archive_holds_each_file_once_under_a_name_of_its_own(
    client: FlaskClient, owner: Owner, dataset_id: str
) -> None:
    contents = {"harbour.txt": TEXT, "Harbour.txt": b"other", "城市.md": b"# 2"}
    ids = [
        add_document(client, owner, dataset_id, name=name, content=content)["id"]
        for name, content in contents.items()
    ]

    answer = fetch(client, owner.headers, f"{CONSOLE}/{dataset_id}", *ids, ids[0])

    assert unpack(answer) == {"harbour.txt": TEXT, "Harbour (2).txt": b"other", "城市.md": b"# 2"}
    assert answer.mimetype == "application/zip"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_archive_is_had_with_a_key_on_both_mounts(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    made = add_document(client, owner, dataset_id)
    key = make_dataset_key(runtime, owner)
    for mount in ("/api", "/v1"):
        answer = fetch(client, key, f"{mount}/datasets/{dataset_id}", made["id"])
        assert unpack(answer) == {"harbour.txt": TEXT}


def test_archive_is_whole_or_refused(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    url = f"{CONSOLE}/{dataset_id}"
    made, fileless, lost = (add_document(client, owner, dataset_id)["id"] for _ in range(3))
    file_id = load_document(runtime, lost).source["upload_file_id"]
    set_document(runtime, fileless, source={"url": "https://example.com"})
    with runtime.reading() as session:
        runtime.storage.delete(session.get_one(UploadFile, file_id).storage_key)

    def refused(*ids: str) -> tuple[int, str]:
        answer = fetch(client, owner.headers, url, *ids)
        return answer.status_code, answer.get_json()["code"]

    assert refused(made, UNKNOWN_ID) == (404, "not_found")
    assert refused(made, fileless) == (404, "file_not_found")
    assert refused(made, lost) == (404, "not_found")
    assert refused() == (400, "invalid_param")
    assert refused(*[UNKNOWN_ID] * 101) == (400, "invalid_param")
    assert refused("no-id") == (400, "invalid_param")


def test_archive_is_open_to_readers_and_nobody_else(
    client: FlaskClient, owner: Owner, dataset_id: str, runtime: Runtime
) -> None:
    made = add_document(client, owner, dataset_id)
    reader, stranger = make_member(runtime, owner, Role.NORMAL), make_owner(runtime)
    url = f"{CONSOLE}/{dataset_id}"
    assert fetch(client, reader.headers, url, made["id"]).status_code == 200
    assert fetch(client, stranger.headers, url, made["id"]).status_code == 404
    private = make_dataset(runtime, owner, permission="only_me")
    hidden = add_document(client, owner, private)
    assert fetch(client, reader.headers, f"{CONSOLE}/{private}", hidden["id"]).status_code == 403
    # A document of another dataset is not reached through one's own.
    assert fetch(client, reader.headers, url, hidden["id"]).status_code == 404
