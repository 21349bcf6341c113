"""The lock that slows down guessing of passwords, at the sign-in page and of those who are signed in.

Failures are counted in the database, so that the lock holds while any other store
is down, and in every process. It ends by itself.
"""

import hashlib
import math
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from api.errors import InvalidRequest, RateLimited
from api.models.account import Account, LoginFailure
from api.models.base import utc_now
from api.runtime import Runtime
from api.services import passwords

SIGNED_IN = "signed in"
"""Whence whoever has a session guesses: their failures lock no sign-in page."""


class LoginLocked(RateLimited):
    """Too many wrong passwords for this name from this address; ``retry_after_s`` says when it ends."""

    code = "email_code_login_limit"


class CurrentPasswordIncorrect(InvalidRequest):
    """The present password was not given correctly."""

    code = "current_password_incorrect"


def check_own(runtime: Runtime, account_id: str, password: str | None, *, may_be_unset: bool) -> str | None:
    """Check that somebody who is signed in knows their password; return its hash, None where none is set.

    Raises CurrentPasswordIncorrect, also where none is set though one must be, and LoginLocked.
    """
    attempt = to_key(account_id, SIGNED_IN)
    with runtime.transaction() as session:
        check_lock(runtime, session, attempt)
        stored = session.scalar(select(Account.password_hash).where(Account.id == account_id))
    if stored is None and may_be_unset:
        return None
    if stored is None or passwords.match_password(runtime, stored, [password or ""]) is None:
        with runtime.transaction() as session:
            count_failure(runtime, session, attempt)
        raise CurrentPasswordIncorrect("The current password is incorrect.")
    with runtime.transaction() as session:
        check_lock(runtime, session, attempt)  # a right guess among many at once is not told either
        forget(session, attempt)
    return stored


def to_key(whose: str, whence: str) -> str:
    """Return what failures are counted by: whose password was guessed, and from where."""
    return hashlib.sha256(f"{whose}\0{whence}".encode()).hexdigest()


def check_lock(runtime: Runtime, session: Session, attempt: str) -> None:
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


def count_failure(runtime: Runtime, session: Session, attempt: str) -> None:
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
        check_lock(runtime, session, attempt)


def forget(session: Session, attempt: str) -> None:
    """Forget failures: the password was right."""
    session.execute(delete(LoginFailure).where(LoginFailure.key_hash == attempt))


def _window_start(runtime: Runtime) -> datetime:
    """Return the instant before which a failure no longer counts."""
    return utc_now() - timedelta(seconds=runtime.limits.login_lock_s)
