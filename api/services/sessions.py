"""Console sessions: one row per sign-in; who a token stands for is read from the database.

So a logout, a new role, a removal from a workspace or a ban counts at once in
the process that made it, and within a second on every other (remembered.py).
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, or_, select, update
from sqlalchemy.orm import Session

from api.errors import Unauthorized
from api.models.account import Account, LoginSession, Setup, Tenant, TenantMember
from api.models.base import new_id, utc_now
from api.principal import ActorKind, Principal, Role
from api.runtime import Runtime
from api.services import remembered, session_tokens, tenants
from api.services.session_tokens import Tokens

BARRED = ("banned", "closed")
"""Statuses of accounts that may not sign in."""

REFRESH_GRACE = timedelta(seconds=10)
"""How long a refresh token that was just used gives the same successor again, for parallel tabs."""


class NotSetUp(Unauthorized):
    """The installation has no owner yet."""

    code = "not_setup"


class RefreshRefused(Unauthorized):
    """The refresh token opens no session; the web console looks at ``result``."""

    extra = MappingProxyType({"result": "fail"})


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in console caller and the session it came by."""

    principal: Principal
    session_id: str
    account_id: str


# Built once, and run past the ORM: every console call runs it.
_IDENTIFY = (
    select(Account.status, Tenant.id.label("tenant_id"), TenantMember.role)
    .select_from(LoginSession)
    .join(Account, Account.id == LoginSession.account_id)
    .outerjoin(TenantMember, and_(TenantMember.account_id == Account.id, TenantMember.is_current))
    .outerjoin(Tenant, and_(Tenant.id == TenantMember.tenant_id, Tenant.status == tenants.NORMAL))
    .where(
        LoginSession.id == bindparam("session_id"),
        LoginSession.account_id == bindparam("account_id"),
        LoginSession.revoked_at.is_(None),
        LoginSession.expires_at > bindparam("now"),
    )
    .order_by(TenantMember.created_at)
    .limit(1)
)


def check_setup(session: Session) -> None:
    """Raise NotSetUp while the installation has no owner."""
    if session.get(Setup, 1) is None:
        raise NotSetUp("The installation has no owner yet; make one with POST /setup.")


def identify(runtime: Runtime, token: str) -> Identity:
    """Return who an access token stands for, in their current workspace.

    One statement, and none for who called within the last second (remembered.py).

    An account whose current workspace is gone or suspended moves on to the
    first open one it has joined. Raises Unauthorized for a token that is not
    ours or has expired, for a session that was ended, for a banned account and
    for one without a workspace.
    """
    digest = hashlib.sha256(token.encode()).digest()
    identity = remembered.recall(runtime, digest, lambda: _identify(runtime, token))
    assert identity is not None, "_identify raises instead"
    return identity


def _identify(runtime: Runtime, token: str) -> Identity:
    claims = session_tokens.read_access_token(runtime.vault, token)
    row = _find(runtime, claims)
    if row is None:
        raise Unauthorized("The session has ended; sign in again.")
    if row.status in BARRED:
        raise Unauthorized("Account is banned.")
    place = (row.tenant_id, row.role) if row.tenant_id else _move_on(runtime, claims.account_id)
    if place is None:
        raise Unauthorized("The account belongs to no workspace.")
    tenant_id, role = place
    principal = Principal(
        tenant_id=tenant_id, kind=ActorKind.ACCOUNT, id=claims.account_id, role=Role.from_wire(role)
    )
    return Identity(principal, claims.session_id, claims.account_id)


def _find(runtime: Runtime, claims: session_tokens.Claims) -> Row[str, str, str] | None:
    known = {"session_id": claims.session_id, "account_id": claims.account_id, "now": utc_now()}
    with runtime.reading() as session:
        return session.connection().execute(_IDENTIFY, known).one_or_none()


def _move_on(runtime: Runtime, account_id: str) -> tuple[str, str] | None:
    with runtime.transaction() as session:
        return tenants.enter_open_tenant(session, account_id)


def check_csrf(runtime: Runtime, token: str, account_id: str) -> None:
    """Raise Unauthorized unless the CSRF token is ours, unexpired and made for the account."""
    if session_tokens.read_csrf_token(runtime.vault, token) != account_id:
        raise Unauthorized("CSRF token is missing or invalid.")


def open_session(runtime: Runtime, session: Session, account_id: str, address: str | None) -> Tokens:
    """Start a session of an account and return its tokens; sessions that are over are cleared away."""
    now = utc_now()
    is_over = or_(LoginSession.expires_at < now, LoginSession.revoked_at.is_not(None))
    session.execute(delete(LoginSession).where(LoginSession.account_id == account_id, is_over))
    session_id = new_id()
    refresh_token = session_tokens.new_refresh_token(runtime.vault, session_id)
    session.add(
        LoginSession(
            id=session_id,
            account_id=account_id,
            refresh_hash=session_tokens.hash_refresh_token(refresh_token),
            expires_at=now + timedelta(seconds=runtime.limits.refresh_ttl_s),
            ip=address,
        )
    )
    session.flush()
    return _issue(runtime, account_id, session_id, refresh_token)


def refresh(runtime: Runtime, token: str | None) -> Tokens:
    """Exchange a refresh token for its successor and a new access token.

    For 10 s a used token gives the same successor again. Later its use means
    that somebody holds a copy: the session ends, for both holders. Raises
    Unauthorized then, and for a token that is missing, not ours or too old.
    """
    session_id = session_tokens.session_of_refresh_token(runtime.vault, token or "")
    if token is None or session_id is None:
        raise RefreshRefused("Invalid refresh token.")
    successor = session_tokens.next_refresh_token(runtime.vault, token)
    with runtime.transaction() as session:
        account_id = _rotate(runtime, session, session_id, token, successor) or _repeat(
            session, session_id, token
        )
        if account_id is None:
            _end(session, LoginSession.id == session_id)
    if account_id is None:
        raise RefreshRefused("Invalid refresh token.")
    return _issue(runtime, account_id, session_id, successor)


def logout(
    runtime: Runtime, *, access_token: str | None, refresh_token: str | None, is_everywhere: bool
) -> None:
    """End the sessions the tokens name, or all of their account; tokens that name none are no error.

    An expired access token still names its session.
    """
    named_ids = (
        session_tokens.session_of_access_token(runtime.vault, access_token or ""),
        session_tokens.session_of_refresh_token(runtime.vault, refresh_token or ""),
    )
    conditions = [_is_alive(session_id) for session_id in named_ids if session_id is not None]
    if not conditions:
        return
    with runtime.transaction() as session:
        named = or_(*conditions)
        if is_everywhere:
            named = LoginSession.account_id.in_(select(LoginSession.account_id).where(named))
        _end(session, named)


def end_other_sessions(session: Session, identity: Identity) -> None:
    """End every session of the caller's account but the one it came by."""
    _end(
        session, and_(LoginSession.account_id == identity.account_id, LoginSession.id != identity.session_id)
    )


def end_sessions(session: Session, account_id: str) -> None:
    """End every session of an account."""
    _end(session, LoginSession.account_id == account_id)


def _is_alive(session_id: str) -> ColumnElement[bool]:
    """Return the condition that picks a session, if it was neither ended nor has run out."""
    return and_(
        LoginSession.id == session_id,
        LoginSession.revoked_at.is_(None),
        LoginSession.expires_at > utc_now(),
    )


def _rotate(runtime: Runtime, session: Session, session_id: str, token: str, successor: str) -> str | None:
    """Put the successor in the place of the current token; None when ``token`` is not that one.

    Compare and set in one statement, and the first of its transaction: of
    parallel calls exactly one moves the session on.
    """
    now = utc_now()
    digest = session_tokens.hash_refresh_token(token)
    return session.scalar(
        update(LoginSession)
        .where(_is_alive(session_id), LoginSession.refresh_hash == digest, _is_welcome())
        .values(
            refresh_hash=session_tokens.hash_refresh_token(successor),
            previous_hash=digest,
            rotated_at=now,
            expires_at=now + timedelta(seconds=runtime.limits.refresh_ttl_s),
        )
        .returning(LoginSession.account_id)
        .execution_options(synchronize_session=False)
    )


def _repeat(session: Session, session_id: str, token: str) -> str | None:
    """Return the session's account when ``token`` was rotated away within the grace."""
    return session.scalar(
        select(LoginSession.account_id).where(
            _is_alive(session_id),
            LoginSession.previous_hash == session_tokens.hash_refresh_token(token),
            LoginSession.rotated_at > utc_now() - REFRESH_GRACE,
            _is_welcome(),
        )
    )


def _is_welcome() -> ColumnElement[bool]:
    """Return the condition that a session's account may sign in."""
    return LoginSession.account_id.in_(select(Account.id).where(Account.status.not_in(BARRED)))


def _end(session: Session, condition: ColumnElement[bool]) -> None:
    session.execute(
        update(LoginSession)
        .where(condition, LoginSession.revoked_at.is_(None))
        .values(revoked_at=utc_now())
        .execution_options(synchronize_session=False)
    )


def _issue(runtime: Runtime, account_id: str, session_id: str, refresh_token: str) -> Tokens:
    return session_tokens.issue_tokens(
        runtime.vault,
        account_id=account_id,
        session_id=session_id,
        refresh_token=refresh_token,
        ttl_s=runtime.limits.access_ttl_s,
    )
