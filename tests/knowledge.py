"""What tests of knowledge share: datasets, dataset keys, documents put in through the doors."""

import io
from dataclasses import replace
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.models.base import new_id
from api.models.dataset import Dataset
from api.models.document import Document
from api.runtime import Runtime
from api.services import tokens
from tests.factories import Owner

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


def set_document(runtime: Runtime, document_id: str, **values: Any) -> None:
    """Change columns of a document's row."""
    with runtime.transaction() as session:
        row = session.get_one(Document, document_id)
        for name, value in values.items():
            setattr(row, name, value)
