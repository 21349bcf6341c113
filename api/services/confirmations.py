"""Codes by mail: whoever types the one sent to an address proves to read its mail, and may do one thing.

``send_code`` gives a token, ``check_code`` exchanges it with the code for
another, ``spend`` takes that one, once. What must stay true: an address nobody
has is answered as one that somebody has, and a code cannot be guessed: five
wrong ones end it, and no more than five an hour are sent for one purpose to one address.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.errors import BadRequest, RateLimited
from api.models.account import Account, Confirmation
from api.models.base import new_id, utc_now
from api.runtime import Runtime
from api.services import link_tokens, setup
from api.services.jobs import Job, enqueue_on_commit

TTL = timedelta(minutes=15)
HOUR = timedelta(hours=1)
MAX_FAILURES = 5
EMAIL_PER_HOUR = 5
ADDRESS_PER_HOUR = 30
NO_TENANT = "00000000-0000-0000-0000-000000000000"
"""The workspace of a job that is about an account, which has several or none."""


class Purpose(StrEnum):
    """What a code is for."""

    RESET_PASSWORD = "reset_password"  # noqa: S105  # a word, no password
    TRANSFER_OWNER = "transfer_owner"
    SIGN_IN = "sign_in"
    CHANGE_EMAIL = "change_email"
    CONFIRM_EMAIL = "confirm_email"
    DELETE_ACCOUNT = "delete_account"


class NoMail(BadRequest):
    """The installation sends no mail, so a code cannot be sent."""

    code = "email_not_setup"


class BadToken(BadRequest):
    """The token of a code is wrong, has run out, or was used."""

    code = "invalid_or_expired_token"


class BadCode(BadRequest):
    """The code is not the one that was sent."""

    code = "email_code_error"


class TooManyCodes(RateLimited):
    """Too many codes were asked for from one address; leaves: too many were sent to one, by purpose."""

    code = "email_send_ip_limit"


class TooManyResets(TooManyCodes):
    """Too many codes for a new password were sent to one address."""

    code = "password_reset_rate_limit_exceeded"


class TooManyTransfers(TooManyCodes):
    """Too many codes to hand a workspace over were sent to one address."""

    code = "owner_transfer_rate_limit_exceeded"


class TooManyLogins(TooManyCodes):
    """Too many codes to sign in with were sent to one address."""

    code = "email_code_login_rate_limit_exceeded"


class TooManyChanges(TooManyCodes):
    """Too many codes for another e-mail address were sent to one."""

    code = "email_change_rate_limit_exceeded"


class TooManyDeletions(TooManyCodes):
    """Too many codes to delete an account were sent to one address."""

    code = "email_code_account_deletion_rate_limit_exceeded"


TOO_MANY = {
    Purpose.RESET_PASSWORD: TooManyResets,
    Purpose.TRANSFER_OWNER: TooManyTransfers,
    Purpose.SIGN_IN: TooManyLogins,
    Purpose.CHANGE_EMAIL: TooManyChanges,
    Purpose.CONFIRM_EMAIL: TooManyChanges,
    Purpose.DELETE_ACCOUNT: TooManyDeletions,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a confirmed code was about; ``account_id`` is None where nobody has the address."""

    account_id: str | None
    tenant_id: str | None


def send_code(
    runtime: Runtime,
    session: Session,
    purpose: Purpose,
    *,
    email: str,
    address: str,
    account_id: str | None,
    tenant_id: str | None = None,
) -> str:
    """Have a code sent to an address, and return the token it goes with.

    It goes to the account's own address, but for CONFIRM_EMAIL, which asks whether it reads another
    one. Raises NoMail, and TooManyCodes for more than an hour allows.
    """
    if runtime.mailer is None:
        raise NoMail("This installation sends no mail; ask its operator.")
    email_hash, address_hash = _hash(email), _hash(address)
    setup.hold(session)  # else many asked for at once would not see each other; account_id may go before
    present = session.scalar(select(Account.id).where(Account.id == account_id))
    for_it = and_(Confirmation.email_hash == email_hash, Confirmation.purpose == purpose.value)
    _check_rate(session, for_it, EMAIL_PER_HOUR, TOO_MANY[purpose])
    _check_rate(session, Confirmation.address_hash == address_hash, ADDRESS_PER_HOUR, TooManyCodes)
    row = Confirmation(
        id=new_id(),
        purpose=purpose.value,
        email_hash=email_hash,
        address_hash=address_hash,
        account_id=present,
        tenant_id=tenant_id,
        expires_at=utc_now() + TTL,
    )
    session.add(row)
    session.flush()
    payload: JSONObject = {"confirmation_id": row.id}
    if purpose is Purpose.CONFIRM_EMAIL:
        payload["email"] = email
    enqueue_on_commit(runtime, session, Job.SEND_MAIL, payload, tenant_id=tenant_id or NO_TENANT)
    return link_tokens.make_token(runtime.vault, purpose.value, row.id)


def check_code(runtime: Runtime, purpose: Purpose, *, token: str, code: str, email: str) -> str:
    """Return the token of a confirmed code; raises BadToken, BadCode for a wrong one, which is counted."""
    row_id = link_tokens.read_token(runtime.vault, purpose.value, token)
    right = row_id is not None and hmac.compare_digest(
        link_tokens.make_code(runtime.vault, purpose.value, row_id).encode(), code.strip().encode()
    )
    with runtime.transaction() as session:
        found = session.execute(
            update(Confirmation)
            .where(
                Confirmation.id == (row_id or NO_TENANT),
                Confirmation.failures < MAX_FAILURES,
                Confirmation.verified_at.is_(None),
                Confirmation.expires_at > utc_now(),
                Confirmation.email_hash == _hash(email),
            )
            .values({"verified_at": utc_now()} if right else {"failures": Confirmation.failures + 1})
            .returning(Confirmation.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
    if found is None:
        raise BadToken("The code is no longer good; ask for another one.")
    if not right:
        raise BadCode("The code is wrong.")
    return link_tokens.make_token(runtime.vault, f"{purpose.value}-confirmed", found.id)


def check_confirmed(runtime: Runtime, session: Session, purpose: Purpose, token: str) -> None:
    """Raise BadToken unless a token is that of a confirmed code which was not used up."""
    row_id = link_tokens.read_token(runtime.vault, f"{purpose.value}-confirmed", token)
    if session.scalar(select(Confirmation.id).where(*_confirmed(row_id))) is None:
        raise BadToken("The code is no longer good; ask for another one.")


def is_of(runtime: Runtime, session: Session, word: str, token: str, account_id: str) -> bool:
    """Tell whether a token, made for ``word``, is of a code of this account that is still good."""
    row_id = link_tokens.read_token(runtime.vault, word, token)
    known = select(Confirmation.id).where(
        Confirmation.id == (row_id or NO_TENANT),
        Confirmation.account_id == account_id,
        Confirmation.expires_at > utc_now(),
    )
    return session.scalar(known) is not None


def spend(
    runtime: Runtime, session: Session, purpose: Purpose, token: str, *, email: str | None = None
) -> Spent:
    """Use a confirmed code up, where given only one sent to ``email``; of many at once one does.

    Raises BadToken.
    """
    row_id = link_tokens.read_token(runtime.vault, f"{purpose.value}-confirmed", token)
    sent_there = () if email is None else (Confirmation.email_hash == _hash(email),)
    spent = session.execute(
        delete(Confirmation)
        .where(*_confirmed(row_id), *sent_there)
        .returning(Confirmation.account_id, Confirmation.tenant_id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if spent is None:
        raise BadToken("The code is no longer good; ask for another one.")
    return Spent(account_id=spent.account_id, tenant_id=spent.tenant_id)


def forget_spent(runtime: Runtime) -> None:
    """Remove codes that are over and no longer count against what an hour allows."""
    now = utc_now()
    with runtime.transaction() as session:
        session.execute(
            delete(Confirmation).where(Confirmation.expires_at <= now, Confirmation.created_at <= now - HOUR)
        )


def _confirmed(row_id: str | None) -> tuple[ColumnElement[bool], ...]:
    return (
        Confirmation.id == (row_id or NO_TENANT),
        Confirmation.verified_at.is_not(None),
        Confirmation.expires_at > utc_now(),
    )


def _check_rate(
    session: Session, condition: ColumnElement[bool], limit: int, fault: type[TooManyCodes]
) -> None:
    sent = select(func.count()).where(condition, Confirmation.created_at > utc_now() - HOUR)
    if (session.scalar(sent) or 0) >= limit:
        raise fault("Too many codes were asked for; try again later.", retry_after_s=900)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
