"""Mends what a comparison of rows and stores found: in transactions that look again before they write."""

from collections.abc import Collection, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.core.indexing_runner import Embedded, embed_texts
from api.core.ports import Cancel
from api.models.annotation import AnnotationJob, AnnotationSetting
from api.models.dataset import Dataset
from api.models.document import Document
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import index_jobs, stored_embeddings
from api.services import verification_rows as rows
from api.services.jobs import Job
from api.services.ledger import Tally
from api.services.verification_rows import Gap, Store, Target

NOTHING = Embedded((), {}, {})
COLUMNS = (
    Dataset.collection_id,
    Dataset.next_collection_id,
    AnnotationSetting.collection_id,
    AnnotationJob.collection_id,
    AnnotationJob.stale_id,
)
"""What names a collection that is in use, is being filled or is to be dropped."""


def remove(runtime: Runtime, target: Target, store: Store, ids: Collection[str]) -> set[str]:
    """Remove entries that have no row, and return them; the others of ``ids`` may be about to have one.

    A store outside of the database gets the vectors of summaries before their
    rows are written. So nothing is removed from one while a summary of the
    workspace is being written.
    """
    is_outside = store is Store.VECTORS and not runtime.vectors.joins_unit
    with runtime.transaction() as session:
        _hold_dataset(session, target)
        if is_outside and _is_summarizing(session, target.tenant_id):
            return set()
        orphans = rows.find_orphans(session, target, store, ids)
        store.of(runtime).delete(target.collection, ids=orphans, unit=session)
    return orphans


def fill(runtime: Runtime, target: Target, gaps: Sequence[Gap]) -> set[str]:
    """Write the entries that segments lack; return the ids of those that still were what was read.

    Raises what the embedding model and the stores raise.

    Documents are held meanwhile, also while a store outside of the database is
    written: whoever changes a segment then comes after this, and so do their entries.
    """
    embedded = _embed(runtime, target, gaps)
    with runtime.transaction() as session:
        _hold_documents(session, target, {gap.segment.document_id for gap in gaps})
        same = rows.keep_same(session, target, gaps, is_held=True)
        words = [gap.segment.to_text_entry() for gap in same if gap.lacks_words]
        runtime.keywords.upsert(target.collection, words, unit=session)
        entries = [entry for gap in same for entry in gap.segment.to_vector_entries(embedded.vectors)]
        runtime.vectors.upsert(target.collection, entries, unit=session)
        if target.embedding is not None:
            used = {text.hash for text in embedded.texts}
            stored_embeddings.keep(session, target.tenant_id, target.embedding, embedded.made, used)
    return {gap.segment.id for gap in same}


def drop(runtime: Runtime, store: Store, names: Collection[str]) -> set[str]:
    """Drop collections that no dataset has, and return them; none is ever given to a dataset again."""
    with runtime.transaction() as session:
        unknown = find_unknown(session, names)
        for name in unknown:
            store.of(runtime).drop(name, unit=session)
    return unknown


def find_unknown(session: Session, names: Collection[str]) -> set[str]:
    """Return those collections that neither a dataset nor annotations have, nor is to have or to drop."""
    unknown = set(names)
    for column in COLUMNS:
        unknown -= set(session.scalars(select(column).where(column.in_(unknown))))
    jobs = (Job.REBUILD_DATASET, Job.PURGE_DATASET)
    for payload in session.scalars(
        select(JobRow.payload).where(JobRow.name.in_(jobs), JobRow.failed_at.is_(None))
    ):
        unknown -= {payload.get("collection_id"), *payload.get("collection_ids", ())}
    return unknown


def _embed(runtime: Runtime, target: Target, gaps: Sequence[Gap]) -> Embedded:
    """Return the vectors that are missing: those the workspace has of the texts, else made anew."""
    texts = [text for gap in gaps for text in gap.texts]
    if not texts or target.embedding is None:
        return NOTHING
    models = index_jobs.make_models(
        Tally(runtime=runtime, tenant_id=target.tenant_id, dataset_id=target.dataset_id)
    )
    cancel = Cancel(runtime.limits.run_timeout_s)
    return embed_texts(
        index_jobs.make_embedding(runtime, models, target.tenant_id, target.embedding, cancel), texts
    )


def _hold_dataset(session: Session, target: Target) -> None:
    """Hold a dataset against all who write its entries; see ``_hold_documents``."""
    session.execute(
        update(Dataset)
        .where(Dataset.tenant_id == target.tenant_id, Dataset.id == target.dataset_id)
        .values(updated_at=Dataset.updated_at)
        .execution_options(synchronize_session=False)
    )


def _hold_documents(session: Session, target: Target, ids: Collection[str]) -> None:
    """Hold documents against all who change their segments; an update, which SQLite begins to write with."""
    session.execute(
        update(Document)
        .where(Document.tenant_id == target.tenant_id, Document.id.in_(ids))
        .values(updated_at=Document.updated_at)
        .execution_options(synchronize_session=False)
    )


def _is_summarizing(session: Session, tenant_id: str) -> bool:
    is_at_work = (JobRow.name == Job.SUMMARIZE_DOCUMENT, JobRow.leased_until.is_not(None))
    return (
        session.scalar(select(JobRow.id).where(JobRow.tenant_id == tenant_id, *is_at_work).limit(1))
        is not None
    )
