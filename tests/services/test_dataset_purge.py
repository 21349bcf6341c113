"""What the deletion of a dataset removes in the end: everything, and nothing else."""

from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import func, select

from api.core.rag.chunk import TextEntry
from api.models.base import new_id
from api.models.dataset import Dataset
from api.models.document import ChildChunk, DatasetQuery, Document, Segment
from api.models.file import UploadFile
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import dataset_purge, datasets
from api.services.jobs import Job, Lease
from tests.conftest import BOTH
from tests.factories import Owner

pytestmark = BOTH

TABLES: tuple[Any, ...] = (Document, Segment, ChildChunk, DatasetQuery)


def make_filled(runtime: Runtime, owner: Owner, name: str, rows: int) -> tuple[str, str, list[str]]:
    """Make a dataset with rows in every table; return its id, collection, and the keys of its files."""
    keys = [f"uploads/{new_id()}" for _ in range(rows)]
    for key in keys:
        runtime.storage.put(key, BytesIO(b"text"))
    with runtime.transaction() as session:
        dataset = datasets.create_dataset(runtime, session, owner.principal, {"name": name})
        owned = {"tenant_id": owner.tenant_id, "dataset_id": dataset.id}
        entries = []
        for number, key in enumerate(keys):
            file = UploadFile(
                id=new_id(),
                tenant_id=owner.tenant_id,
                storage_key=key,
                name="a.txt",
                extension="txt",
                mime_type="text/plain",
                kind="document",
                size_bytes=4,
                sha256="",
                created_by=owner.account_id,
                created_by_role="account",
            )
            document = Document(
                id=new_id(),
                position=number,
                data_source_type="upload_file",
                source={"upload_file_id": file.id},
                batch="b",
                name="a.txt",
                created_from="web",
                **owned,
            )
            in_document = {**owned, "document_id": document.id}
            words = {"content": "penguin", "word_count": 7, "hash": "h", "position": number}
            segment = Segment(id=new_id(), version=1, tokens=1, **words, **in_document)
            session.add_all(
                [
                    file,
                    document,
                    segment,
                    ChildChunk(segment_id=segment.id, **words, **in_document),
                    DatasetQuery(
                        content="q", source="app", created_by_role="account", created_by=new_id(), **owned
                    ),
                ]
            )
            entries.append(
                TextEntry(id=segment.id, segment_id=segment.id, document_id=document.id, text="penguin")
            )
        runtime.keywords.upsert(dataset.collection_id, entries, unit=session)
        return dataset.id, dataset.collection_id, keys


def count(runtime: Runtime, owner: Owner, dataset_id: str) -> list[int | None]:
    with runtime.reading() as session:
        return [
            session.scalar(select(func.count()).where(table.dataset_id == dataset_id)) for table in TABLES
        ]


def test_purge_removes_rows_files_and_index_of_its_dataset_alone(
    runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_purge, "ROWS_PER_BATCH", 2)
    monkeypatch.setattr(runtime.queue, "enqueue", lambda *_args, **_options: None)
    gone, collection, files = make_filled(runtime, owner, "gone", 5)
    kept, other, other_files = make_filled(runtime, owner, "kept", 1)
    with runtime.transaction() as session:
        datasets.delete_dataset(runtime, session, owner.principal, gone)
    with runtime.reading() as session:
        row = session.scalars(
            select(JobRow).where(JobRow.tenant_id == owner.tenant_id, JobRow.name == Job.PURGE_DATASET)
        ).one()
        assert session.get(Dataset, gone) is None
    lease = Lease(
        job_id=row.id,
        tenant_id=owner.tenant_id,
        name=Job.PURGE_DATASET,
        queue=row.queue,
        payload=row.payload,
        attempt=1,
        length_s=60.0,
    )

    for _ in range(2):
        dataset_purge.purge_dataset(runtime, lease)

    assert count(runtime, owner, gone) == [0, 0, 0, 0]
    assert count(runtime, owner, kept) == [1, 1, 1, 1]
    assert [list(runtime.keywords.ids(each)) != [] for each in (collection, other)] == [False, True]
    assert [runtime.storage.exists(key) for key in files] == [False] * 5
    assert runtime.storage.exists(other_files[0])


def test_sweep_orders_a_purge_for_rows_without_a_dataset(
    runtime: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.queue, "enqueue", lambda *_args, **_options: None)
    kept, *_ = make_filled(runtime, owner, "kept", 1)
    late = DatasetQuery(content="q", source="app", created_by_role="account", created_by=new_id())
    late.tenant_id, late.dataset_id = owner.tenant_id, new_id()
    gone = late.dataset_id
    with runtime.transaction() as session:
        session.add(late)

    dataset_purge.sweep_deleted_datasets(runtime)

    with runtime.reading() as session:
        rows = session.scalars(
            select(JobRow).where(JobRow.tenant_id == owner.tenant_id, JobRow.name == Job.PURGE_DATASET)
        ).all()
    assert [row.payload["dataset_id"] for row in rows] == [gone]
    assert kept != gone
