"""Answers people wrote for questions that come again, how apps use them, and when they were given."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.core.apps.spec import AnnotationChoice
from api.core.model_runtime.types import ModelRef
from api.models.base import Base, TenantScoped, new_id, utc_now
from api.models.types import Id, Json, UTCDateTime


class Annotation(TenantScoped, Base):
    """A question of an app with the answer it is to get; ``message_id`` where it was made of a message.

    ``entry_id`` names the question's entry in the store of vectors. Another
    question gets another, so that what a store still has of the old one stands
    for nothing. ``indexed_in`` is the collection the entry was last put in.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("message_id"),
        Index("ix_annotations_app_created", "app_id", "created_at", "id"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    message_id: Mapped[str | None] = mapped_column(Id)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    account_id: Mapped[str | None] = mapped_column(Id)
    hit_count: Mapped[int] = mapped_column(default=0)
    entry_id: Mapped[str] = mapped_column(Id, default=new_id)
    indexed_in: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class AnnotationSetting(TenantScoped, Base):
    """Whether an app answers by its annotations, how near a question must be, and who measures that.

    ``job_id`` is the last job that was asked to change it: only that one may.
    The row outlives its app until the app's purge, which drops the collection.
    """

    __tablename__ = "annotation_settings"
    __table_args__ = (UniqueConstraint("app_id"),)

    app_id: Mapped[str] = mapped_column(Id)
    is_enabled: Mapped[bool] = mapped_column(default=False)
    score_threshold: Mapped[float]
    embedding_provider: Mapped[str]
    embedding_model: Mapped[str]
    collection_id: Mapped[str] = mapped_column(Id, default=new_id)
    job_id: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)

    def to_spec(self) -> AnnotationChoice:
        """Return the setting as runs take it."""
        return AnnotationChoice(
            setting_id=self.id,
            collection_id=self.collection_id,
            score_threshold=self.score_threshold,
            embedding=ModelRef(self.embedding_provider, self.embedding_model),
        )


class AnnotationHit(TenantScoped, Base):
    """An annotation that was given as an answer: to which question, and what it said then."""

    __tablename__ = "annotation_hits"
    __table_args__ = (
        Index("ix_annotation_hits_annotation_created", "annotation_id", "created_at", "id"),
        Index("ix_annotation_hits_app_id", "app_id"),
    )

    app_id: Mapped[str] = mapped_column(Id)
    annotation_id: Mapped[str] = mapped_column(Id)
    message_id: Mapped[str] = mapped_column(Id)
    source: Mapped[str]
    question: Mapped[str] = mapped_column(Text)
    score: Mapped[float]
    match: Mapped[str] = mapped_column(Text)
    response: Mapped[str] = mapped_column(Text)
    from_end_user_id: Mapped[str | None] = mapped_column(Id)
    from_account_id: Mapped[str | None] = mapped_column(Id)


class AnnotationJob(TenantScoped, Base):
    """Work on an app's annotations that its caller watches: ``enable``, ``disable`` or ``import``.

    ``target`` is the setting that is wanted, ``pairs`` what is left to import.
    ``collection_id`` is the collection being filled, ``stale_id`` the one to be
    dropped. ``status`` is ``waiting``, ``processing``, ``completed`` or ``error``.
    """

    __tablename__ = "annotation_jobs"
    __table_args__ = (Index("ix_annotation_jobs_app_created", "app_id", "created_at"),)

    app_id: Mapped[str] = mapped_column(Id)
    kind: Mapped[str]
    status: Mapped[str] = mapped_column(default="waiting")
    error: Mapped[str | None] = mapped_column(Text)
    target: Mapped[dict[str, Any] | None] = mapped_column(Json)
    pairs: Mapped[list[list[str]] | None] = mapped_column(Json)
    collection_id: Mapped[str | None] = mapped_column(Id)
    stale_id: Mapped[str | None] = mapped_column(Id)
    created_by: Mapped[str | None] = mapped_column(Id)
