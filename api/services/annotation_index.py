"""The questions of an app's annotations in the store of vectors: put there by jobs, removed with their rows.

What must stay true: an entry stands for an annotation only while the row names
it by ``entry_id``. So an entry that a store still has of an earlier question, or
of a deleted annotation, answers nobody, whatever the store.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_, update
from sqlalchemy.orm import Session

from api.core.model_runtime.types import EmbedKind, ModelRef
from api.core.ports import JSONObject, Queue
from api.core.rag.chunk import VectorEntry
from api.models.annotation import Annotation, AnnotationSetting
from api.models.types import position_of
from api.runtime import Runtime
from api.services import index_jobs
from api.services.jobs import Job, Lease, check_lease, enqueue_on_commit
from api.services.ledger import Tally

Check = Callable[[Session], None]
"""Raises where what is being done is wanted no more."""

BATCH = 64
IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which app's questions go into which collection, and which model embeds them."""

    tenant_id: str
    app_id: str
    collection: str
    embedding: ModelRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question of an annotation, under the name of its entry."""

    annotation_id: str
    entry_id: str
    question: str
    created_at: datetime

    def to_entry(self, vector: Sequence[float]) -> VectorEntry:
        """Return the entry by which the annotation is found."""
        return VectorEntry(
            id=self.entry_id,
            segment_id=self.annotation_id,
            document_id=self.annotation_id,
            vector=vector,
        )


def load_setting(session: Session, tenant_id: str, app_id: str) -> AnnotationSetting | None:
    """Return how an app uses its annotations; None where it never did."""
    here = (AnnotationSetting.tenant_id == tenant_id, AnnotationSetting.app_id == app_id)
    return session.scalars(select(AnnotationSetting).where(*here)).one_or_none()


def to_target(setting: AnnotationSetting) -> Target:
    """Return where the questions of an app go as it is set now."""
    return Target(
        tenant_id=setting.tenant_id,
        app_id=setting.app_id,
        collection=setting.collection_id,
        embedding=ModelRef(setting.embedding_provider, setting.embedding_model),
    )


def request_indexing(
    runtime: Runtime,
    session: Session,
    tenant_id: str,
    app_id: str,
    annotation_ids: Collection[str] | None = None,
) -> None:
    """Have questions of an app indexed that are not (None: all of those), where it uses its annotations.

    Asked for whether it does or not: the job looks once the change is committed,
    so none is missed by a switch that is thrown at the same moment.
    """
    payload: JSONObject = {"app_id": app_id}
    if annotation_ids is not None:
        payload["annotation_ids"] = list(annotation_ids)
    enqueue_on_commit(
        runtime, session, Job.INDEX_ANNOTATIONS, payload, tenant_id=tenant_id, queue=Queue.INDEXING
    )


def index_annotations(runtime: Runtime, lease: Lease) -> None:
    """Index the questions a job names, as the app is set by now."""
    named = lease.payload.get("annotation_ids")
    ids = [str(each) for each in named] if isinstance(named, list) else None
    with runtime.reading() as session:
        setting = load_setting(session, lease.tenant_id, str(lease.payload["app_id"]))
    if setting is not None and setting.is_enabled:
        fill(runtime, lease, to_target(setting), ids)


def fill(
    runtime: Runtime,
    lease: Lease,
    target: Target,
    annotation_ids: Sequence[str] | None = None,
    *,
    check: Check | None = None,
) -> None:
    """Put those questions into a collection that are not in it, in batches; repeated, it does the rest.

    ``check`` is asked before each batch, and in the transaction that writes it.
    Raises what it raises, and what the embedding model and the store raise.
    """
    models = index_jobs.make_models(Tally(runtime=runtime, tenant_id=target.tenant_id, app_id=target.app_id))
    after: Asked | None = None
    # Once through all: a job for another collection may be taking away what this one marks.
    while asked := _load_pending(runtime, target, annotation_ids, after, check):
        lease.check()
        after = asked[-1]
        # As questions, not as passages: an annotation is found by a question like its own.
        texts = [each.question for each in asked]
        kind = EmbedKind.QUERY
        vectors = models.embed(target.tenant_id, target.embedding, texts, kind, lease.cancel).vectors
        entries = [each.to_entry(vector) for each, vector in zip(asked, vectors, strict=True)]
        _write(runtime, lease, target, entries, check)


def _load_pending(
    runtime: Runtime,
    target: Target,
    annotation_ids: Sequence[str] | None,
    after: Asked | None,
    check: Check | None,
) -> list[Asked]:
    query = (
        select(Annotation.id, Annotation.entry_id, Annotation.question, Annotation.created_at)
        .where(
            Annotation.tenant_id == target.tenant_id,
            Annotation.app_id == target.app_id,
            Annotation.indexed_in.is_distinct_from(target.collection),
        )
        .order_by(Annotation.created_at, Annotation.id)
        .limit(BATCH)
    )
    if annotation_ids is not None:
        query = query.where(Annotation.id.in_(annotation_ids))
    if after is not None:
        place = tuple_(Annotation.created_at, Annotation.id)
        query = query.where(place > position_of(after.created_at, after.annotation_id))
    with runtime.reading() as session:
        if check is not None:
            check(session)
        rows = session.execute(query).all()
    return [
        Asked(annotation_id=row.id, entry_id=row.entry_id, question=row.question, created_at=row.created_at)
        for row in rows
    ]


def _write(
    runtime: Runtime, lease: Lease, target: Target, entries: Sequence[VectorEntry], check: Check | None
) -> None:
    """Store entries and say so at their rows; what was changed or deleted meanwhile gets none."""
    if not runtime.vectors.joins_unit:
        runtime.vectors.upsert(target.collection, entries)
    with runtime.transaction() as session:
        check_lease(session, lease)
        if check is not None:
            check(session)
        same = _mark(session, target, [entry.id for entry in entries])
        kept = [entry for entry in entries if entry.id in same]
        if kept and runtime.vectors.joins_unit:
            runtime.vectors.upsert(target.collection, kept, unit=session)
    gone = {entry.id for entry in entries} - same
    if gone and not runtime.vectors.joins_unit:
        runtime.vectors.delete(target.collection, ids=gone)


def _mark(session: Session, target: Target, entry_ids: Sequence[str]) -> set[str]:
    """Hold the rows that still name these entries, and mark them as indexed; return their entries."""
    return set(
        session.scalars(
            update(Annotation)
            .where(
                Annotation.tenant_id == target.tenant_id,
                Annotation.app_id == target.app_id,
                Annotation.entry_id.in_(entry_ids),
            )
            .values(indexed_in=target.collection, updated_at=Annotation.updated_at)
            .returning(Annotation.entry_id)
            .execution_options(synchronize_session=False)
        )
    )


def remove_entries(
    runtime: Runtime, session: Session, tenant_id: str, app_id: str, entries: Sequence[tuple[str, str | None]]
) -> None:
    """Remove entries (id, and the collection it was last put in) whose rows are gone or ask another thing.

    With the caller's transaction, or by a job where the store takes no part in it.
    """
    setting = load_setting(session, tenant_id, app_id)
    now = setting.collection_id if setting is not None else None
    places: dict[str, list[str]] = {}
    for entry_id, last in entries:
        for collection in {now, last} - {None}:
            places.setdefault(str(collection), []).append(entry_id)
    for collection, ids in places.items():
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            if runtime.vectors.joins_unit:
                runtime.vectors.delete(collection, ids=some, unit=session)
                continue
            payload: JSONObject = {"collection": collection, "ids": [*some]}
            enqueue_on_commit(
                runtime, session, Job.FORGET_ENTRIES, payload, tenant_id=tenant_id, queue=Queue.INDEXING
            )
