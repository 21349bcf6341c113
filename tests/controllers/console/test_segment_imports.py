"""Tables imported as segments, over HTTP; the test is the worker."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from api.models.document import Document, Segment, SegmentImport
from api.models.file import UploadFile
from api.principal import Role
from api.runtime import Runtime
from api.services import indexing, jobs, segment_imports
from api.services.jobs import Lease
from tests.conftest import BOTH
from tests.factories import Owner, make_member, make_owner
from tests.knowledge import CONSOLE, add_document, finish_jobs, make_dataset, put_to_sleep, set_document

UNKNOWN_ID = "c0ffee00-0000-4000-8000-000000000000"
TABLE = "content\nThe pilot counts the buoys.\nThe diver counts the wrecks.\n"


@pytest.fixture
def runtime(house: Flask) -> Iterator[Runtime]:
    """The runtime, its jobs asleep."""
    awake = put_to_sleep(house)
    yield house.extensions["runtime"]
    house.extensions["runtime"] = awake


class Desk:
    """A document that is indexed, and imports into it."""

    def __init__(self, client: FlaskClient, runtime: Runtime, owner: Owner, **form: Any) -> None:
        self.client, self.runtime, self.owner = client, runtime, owner
        self.dataset = make_dataset(runtime, owner)
        self.id = add_document(client, owner, self.dataset, **form)["id"]
        finish_jobs(runtime, owner)
        self.path = f"{CONSOLE}/{self.dataset}/documents/{self.id}/segments/batch_import"

    def upload(self, table: str | bytes, name: str = "table.csv") -> str:
        data = table.encode() if isinstance(table, str) else table
        form = {"file": (io.BytesIO(data), name)}
        answer = self.client.post("/console/api/files/upload", data=form, headers=self.owner.headers)
        assert answer.status_code == 201, answer.text
        return str(answer.get_json()["id"])

    def ask(self, file_id: str, who: Owner | None = None) -> TestResponse:
        headers = (who or self.owner).headers
        return self.client.post(self.path, json={"upload_file_id": file_id}, headers=headers)

    def state(self, job_id: str, who: Owner | None = None) -> Any:
        url = f"/console/api/datasets/batch_import_status/{job_id}"
        return self.client.get(url, headers=(who or self.owner).headers).get_json()

    def bring(self, table: str | bytes) -> Any:
        """Import a table to its end; return what became of it."""
        job_id = self.ask(self.upload(table)).get_json()["job_id"]
        finish_jobs(self.runtime, self.owner)
        return self.state(job_id)

    def rows(self) -> list[Segment]:
        with self.runtime.reading() as session:
            query = select(Segment).where(Segment.document_id == self.id).order_by(Segment.position)
            return list(session.scalars(query))

    def found(self, query: str) -> list[str]:
        url = f"{CONSOLE}/{self.dataset}/retrieve"
        answer: Any = self.client.post(url, json={"query": query}, headers=self.owner.headers).get_json()
        return [record["segment"]["content"] for record in answer["records"]]


@pytest.fixture
def desk(client: FlaskClient, runtime: Runtime, owner: Owner) -> Desk:
    return Desk(client, runtime, owner)


def test_rows_of_a_table_become_segments_that_are_found(desk: Desk) -> None:
    before = len(desk.rows())
    file_id = desk.upload(TABLE)
    asked = desk.ask(file_id)
    job_id = asked.get_json()["job_id"]

    assert asked.status_code == 200
    waiting = {"job_id": job_id, "job_status": "waiting", "imported_segments": 0, "error": None}
    assert asked.get_json() == desk.state(job_id) == waiting
    finish_jobs(desk.runtime, desk.owner)

    done = {**waiting, "job_status": "completed", "imported_segments": 2}
    assert desk.state(job_id) == done
    assert desk.client.get(desk.path, headers=desk.owner.headers).get_json() == done
    new = desk.rows()[before:]
    assert [(row.content, row.status, row.created_by) for row in new] == [
        ("The pilot counts the buoys.", "completed", desk.owner.account_id),
        ("The diver counts the wrecks.", "completed", desk.owner.account_id),
    ]
    assert desk.found("buoys") == ["The pilot counts the buoys."]
    with desk.runtime.reading() as session:
        document = session.get_one(Document, desk.id)
        assert (document.total_segments, document.completed_segments) == (before + 2, before + 2)
        assert session.get_one(UploadFile, file_id).attached_at is None


def test_table_of_questions_brings_answers(client: FlaskClient, runtime: Runtime, owner: Owner) -> None:
    pairs = b"question,answer\nWho counts ships?,The master.\n"
    desk = Desk(client, runtime, owner, doc_form="qa_model", name="pairs.csv", content=pairs)

    state = desk.bring("问题,答案\n谁数星星？,守塔人。\n".encode("gb18030"))

    assert state["job_status"] == "completed"
    assert [(row.content, row.answer) for row in desk.rows()][1:] == [("谁数星星？", "守塔人。")]


def test_segments_of_hierarchical_documents_get_children(
    client: FlaskClient, runtime: Runtime, owner: Owner
) -> None:
    desk = Desk(client, runtime, owner, doc_form="hierarchical_model")
    assert desk.bring(TABLE)["job_status"] == "completed"
    url = desk.path.replace("/batch_import", "?keyword=buoys")
    segments: Any = client.get(url, headers=owner.headers).get_json()["data"]
    assert [bool(segment["child_chunks"]) for segment in segments] == [True]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("id,content\n1,One.\n2,", "Row 3 of the table has no content."),
        ("content\n", "The table has no segments."),
    ],
)
def test_table_with_a_fault_adds_nothing(desk: Desk, table: str, reason: str) -> None:
    before = [row.id for row in desk.rows()]
    state = desk.bring(table)
    assert (state["job_status"], state["error"], state["imported_segments"]) == ("error", reason, 0)
    assert [row.id for row in desk.rows()] == before


class Killed(BaseException):
    """What a process sees of SIGKILL, as far as a test can show it: nothing more is done."""


@BOTH
@pytest.mark.parametrize("step", range(5))
def test_import_killed_at_a_step_adds_each_row_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(segment_imports, "ROWS_PER_BATCH", 2)
    before = len(desk.rows())
    table = "\n".join(f"Row {number}." for number in range(5))
    job_id = desk.ask(desk.upload(table)).get_json()["job_id"]
    real, steps = jobs.check_lease, iter(range(1000))

    def dying(session: Session, lease: Lease) -> None:
        """Begin one of the five transactions an import of three batches has, or die."""
        if next(steps) == step:
            raise Killed
        real(session, lease)

    with monkeypatch.context() as patched:
        patched.setattr(segment_imports, "check_lease", dying)
        with pytest.raises(Killed):
            finish_jobs(desk.runtime, desk.owner)
    finish_jobs(desk.runtime, desk.owner)

    assert desk.state(job_id)["job_status"] == "completed"
    assert [row.content for row in desk.rows()[before:]] == table.split("\n")


def test_import_into_a_document_that_changed_meanwhile_ends(desk: Desk) -> None:
    job_id = desk.ask(desk.upload(TABLE)).get_json()["job_id"]
    with desk.runtime.transaction() as session:
        indexing.restart(desk.runtime, session, session.get_one(Document, desk.id))
    finish_jobs(desk.runtime, desk.owner)
    assert desk.state(job_id)["job_status"] == "error"
    assert "replaced" in desk.state(job_id)["error"]
    assert desk.found("buoys") == []


def test_deleted_document_takes_its_imports_along(desk: Desk) -> None:
    job_id = desk.ask(desk.upload(TABLE)).get_json()["job_id"]
    url = f"{CONSOLE}/{desk.dataset}/documents/{desk.id}"
    assert desk.client.delete(url, headers=desk.owner.headers).status_code == 204
    finish_jobs(desk.runtime, desk.owner)
    assert desk.state(job_id)["status"] == 404
    with desk.runtime.reading() as session:
        assert session.get(SegmentImport, job_id) is None


def test_what_cannot_be_imported_is_refused(desk: Desk, runtime: Runtime) -> None:
    used = desk.upload(TABLE)
    assert desk.ask(used).status_code == 200

    def refused(file_id: str) -> tuple[int, str]:
        answer = desk.ask(file_id)
        return answer.status_code, answer.get_json()["code"]

    assert refused(used) == (409, "conflict")
    assert refused(UNKNOWN_ID) == (404, "file_not_found")
    assert refused("x") == (400, "invalid_param")
    assert refused(desk.upload("text", "a.txt")) == (415, "unsupported_file_type")
    file_id = desk.upload(TABLE)
    set_document(runtime, desk.id, enabled=False)
    assert refused(file_id) == (404, "not_found")
    set_document(runtime, desk.id, enabled=True, archived=True)
    assert refused(file_id) == (403, "archived_document_immutable")


def test_imports_are_for_those_who_edit_and_seen_by_those_who_may_read(desk: Desk, runtime: Runtime) -> None:
    job_id = desk.ask(desk.upload(TABLE)).get_json()["job_id"]
    reader, stranger = make_member(runtime, desk.owner, Role.NORMAL), make_owner(runtime)
    assert desk.ask(job_id, reader).status_code == 403
    assert desk.ask(job_id, stranger).status_code == 404
    assert desk.state(job_id, reader)["job_id"] == job_id
    assert desk.state(job_id, stranger)["status"] == 404
    assert desk.state(UNKNOWN_ID)["status"] == desk.state("x")["status"] == 404
    patch = {"permission": "only_me"}
    desk.client.patch(f"{CONSOLE}/{desk.dataset}", json=patch, headers=desk.owner.headers)
    assert desk.state(job_id, reader)["status"] == 403
    assert desk.client.get(desk.path, headers=stranger.headers).status_code == 404


def test_document_without_imports_has_no_latest(desk: Desk) -> None:
    assert desk.client.get(desk.path, headers=desk.owner.headers).status_code == 404
