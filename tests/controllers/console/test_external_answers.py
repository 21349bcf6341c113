"""A dataset asked by the External Knowledge API, over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.runtime import Runtime
from tests.conftest import ONCE
from tests.factories import Owner, make_owner
from tests.knowledge import CONSOLE, add_document, make_dataset, put_to_sleep, run_jobs

ASK = "/console/api/test/retrieval"
SETTING = {"top_k": 2, "score_threshold": 0.0}
BIRDS = b"Penguins live on the ice."


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def dataset_id(client: FlaskClient, runtime: Runtime, owner: Owner) -> str:
    """A dataset with two documents, one of which tells its year."""
    made = make_dataset(runtime, owner)
    for name, content in (("birds.txt", BIRDS), ("ice.txt", b"Penguins and the ice of the south.")):
        add_document(client, owner, made, name=name, content=content)
    run_jobs(runtime, owner)
    return made


def ask(client: FlaskClient, owner: Owner, dataset_id: str, **body: object) -> Any:
    asked = {"knowledge_id": dataset_id, "query": "penguins", "retrieval_setting": SETTING, **body}
    return client.post(ASK, json=asked, headers=owner.headers)


def test_records_have_the_shape_of_the_protocol(client: FlaskClient, owner: Owner, dataset_id: str) -> None:
    records = ask(client, owner, dataset_id).get_json()["records"]
    assert {record["title"] for record in records} == {"birds.txt", "ice.txt"}
    assert all(set(record) == {"content", "score", "title", "metadata"} for record in records)
    assert [record["score"] for record in records] == sorted((r["score"] for r in records), reverse=True)
    one = ask(client, owner, dataset_id, retrieval_setting={"top_k": 1, "score_threshold": 0}).get_json()
    none = ask(client, owner, dataset_id, retrieval_setting={"top_k": 1, "score_threshold": 1}).get_json()
    assert (len(one["records"]), none["records"]) == (1, [])


def test_conditions_of_the_protocol_narrow_the_search(
    client: FlaskClient, owner: Owner, dataset_id: str
) -> None:
    condition = {"name": ["document_name"], "comparison_operator": "is", "value": "birds.txt"}
    asked = {"logical_operator": "and", "conditions": [condition]}
    records = ask(client, owner, dataset_id, metadata_condition=asked).get_json()["records"]
    assert [record["content"] for record in records] == [BIRDS.decode()]


@ONCE
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"retrieval_setting": {"top_k": 0}}, "retrieval_setting.top_k"),
        ({"retrieval_setting": None}, "retrieval_setting"),
        ({"query": ""}, "query"),
        ({"metadata_condition": {"conditions": [{"name": ["a", "b"]}]}}, "metadata_condition.conditions"),
    ],
)
def test_bad_questions_are_refused(
    client: FlaskClient, owner: Owner, dataset_id: str, body: dict[str, object], field: str
) -> None:
    answer = ask(client, owner, dataset_id, **body)
    assert answer.status_code == 400
    assert answer.get_json()["details"]["field"].startswith(field)


def test_knowledge_of_others_is_not_found(client: FlaskClient, runtime: Runtime, dataset_id: str) -> None:
    stranger = make_owner(runtime)
    assert ask(client, stranger, dataset_id).status_code == 404
    assert client.get(f"{CONSOLE}/{dataset_id}", headers=stranger.headers).status_code == 404
