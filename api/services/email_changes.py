"""Another e-mail address for an account: a code to the present one, then one to the new one.

So nobody takes an account over whose console stands open, and nobody gives an
address they do not read. Where no mail is sent, the operator does it.
"""

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.text.addresses import is_address
from api.errors import BadRequest, NotFound
from api.models.account import Account, Confirmation
from api.principal import Principal
from api.runtime import Runtime
from api.services import accounts, confirmations, link_tokens, sessions
from api.services.accounts import Profile, normal_email
from api.services.confirmations import BadToken, Purpose
from api.services.sessions import Identity


class InvalidEmail(BadRequest):
    """The address is not the account's own, or not one mail can be sent to."""

    code = "invalid_email"


class EmailInUse(BadRequest):
    """Another account has the address."""

    code = "email_already_in_use"


def send_code(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    *,
    email: str,
    address: str,
    is_new: bool,
    token: str | None,
) -> str:
    """Have a code sent to the caller's present address or the new one, and return the token it goes with.

    The new one takes the token of the confirmed present address, or of a code
    that was sent to a new one before. Raises InvalidEmail, also for an address
    that is not the caller's present one, BadToken, EmailInUse, NoMail, TooManyCodes.
    """
    email = normal_email(email)
    if is_new:
        _check_began(runtime, session, principal, token or "")
        check_free(session, email)
    elif email != accounts.own_email(session, principal):
        raise InvalidEmail("This is not the address of your account.")
    purpose = Purpose.CONFIRM_EMAIL if is_new else Purpose.CHANGE_EMAIL
    return confirmations.send_code(
        runtime, session, purpose, email=email, address=address, account_id=principal.id
    )


def confirm(runtime: Runtime, *, email: str, code: str, token: str) -> str:
    """Return the token of the next step for the code of either address; raises BadToken, BadCode."""
    is_new = link_tokens.read_token(runtime.vault, Purpose.CONFIRM_EMAIL.value, token) is not None
    purpose = Purpose.CONFIRM_EMAIL if is_new else Purpose.CHANGE_EMAIL
    return confirmations.check_code(runtime, purpose, token=token, code=code, email=normal_email(email))


def finish(runtime: Runtime, identity: Identity, *, email: str, token: str) -> Profile:
    """Make the confirmed address the caller's own, once, and end all their other sessions.

    Raises BadToken, EmailInUse.
    """
    email = normal_email(email)
    with runtime.transaction() as session:
        spent = confirmations.spend(runtime, session, Purpose.CONFIRM_EMAIL, token, email=email)
        if spent.account_id != identity.account_id:
            raise BadToken("The code is no longer good; ask for another one.")
        _change(session, identity.account_id, email)
        sessions.end_other_sessions(session, identity)
        return accounts.get_profile(runtime, session, identity.principal)


def check_free(session: Session, email: str) -> None:
    """Raise InvalidEmail for what is no address, EmailInUse for one that an account has."""
    email = normal_email(email)
    if not is_address(email):
        raise InvalidEmail("This is not an e-mail address.")
    if session.scalar(select(Account.id).where(Account.email == email)) is not None:
        raise EmailInUse("Another account has this address.")


def change_by_operator(runtime: Runtime, email: str, new: str) -> None:
    """Give an account another address, and end its sessions; raises NotFound, InvalidEmail, EmailInUse."""
    with runtime.transaction() as session:
        account_id = session.scalar(select(Account.id).where(Account.email == normal_email(email)))
        if account_id is None:
            raise NotFound(f"There is no account {email!r}.")
        check_free(session, new)
        _change(session, account_id, normal_email(new))
        sessions.end_sessions(session, account_id)


def _check_began(runtime: Runtime, session: Session, principal: Principal, token: str) -> None:
    words = (f"{Purpose.CHANGE_EMAIL.value}-confirmed", Purpose.CONFIRM_EMAIL.value)
    if not any(confirmations.is_of(runtime, session, word, token, principal.id) for word in words):
        raise BadToken("Confirm the present address first.")


def _change(session: Session, account_id: str, email: str) -> None:
    """Write the address; codes sent before, to either address, are over. Raises EmailInUse."""
    session.execute(delete(Confirmation).where(Confirmation.account_id == account_id))
    try:
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(email=email)
            .execution_options(synchronize_session=False)
        )
    except IntegrityError:
        raise EmailInUse("Another account has this address.") from None
