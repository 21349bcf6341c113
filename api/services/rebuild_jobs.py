"""Builds a dataset's collection aside, with another technique or model, and swaps it in when it is complete.

Until the swap the dataset is searched as before. What is indexed meanwhile goes
into the old collection and is taken over in another pass; the swap waits for
those that write at that moment, and is given up for one more pass where they
brought something. What was deleted after it was copied is removed at the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from api.core.indexing_runner import embed_texts
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import ModelRef
from api.core.rag.chunk import VectorEntry
from api.models.base import utc_now
from api.models.dataset import Dataset
from api.models.document import Document, Segment
from api.runtime import Runtime
from api.services import index_jobs, indexables, stored_embeddings, verification
from api.services.indexables import Indexable
from api.services.jobs import Lease, check_lease
from api.services.ledger import Tally

SEGMENTS_PER_BATCH = 64


@dataclass(frozen=True, slots=True)
class Target:
    """What the dataset is to become."""

    dataset_id: str
    collection: str
    technique: str | None
    embedding: ModelRef | None


def rebuild_dataset(runtime: Runtime, lease: Lease) -> None:
    """Fill the collection the job names, and have the dataset use it; repeated, it does the rest."""
    target = _to_target(lease)
    models = index_jobs.make_models(
        Tally(runtime=runtime, tenant_id=lease.tenant_id, dataset_id=target.dataset_id)
    )
    since: datetime | None = None
    while True:
        began = utc_now()
        for batch in _batches(runtime, lease.tenant_id, target, since):
            lease.check()
            _copy(runtime, lease, target, models, batch)
        since = began
        if _swap(runtime, lease, target, since):
            break
    for _ in verification.remove_orphans(runtime, target.dataset_id):
        lease.check()


def _to_target(lease: Lease) -> Target:
    payload = lease.payload
    technique = payload["indexing_technique"]
    provider, model = payload["embedding_provider"], payload["embedding_model"]
    is_embedded = technique == "high_quality" and provider and model
    return Target(
        dataset_id=str(payload["dataset_id"]),
        collection=str(payload["collection_id"]),
        technique=None if technique is None else str(technique),
        embedding=ModelRef(str(provider), str(model)) if is_embedded else None,
    )


def _batches(
    runtime: Runtime, tenant_id: str, target: Target, since: datetime | None
) -> Iterator[Sequence[Indexable]]:
    """Yield the indexed segments of the dataset, or those indexed since an instant."""
    query = indexables.select_segments().where(
        Segment.tenant_id == tenant_id,
        Segment.dataset_id == target.dataset_id,
        Segment.version == Document.version,
        Segment.status == "completed",
    )
    if since is not None:
        query = query.where(Segment.completed_at >= since)
    last = ""
    while True:
        page = query.order_by(Segment.id).limit(SEGMENTS_PER_BATCH)
        with runtime.reading() as session:
            found = indexables.load(
                session,
                page.where(Segment.id > last) if last else page,
                is_embedded=target.embedding is not None,
            )
        if not found:
            return
        yield found
        last = found[-1].id


def _copy(
    runtime: Runtime, lease: Lease, target: Target, models: ModelRuntime, segments: Sequence[Indexable]
) -> None:
    """Put some segments into the new collection; each text is embedded only if that was never done."""
    vectors: list[VectorEntry] = []
    if target.embedding is not None:
        embedding = index_jobs.make_embedding(
            runtime, models, lease.tenant_id, target.embedding, lease.cancel
        )
        embedded = embed_texts(embedding, [text for segment in segments for text in segment.texts])
        vectors = [entry for segment in segments for entry in segment.to_vector_entries(embedded.vectors)]
        if vectors and not runtime.vectors.joins_unit:
            runtime.vectors.upsert(target.collection, vectors)
    words = [segment.to_text_entry() for segment in segments]
    with runtime.transaction() as session:
        check_lease(session, lease)
        runtime.keywords.upsert(target.collection, words, unit=session)
        if vectors and runtime.vectors.joins_unit:
            runtime.vectors.upsert(target.collection, vectors, unit=session)
        if target.embedding is not None:
            used = {text.hash for text in embedded.texts}
            stored_embeddings.keep(session, lease.tenant_id, target.embedding, embedded.made, used)


def _swap(runtime: Runtime, lease: Lease, target: Target, since: datetime) -> bool:
    """Have the dataset use the new collection; False where more was indexed since the last pass began."""
    with runtime.transaction() as session:
        check_lease(session, lease)
        dataset = session.scalars(
            select(Dataset)
            .where(Dataset.tenant_id == lease.tenant_id, Dataset.id == target.dataset_id)
            .with_for_update()
        ).one_or_none()
        if dataset is None or dataset.collection_id == target.collection:
            return True
        is_behind = select(Segment.id).where(
            Segment.dataset_id == dataset.id, Segment.status == "completed", Segment.completed_at >= since
        )
        if session.scalar(is_behind.limit(1)) is not None:
            return False
        old = dataset.collection_id
        dataset.collection_id, dataset.next_collection_id = target.collection, None
        dataset.indexing_technique = target.technique
        if target.embedding is not None:
            dataset.embedding_provider = target.embedding.provider
            dataset.embedding_model = target.embedding.model
        session.flush()
        runtime.keywords.drop(old, unit=session)
        if runtime.vectors.joins_unit:
            runtime.vectors.drop(old, unit=session)
    if not runtime.vectors.joins_unit:
        runtime.vectors.drop(old)
    return True
