"""Documents on their way into the index: complete, killed and resumed, edited, removed."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.core.rag.chunk import VectorEntry
from api.models.base import new_id, utc_now
from api.models.dataset import Dataset, ProcessRuleRow
from api.models.document import ChildChunk, Document, Segment
from api.models.file import UploadFile
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import documents, index_jobs, index_rows, indexing, rebuilds, retrieval, segments
from api.services.indexables import Indexable
from api.tasks.registry import run_job
from tests.conftest import BOTH
from tests.factories import Owner
from tests.waiting import is_waited_for, wait_until

TEXT = "\n\n".join(
    f"Chapter {n}. The harbour master of town number {n} counts {n * 7} ships every evening."
    for n in range(1, 41)
)
KEYWORDS: JSONObject = {"search_method": "keyword_search", "top_k": 5}


class Sleeping:
    """A queue that wakes nobody: the test is the worker."""

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None: ...


@pytest.fixture
def idle(runtime: Runtime) -> Runtime:
    """The runtime, but that jobs wait for the test."""
    return replace(runtime, queue=Sleeping())  # type: ignore[arg-type]  # only ever asked to wake


@dataclass(frozen=True)
class Made:
    """A document and its dataset."""

    dataset_id: str
    id: str


def make_document(
    runtime: Runtime,
    owner: Owner,
    text: str = TEXT,
    *,
    technique: str = "economy",
    doc_form: str = "text_model",
    name: str = "harbours.txt",
) -> Made:
    """Make a document of a fresh dataset, waiting to be indexed."""
    key = f"uploads/{owner.tenant_id}/{new_id()}"
    size = runtime.storage.put(key, io.BytesIO(text.encode()))
    with runtime.transaction() as session:
        dataset = Dataset(
            tenant_id=owner.tenant_id,
            name=f"Harbours {new_id()}"[:40],
            indexing_technique=technique,
            embedding_provider="builtin",
            embedding_model="multilingual-e5-small",
            created_by=owner.account_id,
        )
        session.add(dataset)
        session.flush()
        rule = ProcessRuleRow(
            tenant_id=owner.tenant_id,
            dataset_id=dataset.id,
            mode="custom" if doc_form != "hierarchical_model" else "hierarchical",
            rules={
                "pre_processing_rules": [],
                "segmentation": {"separator": "\n\n", "max_tokens": 100, "chunk_overlap": 0},
                "parent_mode": "paragraph",
                "subchunk_segmentation": {"separator": ".", "max_tokens": 50, "chunk_overlap": 0},
            },
        )
        upload = UploadFile(
            tenant_id=owner.tenant_id,
            storage_key=key,
            name=name,
            extension=name.rsplit(".", maxsplit=1)[-1],
            mime_type="text/plain",
            kind="document",
            size_bytes=size,
            sha256="0" * 64,
            created_by=owner.account_id,
            created_by_role="account",
            attached_at=utc_now(),
        )
        session.add_all([rule, upload])
        session.flush()
        document = Document(
            tenant_id=owner.tenant_id,
            dataset_id=dataset.id,
            position=1,
            data_source_type="upload_file",
            source={"upload_file_id": upload.id},
            process_rule_id=rule.id,
            batch="1",
            name=name,
            created_from="web",
            created_by=owner.account_id,
            doc_form=doc_form,
        )
        session.add(document)
        session.flush()
        indexing.request_indexing(runtime, session, document)
        return Made(dataset.id, document.id)


def work(runtime: Runtime, owner: Owner) -> None:
    """Run every job of the workspace that is there, as a worker would that found the others dead."""
    with runtime.transaction() as session:
        session.execute(
            update(JobRow)
            .where(JobRow.tenant_id == owner.tenant_id)
            .values(leased_until=None, run_at=utc_now())
        )
        ids = session.scalars(
            select(JobRow.id).where(JobRow.tenant_id == owner.tenant_id).order_by(JobRow.created_at)
        ).all()
    for job_id in ids:
        run_job(runtime, job_id)


def load(runtime: Runtime, made: Made) -> tuple[Document, list[Segment], str]:
    with runtime.reading() as session:
        document = session.get_one(Document, made.id)
        segments = session.scalars(
            select(Segment).where(Segment.document_id == made.id).order_by(Segment.position)
        ).all()
        collection = session.get_one(Dataset, made.dataset_id).collection_id
    return document, list(segments), collection


def found(runtime: Runtime, owner: Owner, made: Made, query: str, **settings: Any) -> list[str]:
    result = retrieval.hit_test(runtime, owner.principal, made.dataset_id, query, {**KEYWORDS, **settings})
    return [record.segment.content for record in result.records]


def test_index_document_makes_it_found_by_its_words(idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner)
    work(idle, owner)

    document, segments, collection = load(idle, made)
    assert (document.indexing_status, document.error) == ("completed", None)
    assert document.completed_segments == document.total_segments == len(segments) == 40
    assert {segment.status for segment in segments} == {"completed"}
    assert sorted(idle.keywords.ids(collection)) == sorted(segment.id for segment in segments)
    assert "town number 17 " in found(idle, owner, made, "harbour master of town number 17")[0]


def test_index_document_high_quality_is_found_by_meaning(idle: Runtime, owner: Owner) -> None:
    text = "Penguins live in the cold south.\n\nThe stock market closed higher today."
    made = make_document(idle, owner, text, technique="high_quality")
    work(idle, owner)

    settings = {"search_method": "semantic_search", "top_k": 2}
    assert found(idle, owner, made, "birds of Antarctica", **settings)[0].startswith("Penguins")
    _, segments, collection = load(idle, made)
    assert sorted(idle.vectors.ids(collection)) == sorted(segment.id for segment in segments)


def test_index_document_hierarchical_finds_parents_by_their_children(idle: Runtime, owner: Owner) -> None:
    text = "Penguins live in the cold south. They swim well.\n\nThe market closed higher. Bonds fell."
    made = make_document(idle, owner, text, technique="high_quality", doc_form="hierarchical_model")
    work(idle, owner)

    result = retrieval.hit_test(
        idle, owner.principal, made.dataset_id, "birds of Antarctica", {"search_method": "semantic_search"}
    )
    assert result.records[0].segment.content.startswith("Penguins live in the cold south")
    assert result.records[0].found.children
    with idle.reading() as session:
        children = session.scalars(select(ChildChunk.id).where(ChildChunk.document_id == made.id)).all()
    assert sorted(idle.vectors.ids(load(idle, made)[2])) == sorted(children)


def test_index_document_qa_table_keeps_questions_with_answers(idle: Runtime, owner: Owner) -> None:
    table = "question,answer\nWhere is the pier?,At the end of Main Street.\n"
    made = make_document(idle, owner, table, doc_form="qa_model", name="pairs.csv")
    work(idle, owner)

    document, segments, _ = load(idle, made)
    assert [(s.content, s.answer) for s in segments] == [("Where is the pier?", "At the end of Main Street.")]
    assert document.word_count == sum(segment.word_count for segment in segments) > 0
    assert document.processing_started_at
    assert document.parsing_completed_at
    assert document.cleaning_completed_at


def test_index_document_without_text_ends_as_an_error_with_a_reason(idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner, "%PDF-1.4 broken", name="broken.pdf")
    work(idle, owner)

    document, segments, _ = load(idle, made)
    assert document.indexing_status == "error"
    assert document.error
    assert not segments
    with idle.reading() as session:
        assert session.scalar(select(JobRow.id).where(JobRow.tenant_id == owner.tenant_id)) is None


class Killed(BaseException):
    """What a process sees of SIGKILL, as far as a test can show it: nothing more is done."""


@pytest.mark.parametrize("is_written", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("step", range(8))
def test_index_document_killed_at_a_step_is_finished_by_another_worker(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch, step: int, is_written: bool
) -> None:
    monkeypatch.setattr(index_jobs, "MAX_BATCH", 16)
    calm = make_document(idle, owner)
    work(idle, owner)
    made = make_document(idle, owner)
    real, steps = index_rows.fenced, iter(range(1000))

    @contextmanager
    def dying(*args: Any, **values: Any) -> Iterator[Session]:
        with real(*args, **values) as session:
            is_last = next(steps) == step
            if is_last and not is_written:
                raise Killed
            yield session
        if is_last:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(index_jobs, "fenced", dying)
        patched.setattr(index_rows, "fenced", dying)
        with pytest.raises(Killed):
            work(idle, owner)
    work(idle, owner)

    document, segments, collection = load(idle, made)
    _, expected, _ = load(idle, calm)
    assert (document.indexing_status, document.completed_segments) == ("completed", 40)
    assert [(s.position, s.hash) for s in segments] == [(s.position, s.hash) for s in expected]
    assert sorted(idle.keywords.ids(collection)) == sorted(segment.id for segment in segments)


def test_index_document_paused_stops_and_goes_on_where_it_was(idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner)
    with idle.transaction() as session:
        indexing.pause(idle, session, session.get_one(Document, made.id))
    work(idle, owner)
    assert load(idle, made)[0].indexing_status == "paused"

    with idle.transaction() as session:
        indexing.resume(idle, session, session.get_one(Document, made.id))
    work(idle, owner)
    assert load(idle, made)[0].indexing_status == "completed"


def test_index_document_resumed_after_splitting_is_shown_as_indexing(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_jobs, "MAX_BATCH", 16)
    made = make_document(idle, owner)
    seen: list[str] = []
    real = index_rows.write_index

    def pausing(*args: Any) -> None:
        real(*args)
        document = load(idle, made)[0]
        seen.append(document.indexing_status)
        if len(seen) == 1:
            with idle.transaction() as session:
                indexing.pause(idle, session, session.get_one(Document, made.id))

    monkeypatch.setattr(index_rows, "write_index", pausing)
    work(idle, owner)
    assert load(idle, made)[0].indexing_status == "paused"

    with idle.transaction() as session:
        indexing.resume(idle, session, session.get_one(Document, made.id))
    work(idle, owner)
    assert load(idle, made)[0].indexing_status == "completed"
    assert set(seen) == {"indexing"}


def test_remove_document_is_not_found_from_then_on_and_leaves_nothing(idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner)
    work(idle, owner)
    collection = load(idle, made)[2]
    with idle.transaction() as session:
        indexing.remove_document(idle, session, session.get_one(Document, made.id))
    assert found(idle, owner, made, "harbour master") == []
    work(idle, owner)

    with idle.reading() as session:
        assert session.scalar(select(Segment.id).where(Segment.document_id == made.id)) is None
        assert session.scalar(select(UploadFile.id).where(UploadFile.tenant_id == owner.tenant_id)) is None
    assert list(idle.keywords.ids(collection)) == []


def test_remove_document_while_it_is_indexed_stays_removed(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_document(idle, owner)
    real = index_rows.load_pending

    def removing(session: Session, *args: Any) -> list[Indexable]:
        pending = real(session, *args)
        with idle.transaction() as other:
            document = other.get(Document, made.id)
            if document is not None:
                indexing.remove_document(idle, other, document)
        return pending

    monkeypatch.setattr(index_rows, "load_pending", removing)
    work(idle, owner)
    monkeypatch.undo()
    work(idle, owner)
    assert found(idle, owner, made, "harbour master") == []
    with idle.reading() as session:
        assert session.scalar(select(Segment.id).where(Segment.document_id == made.id)) is None


@BOTH
def test_deleting_and_writing_documents_wait_for_each_other_and_never_both(
    idle: Runtime, owner: Owner
) -> None:
    made = make_document(idle, owner, technique="high_quality")
    _, _, collection = load(idle, made)
    entry = VectorEntry(id=new_id(), segment_id=new_id(), document_id=made.id, vector=(1.0, 0.5))
    idle.vectors.upsert(collection, [entry])

    def delete() -> None:
        with idle.transaction() as session:
            documents.delete_documents(idle, session, owner.principal, made.dataset_id, [made.id])

    with ThreadPoolExecutor(1) as pool:
        with idle.transaction() as session:
            session.execute(update(Document).where(Document.id == made.id).values(updated_at=utc_now()))
            deleted = pool.submit(delete)
            wait_until(lambda: is_waited_for(idle))
            idle.vectors.upsert(collection, [entry], unit=session)
        deleted.result(30.0)
    with idle.reading() as session:
        assert session.get(Document, made.id) is None


def test_segment_removed_while_it_is_indexed_leaves_no_entry(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Penguins live in the cold south.\n\nThe market closed higher today."
    made = make_document(idle, owner, text, technique="high_quality")
    real = index_rows.load_pending

    def removing(session: Session, *args: Any) -> list[Indexable]:
        pending = real(session, *args)
        if len(pending) == 2:
            with idle.transaction() as other:
                document = other.get_one(Document, made.id)
                indexing.remove_segments(idle, other, document, [pending[0].id])
        return pending

    monkeypatch.setattr(index_rows, "load_pending", removing)
    work(idle, owner)
    _, rows, collection = load(idle, made)
    assert [row.content for row in rows] == ["The market closed higher today."]
    for store in (idle.keywords, idle.vectors):
        assert list(store.ids(collection)) == [rows[0].id]


@pytest.mark.parametrize(
    "change", [{"content": "Penguins swim."}, {"keywords": ["penguins"]}, {"answer": "penguins"}], ids=str
)
def test_segment_changed_while_it_is_indexed_is_found_by_what_it_says_now(
    idle: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    made = make_document(
        idle, owner, "question,answer\nWho swims?,Nobody.\n", doc_form="qa_model", name="a.csv"
    )
    work(idle, owner)
    real, is_first = index_rows.load_pending, iter([True])

    def change_segment(**values: Any) -> None:
        with idle.transaction() as session:
            document = segments.open_for_change(session, owner.principal, made.dataset_id, made.id)
            text = segments.SegmentText(**values)
            segments.update_segment(idle, session, owner.principal, document, load(idle, made)[1][0].id, text)

    def changing(session: Session, *args: Any) -> list[Indexable]:
        pending = real(session, *args)
        if next(is_first, False):
            change_segment(**change)
        return pending

    change_segment(content="Who walks?")
    monkeypatch.setattr(index_rows, "load_pending", changing)
    work(idle, owner)
    assert len(found(idle, owner, made, "penguins")) == 1
    document, rows, _ = load(idle, made)
    assert (document.completed_segments, rows[0].status) == (1, "completed")


def test_restart_finds_the_new_text_and_no_longer_the_old(idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner)
    work(idle, owner)
    with idle.transaction() as session:
        document = session.get_one(Document, made.id)
        upload = session.get_one(UploadFile, document.source["upload_file_id"])
        idle.storage.put(upload.storage_key, io.BytesIO(b"The lighthouse keeper sleeps at noon."))
        indexing.restart(idle, session, document)
    assert found(idle, owner, made, "harbour master") == []
    work(idle, owner)
    assert found(idle, owner, made, "lighthouse keeper") == ["The lighthouse keeper sleeps at noon."]
    assert found(idle, owner, made, "harbour master") == []
    assert len(load(idle, made)[1]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"archived": True},
        {"indexing_status": "indexing"},
        {"version": 2},
    ],
    ids=str,
)
def test_document_that_is_not_live_is_never_found(
    idle: Runtime, owner: Owner, change: dict[str, Any]
) -> None:
    made = make_document(idle, owner)
    work(idle, owner)
    assert found(idle, owner, made, "harbour master")
    with idle.transaction() as session:
        session.execute(update(Document).where(Document.id == made.id).values(**change))
    assert found(idle, owner, made, "harbour master") == []


def test_rebuild_is_searched_as_before_until_it_is_complete(idle: Runtime, owner: Owner) -> None:
    made = make_document(idle, owner, "Penguins live in the cold south.\n\nThe market closed higher today.")
    work(idle, owner)
    before = load(idle, made)[2]
    with idle.transaction() as session:
        rebuilds.request_rebuild(
            idle,
            session,
            session.get_one(Dataset, made.dataset_id),
            technique="high_quality",
            provider="builtin",
            model="multilingual-e5-small",
        )
    assert found(idle, owner, made, "penguins") == ["Penguins live in the cold south."]
    work(idle, owner)

    _, segments, after = load(idle, made)
    assert after != before
    assert sorted(idle.vectors.ids(after)) == sorted(segment.id for segment in segments)
    assert list(idle.keywords.ids(before)) == []
    settings = {"search_method": "semantic_search", "top_k": 2}
    assert found(idle, owner, made, "birds of Antarctica", **settings)[0].startswith("Penguins")
