"""Signing in with a code sent by mail instead of a password.

Whether somebody has the address is told by neither answer nor time, as with a
forgotten password (password_resets.py).
"""

import base64

from sqlalchemy import select

from api.models.account import Account
from api.runtime import Runtime
from api.services import confirmations, logins, sessions, tenants
from api.services.accounts import normal_email
from api.services.confirmations import BadToken, Purpose
from api.services.session_tokens import Tokens


def begin(runtime: Runtime, *, email: str, address: str) -> str:
    """Have a code sent, and return the token it goes with; raises NotSetUp, NoMail, TooManyCodes."""
    email = normal_email(email)
    with runtime.transaction() as session:
        sessions.check_setup(session)
        account_id = session.scalar(
            select(Account.id).where(Account.email == email, Account.status.not_in(sessions.BARRED))
        )
        return confirmations.send_code(
            runtime, session, Purpose.SIGN_IN, email=email, address=address, account_id=account_id
        )


def finish(runtime: Runtime, *, email: str, code: str, token: str, address: str) -> Tokens | None:
    """Open a session for whoever read the code; None when the account belongs to no open workspace.

    ``code`` may be base64 of the digits. Raises BadToken, BadCode, AccountBanned.
    """
    confirmed = confirmations.check_code(
        runtime, Purpose.SIGN_IN, token=token, code=_digits(code), email=normal_email(email)
    )
    with runtime.transaction() as session:
        spent = confirmations.spend(runtime, session, Purpose.SIGN_IN, confirmed)
        if spent.account_id is None:
            raise BadToken("The code is no longer good; ask for another one.")
        logins.note_login(session, spent.account_id, address=address)
        if not tenants.has_open_tenant(session, spent.account_id):
            return None
        return sessions.open_session(runtime, session, spent.account_id, address)


def _digits(code: str) -> str:
    """Return the digits a client means: the web console sends them in base64."""
    try:
        decoded = base64.b64decode(code, validate=True).decode()
    except ValueError:
        return code
    return decoded if decoded.isdecimal() else code
