"""Annotations of apps, over the console; the test is the worker."""

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.models.annotation import Annotation, AnnotationJob, AnnotationSetting
from api.runtime import Runtime
from api.services import (
    annotation_index,
    annotation_jobs,
    annotation_work,
    annotations,
    app_purge,
    jobs,
    verification_repairs,
)
from tests.annotations import BROKEN, EMBEDDED, Desk, WordsProvider
from tests.factories import ChatApp, make_chat_app, make_key
from tests.knowledge import put_to_sleep
from tests.statements import count_statements

UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
TABLE = "question,answer\nWhen does the pool open?,At noon.\nIs it warm?,It is.\n"


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


@pytest.fixture
def desk(client: FlaskClient, runtime: Runtime, chat_app: ChatApp) -> Desk:
    return Desk(client, runtime, chat_app)


def entries(desk: Desk) -> set[str]:
    """Return the ids in the collection the app answers by."""
    with desk.runtime.reading() as session:
        setting = session.scalars(
            select(AnnotationSetting).where(AnnotationSetting.app_id == desk.app.id)
        ).one()
    return set(desk.runtime.vectors.ids(setting.collection_id))


def entry_of(desk: Desk, annotation_id: str) -> str:
    with desk.runtime.reading() as session:
        return session.get_one(Annotation, annotation_id).entry_id


def bring(desk: Desk, table: str | bytes, name: str = "table.csv") -> Any:
    data = table.encode() if isinstance(table, str) else table
    return desk.call("POST", "annotations/batch-import", data={"file": (io.BytesIO(data), name)})


def cut_off_at(number: int, call: Callable[..., None]) -> Callable[..., None]:
    """Return a call that ends its job the ``number``-th time, as if its worker had died."""
    calls = itertools.count(1)

    def counted(*args: object) -> None:
        if next(calls) == number:
            raise jobs.LeaseLost("cut off")
        call(*args)

    return counted


# -- rows ----------------------------------------------------------------------------------------


def test_annotations_are_added_changed_found_and_deleted(desk: Desk) -> None:
    first, second = desk.add("When?", "At 50% of noon."), desk.add("Where?", "Here.")
    shown = desk.read("GET", "annotations")
    assert [item["id"] for item in shown["data"]] == [second, first]
    assert shown["total"] == desk.read("GET", "annotations/count")["count"] == 2
    assert {key: shown["data"][1][key] for key in ("question", "answer", "hit_count")} == {
        "question": "When?",
        "answer": "At 50% of noon.",
        "hit_count": 0,
    }

    changed = desk.read("POST", f"annotations/{first}", json={"question": "How?", "answer": "So."})
    assert (changed["question"], changed["answer"]) == ("How?", "So.")
    for keyword, ids in (("HOW", [first]), ("here", [second]), ("%", [])):
        found = desk.read("GET", "annotations", query_string={"keyword": keyword})
        assert [item["id"] for item in found["data"]] == ids
    page = desk.read("GET", "annotations", query_string={"page": 1, "limit": 1})
    assert (len(page["data"]), page["has_more"]) == (1, True)
    assert desk.read("GET", "annotations/export")["data"] == desk.read("GET", "annotations")["data"]

    assert desk.call("DELETE", f"annotations/{first}").status_code == 204
    assert desk.call("DELETE", f"annotations/{first}").status_code == 404
    assert desk.read("GET", "annotations/count") == {"count": 1}


def test_annotations_are_deleted_by_their_ids_or_all(desk: Desk) -> None:
    made = [desk.add(f"Question {number}") for number in range(4)]
    query = {"annotation_id": [made[0], made[1], UNKNOWN_ID, "x"]}
    assert desk.call("DELETE", "annotations", query_string=query).status_code == 204
    assert desk.read("GET", "annotations/count") == {"count": 2}

    refused = desk.call("DELETE", "annotations?annotation_id=")
    assert (refused.status_code, refused.get_json()["code"]) == (400, "need_add_ids")
    assert desk.call("DELETE", "annotations").status_code == 204
    assert desk.read("GET", "annotations/count") == {"count": 0}


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({"answer": "a"}, "question", "required"),
        ({"question": " ", "answer": "a"}, "question", "required"),
        ({"question": "q"}, "answer", "required"),
        ({"question": 3, "answer": "a"}, "question", "invalid_type"),
        ({"message_id": "x", "answer": "a"}, "message_id", "invalid_format"),
    ],
)
def test_annotation_with_a_fault_is_refused(desk: Desk, body: Any, field: str, fault: str) -> None:
    refused = desk.call("POST", "annotations", json=body)
    assert refused.status_code == 400
    assert refused.get_json()["details"] == {"field": field, "type": fault}


def test_message_becomes_one_annotation(desk: Desk, client: FlaskClient) -> None:
    sent = {"query": "When does it open?", "user": "ann"}
    message: Any = client.post("/v1/chat-messages", json=sent, headers=desk.app.headers).get_json()
    body = {"message_id": message["id"], "answer": "At noon."}
    made = desk.read("POST", "annotations", json=body)
    again = desk.read("POST", "annotations", json={**body, "question": "Open when?", "answer": "At one."})

    assert made["question"] == "When does it open?"
    assert again["id"] == made["id"]
    assert (again["question"], again["answer"]) == ("Open when?", "At one.")
    assert desk.call("POST", "annotations", json={**body, "message_id": UNKNOWN_ID}).status_code == 404


def test_annotation_of_another_app_is_not_found(desk: Desk, client: FlaskClient) -> None:
    other = Desk(client, desk.runtime, make_chat_app(desk.runtime, desk.app.owner))
    theirs = other.add("When?")
    body = {"question": "q", "answer": "a"}
    for method, path in (("POST", ""), ("DELETE", ""), ("GET", "/hit-histories")):
        answer = desk.call(method, f"annotations/{theirs}{path}", json=body)
        assert (answer.status_code, answer.get_json()["message"]) == (404, "Annotation not found")
    desk.call("DELETE", "annotations", query_string={"annotation_id": theirs})
    assert other.read("GET", "annotations/count") == {"count": 1}


# -- tables --------------------------------------------------------------------------------------


def test_rows_of_a_table_become_annotations(desk: Desk) -> None:
    asked = bring(desk, TABLE)
    job_id = asked.get_json()["job_id"]
    assert asked.get_json() == {"job_id": job_id, "job_status": "waiting"}
    desk.work()
    done = desk.read("GET", f"annotations/batch-import-status/{job_id}")
    assert done == {"job_id": job_id, "job_status": "completed", "error_msg": ""}
    told = {(item["question"], item["answer"]) for item in desk.read("GET", "annotations")["data"]}
    assert told == {("When does the pool open?", "At noon."), ("Is it warm?", "It is.")}


def test_import_that_is_cut_off_adds_no_row_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_work, "ROWS_PER_BATCH", 2)
    rows = "".join(f"Question {number},Answer\n" for number in range(5))
    bring(desk, f"question,answer\n{rows}")
    asked_for = annotation_index.request_indexing
    monkeypatch.setattr(annotation_index, "request_indexing", cut_off_at(3, asked_for))
    desk.work()
    told = [item["question"] for item in desk.read("GET", "annotations/export")["data"]]
    assert sorted(told) == [f"Question {number}" for number in range(5)]
    with desk.runtime.reading() as session:
        job = session.scalars(select(AnnotationJob).where(AnnotationJob.app_id == desk.app.id)).one()
        assert (job.status, job.pairs) == ("completed", None)


@pytest.mark.parametrize(
    ("table", "name", "status", "code"),
    [
        (TABLE, "table.txt", 415, "unsupported_file_type"),
        (b"x" * 100_001, "table.csv", 413, "file_too_large"),
        ("question,answer\nWhen?,\n", "table.csv", 400, "invalid_param"),
        ("question,answer\n", "table.csv", 400, "invalid_param"),
        ("q,a\n" * 10_002, "table.csv", 400, "invalid_param"),
    ],
)
def test_table_with_a_fault_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, table: str | bytes, name: str, status: int, code: str
) -> None:
    monkeypatch.setattr(annotation_jobs, "MAX_TABLE_BYTES", 100_000)
    refused = bring(desk, table, name)
    assert (refused.status_code, refused.get_json()["code"]) == (status, code)
    assert desk.read("GET", "annotations/count") == {"count": 0}


# -- the switch ----------------------------------------------------------------------------------


def test_switch_on_embeds_what_there_is_and_is_told(desk: Desk) -> None:
    made = desk.add("When does the pool open?")
    assert desk.read("GET", "annotation-setting") == {"enabled": False}
    job_id = desk.switch("enable", threshold=0.8)
    assert desk.state("enable", job_id) == {"job_id": job_id, "job_status": "waiting", "error_msg": ""}
    assert desk.read("GET", "annotation-setting") == {"enabled": False}
    desk.work()

    assert desk.state("enable", job_id)["job_status"] == "completed"
    setting = desk.read("GET", "annotation-setting")
    assert setting == {
        "id": setting["id"],
        "enabled": True,
        "score_threshold": 0.8,
        "embedding_model": {"embedding_provider_name": "words", "embedding_model_name": "any"},
    }
    assert entries(desk) == {entry_of(desk, made)}

    path = f"annotation-settings/{setting['id']}"
    assert desk.read("POST", path, json={"score_threshold": 0.5}) == {**setting, "score_threshold": 0.5}
    assert desk.call("POST", path, json={"score_threshold": 1.5}).status_code == 400
    assert (
        desk.call("POST", f"annotation-settings/{UNKNOWN_ID}", json={"score_threshold": 1}).status_code == 404
    )


def test_index_follows_what_is_added_changed_and_deleted(desk: Desk) -> None:
    kept, changed, deleted = (desk.add(f"When does train {number} leave?") for number in range(3))
    desk.turn_on()
    before = entry_of(desk, changed)
    EMBEDDED.clear()
    desk.read("POST", f"annotations/{kept}", json={"question": "When does train 0 leave?", "answer": "So."})
    desk.read("POST", f"annotations/{changed}", json={"question": "Pool open?", "answer": "So."})
    desk.call("DELETE", f"annotations/{deleted}")
    added = desk.add("Today?")
    desk.work()

    assert entries(desk) == {entry_of(desk, each) for each in (kept, changed, added)}
    assert entry_of(desk, changed) != before
    assert sorted(EMBEDDED) == ["Pool open?", "Today?"]
    desk.call("DELETE", "annotations")
    desk.work()
    assert entries(desk) == set()


class Outside:
    """A store that takes no part in transactions."""

    joins_unit = False

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def without_unit(*args: Any, unit: object = None, **options: Any) -> Any:
            assert unit is None, "a store outside was handed a transaction"
            return call(*args, **options)

        return without_unit


def test_index_outside_of_the_database_follows_too(
    house: Flask, client: FlaskClient, runtime: Runtime, chat_app: ChatApp
) -> None:
    outside = replace(runtime, vectors=Outside(runtime.vectors))  # type: ignore[arg-type]  # it delegates
    house.extensions["runtime"] = outside
    desk = Desk(client, outside, chat_app)
    changed, deleted = desk.add("Pool open?"), desk.add("Train today?")
    desk.turn_on()
    before = {entry_of(desk, changed), entry_of(desk, deleted)}
    assert entries(desk) == before
    desk.read("POST", f"annotations/{changed}", json={"question": "Leave today?", "answer": "So."})
    desk.call("DELETE", f"annotations/{deleted}")
    assert entries(desk) == before  # a job removes what stands for nothing any more
    desk.work()
    assert entries(desk) == {entry_of(desk, changed)}

    desk.switch("disable")
    desk.work()
    desk.turn_on(model="other")
    assert entries(desk) == {entry_of(desk, changed)}


def test_switch_to_another_model_keeps_the_old_index_until_it_is_done(desk: Desk) -> None:
    desk.add("When does the pool open?")
    desk.turn_on(model="any")
    before = entries(desk)
    with desk.runtime.reading() as session:
        query = select(AnnotationSetting.collection_id).where(AnnotationSetting.app_id == desk.app.id)
        old = session.scalars(query).one()
    job_id = desk.switch("enable", model=BROKEN)
    desk.work()
    told = desk.state("enable", job_id)
    assert (told["job_status"], told["error_msg"]) == ("error", "The model is broken.")
    assert entries(desk) == before
    assert desk.read("GET", "annotation-setting")["embedding_model"]["embedding_model_name"] == "any"

    desk.turn_on(model="other")
    assert len(entries(desk)) == 1
    assert set(desk.runtime.vectors.ids(old)) == set()
    assert desk.read("GET", "annotation-setting")["embedding_model"]["embedding_model_name"] == "other"


def test_switch_on_that_is_cut_off_goes_on_where_it_stopped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotation_index, "BATCH", 2)
    made = [desk.add(f"Train {number} today?") for number in range(5)]
    desk.work()
    EMBEDDED.clear()
    job_id = desk.switch("enable")
    monkeypatch.setattr(annotation_index, "check_lease", cut_off_at(2, jobs.check_lease))
    desk.work()
    assert desk.state("enable", job_id)["job_status"] == "completed"
    assert entries(desk) == {entry_of(desk, each) for each in made}
    assert len(EMBEDDED) == 7  # the batch that was cut off is embedded again, what was written is not


def test_switch_off_holds_at_once_and_drops_the_index(desk: Desk) -> None:
    desk.add("When does the pool open?")
    desk.turn_on()
    with desk.runtime.reading() as session:
        query = select(AnnotationSetting.collection_id).where(AnnotationSetting.app_id == desk.app.id)
        collection = session.scalars(query).one()
    job_id = desk.switch("disable")
    assert desk.read("GET", "annotation-setting") == {"enabled": False}
    desk.work()
    assert desk.state("disable", job_id)["job_status"] == "completed"
    assert set(desk.runtime.vectors.ids(collection)) == set()
    desk.turn_on()
    assert len(entries(desk)) == 1


def test_switch_that_is_overtaken_embeds_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_index, "BATCH", 1)
    for number in range(4):
        desk.add(f"Train {number} today?")
    desk.work()
    EMBEDDED.clear()
    embed = WordsProvider.embed

    def embed_and_think_again(self: WordsProvider, *asked: Any) -> Any:
        found = embed(self, *asked)
        if len(EMBEDDED) == 2:
            desk.switch("disable")
        return found

    monkeypatch.setattr(WordsProvider, "embed", embed_and_think_again)
    overtaken = desk.switch("enable")
    desk.work()
    assert desk.state("enable", overtaken)["job_status"] == "error"
    assert len(EMBEDDED) == 2
    with desk.runtime.reading() as session:
        marks = session.scalars(select(Annotation.indexed_in).where(Annotation.app_id == desk.app.id))
        assert sum(mark is not None for mark in marks) == 1


def test_all_are_exported_some_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.read("GET", "annotations/export") == {"data": []}
    made = [desk.add(f"Train {number} today?") for number in range(5)]
    for rows in (1, 2, 5):
        monkeypatch.setattr(annotations, "ROWS_AT_ONCE", rows)
        with count_statements(desk.runtime.engine) as statements:
            told = desk.read("GET", "annotations/export")["data"]
        assert [item["id"] for item in told] == made[::-1]
        read = [text for text in statements if "FROM annotations" in text and "LIMIT" in text]
        assert len(read) == 5 // rows + 1


def test_switch_that_comes_too_late_changes_nothing(desk: Desk) -> None:
    desk.add("When does the pool open?")
    late, last = desk.switch("enable"), desk.switch("disable")
    desk.work()
    assert desk.state("enable", late)["job_status"] == "error"
    assert desk.state("disable", last)["job_status"] == "completed"
    assert desk.read("GET", "annotation-setting") == {"enabled": False}


@pytest.mark.parametrize(
    ("action", "change", "field"),
    [
        ("pause", {}, "action"),
        ("enable", {"embedding_provider_name": "nobody"}, "embedding_provider_name"),
        ("enable", {"embedding_provider_name": "builtin"}, "embedding_model_name"),
        ("enable", {"score_threshold": 2}, "score_threshold"),
        ("disable", {"embedding_model_name": None}, "embedding_model_name"),
    ],
)
def test_switch_with_a_fault_is_refused(desk: Desk, action: str, change: Any, field: str) -> None:
    body = {"score_threshold": 0.9, "embedding_provider_name": "words", "embedding_model_name": "any"}
    refused = desk.call("POST", f"annotation-reply/{action}", json={**body, **change})
    assert (refused.status_code, refused.get_json()["details"]["field"]) == (400, field)


def test_job_there_is_not_is_refused(desk: Desk) -> None:
    job_id = desk.switch("disable")
    paths = (
        f"annotation-reply/enable/status/{job_id}",
        f"annotation-reply/enable/status/{UNKNOWN_ID}",
        "annotation-reply/enable/status/x",
        f"annotations/batch-import-status/{job_id}",
    )
    for path in paths:
        refused = desk.call("GET", path)
        assert (refused.status_code, refused.get_json()["message"]) == (400, "The job does not exist.")


def test_collection_of_an_app_is_known_and_goes_with_it(desk: Desk, client: FlaskClient) -> None:
    desk.add("When does the pool open?")
    desk.turn_on()
    with desk.runtime.reading() as session:
        query = select(AnnotationSetting.collection_id).where(AnnotationSetting.app_id == desk.app.id)
        collection = session.scalars(query).one()
        assert verification_repairs.find_unknown(session, [collection]) == set()
    assert client.delete(desk.path, headers=desk.app.owner.headers).status_code == 200
    app_purge.purge_app(desk.runtime, desk.app.owner.tenant_id, desk.app.id)
    assert set(desk.runtime.vectors.ids(collection)) == set()
    with desk.runtime.reading() as session:
        assert session.scalars(query).all() == []


# -- the public API ------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["/api", "/v1"])
def test_key_of_the_app_does_the_same(desk: Desk, client: FlaskClient, mount: str) -> None:
    def call(method: str, path: str, **options: Any) -> Any:
        return client.open(f"{mount}/apps/{path}", method=method, headers=desk.app.headers, **options)

    made = call("POST", "annotations", json={"question": "Pool open?", "answer": "At noon."})
    assert made.status_code == 201
    assert set(made.get_json()) == {"id", "question", "answer", "hit_count", "created_at"}
    path = f"annotations/{made.get_json()['id']}"
    changed = call("PUT", path, json={"question": "Pool open?", "answer": "At one."}).get_json()
    assert changed["answer"] == "At one."
    page = call("GET", "annotations", query_string={"limit": 1000, "keyword": "pool"}).get_json()
    assert (page["data"], page["limit"], page["total"]) == ([changed], 100, 1)
    with desk.runtime.reading() as session:
        assert session.get_one(Annotation, changed["id"]).account_id == desk.app.owner.account_id

    body = {"score_threshold": 0.9, "embedding_provider_name": "words", "embedding_model_name": "any"}
    job_id = call("POST", "annotation-reply/enable", json=body).get_json()["job_id"]
    desk.work()
    status = call("GET", f"annotation-reply/enable/status/{job_id}").get_json()
    assert status == {"job_id": job_id, "job_status": "completed", "error_msg": ""}
    refused = call("GET", f"annotation-reply/disable/status/{job_id}")
    assert (refused.status_code, refused.get_json()["message"]) == (400, "The job does not exist.")

    assert call("DELETE", path).status_code == 204
    assert call("PUT", path, json={"question": "q", "answer": "a"}).status_code == 404


def test_key_of_another_app_sees_none_of_it(desk: Desk, client: FlaskClient) -> None:
    made = desk.add("Pool open?")
    other = make_chat_app(desk.runtime, desk.app.owner)
    headers = {"Authorization": f"Bearer {make_key(desk.runtime, desk.app.owner, other.id)}"}
    listed: Any = client.get("/v1/apps/annotations", headers=headers).get_json()
    assert listed["data"] == []
    assert client.delete(f"/v1/apps/annotations/{made}", headers=headers).status_code == 404
