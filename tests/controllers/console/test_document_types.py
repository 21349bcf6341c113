"""What a document is said to be, over HTTP: its type, and values by the names of fields."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.principal import Role
from api.runtime import Runtime
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import CONSOLE, add_document, make_dataset, put_to_sleep, set_document


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def url(client: FlaskClient, runtime: Runtime, owner: Owner) -> str:
    """The address of a document."""
    dataset_id = make_dataset(runtime, owner)
    return f"{CONSOLE}/{dataset_id}/documents/{add_document(client, owner, dataset_id)['id']}"


def describe(client: FlaskClient, owner: Owner, url: str, doc_type: Any, values: Any) -> TestResponse:
    body = {"doc_type": doc_type, "doc_metadata": values}
    return client.put(f"{url}/metadata", json=body, headers=owner.headers)


def shown(client: FlaskClient, owner: Owner, url: str) -> tuple[str | None, dict[str, object]]:
    found: Any = client.get(f"{url}?metadata=only", headers=owner.headers).get_json()
    return found["doc_type"], {each["name"]: each["value"] for each in found["doc_metadata"]}


def test_description_is_kept_and_its_names_become_fields(client: FlaskClient, owner: Owner, url: str) -> None:
    fields_url = f"{url.partition('/documents')[0]}/metadata"
    client.post(fields_url, json={"name": "year", "type": "number"}, headers=owner.headers)

    answer = describe(client, owner, url, "book", {"author": "Ann", "year": 1999, "isbn": ""})

    assert (answer.status_code, answer.get_json()["result"]) == (200, "success")
    assert shown(client, owner, url) == ("book", {"author": "Ann", "year": 1999})
    fields = client.get(fields_url, headers=owner.headers).get_json()["doc_metadata"]
    assert {(each["name"], each["type"]) for each in fields} >= {("year", "number"), ("author", "string")}


def test_description_takes_the_place_of_the_one_before(client: FlaskClient, owner: Owner, url: str) -> None:
    describe(client, owner, url, "book", {"author": "Ann", "title": "Ice"})
    describe(client, owner, url, "others", {"title": "Snow"})
    assert shown(client, owner, url) == ("others", {"title": "Snow"})


@pytest.mark.parametrize(
    ("doc_type", "values", "field"),
    [
        ("novel", {}, "doc_type"),
        (None, {}, "doc_type"),
        ("book", None, "doc_metadata"),
        ("book", ["author"], "doc_metadata"),
        ("book", {"author": 5}, "doc_metadata"),
        ("book", {"": "x"}, "doc_metadata"),
        ("book", {str(number): "x" for number in range(51)}, "doc_metadata"),
        ("book", {"uploader": "x"}, "name"),
    ],
)
def test_bad_description_changes_nothing(
    client: FlaskClient, owner: Owner, url: str, doc_type: Any, values: Any, field: str
) -> None:
    answer = describe(client, owner, url, doc_type, values)
    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)
    assert shown(client, owner, url) == (None, {})


def test_description_is_for_those_who_edit_and_not_of_archived_ones(
    client: FlaskClient, owner: Owner, url: str, runtime: Runtime
) -> None:
    reader, stranger = make_member(runtime, owner, Role.NORMAL), make_owner(runtime)
    assert describe(client, reader, url, "book", {}).status_code == 403
    assert describe(client, stranger, url, "book", {}).status_code == 404
    set_document(runtime, url.rpartition("/")[2], archived=True)
    assert describe(client, owner, url, "book", {}).get_json()["code"] == "archived_document_immutable"
