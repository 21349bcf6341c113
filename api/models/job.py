"""Work to be done later, as rows; and requests that must not be done twice."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, Identified, TenantOwned, TenantScoped
from api.models.types import Id, Json, UTCDateTime


class JobRow(TenantScoped, Base):
    """A job, written in the transaction of the change it follows; the queue only wakes workers.

    A worker leases it by compare-and-set: ``attempt`` grows with every lease and
    so tells the holder from those before it, ``failures`` counts the attempts
    that raised or whose worker died. Done rows are removed.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_due", "failed_at", "run_at"),
        Index(
            "ix_jobs_turns",
            "queue",
            "tenant_id",
            "run_at",
            sqlite_where=text("failed_at IS NULL"),
            postgresql_where=text("failed_at IS NULL"),
        ),
        Index(
            "ix_jobs_running",
            "queue",
            "tenant_id",
            "leased_until",
            sqlite_where=text("leased_until IS NOT NULL"),
            postgresql_where=text("leased_until IS NOT NULL"),
        ),
    )

    name: Mapped[str]
    queue: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    run_at: Mapped[datetime] = mapped_column(UTCDateTime)
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    leased_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_error: Mapped[str | None] = mapped_column(Text)


class WorkerBeat(Identified, Base):
    """A process that runs things and when it was last alive; the runs of one that fell silent are ended."""

    __tablename__ = "worker_beats"

    beat_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class IdempotencyKey(TenantOwned, Base):
    """The first answer to a creating request that carried an ``Idempotency-Key``.

    ``scope`` is who asked and on which route, ``fingerprint`` the SHA-256 of what
    was asked. Written in the transaction of the thing created, so that either
    both are there or neither. ``sealed_body`` may hold a key that is shown only
    once, hence sealed. ``message_id`` names the message of a run instead.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        UniqueConstraint("tenant_id", "scope", "key"),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )

    scope: Mapped[str]
    key: Mapped[str]
    fingerprint: Mapped[str]
    response_status: Mapped[int | None]
    sealed_body: Mapped[bytes | None] = mapped_column(LargeBinary)
    message_id: Mapped[str | None] = mapped_column(Id)
