"""Summaries of segments, over HTTP; the test is the worker, a script the model."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from api.errors import CompletionFailed, Unavailable
from api.models.dataset import Dataset
from api.models.document import SUMMARY, ChildChunk
from api.models.job import JobRow
from api.principal import Role
from api.runtime import Runtime
from api.services import index_rows, rebuilds, summary_jobs
from api.tasks.registry import run_job
from tests.conftest import BOTH
from tests.factories import Owner, make_member, make_owner
from tests.fakes import Script
from tests.knowledge import (
    CONSOLE,
    add_document,
    finish_jobs,
    make_dataset,
    make_dataset_key,
    put_to_sleep,
)

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
PENGUINS = "Penguins of Antarctica and what they eat."
UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


class Desk:
    """A document of two segments whose dataset wants summaries, written by a script."""

    def __init__(
        self, client: FlaskClient, runtime: Runtime, owner: Owner, *, is_on: bool = True, **form: Any
    ) -> None:
        self.client, self.runtime, self.owner = client, runtime, owner
        self.script = Script(pieces=[PENGUINS])
        self.setting = {
            "enable": is_on,
            "model_provider_name": "scripted",
            "model_name": self.script.model,
        }
        self.dataset = make_dataset(runtime, owner, summary_index_setting=self.setting)
        form = {"indexing_technique": "high_quality", "process_rule": RULE, "content": TEXT, **form}
        self.id = add_document(client, owner, self.dataset, **form)["id"]
        self.url = f"{CONSOLE}/{self.dataset}/documents"

    def call(self, method: str, path: str, who: Owner | None = None, **options: Any) -> Any:
        return self.client.open(
            f"{self.url}{path}", method=method, headers=(who or self.owner).headers, **options
        )

    def work(self) -> None:
        finish_jobs(self.runtime, self.owner)

    def document(self) -> Any:
        return self.call("GET", f"/{self.id}").get_json()

    def segments(self) -> Any:
        return self.call("GET", f"/{self.id}/segments").get_json()["data"]

    def report(self) -> Any:
        return self.call("GET", f"/{self.id}/summary-status").get_json()

    def counts(self) -> dict[str, int]:
        return {word: count for word, count in self.report()["summary_status"].items() if count}

    def generate(self, *ids: str, who: Owner | None = None) -> Any:
        return self.call("POST", "/generate-summary", who, json={"document_list": ids or [self.id]})

    def edit(self, segment_id: str, **body: object) -> Any:
        answer = self.call("PATCH", f"/{self.id}/segments/{segment_id}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.get_json()["data"]

    def found(self, query: str, **settings: Any) -> Any:
        model = {"search_method": "semantic_search", "top_k": 2, **settings}
        url = f"{CONSOLE}/{self.dataset}/retrieve"
        body = {"query": query, "retrieval_model": model}
        return self.client.post(url, json=body, headers=self.owner.headers).get_json()["records"]

    def best(self, query: str) -> float:
        return float(self.found(query)[0]["score"])

    def entries(self) -> set[str]:
        with self.runtime.reading() as session:
            collection = session.get_one(Dataset, self.dataset).collection_id
        return set(self.runtime.vectors.ids(collection))

    def summaries(self) -> list[ChildChunk]:
        with self.runtime.reading() as session:
            query = select(ChildChunk).where(ChildChunk.document_id == self.id, ChildChunk.type == SUMMARY)
            return list(session.scalars(query))


@pytest.fixture
def desk(client: FlaskClient, runtime: Runtime, owner: Owner) -> Desk:
    return Desk(client, runtime, owner)


# -- written by a model ---------------------------------------------------------------------------


def test_segments_of_a_new_document_are_summarised_and_found_by_that(desk: Desk) -> None:
    waiting = desk.document()
    desk.work()

    done = desk.document()
    assert (waiting["need_summary"], waiting["summary_index_status"]) == (True, None)
    assert (done["need_summary"], done["summary_index_status"]) == (True, None)
    assert [segment["summary"] for segment in desk.segments()] == [PENGUINS, PENGUINS]
    assert all(segment["child_chunks"] == [] for segment in desk.segments())
    told = [request.messages[-1].text for request in desk.script.requests]
    assert sorted(told) == sorted(TEXT.decode().split("\n\n"))
    records = desk.found("What do penguins eat?")
    assert {record["segment"]["summary"] for record in records} == {PENGUINS}
    assert [record["summary"] for record in records] == [PENGUINS, PENGUINS]
    assert all(record["child_chunks"] == [] for record in records)
    plain = Desk(desk.client, desk.runtime, desk.owner, is_on=False)
    plain.work()
    assert desk.best("What do penguins eat?") > plain.best("What do penguins eat?") + 0.1
    assert desk.best("harbour master seven ships") == pytest.approx(plain.best("harbour master seven ships"))


def test_segments_are_found_while_their_summaries_are_written(desk: Desk) -> None:
    with desk.runtime.reading() as session:
        index = session.scalars(select(JobRow.id).where(JobRow.tenant_id == desk.owner.tenant_id)).one()
    run_job(desk.runtime, index)

    assert desk.document()["summary_index_status"] == "SUMMARIZING"
    assert desk.counts() == {"generating": 2}
    assert [record["summary"] for record in desk.found("harbour master")] == [None, None]
    desk.work()
    assert desk.counts() == {"completed": 2}


def test_report_tells_of_each_segment(desk: Desk) -> None:
    desk.work()
    report = desk.report()
    assert report["total_segments"] == 2
    assert report["summary_status"] == {"completed": 2, "generating": 0, "error": 0, "not_started": 0}
    first = report["summaries"][0]
    assert (first["segment_position"], first["status"], first["summary_preview"], first["error"]) == (
        1,
        "completed",
        PENGUINS,
        None,
    )
    assert first["segment_id"] == desk.segments()[0]["id"]
    assert isinstance(first["created_at"], int)


def test_hierarchical_documents_keep_children_and_summaries_apart(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    desk = Desk(client, runtime, owner, doc_form="hierarchical_model", process_rule=PARENTS)
    desk.work()

    segments = desk.segments()
    assert [len(segment["child_chunks"]) for segment in segments] == [2, 2]
    assert [segment["summary"] for segment in segments] == [PENGUINS, PENGUINS]
    record = desk.found("What do penguins eat?")[0]
    assert PENGUINS not in [child["content"] for child in record["child_chunks"]]
    at = f"/{desk.id}/segments/{segments[0]['id']}/child_chunks"
    assert desk.call("GET", at).get_json()["total"] == 2
    summary = next(row for row in desk.summaries() if row.segment_id == segments[0]["id"])
    assert desk.call("DELETE", f"{at}/{summary.id}").status_code == 404
    assert desk.call("PATCH", at, json={"chunks": [{"content": "One."}]}).status_code == 200
    desk.edit(segments[1]["id"], content=segments[1]["content"], regenerate_child_chunks=True)
    desk.work()
    assert [segment["summary"] for segment in desk.segments()] == [PENGUINS, PENGUINS]


def test_dataset_may_say_how_to_summarise(desk: Desk) -> None:
    with desk.runtime.transaction() as session:
        row = session.get_one(Dataset, desk.dataset)
        row.summary_index_setting = {**desk.setting, "summary_prompt": "In Latin."}
    desk.work()
    assert {request.messages[0].text for request in desk.script.requests} == {"In Latin."}


def test_summary_is_written_anew_on_request(desk: Desk) -> None:
    desk.work()
    before = {row.id for row in desk.summaries()}
    desk.script.pieces = ["The market closed higher."]

    assert desk.generate().get_json() == {"result": "success"}
    assert [segment["summary"] for segment in desk.segments()] == [PENGUINS, PENGUINS]
    desk.work()

    assert {segment["summary"] for segment in desk.segments()} == {"The market closed higher."}
    assert not before & desk.entries()
    assert desk.entries() == {row.id for row in desk.summaries()} | {s["id"] for s in desk.segments()}


def test_documents_of_before_are_summarised_on_request(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    desk = Desk(client, runtime, owner, is_on=False)
    desk.work()
    assert (desk.document()["need_summary"], desk.counts()) == (False, {"not_started": 2})
    setting = {**desk.setting, "enable": True}
    with runtime.transaction() as session:
        session.get_one(Dataset, desk.dataset).summary_index_setting = setting
    desk.generate()
    desk.work()
    assert desk.counts() == {"completed": 2}


# -- faults ---------------------------------------------------------------------------------------


def test_segment_the_model_refuses_does_not_hold_up_the_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_jobs, "MAX_CALLS", 1)  # so that the latest request is the one refused

    def refuse() -> None:
        if "lighthouse" in desk.script.requests[-1].messages[-1].text:
            raise CompletionFailed("The model does not talk about lighthouses.")

    desk.script.pieces = [refuse, PENGUINS]
    desk.work()
    faults = {told["error"] for told in desk.report()["summaries"]}
    assert desk.counts() == {"completed": 1, "error": 1}
    assert faults == {None, "The model does not talk about lighthouses."}
    assert desk.document()["summary_index_status"] is None


def test_model_that_says_nothing_is_told_at_the_segment(desk: Desk) -> None:
    desk.script.pieces = [" ", "\n"]
    desk.work()
    assert desk.counts() == {"error": 2}
    assert desk.report()["summaries"][0]["error"] == "The model wrote no summary."


def test_workspace_without_a_writing_model_is_told_so(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    desk = Desk(client, runtime, owner)
    with runtime.transaction() as session:
        session.get_one(Dataset, desk.dataset).summary_index_setting = {"enable": True}
    desk.work()
    assert desk.counts() == {"error": 2}
    assert "connect a model provider" in desk.report()["summaries"][0]["error"]
    assert len(desk.found("harbour master")) == 2


def test_model_that_is_away_is_asked_again_and_at_last_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> str:
        raise Unavailable("The model is away.")

    with monkeypatch.context() as patched:
        patched.setattr(summary_jobs, "make_summary", away)
        desk.work()  # five attempts
    assert desk.counts() == {"error": 2}
    assert desk.report()["summaries"][0]["error"] == "The model is away."
    desk.generate()
    desk.work()
    assert desk.counts() == {"completed": 2}


class Killed(BaseException):
    """What a process sees of SIGKILL, as far as a test can show it: nothing more is done."""


@BOTH
@pytest.mark.parametrize("step", range(2))
def test_job_killed_between_two_batches_writes_each_summary_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(summary_jobs, "SEGMENTS_PER_BATCH", 1)
    real, steps = index_rows.fenced, iter(range(1000))

    def dying(*args: Any, **values: Any) -> Any:
        if next(steps) == step:
            raise Killed
        return real(*args, **values)

    with monkeypatch.context() as patched:
        patched.setattr(summary_jobs, "fenced", dying)
        with pytest.raises(Killed):
            desk.work()
    desk.work()

    assert desk.counts() == {"completed": 2}
    assert len(desk.script.requests) == 3
    assert desk.entries() == {row.id for row in desk.summaries()} | {s["id"] for s in desk.segments()}


def test_text_changed_while_it_was_summarised_is_summarised_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        monkeypatch.undo()
        desk.script.pieces = [PENGUINS]
        segment = next(s for s in desk.segments() if "harbour" in s["content"])
        desk.edit(segment["id"], content="The pilot counts the buoys.")

    monkeypatch.setattr(summary_jobs, "SEGMENTS_PER_BATCH", 1)
    desk.script.pieces = [change, "Of ships."]
    desk.work()
    assert {segment["summary"] for segment in desk.segments()} == {PENGUINS}


# -- edited ---------------------------------------------------------------------------------------


def test_summary_is_written_by_hand_and_taken_away(desk: Desk) -> None:
    desk.work()
    asked = len(desk.script.requests)
    first, second = desk.segments()

    told = desk.edit(first["id"], content=first["content"], summary=" Whales and their songs. ")
    assert told["summary"] == "Whales and their songs."
    desk.work()
    assert desk.found("songs of whales")[0]["segment"]["id"] == first["id"]
    gone = desk.edit(second["id"], content=second["content"], summary="")
    desk.work()

    assert gone["summary"] is None
    assert desk.counts() == {"completed": 1, "not_started": 1}
    assert len(desk.script.requests) == asked
    ids = {first["id"], second["id"], *(row.id for row in desk.summaries())}
    assert desk.entries() == ids


def test_summary_is_written_by_hand_with_a_key(desk: Desk) -> None:
    desk.work()
    key = make_dataset_key(desk.runtime, desk.owner)
    segment = desk.segments()[0]["id"]
    url = f"/v1/datasets/{desk.dataset}/documents/{desk.id}/segments/{segment}"
    body = {"segment": {"summary": "Whales."}}
    told: Any = desk.client.post(url, json=body, headers=key).get_json()
    assert told["data"]["summary"] == "Whales."


def test_changed_text_loses_its_summary_until_the_next_is_written(desk: Desk) -> None:
    desk.work()
    first = desk.segments()[0]
    told = desk.edit(first["id"], content="The pilot counts the buoys.")
    assert told["summary"] is None
    desk.script.pieces = ["Of buoys."]
    desk.work()
    assert [segment["summary"] for segment in desk.segments()] == ["Of buoys.", PENGUINS]


def test_segment_added_by_hand_is_summarised(desk: Desk) -> None:
    desk.work()
    desk.call("POST", f"/{desk.id}/segment", json={"content": "The diver counts the wrecks."})
    desk.work()
    assert [segment["summary"] for segment in desk.segments()] == [PENGUINS] * 3


def test_deleted_segment_takes_its_summary_along(desk: Desk) -> None:
    desk.work()
    first, second = desk.segments()
    assert desk.call("DELETE", f"/{desk.id}/segments/{first['id']}").status_code == 204
    desk.work()
    assert [row.segment_id for row in desk.summaries()] == [second["id"]]
    assert desk.entries() == {second["id"], desk.summaries()[0].id}


def test_disabled_segment_is_not_found_by_its_summary(desk: Desk) -> None:
    desk.work()
    ids = "&".join(f"segment_id={segment['id']}" for segment in desk.segments())
    assert desk.call("PATCH", f"/{desk.id}/segment/disable?{ids}").status_code == 200
    assert desk.found("What do penguins eat?") == []


def test_rebuild_takes_summaries_over_also_those_written_meanwhile(desk: Desk) -> None:
    desk.work()
    with desk.runtime.transaction() as session:
        rebuilds.request_rebuild(
            desk.runtime,
            session,
            session.get_one(Dataset, desk.dataset),
            technique="high_quality",
            provider="builtin",
            model="multilingual-e5-small",
        )
    before = desk.entries()
    desk.work()
    assert desk.entries() == before
    assert desk.found("What do penguins eat?")[0]["summary"] == PENGUINS


def test_setting_switched_off_stops_what_waits(desk: Desk) -> None:
    with desk.runtime.reading() as session:
        index = session.scalars(select(JobRow.id).where(JobRow.tenant_id == desk.owner.tenant_id)).one()
    run_job(desk.runtime, index)
    off = {"summary_index_setting": {"enable": False}}
    desk.client.patch(f"{CONSOLE}/{desk.dataset}", json=off, headers=desk.owner.headers)
    desk.work()
    assert desk.counts() == {"not_started": 2}
    assert desk.script.requests == []


# -- who and what may -----------------------------------------------------------------------------


def test_what_cannot_be_summarised_is_refused(
    desk: Desk, client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    economy = Desk(client, runtime, owner, indexing_technique="economy")
    off = Desk(client, runtime, owner, is_on=False)
    pairs = b"question,answer\nWho?,He.\n"
    asked = Desk(client, runtime, owner, doc_form="qa_model", name="a.csv", content=pairs)
    asked.work()
    for refused in (economy, off, asked):
        assert refused.generate().get_json()["code"] == "invalid_param"
    assert asked.document()["need_summary"] is False
    segment = asked.segments()[0]
    body = {"content": segment["content"], "answer": "He.", "summary": "x"}
    answer = asked.call("PATCH", f"/{asked.id}/segments/{segment['id']}", json=body)
    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, "summary")
    assert desk.generate(desk.id, UNKNOWN_ID).status_code == 404
    empty = desk.call("POST", "/generate-summary", json={"document_list": []})
    assert (empty.status_code, empty.get_json()["details"]["field"]) == (400, "document_list")
    both = desk.call("POST", "/generate-summary", json={"document_ids": [desk.id]})
    assert both.status_code == 200


def test_summaries_are_asked_for_by_those_who_edit(desk: Desk, runtime: Runtime) -> None:
    reader, stranger = make_member(runtime, desk.owner, Role.NORMAL), make_owner(runtime)
    assert desk.generate(who=reader).status_code == 403
    assert desk.generate(who=stranger).status_code == 404
    assert desk.call("GET", f"/{desk.id}/summary-status", reader).status_code == 200
    assert desk.call("GET", f"/{desk.id}/summary-status", stranger).status_code == 404


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"enable": "yes"}, "summary_index_setting.enable"),
        ({"enable": True, "model_name": "x"}, "summary_index_setting"),
        (
            {"enable": True, "model_name": "x", "model_provider_name": "nobody"},
            "summary_index_setting.model_provider_name",
        ),
        (
            {"enable": True, "model_name": "x", "model_provider_name": "builtin"},
            "summary_index_setting.model_name",
        ),
    ],
)
def test_bad_setting_is_refused(
    client: FlaskClient, owner: Owner, setting: dict[str, object], field: str
) -> None:
    body = {"name": "Birds", "summary_index_setting": setting}
    answer = client.post(CONSOLE, json=body, headers=owner.headers)
    assert (answer.status_code, answer.get_json()["details"]["field"]) == (400, field)


def test_setting_comes_with_the_first_document(client: FlaskClient, owner: Owner, runtime: Runtime) -> None:
    dataset_id = make_dataset(runtime, owner)
    form = {"indexing_technique": "high_quality", "summary_index_setting": '{"enable": true}'}
    document = add_document(client, owner, dataset_id, **form)
    assert document["need_summary"] is True
    shown: Any = client.get(f"{CONSOLE}/{dataset_id}", headers=owner.headers).get_json()
    assert shown["summary_index_setting"] == {
        "enable": True,
        "model_name": "",
        "model_provider_name": "",
        "summary_prompt": "",
    }
