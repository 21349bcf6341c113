"""What tests of knowledge share: datasets, dataset keys, documents put in through the doors."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from api.models.base import new_id, utc_now
from api.models.dataset import Dataset
from api.models.document import Document
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import tokens
from api.tasks.registry import run_job
from tests.core.rag.sources.sites import http_client, hurried
from tests.factories import Owner

WAIT_S = 30.0
CONSOLE = "/console/api/datasets"
TEXT = b"The harbour master counts seven ships.\n\nThe lighthouse keeper counts the stars."


class Sleeping:
    """A queue that wakes nobody, so that documents stay as a request left them."""

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None: ...


def put_to_sleep(app: Flask) -> Runtime:
    """Have the program's jobs wait; return the runtime that was there."""
    awake: Runtime = app.extensions["runtime"]
    app.extensions["runtime"] = replace(awake, queue=Sleeping())  # type: ignore[arg-type]  # only ever asked to wake
    return awake


def make_dataset(runtime: Runtime, owner: Owner, **values: Any) -> str:
    """Make a dataset that has decided nothing yet; return its id."""
    with runtime.transaction() as session:
        row = Dataset(
            **{
                "tenant_id": owner.tenant_id,
                "name": f"Data {new_id()}"[:40],
                "permission": "all_team_members",
                "created_by": owner.account_id,
                **values,
            }
        )
        session.add(row)
        session.flush()
        return row.id


def make_dataset_key(runtime: Runtime, owner: Owner) -> dict[str, str]:
    """Make a dataset key; return the headers of a call with it."""
    with runtime.transaction() as session:
        _, key = tokens.create_token(session, owner.principal, name="test", app_id=None, kind="dataset")
    return {"Authorization": f"Bearer {key}"}


def send_file(
    client: FlaskClient,
    path: str,
    headers: dict[str, str],
    *,
    content: bytes = TEXT,
    name: str = "harbour.txt",
    **form: object,
) -> TestResponse:
    """Post a file with fields to a door."""
    fields = {"indexing_technique": "economy", **form}
    return client.post(path, data={**fields, "file": (io.BytesIO(content), name)}, headers=headers)


def add_document(client: FlaskClient, owner: Owner, dataset_id: str, **options: Any) -> Any:
    """Add a file to a dataset through the console; return the document as it is answered."""
    answer = send_file(client, f"{CONSOLE}/{dataset_id}/document/create_by_file", owner.headers, **options)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["document"]


def load_document(runtime: Runtime, document_id: str) -> Document:
    """Return a document's row."""
    with runtime.reading() as session:
        return session.get_one(Document, document_id)


def wait_until_indexed(runtime: Runtime, document_id: str) -> None:
    """Return when the program's worker has indexed a document."""
    end = time.monotonic() + WAIT_S
    while load_document(runtime, document_id).indexing_status != "completed":
        assert time.monotonic() < end, f"not indexed within {WAIT_S} s"
        time.sleep(0.02)


def set_document(runtime: Runtime, document_id: str, **values: Any) -> None:
    """Change columns of a document's row."""
    with runtime.transaction() as session:
        row = session.get_one(Document, document_id)
        for name, value in values.items():
            setattr(row, name, value)


def run_jobs(runtime: Runtime, owner: Owner) -> None:
    """Be the worker: run the jobs of the workspace, and those they ask for."""
    ran: set[str] = set()
    while True:
        with runtime.reading() as session:
            here = select(JobRow.id).where(JobRow.tenant_id == owner.tenant_id).order_by(JobRow.created_at)
            ids = [job_id for job_id in session.scalars(here) if job_id not in ran]
        if not ids:
            return
        for job_id in ids:
            run_job(runtime, job_id)
        ran.update(ids)


def finish_jobs(runtime: Runtime, owner: Owner) -> None:
    """Be the worker until no job is left: also of those that failed or whose worker died."""
    of_workspace = (JobRow.tenant_id == owner.tenant_id, JobRow.failed_at.is_(None))
    while True:
        with runtime.transaction() as session:
            session.execute(update(JobRow).where(*of_workspace).values(leased_until=None, run_at=utc_now()))
            ids = session.scalars(select(JobRow.id).where(*of_workspace).order_by(JobRow.created_at)).all()
        if not ids:
            return
        for job_id in ids:
            run_job(runtime, job_id)


def texts_of(client: FlaskClient, owner: Owner, dataset_id: str, query: str) -> list[str]:
    """Search a dataset by words through the console; return the passages that are found."""
    model = {"search_method": "keyword_search", "reranking_enable": False, "top_k": 10}
    body = {"query": query, "retrieval_model": model}
    answer = client.post(f"{CONSOLE}/{dataset_id}/retrieve", json=body, headers=owner.headers)
    assert answer.status_code == 200, answer.text
    return [record["segment"]["content"] for record in answer.get_json()["records"]]


@contextmanager
def reaching_loopback(app: Flask, **limits: Any) -> Iterator[Runtime]:
    """Have the program's calls reach loopback, its jobs wait for the test and its crawls not wait long."""
    awake = put_to_sleep(app)
    asleep: Runtime = app.extensions["runtime"]
    try:
        with http_client() as http, hurried():
            app.extensions["runtime"] = replace(asleep, http=http, limits=replace(asleep.limits, **limits))
            yield app.extensions["runtime"]
    finally:
        app.extensions["runtime"] = awake
