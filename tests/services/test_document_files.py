"""Files that several documents are made of: kept as long as one of them is there."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from api.models.document import Document
from api.models.file import UploadFile
from api.runtime import Runtime
from api.services import datasets, document_sources, documents
from tests.factories import Owner
from tests.knowledge import Sleeping, finish_jobs
from tests.services.test_indexing import Made, make_document

Way = Callable[[Runtime, Owner, Made], None]


@pytest.fixture(autouse=True)
def _asleep(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the jobs to the test."""
    monkeypatch.setattr(runtime.queue, "enqueue", Sleeping().enqueue)


def delete_document(runtime: Runtime, owner: Owner, made: Made) -> None:
    with runtime.transaction() as session:
        documents.delete_documents(runtime, session, owner.principal, made.dataset_id, [made.id])


def delete_dataset(runtime: Runtime, owner: Owner, made: Made) -> None:
    with runtime.transaction() as session:
        datasets.delete_dataset(runtime, session, owner.principal, made.dataset_id)


def share_file(runtime: Runtime, owner: Owner) -> tuple[Made, Made, str, str]:
    """Make two documents of one file; return both, the id of the file and where its bytes are."""
    first, second = make_document(runtime, owner, "a"), make_document(runtime, owner, "b")
    with runtime.transaction() as session:
        file_id = session.get_one(Document, first.id).source["upload_file_id"]
        session.get_one(Document, second.id).source = {"upload_file_id": file_id}
        key = session.get_one(UploadFile, file_id).storage_key
    return first, second, file_id, key


@pytest.mark.parametrize("delete", [delete_document, delete_dataset])
def test_file_goes_with_the_last_document_that_is_made_of_it(
    runtime: Runtime, owner: Owner, delete: Way
) -> None:
    first, second, file_id, key = share_file(runtime, owner)

    def is_there() -> tuple[bool, bool]:
        with runtime.reading() as session:
            row = session.scalar(select(UploadFile.id).where(UploadFile.id == file_id))
        return row is not None, runtime.storage.exists(key)

    delete(runtime, owner, first)
    finish_jobs(runtime, owner)
    assert is_there() == (True, True)
    delete(runtime, owner, second)
    finish_jobs(runtime, owner)
    assert is_there() == (False, False)


def test_file_of_a_document_that_gets_another_stays_attached_for_others(
    runtime: Runtime, owner: Owner
) -> None:
    first, second, file_id, _ = share_file(runtime, owner)

    def release(made: Made) -> bool:
        with runtime.transaction() as session:
            row = session.get_one(Document, made.id)
            document_sources.release_file(session, row)
            row.source = {}
        with runtime.reading() as session:
            return session.get_one(UploadFile, file_id).attached_at is None

    assert [release(first), release(second)] == [False, True]
