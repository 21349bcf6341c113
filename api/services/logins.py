"""Signing in with e-mail and password, and the lock that slows down guessing.

Known and unknown addresses are treated alike, step by step, so that neither the
answer nor its time tells them apart. Failures are counted per account name and
client address, in the database: a stranger elsewhere cannot lock an owner out,
and the lock holds while any other store is down.
"""

import base64

from sqlalchemy import ColumnElement, case, select, update
from sqlalchemy.orm import Session

from api.errors import BadRequest, Unauthorized
from api.models.account import Account
from api.models.base import utc_now
from api.runtime import Runtime
from api.services import invitations, password_guesses, passwords, sessions, tenants
from api.services.accounts import normal_email
from api.services.session_tokens import Tokens


class AuthenticationFailed(Unauthorized):
    """The e-mail or the password is wrong; which of them is not told."""

    code = "authentication_failed"


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
    attempt = password_guesses.to_key(email, address)
    with runtime.transaction() as session:
        sessions.check_setup(session)
        password_guesses.check_lock(runtime, session, attempt)
        account = session.execute(
            select(Account.id, Account.password_hash).where(Account.email == email)
        ).one_or_none()
    stored = None if account is None else account.password_hash
    meant = passwords.match_password(runtime, stored, _readings(password))
    if account is None or stored is None or meant is None:
        with runtime.transaction() as session:
            password_guesses.count_failure(runtime, session, attempt)
        raise AuthenticationFailed("Invalid email or password.")
    kept = passwords.hash_password(runtime, meant) if passwords.is_outdated(stored) else stored
    with runtime.transaction() as session:
        # A right guess among many at once is not told either.
        password_guesses.check_lock(runtime, session, attempt)
        password_guesses.forget(session, attempt)
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
