"""A forgotten password: a code by mail, then a new one; or the operator sets it.

Whether somebody has the address is told by neither answer nor time: the code of
an address nobody has is a row like any other, and only its mail is not written.
"""

import secrets

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.errors import InvalidRequest, NotFound
from api.models.account import Account
from api.runtime import Runtime
from api.services import confirmations, passwords, sessions
from api.services.accounts import normal_email
from api.services.confirmations import BadToken, Purpose


class PasswordMismatch(InvalidRequest):
    """The new password and its confirmation differ."""

    code = "password_mismatch"


def begin(runtime: Runtime, *, email: str, address: str) -> str:
    """Have a code sent, and return the token it goes with; raises NoMail, TooManyCodes."""
    email = normal_email(email)
    with runtime.transaction() as session:
        account_id = session.scalar(
            select(Account.id).where(Account.email == email, Account.status.not_in(sessions.BARRED))
        )
        return confirmations.send_code(
            runtime, session, Purpose.RESET_PASSWORD, email=email, address=address, account_id=account_id
        )


def confirm(runtime: Runtime, *, token: str, code: str, email: str) -> str:
    """Return the token that lets a new password be set; raises BadToken, BadCode."""
    return confirmations.check_code(
        runtime, Purpose.RESET_PASSWORD, token=token, code=code, email=normal_email(email)
    )


def finish(runtime: Runtime, *, token: str, new: str, repeated: str) -> None:
    """Set a new password, once, and end every session of the account.

    Raises PasswordMismatch, BadToken, or InvalidRequest for a weak password.
    """
    if new != repeated:
        raise PasswordMismatch("The new password and its confirmation differ.")
    passwords.check_password(new, field="new_password")
    with runtime.reading() as session:  # before a hash is paid for: anyone may call this
        confirmations.check_confirmed(runtime, session, Purpose.RESET_PASSWORD, token)
    new_hash = passwords.hash_password(runtime, new)
    with runtime.transaction() as session:
        spent = confirmations.spend(runtime, session, Purpose.RESET_PASSWORD, token)
        if spent.account_id is None:
            raise BadToken("The code is no longer good; ask for another one.")
        _set_password(session, spent.account_id, new_hash)


def reset_by_operator(runtime: Runtime, email: str) -> str:
    """Give an account a new password, which is returned, and end its sessions. Raises NotFound."""
    chosen = secrets.token_urlsafe(12) + "1a"
    new_hash = passwords.hash_password(runtime, chosen)
    with runtime.transaction() as session:
        account_id = session.scalar(select(Account.id).where(Account.email == normal_email(email)))
        if account_id is None:
            raise NotFound(f"There is no account {email!r}.")
        _set_password(session, account_id, new_hash)
    return chosen


def _set_password(session: Session, account_id: str, password_hash: str) -> None:
    session.execute(
        update(Account)
        .where(Account.id == account_id)
        .values(password_hash=password_hash)
        .execution_options(synchronize_session=False)
    )
    sessions.end_sessions(session, account_id)
