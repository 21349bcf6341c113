"""The installation's first step, making its owner, once; and turns for what counts in all of it."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from api.models.account import Setup
from api.runtime import Runtime
from api.services import accounts
from api.services.accounts import AlreadySetUp


def get_setup_time(session: Session) -> datetime | None:
    """Return when the owner was made; None while there is none."""
    row = session.get(Setup, 1)
    return None if row is None else row.setup_at


def hold(session: Session) -> None:
    """Take a turn: no other transaction that calls this goes on until the session's ends."""
    same = update(Setup).values(setup_at=Setup.setup_at)  # SQLite locks for what writes alone
    session.execute(same.execution_options(synchronize_session=False))


def check_not_set_up(session: Session) -> None:
    """Raise AlreadySetUp once the installation has an owner."""
    if get_setup_time(session) is not None:
        raise AlreadySetUp("The installation is already set up.")


def set_up(runtime: Runtime, *, email: str, name: str, password: str, language: str) -> None:
    """Make the owner and their workspace; raises AlreadySetUp, or InvalidRequest for a weak password."""
    with runtime.transaction() as session:
        check_not_set_up(session)  # before a hash is paid for: anyone may call this
    with runtime.transaction() as session:
        accounts.create_owner(runtime, session, email=email, name=name, password=password, language=language)
