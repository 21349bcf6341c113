"""Conversations, their messages, and what people thought of them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, Numeric, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantScoped, utc_now
from api.models.types import Id, Json, UTCDateTime

LOGGED = text("deleted_at IS NULL AND invoke_from <> 'debugger'")
"""Which conversations the log of an app shows; a database knows its index only by these words."""


class Conversation(TenantScoped, Base):
    """A thread of messages of one end user (or account) with one app.

    ``deleted_at`` hides it at once; the purge job removes its rows. ``is_pinned``
    says that its guest keeps it above the others, ``read_at`` when the app's team
    looked at it last.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_user_updated", "app_id", "from_end_user_id", "updated_at", "id"),
        Index("ix_conversations_user_created", "app_id", "from_end_user_id", "created_at", "id"),
        Index("ix_conversations_deleted_at", "deleted_at"),
        Index(
            "ix_conversations_log_updated",
            *("app_id", "updated_at", "id", "created_at"),
            sqlite_where=LOGGED,
            postgresql_where=LOGGED,
        ),
        Index(
            "ix_conversations_log_created",
            *("app_id", "created_at", "id"),
            sqlite_where=LOGGED,
            postgresql_where=LOGGED,
        ),
    )

    app_id: Mapped[str] = mapped_column(Id)
    mode: Mapped[str]
    name: Mapped[str]
    inputs: Mapped[dict[str, Any]] = mapped_column(Json)
    introduction: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(default="normal")
    invoke_from: Mapped[str]
    from_end_user_id: Mapped[str | None] = mapped_column(Id)
    from_account_id: Mapped[str | None] = mapped_column(Id)
    is_pinned: Mapped[bool] = mapped_column(server_default=false())
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class Message(TenantScoped, Base):
    """One turn: what was asked and what was answered.

    ``status`` is ``running`` until the run ends, then ``normal``, ``stopped`` or
    ``error``; ``paused`` while the run waits for a person. ``owner`` names the
    process that runs it, so that the runs of a dead process can be ended.
    ``outcome`` is the run's terminal event as JSON (core/events.py): usage,
    prices, citations. ``latency_s`` is the whole run.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_conversation", "conversation_id", "created_at", "id"),
        Index("ix_messages_app_created", "app_id", "created_at", "id"),
        Index("ix_messages_status_owner", "status", "owner"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    conversation_id: Mapped[str] = mapped_column(Id)
    task_id: Mapped[str] = mapped_column(Id)
    mode: Mapped[str]
    parent_message_id: Mapped[str | None] = mapped_column(Id)
    workflow_run_id: Mapped[str | None] = mapped_column(Id)
    invoke_from: Mapped[str]
    from_end_user_id: Mapped[str | None] = mapped_column(Id)
    from_account_id: Mapped[str | None] = mapped_column(Id)
    inputs: Mapped[dict[str, Any]] = mapped_column(Json)
    query: Mapped[str] = mapped_column(Text)
    files: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    answer: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(default="running")
    error: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Id)
    model_provider: Mapped[str | None]
    model_name: Mapped[str | None]
    message_tokens: Mapped[int] = mapped_column(default=0)
    answer_tokens: Mapped[int] = mapped_column(default=0)
    total_price: Mapped[Decimal] = mapped_column(Numeric(18, 10), default=Decimal(0))
    currency: Mapped[str] = mapped_column(default="USD")
    latency_s: Mapped[float] = mapped_column(default=0.0)
    outcome: Mapped[dict[str, Any] | None] = mapped_column(Json)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class MessageFeedback(TenantScoped, Base):
    """One person's judgement of a message: one row each for the end user and for the console."""

    __tablename__ = "message_feedbacks"
    __table_args__ = (
        UniqueConstraint("message_id", "from_source"),
        Index("ix_message_feedbacks_app_created", "app_id", "created_at", "id"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    conversation_id: Mapped[str] = mapped_column(Id, index=True)
    message_id: Mapped[str] = mapped_column(Id)
    rating: Mapped[str]
    content: Mapped[str | None] = mapped_column(Text)
    from_source: Mapped[str]
    from_end_user_id: Mapped[str | None] = mapped_column(Id)
    from_account_id: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class AgentThought(TenantScoped, Base):
    """One round of an agent's answer, by its ``position`` from 1; written when the run ends.

    ``files`` are values of files its tools made, ``calls`` what each was given
    and gave, for the app's team.
    """

    __tablename__ = "agent_thoughts"
    __table_args__ = (
        Index("ix_agent_thoughts_message", "message_id", "position"),
        Index("ix_agent_thoughts_app", "tenant_id", "app_id"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    conversation_id: Mapped[str] = mapped_column(Id)
    message_id: Mapped[str] = mapped_column(Id)
    position: Mapped[int]
    thought: Mapped[str] = mapped_column(Text)
    observation: Mapped[str] = mapped_column(Text)
    tool: Mapped[str] = mapped_column(Text)
    tool_labels: Mapped[dict[str, Any]] = mapped_column(Json)
    tool_input: Mapped[str] = mapped_column(Text)
    files: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    calls: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    tokens: Mapped[int]


class SavedMessage(TenantScoped, Base):
    """An answer of a completion app that is kept by whoever asked for it, and by nobody else."""

    __tablename__ = "saved_messages"
    __table_args__ = (
        UniqueConstraint("message_id"),
        Index("ix_saved_messages_app_created", "app_id", "created_at", "id"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    message_id: Mapped[str] = mapped_column(Id)
    from_end_user_id: Mapped[str | None] = mapped_column(Id)
    from_account_id: Mapped[str | None] = mapped_column(Id)
