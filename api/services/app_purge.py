"""Removes what deleted apps leave in the large tables, in bounded batches.

Every step may be cut off and repeated, also by two workers at once. A run that
was still going when its app was deleted may write rows after the purge;
``sweep_deleted_apps`` finds them.
"""

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.orm import Session

from api.models.annotation import Annotation, AnnotationHit, AnnotationJob, AnnotationSetting
from api.models.app import App, EndUser
from api.models.conversation import AgentThought, Conversation, Message, MessageFeedback, SavedMessage
from api.models.file import UploadFile
from api.models.log_index import LogBlock
from api.models.workflow import (
    ConversationVariable,
    DraftVariable,
    HumanInputForm,
    NodeExecution,
    WorkflowRun,
    WorkflowSnapshot,
)
from api.runtime import Runtime
from api.services import log_blocks, run_purge
from api.services.attached_documents import text_key
from api.services.jobs import Job, enqueue_on_commit

ROWS_PER_BATCH = 500
APPS_PER_SWEEP = 100

Purged = type[
    MessageFeedback
    | AgentThought
    | SavedMessage
    | Annotation
    | AnnotationHit
    | AnnotationJob
    | AnnotationSetting
    | Message
    | Conversation
    | EndUser
    | UploadFile
    | ConversationVariable
    | NodeExecution
    | HumanInputForm
    | WorkflowRun
    | WorkflowSnapshot
    | DraftVariable
]

TABLES: tuple[Purged, ...] = (
    MessageFeedback,
    AgentThought,
    SavedMessage,
    Annotation,
    AnnotationHit,
    AnnotationJob,
    AnnotationSetting,
    Message,
    ConversationVariable,
    HumanInputForm,
    WorkflowRun,
    WorkflowSnapshot,
    DraftVariable,
    Conversation,
    EndUser,
)


def purge_app(runtime: Runtime, tenant_id: str, app_id: str) -> None:
    """Remove the conversations, messages, annotations, runs, end users and files of a deleted app."""
    _drop_annotations(runtime, tenant_id, app_id)
    while purge_files(runtime, UploadFile.tenant_id == tenant_id, UploadFile.app_id == app_id):
        pass
    of_app = (NodeExecution.tenant_id == tenant_id, NodeExecution.app_id == app_id)
    while run_purge.purge_executions(runtime, *of_app):
        pass
    for table in TABLES:
        while _purge_rows(runtime, table, tenant_id, app_id):
            pass
    log_blocks.drop_app(runtime, tenant_id, app_id)


def sweep_deleted_apps(runtime: Runtime) -> int:
    """Order a purge for apps that are gone but have rows left; return how many were found."""
    with runtime.transaction() as session:
        found = {
            pair
            for table in (*TABLES, NodeExecution, UploadFile, LogBlock)
            for pair in _orphans(session, table)
        }
        for tenant_id, app_id in found:
            enqueue_on_commit(runtime, session, Job.PURGE_APP, {"app_id": app_id}, tenant_id=tenant_id)
    return len(found)


def _purge_rows(runtime: Runtime, table: Purged, tenant_id: str, app_id: str) -> bool:
    """Remove one batch; False when there was nothing left."""
    batch = select(table.id).where(table.tenant_id == tenant_id, table.app_id == app_id)
    with runtime.transaction() as session:
        ids = session.scalars(batch.limit(ROWS_PER_BATCH)).all()
        if ids:
            session.execute(delete(table).where(table.id.in_(ids)))
    return bool(ids)


def _drop_annotations(runtime: Runtime, tenant_id: str, app_id: str) -> None:
    """Drop the collections of the app's questions, before the rows that name them go."""
    columns = (AnnotationSetting.collection_id, AnnotationJob.collection_id, AnnotationJob.stale_id)
    with runtime.reading() as session:
        named = {
            name
            for column in columns
            for name in session.scalars(
                select(column).where(column.class_.tenant_id == tenant_id, column.class_.app_id == app_id)
            )
            if name is not None
        }
    for name in named:
        runtime.vectors.drop(name)


def purge_files(runtime: Runtime, *which: ColumnElement[bool]) -> bool:
    """Remove one batch of files: first the bytes, then the rows that know where they lie.

    Return whether there were any.
    """
    batch = select(UploadFile.id, UploadFile.storage_key).where(*which)
    with runtime.transaction() as session:
        found = session.execute(batch.limit(ROWS_PER_BATCH)).all()
    for file in found:
        runtime.storage.delete(file.storage_key)
        runtime.storage.delete(text_key(file.storage_key))
    if found:
        with runtime.transaction() as session:
            session.execute(delete(UploadFile).where(UploadFile.id.in_([file.id for file in found])))
    return bool(found)


def _orphans(session: Session, table: Purged | type[LogBlock]) -> list[tuple[str, str]]:
    """Return workspace and id of apps that are gone but have rows in a table."""
    is_gone = ~exists().where(App.id == table.app_id)
    query = select(table.tenant_id, table.app_id).where(table.app_id.is_not(None), is_gone).distinct()
    return [(row.tenant_id, row.app_id) for row in session.execute(query.limit(APPS_PER_SWEEP))]
