"""Apps, their configurations, their public pages and their keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, TenantOwned, TenantScoped, utc_now
from api.models.types import Id, Json, UTCDateTime


class App(TenantOwned, Base):
    """An app of a workspace.

    ``unique_name`` repeats the name while names must be unique and is null
    while they need not be, so that one constraint serves both settings.
    ``workflow_id`` is the published version its API runs. ``is_pinned`` says
    that its workspace keeps it above the others it uses.
    """

    __tablename__ = "apps"
    __table_args__ = (
        UniqueConstraint("tenant_id", "unique_name"),
        Index("ix_apps_tenant_id_created_at", "tenant_id", "created_at", "id"),
    )

    name: Mapped[str]
    unique_name: Mapped[str | None]
    mode: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    icon_type: Mapped[str | None]
    icon: Mapped[str | None]
    icon_background: Mapped[str | None]
    enable_site: Mapped[bool] = mapped_column(default=True)
    enable_api: Mapped[bool] = mapped_column(default=True)
    api_rpm: Mapped[int] = mapped_column(default=0)
    api_rph: Mapped[int] = mapped_column(default=0)
    is_demo: Mapped[bool] = mapped_column(default=False)
    max_active_requests: Mapped[int | None]
    use_icon_as_answer_icon: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(default="normal")
    is_pinned: Mapped[bool] = mapped_column(server_default=false())
    app_model_config_id: Mapped[str | None] = mapped_column(Id)
    workflow_id: Mapped[str | None] = mapped_column(Id)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class AppModelConfig(TenantOwned, Base):
    """One saved configuration of a chat, completion or agent app; the app points at the one in use.

    ``config`` holds every key of the console's ModelConfig except the four
    columns beside it (who and when).
    """

    __tablename__ = "app_model_configs"

    app_id: Mapped[str] = mapped_column(Id, ForeignKey("apps.id", ondelete="CASCADE"), index=True)
    config: Mapped[dict[str, Any]] = mapped_column(Json)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class Site(TenantOwned, Base):
    """How an app presents itself to end users; ``code`` is its public address."""

    __tablename__ = "sites"

    app_id: Mapped[str] = mapped_column(Id, ForeignKey("apps.id", ondelete="CASCADE"), unique=True)
    code: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    icon_type: Mapped[str | None]
    icon: Mapped[str | None]
    icon_background: Mapped[str | None]
    description: Mapped[str | None]
    default_language: Mapped[str] = mapped_column(default="en-US")
    chat_color_theme: Mapped[str | None]
    chat_color_theme_inverted: Mapped[bool] = mapped_column(default=False)
    customize_domain: Mapped[str | None]
    copyright: Mapped[str | None]
    privacy_policy: Mapped[str | None]
    custom_disclaimer: Mapped[str] = mapped_column(default="")
    input_placeholder: Mapped[str | None]
    customize_token_strategy: Mapped[str] = mapped_column(default="not_allow")
    prompt_public: Mapped[bool] = mapped_column(default=False)
    show_workflow_steps: Mapped[bool] = mapped_column(default=True)
    use_icon_as_answer_icon: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str | None] = mapped_column(Id)
    updated_by: Mapped[str | None] = mapped_column(Id)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class APIToken(TenantOwned, Base):
    """A key of the public API: kept as SHA-256 with what is needed to show its masked form.

    ``app_id`` is null for a workspace key. ``kind`` is ``app`` or ``dataset``.
    """

    __tablename__ = "api_tokens"

    app_id: Mapped[str | None] = mapped_column(Id, ForeignKey("apps.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str]
    name: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    masked: Mapped[str]
    permissions: Mapped[list[str]] = mapped_column(Json)
    created_by: Mapped[str | None] = mapped_column(Id)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class EndUser(TenantScoped, Base):
    """Someone who uses an app through its API. Its id follows from app, type and session (end_users.py)."""

    __tablename__ = "end_users"
    __table_args__ = (UniqueConstraint("app_id", "type", "session_id"),)

    app_id: Mapped[str] = mapped_column(Id)
    type: Mapped[str]
    session_id: Mapped[str]
    external_user_id: Mapped[str | None]
    name: Mapped[str | None]
    is_anonymous: Mapped[bool]
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)
