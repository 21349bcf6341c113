"""Does the jobs of annotation_jobs.py: each goes on where its last attempt stopped.

An app answers by its present collection until another one is complete, and is
switched over in one transaction. Only the last switch that was asked for may do
that: an earlier one that comes to its end late changes nothing.
"""

from collections.abc import Callable
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.model_runtime.types import ModelRef
from api.errors import AppError, Conflict
from api.models.annotation import Annotation, AnnotationJob, AnnotationSetting
from api.models.base import new_id
from api.runtime import Runtime, on_commit
from api.services import annotation_index, remembered
from api.services.annotation_index import Target
from api.services.index_jobs import MAY_PASS
from api.services.jobs import Lease, check_lease

ROWS_PER_BATCH = 500
OVER = ("completed", "error")

Work = Callable[[Runtime, Lease], None]


class _Ended(Exception):
    """The job is over, or its app is: nothing is left to do."""


def run_switch(runtime: Runtime, lease: Lease) -> None:
    """Do what a switch asks for; a fault no waiting mends is told at the job."""
    _run(runtime, lease, _switch)


def run_import(runtime: Runtime, lease: Lease) -> None:
    """Add the pairs that are left of an import; repeated, it adds none twice."""
    _run(runtime, lease, _import)


def give_up(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Tell at the job that it failed for good."""
    message = error.message if isinstance(error, AppError) else "The job was interrupted again and again."
    _end(runtime, lease, "error", message)


def _run(runtime: Runtime, lease: Lease, work: Work) -> None:
    try:
        work(runtime, lease)
    except _Ended:
        return
    except MAY_PASS:
        lease.check()
        raise
    except AppError as error:
        lease.check()
        _end(runtime, lease, "error", error.message)
    else:
        _end(runtime, lease, "completed", None)


def _switch(runtime: Runtime, lease: Lease) -> None:
    """Fill the collection a switch wants and switch over to it; one that switches off is done already."""
    target = _begin(runtime, lease)
    while target is not None:
        annotation_index.fill(runtime, lease, target, check=partial(_check_wanted, lease))
        lease.check()
        if _switch_over(runtime, lease, target):
            return


def _check_wanted(lease: Lease, session: Session) -> None:
    """Raise _Ended or Conflict once a switch is over, or is not the last any more."""
    _check_last(*_hold(session, lease))


def _begin(runtime: Runtime, lease: Lease) -> Target | None:
    """Return what is to be filled: the present collection where only the threshold changes."""
    with runtime.transaction() as session:
        check_lease(session, lease)
        job, setting = _hold(session, lease)
        job.status = "processing"
        if job.kind == "disable":
            return None
        _check_last(job, setting)
        wanted = job.target or {}
        embedding = ModelRef(str(wanted["provider"]), str(wanted["model"]))
        if setting.is_enabled and _embedding_of(setting) == embedding:
            job.collection_id = setting.collection_id
        job.collection_id = job.collection_id or new_id()
        return Target(
            tenant_id=job.tenant_id, app_id=job.app_id, collection=job.collection_id, embedding=embedding
        )


def _switch_over(runtime: Runtime, lease: Lease, target: Target) -> bool:
    """Have the app answer by the collection; False where a question came that is not in it yet."""
    with runtime.transaction() as session:
        check_lease(session, lease)
        job, setting = _hold(session, lease)
        _check_last(job, setting)
        behind = select(Annotation.id).where(
            Annotation.tenant_id == target.tenant_id,
            Annotation.app_id == target.app_id,
            Annotation.indexed_in.is_distinct_from(target.collection),
        )
        if session.scalar(behind.limit(1)) is not None:
            return False
        if setting.collection_id != target.collection:
            job.stale_id, setting.collection_id = setting.collection_id, target.collection
        setting.is_enabled = True
        setting.score_threshold = float((job.target or {})["score_threshold"])
        setting.embedding_provider = target.embedding.provider
        setting.embedding_model = target.embedding.model
        session.flush()
        # What is committed between the look above and this commit was asked for under the old setting.
        annotation_index.request_indexing(runtime, session, target.tenant_id, target.app_id)
        on_commit(session, lambda: remembered.forget(runtime))
    return True


def _import(runtime: Runtime, lease: Lease) -> None:
    while True:
        lease.check()
        with runtime.transaction() as session:
            check_lease(session, lease)
            job, _ = _load(session, lease)
            job.status = "processing"
            pairs = job.pairs or []
            some = [
                Annotation(
                    id=new_id(),
                    tenant_id=job.tenant_id,
                    app_id=job.app_id,
                    question=question,
                    answer=answer,
                    account_id=job.created_by,
                )
                for question, answer in pairs[:ROWS_PER_BATCH]
            ]
            if not some:
                return
            session.add_all(some)
            job.pairs = pairs[ROWS_PER_BATCH:] or None
            session.flush()
            ids = [row.id for row in some]
            annotation_index.request_indexing(runtime, session, job.tenant_id, job.app_id, ids)


def _load(session: Session, lease: Lease) -> tuple[AnnotationJob, AnnotationSetting | None]:
    """Return the job and its app's setting, held until the transaction ends; raises _Ended."""
    job = session.scalars(
        select(AnnotationJob).where(
            AnnotationJob.tenant_id == lease.tenant_id,
            AnnotationJob.id == str(lease.payload["annotation_job_id"]),
        )
    ).one_or_none()
    if job is None or job.status in OVER:
        raise _Ended
    setting = session.scalars(
        select(AnnotationSetting)
        .where(AnnotationSetting.tenant_id == lease.tenant_id, AnnotationSetting.app_id == job.app_id)
        .with_for_update()
    ).one_or_none()
    return job, setting


def _hold(session: Session, lease: Lease) -> tuple[AnnotationJob, AnnotationSetting]:
    job, setting = _load(session, lease)
    if setting is None:
        raise _Ended
    return job, setting


def _check_last(job: AnnotationJob, setting: AnnotationSetting) -> None:
    """Raise Conflict where another switch was asked for meanwhile."""
    if setting.job_id != job.id:
        raise Conflict("Another request to switch annotation replies came after this one.")


def _embedding_of(setting: AnnotationSetting) -> ModelRef:
    return ModelRef(setting.embedding_provider, setting.embedding_model)


def _end(runtime: Runtime, lease: Lease, status: str, error: str | None) -> None:
    """Drop the collections the job made or left that no setting uses, then write how it ended."""
    try:
        with runtime.reading() as session:
            job, setting = _load(session, lease)
            used = {None, setting.collection_id if setting is not None else None}
            unused = {job.collection_id, job.stale_id} - used
        for collection in unused:
            if collection is not None:
                runtime.vectors.drop(collection)
        with runtime.transaction() as session:
            check_lease(session, lease)
            job, _ = _load(session, lease)
            job.status, job.error = status, error
    except _Ended:
        return
