"""Asks for a dataset to be indexed in another way: another technique, or another embedding model."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.ports import JSONObject, Queue
from api.models.base import new_id
from api.models.dataset import Dataset
from api.models.document import Document
from api.runtime import Runtime
from api.services import jobs
from api.services.jobs import Job


def request_rebuild(
    runtime: Runtime,
    session: Session,
    dataset: Dataset,
    *,
    technique: str | None,
    provider: str | None,
    model: str | None,
) -> None:
    """Have a dataset indexed by another technique or model; at once where it has no documents.

    Where it has, a job builds the new collection aside, and the dataset is
    searched as before until that is complete.
    """
    is_filled = session.scalar(
        select(Document.id)
        .where(Document.tenant_id == dataset.tenant_id, Document.dataset_id == dataset.id)
        .limit(1)
    )
    if is_filled is None:
        dataset.indexing_technique = technique
        dataset.embedding_provider, dataset.embedding_model = provider, model
        return
    dataset.next_collection_id = new_id()
    payload: JSONObject = {
        "dataset_id": dataset.id,
        "indexing_technique": technique,
        "embedding_provider": provider,
        "embedding_model": model,
        "collection_id": dataset.next_collection_id,
    }
    jobs.enqueue_on_commit(
        runtime, session, Job.REBUILD_DATASET, payload, tenant_id=dataset.tenant_id, queue=Queue.INDEXING
    )
