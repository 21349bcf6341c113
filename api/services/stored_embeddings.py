"""Vectors made before, by the hash of their text: the same text is embedded once in a workspace."""

import array
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from api.core.model_runtime.types import ModelRef
from api.models.base import Base, new_id, utc_now
from api.models.document import StoredEmbedding
from api.models.types import insert_for
from api.runtime import Runtime

KEPT = timedelta(days=30)
ROWS_PER_BATCH = 1000
TABLE = Base.metadata.tables["stored_embeddings"]


def recall(
    runtime: Runtime, tenant_id: str, model: ModelRef, hashes: Sequence[str]
) -> dict[str, Sequence[float]]:
    """Return the vectors a workspace has of texts, by hash."""
    with runtime.reading() as session:
        found = session.execute(
            select(StoredEmbedding.hash, StoredEmbedding.vector).where(*_are(tenant_id, model, hashes))
        ).all()
    return {row.hash: array.array("f", row.vector) for row in found}


def keep(
    session: Session,
    tenant_id: str,
    model: ModelRef,
    vectors: Mapping[str, Sequence[float]],
    used: Collection[str],
) -> None:
    """Keep vectors by the hash of their text; those of ``used`` that are there already were of use."""
    now = utc_now()
    recalled = [digest for digest in used if digest not in vectors]
    if recalled:
        session.execute(
            update(StoredEmbedding)
            .where(*_are(tenant_id, model, recalled))
            .values(used_at=now)
            .execution_options(synchronize_session=False)
        )
    if not vectors:
        return
    rows = [
        {
            "id": new_id(),
            "created_at": now,
            "tenant_id": tenant_id,
            "model": _name(model),
            "hash": digest,
            "vector": array.array("f", vector).tobytes(),
            "used_at": now,
        }
        for digest, vector in vectors.items()
    ]
    session.execute(insert_for(session)(TABLE).on_conflict_do_nothing(), rows)


def purge_unused(runtime: Runtime) -> None:
    """Remove vectors that no text needed for 30 days, in batches."""
    while True:
        with runtime.transaction() as session:
            old = session.scalars(
                select(StoredEmbedding.id)
                .where(StoredEmbedding.used_at < utc_now() - KEPT)
                .limit(ROWS_PER_BATCH)
            ).all()
            session.execute(delete(StoredEmbedding).where(StoredEmbedding.id.in_(old)))
        if len(old) < ROWS_PER_BATCH:
            return


def _are(tenant_id: str, model: ModelRef, hashes: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return (
        StoredEmbedding.tenant_id == tenant_id,
        StoredEmbedding.model == _name(model),
        StoredEmbedding.hash.in_(hashes),
    )


def _name(model: ModelRef) -> str:
    return f"{model.provider}/{model.model}"
