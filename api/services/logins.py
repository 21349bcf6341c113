"""Signing in with e-mail and password, and the lock that slows down guessing.

Known and unknown addresses are treated alike, step by step, so that neither the
answer nor its time tells them apart. Failures are counted per account name and
client address, in the database: a stranger elsewhere cannot lock an owner out,
and the lock holds while any other store is down.
"""

import base64
import hashlib
import math
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from api.errors import BadRequest, RateLimited, Unauthorized
from api.models.account import Account, LoginFailure
from api.models.base import utc_now
from api.runtime import Runtime
from api.services import invitations, passwords, sessions, tenants
from api.services.accounts import normal_email
from api.services.session_tokens import Tokens


class AuthenticationFailed(Unauthorized):
    """The e-mail or the password is wrong; which of them is not told."""

    code = "authentication_failed"


class LoginLocked(RateLimited):
    """Too many failed logins for this name from this address; ``retry_after_s`` says when it ends."""

    code = "email_code_login_limit"


class AccountBanned(BadRequest):
    """The password was right, but the account may not sign in."""

    code = "account_banned"


def login(
    runtime: Runtime, *, email: str, password: str, address: str, invite_token: str | None = None
) -> Tokens | None:
    """Open a session for an account; None when it belongs to no open workspace.

    ``password`` may be base64 of the real one. An ``invite_token`` of the
    account's own address is taken up by the way, any other is ignored. Raises NotSetUp, LoginLocked,
    AuthenticationFailed and AccountBanned.
    """
    email = normal_email(email)
    attempt = _attempt_key(email, address)
    with runtime.transaction() as session:
        sessions.check_setup(session)
        _check_lock(runtime, session, attempt)
        account = session.execute(
            select(Account.id, Account.password_hash).where(Account.email == email)
        ).one_or_none()
    stored = None if account is None else account.password_hash
    meant = passwords.match_password(runtime, stored, _readings(password))
    if account is None or stored is None or meant is None:
        with runtime.transaction() as session:
            _count_failure(runtime, session, attempt)
        raise AuthenticationFailed("Invalid email or password.")
    kept = passwords.hash_password(runtime, meant) if passwords.is_outdated(stored) else stored
    with runtime.transaction() as session:
        _check_lock(runtime, session, attempt)  # a right guess among many at once is not told either
        session.execute(delete(LoginFailure).where(LoginFailure.key_hash == attempt))
        is_unchanged = Account.password_hash == stored
        note_login(session, account.id, is_unchanged, address=address, password_hash=kept)
        if invite_token:
            invitations.accept(runtime, session, invite_token, account.id)
        if not tenants.has_open_tenant(session, account.id):
            return None
        return sessions.open_session(runtime, session, account.id, address)


def _readings(password: str) -> list[str]:
    """Return what a client may have meant: the text itself, or what it is the base64 of."""
    try:
        decoded = base64.b64decode(password, validate=True).decode()
    except ValueError:
        return [password]
    return [password, decoded]


def note_login(
    session: Session, account_id: str, *conditions: ColumnElement[bool], address: str, **changes: str
) -> None:
    """Note the login of an account with what else changes; an account that waits for it becomes active.

    Raises AuthenticationFailed where the account does not meet the conditions any more, AccountBanned.
    """
    status = session.scalar(
        update(Account)
        .where(Account.id == account_id, *conditions)
        .values(
            last_login_at=utc_now(),
            last_login_ip=address,
            status=case((Account.status == "pending", "active"), else_=Account.status),
            **changes,
        )
        .returning(Account.status)
        .execution_options(synchronize_session=False)
    )
    if status is None:
        raise AuthenticationFailed("Invalid email or password.")
    if status in sessions.BARRED:
        raise AccountBanned("Account is banned.")


# -- failures ------------------------------------------------------------------------------------


def _attempt_key(email: str, address: str) -> str:
    return hashlib.sha256(f"{email}\0{address}".encode()).hexdigest()


def _window_start(runtime: Runtime) -> datetime:
    """Return the instant before which a failure no longer counts."""
    return utc_now() - timedelta(seconds=runtime.limits.login_lock_s)


def _check_lock(runtime: Runtime, session: Session, attempt: str) -> None:
    """Raise LoginLocked when the last failures were too many and are too recent."""
    last_at = session.scalar(
        select(LoginFailure.last_at).where(
            LoginFailure.key_hash == attempt,
            LoginFailure.failures >= runtime.limits.login_max_failures,
            LoginFailure.last_at > _window_start(runtime),
        )
    )
    if last_at is not None:
        rest_s = runtime.limits.login_lock_s - (utc_now() - last_at).total_seconds()
        raise LoginLocked(
            "Too many incorrect password attempts; try again later.", retry_after_s=max(1, math.ceil(rest_s))
        )


def _count_failure(runtime: Runtime, session: Session, attempt: str) -> None:
    """Count one failure, atomically; raises LoginLocked where it would be one more than the limit.

    Failures count together while each follows the one before within the lock's
    length. Those that no longer count are cleared away, whosever they are.
    """
    session.execute(delete(LoginFailure).where(LoginFailure.last_at <= _window_start(runtime)))
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    now = utc_now()
    counted = session.scalar(
        insert(LoginFailure)
        .values(key_hash=attempt, failures=1, last_at=now)
        .on_conflict_do_update(
            index_elements=[LoginFailure.key_hash],
            set_={"failures": LoginFailure.failures + 1, "last_at": now},
            where=LoginFailure.failures < runtime.limits.login_max_failures,
        )
        .returning(LoginFailure.failures)
    )
    if counted is None:
        _check_lock(runtime, session, attempt)
