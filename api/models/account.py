"""People, workspaces, who belongs where, and the sessions they hold."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.models.base import Base, Identified, TenantOwned, utc_now
from api.models.types import Id, Json, UTCDateTime


class Setup(Base):
    """The one row that says the installation has an owner; its key makes a second one impossible."""

    __tablename__ = "setups"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    setup_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now)


class Account(Identified, Base):
    """A person who signs in to the console. ``email`` is stored in lower case."""

    __tablename__ = "accounts"

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    avatar: Mapped[str | None]
    interface_language: Mapped[str] = mapped_column(default="en-US")
    interface_theme: Mapped[str] = mapped_column(default="light")
    timezone: Mapped[str] = mapped_column(default="America/New_York")
    status: Mapped[str] = mapped_column(default="active")
    last_login_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_login_ip: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class Tenant(Identified, Base):
    """A workspace.

    ``providers_version`` grows in the transaction of every change to the
    workspace's model providers, so that a process can tell whether the
    decrypted credentials it holds are still the stored ones. ``plugin_settings``
    say who may install plugins, and how they are upgraded; None: as at first.
    """

    __tablename__ = "tenants"

    name: Mapped[str]
    plan: Mapped[str]
    status: Mapped[str] = mapped_column(default="normal")
    trial_end_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    providers_version: Mapped[int] = mapped_column(default=0)
    plugin_settings: Mapped[dict[str, Any] | None] = mapped_column(Json)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utc_now, onupdate=utc_now)


class DataKey(TenantOwned, Base):
    """A workspace's key for its secrets, itself sealed under the root key. Old ones open old rows."""

    __tablename__ = "data_keys"

    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    is_active: Mapped[bool] = mapped_column(default=True)


class TenantMember(TenantOwned, Base):
    """An account's place in a workspace. ``is_current`` marks the one the console shows."""

    __tablename__ = "tenant_members"
    __table_args__ = (UniqueConstraint("tenant_id", "account_id"),)

    account_id: Mapped[str] = mapped_column(Id, ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    role: Mapped[str]
    is_current: Mapped[bool] = mapped_column(default=False)

    account: Mapped[Account] = relationship()
    tenant: Mapped[Tenant] = relationship()


class Invitation(TenantOwned, Base):
    """A place in a workspace that is offered to an e-mail address; it goes when it is taken.

    The token of its link follows from its id and is not stored
    (services/link_tokens.py). Another invitation of the same address replaces it.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "email"),
        Index("ix_invitations_expires_at", "expires_at"),
    )

    email: Mapped[str]
    role: Mapped[str]
    language: Mapped[str]
    invited_by: Mapped[str] = mapped_column(Id)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Confirmation(Identified, Base):
    """A code sent to an e-mail address, and what whoever reads it there may then do.

    ``account_id`` is null where nobody has the address, which is not told.
    ``tenant_id`` names the workspace it is about, where it is about one. The
    code and its tokens follow from the id (services/link_tokens.py).
    """

    __tablename__ = "confirmations"
    __table_args__ = (
        Index("ix_confirmations_email_hash", "email_hash", "created_at"),
        Index("ix_confirmations_address_hash", "address_hash", "created_at"),
        Index("ix_confirmations_expires_at", "expires_at"),
    )

    purpose: Mapped[str]
    email_hash: Mapped[str]
    address_hash: Mapped[str]
    account_id: Mapped[str | None] = mapped_column(Id, ForeignKey("accounts.id", ondelete="CASCADE"))
    tenant_id: Mapped[str | None] = mapped_column(Id, ForeignKey("tenants.id", ondelete="CASCADE"))
    failures: Mapped[int] = mapped_column(default=0)
    verified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class LoginSession(Identified, Base):
    """One sign-in. Access tokens carry its id; ending it ends them.

    Refresh tokens are kept as SHA-256 only. After a rotation the one before
    stays known: within the grace it repeats the same successor, later its use
    means theft and ends the session.
    """

    __tablename__ = "sessions"

    account_id: Mapped[str] = mapped_column(Id, ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    refresh_hash: Mapped[str] = mapped_column(unique=True)
    previous_hash: Mapped[str | None]
    rotated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ip: Mapped[str | None]

    account: Mapped[Account] = relationship()


class LoginFailure(Base):
    """Failed logins of one account name from one address; the names are hashed."""

    __tablename__ = "login_failures"
    __table_args__ = (Index("ix_login_failures_last_at", "last_at"),)

    key_hash: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)
