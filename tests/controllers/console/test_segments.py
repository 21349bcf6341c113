"""Segments and child chunks of both APIs, over HTTP; documents are indexed by the program's own worker."""

import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from api.controllers.schemas.segment import CHUNK_MODEL, SEGMENT_MODEL
from api.core.text.segment_hash import content_hash
from api.models.document import ChildChunk, Segment
from api.principal import Role
from api.runtime import Runtime
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import add_document, load_document, make_dataset, make_dataset_key, set_document

TEXT = b"The harbour master counts seven ships.\n\nThe lighthouse keeper counts the stars."
RULE = (
    '{"mode": "custom", "rules": {"pre_processing_rules": [], "segmentation": '
    '{"separator": "\\n\\n", "max_tokens": 100}}}'
)
PARENTS = (
    '{"mode": "hierarchical", "rules": {"pre_processing_rules": [], "segmentation": {"separator": "\\n\\n", '
    '"max_tokens": 100}, "parent_mode": "paragraph", "subchunk_segmentation": {"separator": " counts ", '
    '"max_tokens": 50}}}'
)
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
WAIT_S = 30.0


class Desk:
    """A document that is indexed, and calls about it on the console (``web``) and by key (``api``)."""

    def __init__(self, client: FlaskClient, runtime: Runtime, owner: Owner, **form: Any) -> None:
        self.client, self.runtime, self.owner = client, runtime, owner
        self.dataset = make_dataset(runtime, owner)
        self.id = add_document(client, owner, self.dataset, content=TEXT, **{"process_rule": RULE, **form})[
            "id"
        ]
        self.path = f"/datasets/{self.dataset}/documents/{self.id}"
        self.key = make_dataset_key(runtime, owner)
        self.wait()

    def wait(self) -> None:
        """Return when nothing of the document waits any more."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            states = {row.status for row in self.rows()}
            if load_document(self.runtime, self.id).indexing_status == "completed" and states <= {
                "completed"
            }:
                return
            time.sleep(0.02)
        raise AssertionError(f"still {states} after {WAIT_S} s")

    def rows(self) -> list[Segment]:
        with self.runtime.reading() as session:
            query = select(Segment).where(Segment.document_id == self.id).order_by(Segment.position)
            return list(session.scalars(query))

    def children(self, segment_id: str) -> list[ChildChunk]:
        with self.runtime.reading() as session:
            query = (
                select(ChildChunk).where(ChildChunk.segment_id == segment_id).order_by(ChildChunk.position)
            )
            return list(session.scalars(query))

    def web(self, method: str, path: str, **options: Any) -> Any:
        options = {"headers": self.owner.headers, **options}
        return self.client.open(f"/console/api{self.path}{path}", method=method, **options)

    def api(self, method: str, path: str, **options: Any) -> Any:
        return self.client.open(f"/v1{self.path}{path}", method=method, headers=self.key, **options)


@pytest.fixture
def desk(client: FlaskClient, runtime: Runtime, owner: Owner) -> Desk:
    return Desk(client, runtime, owner)


@pytest.fixture
def parents(client: FlaskClient, runtime: Runtime, owner: Owner) -> Desk:
    return Desk(client, runtime, owner, doc_form="hierarchical_model", process_rule=PARENTS)


def test_segments_are_listed_and_filtered(desk: Desk) -> None:
    whole = desk.web("GET", "/segments").get_json()
    first = whole["data"][0]

    assert set(first) == set(SEGMENT_MODEL)
    assert [item["position"] for item in whole["data"]] == [1, 2]
    assert (whole["total"], whole["total_pages"], whole["has_more"], whole["doc_form"]) == (
        2,
        1,
        False,
        "text_model",
    )
    assert (first["status"], first["word_count"]) == ("completed", len(first["content"]))
    for query, count in (
        ("keyword=LIGHT", 1),
        ("status=error,waiting", 0),
        ("status=error&status=completed", 2),
        ("enabled=false", 0),
        ("hit_count_gte=1", 0),
        ("limit=1&page=2", 1),
    ):
        assert len(desk.web("GET", f"/segments?{query}").get_json()["data"]) == count, query
        assert len(desk.api("GET", f"/segments?{query}").get_json()["data"]) == count, query
    assert desk.web("GET", "/segments?limit=101").status_code == 400
    assert desk.api("GET", "/segments?limit=101").get_json()["limit"] == 100
    assert desk.web("GET", "/segments?status=odd").get_json()["params"] == "status"


def test_segment_made_by_hand_is_indexed(desk: Desk) -> None:
    made = desk.web("POST", "/segment", json={"content": " Gulls cry. ", "keywords": ["gull"]}).get_json()[
        "data"
    ]
    more = desk.api(
        "POST", "/segments", json={"segments": [{"content": "One."}, {"content": "Two."}]}
    ).get_json()

    assert (made["content"], made["position"], made["keywords"]) == ("Gulls cry.", 3, ["gull"])
    assert (made["status"], made["word_count"], made["index_node_hash"]) == (
        "waiting",
        10,
        content_hash("Gulls cry."),
    )
    assert made["tokens"] > 0
    assert [item["position"] for item in more["data"]] == [4, 5]
    desk.wait()
    assert load_document(desk.runtime, desk.id).total_segments == 5


@pytest.mark.parametrize("method", ["keyword_search", "full_text_search"])
def test_segment_is_found_by_its_keywords_as_long_as_it_has_them(desk: Desk, method: str) -> None:
    path = f"/console/api/datasets/{desk.dataset}/retrieve"
    model = {"search_method": method, "reranking_enable": False, "top_k": 5}

    def found(query: str) -> list[str]:
        body = {"query": query, "retrieval_model": model}
        answer = desk.client.post(path, json=body, headers=desk.owner.headers)
        return [record["segment"]["content"] for record in answer.get_json()["records"]]

    made = desk.web("POST", "/segment", json={"content": "Gulls cry.", "keywords": ["海鸥", "larus"]})
    desk.wait()
    assert (found("larus"), found("海鸥")) == (["Gulls cry."], ["Gulls cry."])

    address = f"/segments/{made.get_json()['data']['id']}"
    desk.web("PATCH", address, json={"content": "Gulls cry.", "keywords": ["laridae"]})
    desk.wait()
    assert (found("larus"), found("laridae")) == ([], ["Gulls cry."])

    desk.web("PATCH", address, json={"content": "Gulls cry.", "keywords": []})
    desk.wait()
    assert (found("laridae"), found("gulls")) == ([], ["Gulls cry."])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ("content", "required")),
        ({"content": " "}, ("content", "required")),
        ({"content": 5}, ("content", "invalid_type")),
        ({"content": "x", "keywords": "y"}, ("keywords", "invalid_type")),
    ],
)
def test_bad_segment_is_refused_and_the_field_named(
    desk: Desk, body: dict[str, object], expected: tuple[str, str]
) -> None:
    for answer in (
        desk.web("POST", "/segment", json=body),
        desk.api("POST", "/segments", json={"segments": [body]}),
    ):
        assert answer.status_code == 400
        assert tuple(answer.get_json()["details"].values()) == expected


@pytest.mark.parametrize(
    ("state", "status", "message"),
    [
        ({"indexing_status": "indexing"}, 404, "Document is not completed."),
        ({"enabled": False}, 404, "Document is disabled."),
        ({"archived": True}, 403, "The archived document is not editable."),
    ],
)
def test_segments_are_added_to_documents_in_use_alone(
    desk: Desk, state: dict[str, object], status: int, message: str
) -> None:
    set_document(desk.runtime, desk.id, **state)

    answer = desk.api("POST", "/segments", json={"segments": [{"content": "x"}]})

    assert (answer.status_code, answer.get_json()["message"]) == (status, message)


def test_changed_segment_is_indexed_anew(desk: Desk) -> None:
    segment = desk.rows()[0].id

    changed = desk.web("PATCH", f"/segments/{segment}", json={"content": "Other words."}).get_json()["data"]
    desk.wait()
    off = desk.api("POST", f"/segments/{segment}", json={"segment": {"enabled": False}}).get_json()["data"]

    assert (changed["id"], changed["content"], changed["status"]) == (segment, "Other words.", "waiting")
    assert changed["updated_by"] == desk.owner.account_id
    assert (off["content"], off["enabled"], off["status"]) == ("Other words.", False, "completed")
    assert off["disabled_by"] == desk.owner.account_id
    assert desk.api("GET", f"/segments/{segment}").get_json()["data"]["content"] == "Other words."
    assert (
        desk.api("POST", f"/segments/{segment}", json={"segment": {"content": 5}}).get_json()["params"]
        == "content"
    )


def test_segments_are_switched_and_deleted_all_or_none(desk: Desk) -> None:
    ids = [row.id for row in desk.rows()]

    assert desk.web("PATCH", f"/segment/disable?segment_id={','.join(ids)}").get_json() == {
        "result": "success"
    }
    assert [row.enabled for row in desk.rows()] == [False, False]
    assert (
        desk.web("PATCH", f"/segment/enable?segment_id={ids[0]}&segment_id={UNKNOWN_ID}").status_code == 404
    )
    assert [row.enabled for row in desk.rows()] == [False, False]
    assert desk.web("PATCH", f"/segment/odd?segment_id={ids[0]}").get_json()["code"] == "invalid_action"
    assert desk.web("DELETE", f"/segments?segment_id={ids[0]}&segment_id={UNKNOWN_ID}").status_code == 404
    assert desk.web("DELETE", f"/segments?segment_id={ids[0]}").status_code == 204
    assert desk.api("DELETE", f"/segments/{ids[1]}").status_code == 204
    assert desk.rows() == []
    assert desk.api("GET", f"/segments/{ids[1]}").get_json()["message"] == "Segment not found."


def test_questions_need_answers(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    desk = Desk(client, runtime, owner, process_rule=RULE)
    set_document(runtime, desk.id, doc_form="qa_model")

    refused = desk.api("POST", "/segments", json={"segments": [{"content": "Who counts?"}]})
    made = desk.api("POST", "/segments", json={"segments": [{"content": "Who counts?", "answer": "Ann."}]})

    assert refused.get_json()["details"] == {"field": "answer", "type": "required"}
    assert made.get_json()["data"][0]["answer"] == "Ann."


def test_regenerated_children_are_cut_by_the_rule(parents: Desk) -> None:
    segment = parents.rows()[0].id
    assert [child.content for child in parents.children(segment)] == ["The harbour master", "seven ships."]

    parents.web("PATCH", f"/segments/{segment}", json={"content": "Ann counts ants."})
    kept = [child.content for child in parents.children(segment)]
    body = {"content": "Ann counts ants.", "regenerate_child_chunks": True}
    answer = parents.web("PATCH", f"/segments/{segment}", json=body).get_json()["data"]

    assert kept == ["The harbour master", "seven ships."]
    assert [child["content"] for child in answer["child_chunks"]] == ["Ann", "ants."]
    parents.wait()


def test_child_chunks_are_added_changed_and_deleted(parents: Desk) -> None:
    segment = parents.rows()[0].id
    path = f"/segments/{segment}/child_chunks"

    made = parents.web("POST", path, json={"content": "Gulls cry."}).get_json()["data"]
    parents.wait()
    changed = parents.api("PATCH", f"{path}/{made['id']}", json={"content": "Gulls sleep."}).get_json()[
        "data"
    ]
    page = parents.api("GET", f"{path}?keyword=gull").get_json()

    assert set(made) == set(CHUNK_MODEL)
    assert (made["position"], made["type"], made["segment_id"]) == (3, "customized", segment)
    assert (changed["content"], changed["word_count"]) == ("Gulls sleep.", 12)
    assert ([item["id"] for item in page["data"]], page["total"], page["total_pages"]) == ([made["id"]], 1, 1)
    assert parents.api("DELETE", f"{path}/{made['id']}").status_code == 204
    assert parents.web("DELETE", f"{path}/{made['id']}").status_code == 404
    assert parents.web("POST", path, json={"content": ""}).get_json()["params"] == "content"
    parents.wait()


def test_all_children_are_changed_at_once(parents: Desk) -> None:
    segment = parents.rows()[0].id
    kept, gone = (child.id for child in parents.children(segment))
    body = {"chunks": [{"id": kept, "content": "Changed."}, {"content": "New."}]}

    answer = parents.web("PATCH", f"/segments/{segment}/child_chunks", json=body).get_json()["data"]

    assert [(item["content"], item["type"]) for item in answer] == [
        ("Changed.", "customized"),
        ("New.", "customized"),
    ]
    assert answer[0]["id"] == kept
    assert gone not in {child.id for child in parents.children(segment)}
    parents.wait()


def test_passages_have_no_children(desk: Desk) -> None:
    answer = desk.web("POST", f"/segments/{desk.rows()[0].id}/child_chunks", json={"content": "x"})

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_param")


def test_strangers_find_nothing_and_readers_change_nothing(parents: Desk) -> None:
    segment = parents.rows()[0].id
    chunk = parents.children(segment)[0].id
    one, children = f"/segments/{segment}", f"/segments/{segment}/child_chunks"
    calls: tuple[tuple[str, str, object, bool], ...] = (
        ("GET", "/segments", None, False),
        ("GET", children, None, False),
        ("POST", "/segment", {"content": "x"}, True),
        ("PATCH", one, {"content": "x"}, True),
        ("DELETE", one, None, True),
        ("DELETE", f"/segments?segment_id={segment}", None, True),
        ("PATCH", f"/segment/disable?segment_id={segment}", None, True),
        ("POST", children, {"content": "x"}, True),
        ("PATCH", children, {"chunks": []}, True),
        ("PATCH", f"{children}/{chunk}", {"content": "x"}, True),
        ("DELETE", f"{children}/{chunk}", None, True),
    )
    stranger, reader = make_owner(parents.runtime), make_member(parents.runtime, parents.owner, Role.NORMAL)
    foreign = make_dataset_key(parents.runtime, stranger)

    for method, path, body, may_edit in calls:
        answer = parents.web(method, path, json=body, headers=stranger.headers)
        assert answer.status_code == 404, (method, path)
        answer = parents.web(method, path, json=body, headers=reader.headers)
        assert answer.status_code == (403 if may_edit else 200), (method, path)
    assert parents.client.get(f"/v1{parents.path}{one}", headers=foreign).status_code == 404
    assert parents.rows()[0].content == "The harbour master counts seven ships."
