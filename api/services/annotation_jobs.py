"""Jobs on an app's annotations that callers watch: replies switched on and off, tables imported.

Here they are asked for and told of; annotation_work.py does them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.model_runtime.types import ModelRef, ModelType
from api.core.ports import JSONObject, Queue
from api.core.rag import charsets
from api.core.rag.qa import Pair, parse_qa_csv
from api.errors import InvalidRequest, NotFound, TooLarge, Unsupported
from api.models.annotation import AnnotationJob, AnnotationSetting
from api.models.app import App
from api.models.base import new_id, utc_now
from api.models.types import insert_for
from api.principal import Principal
from api.runtime import Runtime
from api.services import providers
from api.services.access import access_app, is_id
from api.services.annotation_index import load_setting
from api.services.jobs import Job, enqueue_on_commit
from api.services.uploads import IncomingFile

MAX_TABLE_BYTES = 2 * 1024 * 1024
MAX_TABLE_ROWS = 10_000
PARSE_TOTAL_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How an app is to answer by its annotations: ``score_threshold`` 0..1, and the embedding model."""

    score_threshold: float
    embedding: ModelRef


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its row tells."""

    row: AnnotationJob


@dataclass(frozen=True, slots=True)
class SettingView:
    """How an app answers by its annotations, as its row tells."""

    row: AnnotationSetting


def start_switch(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, action: str, wanted: Wanted
) -> JobView:
    """Have an app answer by its annotations (``enable``), or no longer (``disable``), which holds at once.

    Raises AppNotFound, InvalidRequest for another action or a model that cannot be used.
    """
    check_action(action)
    app = access_app(session, principal, app_id)
    if action == "enable":
        names = ("embedding_provider_name", "embedding_model_name")
        kind = ModelType.TEXT_EMBEDDING
        providers.check_usable(runtime, session, app.tenant_id, wanted.embedding, kind, names=names)
    job = _new_job(session, principal, app, action, target=_to_json(wanted))
    _order(session, job, wanted)
    if action == "disable":
        setting = load_setting(session, app.tenant_id, app.id)
        if setting is not None and setting.is_enabled:
            setting.is_enabled = False
            job.stale_id, setting.collection_id = setting.collection_id, new_id()
    session.flush()
    _enqueue(runtime, session, Job.SWITCH_ANNOTATIONS, job)
    return JobView(job)


def get_switch(session: Session, principal: Principal, app_id: str, action: str, job_id: str) -> JobView:
    """Return how far a switch is; raises AppNotFound, InvalidRequest where there is none."""
    check_action(action)
    return _get_job(session, principal, app_id, action, job_id)


def import_table(
    runtime: Runtime, principal: Principal, app_id: str, read_file: Callable[[], IncomingFile]
) -> JobView:
    """Have the questions and answers of a CSV file added to an app's annotations.

    The file is asked for once the app is known. Raises AppNotFound, Unsupported for
    a file that is no CSV, TooLarge above 2 MB, InvalidRequest above 10,000 rows and
    for what cannot be read.
    """
    with runtime.reading() as session:
        access_app(session, principal, app_id)
    pairs = _read_table(runtime, read_file())
    with runtime.transaction() as session:
        app = access_app(session, principal, app_id)
        job = _new_job(session, principal, app, "import", pairs=[list(pair) for pair in pairs])
        _enqueue(runtime, session, Job.IMPORT_ANNOTATIONS, job)
    return JobView(job)


def get_import(session: Session, principal: Principal, app_id: str, job_id: str) -> JobView:
    """Return how far an import is; raises AppNotFound, InvalidRequest where there is none."""
    return _get_job(session, principal, app_id, "import", job_id)


def get_setting(session: Session, principal: Principal, app_id: str) -> SettingView | None:
    """Return how an app answers by its annotations, None where it does not; raises AppNotFound."""
    app = access_app(session, principal, app_id)
    setting = load_setting(session, app.tenant_id, app.id)
    return SettingView(setting) if setting is not None and setting.is_enabled else None


def update_threshold(
    session: Session, principal: Principal, app_id: str, setting_id: str, score_threshold: float
) -> SettingView:
    """Set how near a question must be, 0..1; raises AppNotFound, NotFound where replies are off."""
    view = get_setting(session, principal, app_id)
    if view is None or view.row.id != setting_id.lower():
        raise NotFound("Annotation setting not found.")
    view.row.score_threshold = score_threshold
    session.flush()
    return view


def check_action(action: str) -> None:
    """Raise InvalidRequest for what is neither ``enable`` nor ``disable``."""
    if action not in ("enable", "disable"):
        raise InvalidRequest(
            "Parameter 'action' must be one of: enable, disable", field="action", fault="invalid_choice"
        )


def _new_job(
    session: Session,
    principal: Principal,
    app: App,
    kind: str,
    *,
    target: JSONObject | None = None,
    pairs: list[list[str]] | None = None,
) -> AnnotationJob:
    job = AnnotationJob(
        tenant_id=app.tenant_id,
        app_id=app.id,
        kind=kind,
        target=target,
        pairs=pairs,
        created_by=principal.id,
    )
    session.add(job)
    session.flush()
    return job


def _order(session: Session, job: AnnotationJob, wanted: Wanted) -> None:
    """Make a switch the one that counts, writing the app's first setting where it has none."""
    now = utc_now()
    first = {
        "id": new_id(),
        "created_at": now,
        "updated_at": now,
        "tenant_id": job.tenant_id,
        "app_id": job.app_id,
        "is_enabled": False,
        "score_threshold": wanted.score_threshold,
        "embedding_provider": wanted.embedding.provider,
        "embedding_model": wanted.embedding.model,
        "collection_id": new_id(),
        "job_id": job.id,
    }
    change = {"job_id": job.id, "updated_at": now}
    made = insert_for(session)(AnnotationSetting).values(**first)
    session.execute(made.on_conflict_do_update(index_elements=["app_id"], set_=change))
    session.expire_all()


def _enqueue(runtime: Runtime, session: Session, name: Job, job: AnnotationJob) -> None:
    payload = {"annotation_job_id": job.id}
    enqueue_on_commit(runtime, session, name, payload, tenant_id=job.tenant_id, queue=Queue.INDEXING)


def _get_job(session: Session, principal: Principal, app_id: str, kind: str, job_id: str) -> JobView:
    app = access_app(session, principal, app_id)
    job = None
    if is_id(job_id):
        query = select(AnnotationJob).where(
            AnnotationJob.tenant_id == app.tenant_id,
            AnnotationJob.app_id == app.id,
            AnnotationJob.kind == kind,
            AnnotationJob.id == job_id.lower(),
        )
        job = session.scalars(query).one_or_none()
    if job is None:
        raise InvalidRequest("The job does not exist.", field="job_id")
    return JobView(job)


def _to_json(wanted: Wanted) -> JSONObject:
    ref = wanted.embedding
    return {"score_threshold": wanted.score_threshold, "provider": ref.provider, "model": ref.model}


def _read_table(runtime: Runtime, sent: IncomingFile) -> Sequence[Pair]:
    if not sent.name.lower().endswith(".csv"):
        raise Unsupported("Annotations are imported from CSV files only.")
    if sent.size_bytes > MAX_TABLE_BYTES:
        raise TooLarge(f"The table is larger than {MAX_TABLE_BYTES // 1024 // 1024} MB.")
    data = sent.content.read()
    pairs = runtime.offload.call(_parse, data, timeout_s=PARSE_TOTAL_S)
    if len(pairs) > MAX_TABLE_ROWS:
        raise InvalidRequest(
            f"The table has more than {MAX_TABLE_ROWS} rows.", field="file", fault="out_of_range"
        )
    return pairs


def _parse(data: bytes) -> Sequence[Pair]:
    return parse_qa_csv(charsets.decode(data))
