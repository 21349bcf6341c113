"""Workflows as they are drawn and published, their runs, and what each node of a run did."""

import zlib
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Dialect, ForeignKey, Index, LargeBinary, Numeric, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from api.models.base import Base, TenantOwned, TenantScoped, utc_now
from api.models.types import Id, UTCDateTime

DRAFT = "draft"
NO_TEST = text("triggered_from <> 'debugging'")
"""Which runs the log of an app shows; a database knows its index only by these words."""
PACK_FROM_BYTES = 1024
PACKED = b"z"
"""No JSON text begins with it."""


def pack(value: Any) -> bytes | None:
    """Return a JSON value as PackedJson keeps it."""
    if value is None:
        return None
    text = orjson.dumps(value)
    return text if len(text) < PACK_FROM_BYTES else PACKED + zlib.compress(text, 1)


class PackedJson(TypeDecorator[Any]):
    """A JSON value as bytes, compressed where that pays. None is SQL NULL; bytes are packed already."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Write the value, and compress what is longer than a kilobyte."""
        del dialect
        return value if isinstance(value, bytes) else pack(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """Read the value."""
        del dialect
        if value is None:
            return None
        return orjson.loads(zlib.decompress(value[1:]) if value[:1] == PACKED else value)


class Workflow(TenantOwned, Base):
    """A workflow of an app: its one draft, or a published version, which never changes.

    ``number`` counts the published versions from 1; 0 is the draft.
    ``environment_variables`` hold secrets sealed by the vault.
    """

    __tablename__ = "workflows"
    __table_args__ = (UniqueConstraint("app_id", "number"),)

    app_id: Mapped[str] = mapped_column(Id, ForeignKey("apps.id", ondelete="CASCADE"), index=True)
    type: Mapped[str]
    version: Mapped[str] = mapped_column(default=DRAFT)
    number: Mapped[int] = mapped_column(default=0)
    graph: Mapped[dict[str, Any]] = mapped_column(PackedJson)
    features: Mapped[dict[str, Any]] = mapped_column(PackedJson)
    environment_variables: Mapped[list[dict[str, Any]]] = mapped_column(PackedJson)
    conversation_variables: Mapped[list[dict[str, Any]]] = mapped_column(PackedJson)
    hash: Mapped[str]
    marked_name: Mapped[str] = mapped_column(default="")
    marked_comment: Mapped[str] = mapped_column(default="")
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class WorkflowSnapshot(TenantScoped, Base):
    """The graph of a draft as a run found it; drafts change, so their runs point here. Once per content.

    ``created_at`` is the last day it was used.
    """

    __tablename__ = "workflow_snapshots"
    __table_args__ = (UniqueConstraint("app_id", "hash"),)

    app_id: Mapped[str] = mapped_column(Id)
    hash: Mapped[str]
    graph: Mapped[dict[str, Any]] = mapped_column(PackedJson)


class WorkflowRun(TenantScoped, Base):
    """One run of a workflow.

    ``status`` is ``running`` until it ends, or ``paused`` while it waits for a
    person. ``owner`` names the process that runs it. ``resumes`` is the run
    whose finished nodes this one began with. ``outcome`` is its terminal event
    as JSON (core/events.py). ``graph_hash`` names the snapshot of a draft.
    ``searchable`` is the beginning of its inputs and outputs, as text. ``system``
    are its system variables. ``root`` is the trigger it began at, None for the
    start node. A run that was paused has ``told_chars`` of its text and
    ``told_events`` of its events behind it.
    """

    __tablename__ = "workflow_runs"
    __table_args__ = (
        Index("ix_workflow_runs_app_created", "app_id", "created_at", "id"),
        Index("ix_workflow_runs_status_owner", "status", "owner"),
        Index("ix_workflow_runs_created", "created_at"),
        Index(
            "ix_workflow_runs_log",
            *("app_id", "created_at", "id"),
            sqlite_where=NO_TEST,
            postgresql_where=NO_TEST,
        ),
        Index(
            "ix_workflow_runs_log_status",
            *("app_id", "status", "created_at", "id"),
            sqlite_where=NO_TEST,
            postgresql_where=NO_TEST,
        ),
        Index(
            "ix_workflow_runs_from_end_user_id",
            *("from_end_user_id", "created_at", "id"),
            sqlite_where=text("from_end_user_id IS NOT NULL"),
            postgresql_where=text("from_end_user_id IS NOT NULL"),
        ),
        Index(
            "ix_workflow_runs_from_account_id",
            *("from_account_id", "created_at", "id"),
            sqlite_where=text("from_account_id IS NOT NULL"),
            postgresql_where=text("from_account_id IS NOT NULL"),
        ),
    )

    app_id: Mapped[str] = mapped_column(Id)
    workflow_id: Mapped[str] = mapped_column(Id)
    task_id: Mapped[str] = mapped_column(Id)
    type: Mapped[str]
    version: Mapped[str]
    graph_hash: Mapped[str | None]
    triggered_from: Mapped[str]
    invoke_from: Mapped[str]
    inputs: Mapped[dict[str, Any]] = mapped_column(PackedJson)
    system: Mapped[dict[str, Any]] = mapped_column(PackedJson)
    outputs: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    status: Mapped[str] = mapped_column(default="running")
    error: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Id)
    elapsed_s: Mapped[float] = mapped_column(default=0.0)
    total_tokens: Mapped[int] = mapped_column(default=0)
    total_price: Mapped[Decimal] = mapped_column(Numeric(18, 10), default=Decimal(0))
    currency: Mapped[str] = mapped_column(default="USD")
    total_steps: Mapped[int] = mapped_column(default=0)
    exceptions_count: Mapped[int] = mapped_column(default=0)
    from_end_user_id: Mapped[str | None] = mapped_column(Id)
    from_account_id: Mapped[str | None] = mapped_column(Id)
    conversation_id: Mapped[str | None] = mapped_column(Id)
    message_id: Mapped[str | None] = mapped_column(Id)
    resumes: Mapped[str | None] = mapped_column(Id)
    root: Mapped[str | None]
    told_chars: Mapped[int] = mapped_column(default=0, server_default="0")
    told_events: Mapped[int] = mapped_column(default=0, server_default="0")
    searchable: Mapped[str] = mapped_column(Text, default="")
    outcome: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class NodeExecution(TenantScoped, Base):
    """What one node did in a run, or alone: then it has no run.

    ``edge`` is the branch it left by; with ``outputs`` it is all a run needs to
    go on after it. ``kept_at`` is the storage key of values too large for a row.
    """

    __tablename__ = "workflow_node_executions"
    __table_args__ = (
        Index("ix_workflow_node_executions_run", "workflow_run_id", "index"),
        Index("ix_workflow_node_executions_node", "app_id", "node_id", "created_at"),
        Index("ix_workflow_node_executions_created", "created_at"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    workflow_id: Mapped[str] = mapped_column(Id)
    workflow_run_id: Mapped[str | None] = mapped_column(Id)
    triggered_from: Mapped[str]
    index: Mapped[int]
    node_id: Mapped[str]
    node_type: Mapped[str]
    title: Mapped[str]
    predecessor_node_id: Mapped[str | None]
    iteration_id: Mapped[str | None]
    loop_id: Mapped[str | None]
    inputs: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    process_data: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    outputs: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    kept_at: Mapped[str | None]
    status: Mapped[str]
    error: Mapped[str | None] = mapped_column(Text)
    edge: Mapped[str]
    elapsed_s: Mapped[float]
    execution_metadata: Mapped[dict[str, Any]] = mapped_column(PackedJson)
    finished_order: Mapped[int]
    from_end_user_id: Mapped[str | None] = mapped_column(Id)
    from_account_id: Mapped[str | None] = mapped_column(Id)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class HumanInputForm(TenantScoped, Base):
    """A form a run waits for, one for each node that asks.

    Who has the ``token`` may answer. ``asked`` is its event as JSON. An answer,
    or the end of its time, sets ``closed_at`` with the ``edge`` and ``outputs``
    its node leaves with, and ``told`` with the event that says so;
    ``resumed_at`` is when its run went on with that.
    """

    __tablename__ = "human_input_forms"
    __table_args__ = (
        UniqueConstraint("workflow_run_id", "node_id"),
        UniqueConstraint("token"),
        Index("ix_human_input_forms_due", "closed_at", "expires_at"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    workflow_run_id: Mapped[str] = mapped_column(Id)
    node_id: Mapped[str]
    token: Mapped[str]
    asked: Mapped[dict[str, Any]] = mapped_column(PackedJson)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    answered_by: Mapped[str | None] = mapped_column(Id)
    edge: Mapped[str | None]
    outputs: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    told: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    resumed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class WorkflowTrigger(TenantOwned, Base):
    """A trigger node of an app's workflow, the same from version to version.

    ``data`` is the node's as it was published last, None before that.
    ``webhook_id`` is what its addresses end with; ``next_at`` is when a schedule
    fires next, None where it does not.
    """

    __tablename__ = "workflow_triggers"
    __table_args__ = (
        UniqueConstraint("app_id", "node_id"),
        UniqueConstraint("webhook_id"),
        Index("ix_workflow_triggers_next_at", "next_at"),
    )

    app_id: Mapped[str] = mapped_column(Id, ForeignKey("apps.id", ondelete="CASCADE"))
    node_id: Mapped[str]
    type: Mapped[str]
    title: Mapped[str]
    data: Mapped[dict[str, Any] | None] = mapped_column(PackedJson)
    is_enabled: Mapped[bool] = mapped_column(default=True)
    webhook_id: Mapped[str | None]
    next_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class ConversationVariable(TenantScoped, Base):
    """What a conversation's variable holds now; without a row it holds the workflow's default."""

    __tablename__ = "conversation_variables"
    __table_args__ = (UniqueConstraint("conversation_id", "name"),)

    app_id: Mapped[str] = mapped_column(Id)
    conversation_id: Mapped[str] = mapped_column(Id)
    name: Mapped[str]
    value_type: Mapped[str]
    description: Mapped[str] = mapped_column(Text, default="")
    value: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class DraftVariable(TenantScoped, Base):
    """A variable as the last debug run of an account left it, or as the account edited it."""

    __tablename__ = "workflow_draft_variables"
    __table_args__ = (UniqueConstraint("app_id", "account_id", "node_id", "name"),)

    app_id: Mapped[str] = mapped_column(Id)
    account_id: Mapped[str] = mapped_column(Id)
    node_id: Mapped[str]
    name: Mapped[str]
    value_type: Mapped[str]
    value: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    is_edited: Mapped[bool] = mapped_column(default=False)
    execution_id: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)
