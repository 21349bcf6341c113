"""Estimates of indexing, over HTTP."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.controllers.schemas.index_estimate import ESTIMATE
from api.principal import Role
from api.runtime import Runtime
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import CONSOLE, add_document, load_document, make_dataset

PARAGRAPHS = "\n\n".join(f"Paragraph {n} of the harbour log." for n in range(12)).encode()
CUSTOM = {
    "mode": "custom",
    "rules": {"pre_processing_rules": [], "segmentation": {"separator": "\n\n", "max_tokens": 50}},
}


def upload(client: FlaskClient, owner: Owner, name: str, content: bytes) -> str:
    form = {"file": (io.BytesIO(content), name)}
    answer = client.post("/console/api/files/upload?source=datasets", data=form, headers=owner.headers)
    return str(answer.get_json()["id"])


def estimate(client: FlaskClient, owner: Owner, file_id: str, **body: object) -> Any:
    info = {"data_source_type": "upload_file", "file_info_list": {"file_ids": [file_id]}}
    sent = {"info_list": info, "indexing_technique": "economy", **body}
    return client.post(f"{CONSOLE}/indexing-estimate", json=sent, headers=owner.headers)


def test_estimate_counts_all_and_shows_the_first_ten(client: FlaskClient, owner: Owner) -> None:
    answer = estimate(client, owner, upload(client, owner, "log.txt", PARAGRAPHS), process_rule=CUSTOM)

    found = answer.get_json()
    assert answer.status_code == 200, found
    assert set(found) == set(ESTIMATE)
    assert (found["total_segments"], len(found["preview"]), found["qa_preview"]) == (12, 10, [])
    assert found["preview"][0] == {
        "content": "Paragraph 0 of the harbour log.",
        "child_chunks": [],
        "summary": None,
    }
    assert found["tokens"] > 12


def test_estimate_shows_children_and_pairs(client: FlaskClient, owner: Owner) -> None:
    table = upload(client, owner, "faq.csv", b"question,answer\nWho counts?,Ann.\n")
    children = estimate(
        client, owner, upload(client, owner, "log.txt", PARAGRAPHS), doc_form="hierarchical_model"
    ).get_json()
    pairs = estimate(client, owner, table, doc_form="qa_model").get_json()

    assert len(children["preview"][0]["child_chunks"]) > 1
    assert (pairs["total_segments"], pairs["qa_preview"]) == (
        1,
        [{"question": "Who counts?", "answer": "Ann."}],
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"doc_form": "poem"}, ("doc_form", "invalid_choice")),
        ({"process_rule": {"mode": "custom"}}, ("process_rule.rules", "required")),
        ({"info_list": {}}, ("data_source_type", "required")),
    ],
)
def test_bad_estimate_is_refused_and_the_field_named(
    client: FlaskClient, owner: Owner, body: dict[str, object], expected: tuple[str, str]
) -> None:
    answer = estimate(client, owner, upload(client, owner, "log.txt", PARAGRAPHS), **body)

    assert answer.status_code == 400
    assert tuple(answer.get_json()["details"].values()) == expected


def test_uploads_of_others_are_not_read(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    file_id = upload(client, owner, "log.txt", PARAGRAPHS)

    assert estimate(client, make_owner(runtime), file_id).status_code == 404
    assert estimate(client, make_member(runtime, owner, Role.NORMAL), file_id).status_code == 403


def test_documents_are_estimated_alone_and_by_batch(
    client: FlaskClient, owner: Owner, runtime: Runtime
) -> None:
    dataset = make_dataset(runtime, owner)
    made = add_document(client, owner, dataset, content=PARAGRAPHS)["id"]
    batch = load_document(runtime, made).batch
    paths = (f"documents/{made}/indexing-estimate", f"batch/{batch}/indexing-estimate")

    alone, together = (client.get(f"{CONSOLE}/{dataset}/{path}", headers=owner.headers) for path in paths)
    stranger = make_owner(runtime).headers

    assert alone.status_code == 200
    assert alone.get_json() == together.get_json()
    assert alone.get_json()["total_segments"] >= 1
    assert [client.get(f"{CONSOLE}/{dataset}/{path}", headers=stranger).status_code for path in paths] == [
        404,
        404,
    ]
