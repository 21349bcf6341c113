"""End users: who speaks through the public API, as the caller named them."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from api.models.app import EndUser
from api.models.base import utc_now
from api.models.types import insert_for
from api.principal import ActorKind, Principal
from api.runtime import Runtime, on_commit
from api.services.access import access_end_user

DEFAULT_USER = "DEFAULT-USER"
SERVICE_API = "service-api"
TRIGGER = "trigger"
BROWSER = "browser"
GUEST = "guest-"
"""How the sessions begin that we name ourselves, for guests who say no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUserItem:
    """An end user as the owner of a key sees it."""

    id: str
    tenant_id: str
    app_id: str
    type: str
    external_user_id: str | None
    name: str | None
    is_anonymous: bool
    session_id: str
    created_at: datetime
    updated_at: datetime


def get_end_user(session: Session, tenant_id: str, app_id: str, user_id: str) -> EndUserItem:
    """Return an end user of an app; raises EndUserNotFound."""
    row = access_end_user(session, tenant_id, app_id, user_id)
    return EndUserItem(**{name: getattr(row, name) for name in EndUserItem.__dataclass_fields__})


@lru_cache(maxsize=10_000)
def end_user_id(app_id: str, kind: str, session_id: str) -> str:
    """Return the id of an end user, which follows from app, type and session.

    So a caller's conversations and files are found without a look-up, and two
    requests that meet the same new user agree on its row.
    """
    return str(uuid.uuid5(uuid.UUID(app_id), f"{kind}\x00{session_id}"))


def to_principal(tenant_id: str, app_id: str, user: str | None) -> Principal:
    """Return the end user ``user`` of an app as a principal; None is the shared anonymous one."""
    name = user or DEFAULT_USER
    return Principal(
        tenant_id=tenant_id,
        kind=ActorKind.END_USER,
        id=end_user_id(app_id, SERVICE_API, name),
        app_id=app_id,
        user=name,
    )


def trigger_principal(tenant_id: str, app_id: str) -> Principal:
    """Return the end user of an app for which its triggers run it."""
    return Principal(
        tenant_id=tenant_id,
        kind=ActorKind.END_USER,
        id=end_user_id(app_id, TRIGGER, TRIGGER),
        app_id=app_id,
        user=TRIGGER,
    )


def browser_principal(tenant_id: str, app_id: str, session_id: str) -> Principal:
    """Return the end user of an app's page whose browser has a session, as a principal."""
    return Principal(
        tenant_id=tenant_id,
        kind=ActorKind.END_USER,
        id=end_user_id(app_id, BROWSER, session_id),
        app_id=app_id,
        user=session_id,
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """Key under which a process remembers that an end user's row exists."""

    end_user_id: str


def is_known(runtime: Runtime, principal: Principal) -> bool:
    """Tell whether this process knows that all the caller's rows are there."""
    return principal.kind is not ActorKind.END_USER or bool(runtime.memory.get(Seen(principal.id)))


def remember_end_user(runtime: Runtime, session: Session, principal: Principal) -> None:
    """Make the end user's row unless this process knows it is there; no statement when it does."""
    if is_known(runtime, principal):
        return
    now = utc_now()
    name = str(principal.user)
    session.execute(
        insert_for(session)(EndUser)
        .values(
            id=principal.id,
            tenant_id=principal.tenant_id,
            app_id=principal.app_id,
            type=_kind_of(principal),
            session_id=name,
            external_user_id=name,
            is_anonymous=name == DEFAULT_USER or name.startswith(GUEST),
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing()
    )
    on_commit(session, lambda: runtime.memory.put(Seen(principal.id), True))


def _kind_of(principal: Principal) -> str:
    """Return the type of an end user, which its id follows from."""
    app_id, name = str(principal.app_id), str(principal.user)
    return next(
        kind for kind in (SERVICE_API, BROWSER, TRIGGER) if end_user_id(app_id, kind, name) == principal.id
    )
