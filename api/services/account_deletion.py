"""An account deleted for good, by its own person with a code sent by mail, or by the operator.

What must stay true: a workspace with members has an owner, and an installation
an account. What the account made in workspaces stays theirs, and names nobody.
"""

import logging

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from api.errors import Conflict, NotFound
from api.models.account import Account, Invitation, Tenant, TenantMember
from api.models.file import UploadFile
from api.models.workflow import DraftVariable
from api.principal import Principal, Role
from api.runtime import Runtime
from api.services import accounts, confirmations, setup, tenants
from api.services.access import is_id
from api.services.accounts import normal_email
from api.services.confirmations import Purpose

logger = logging.getLogger(__name__)

NO_FILE = "00000000-0000-0000-0000-000000000000"


class OwnsWorkspace(Conflict):
    """The account owns a workspace with other members, which would be nobody's."""

    code = "account_owns_workspace"


class LastAccount(Conflict):
    """The installation has no other account: nobody could sign in any more."""

    code = "last_account"


def send_code(runtime: Runtime, principal: Principal, *, address: str) -> str:
    """Have a code sent to the caller, and return the token it goes with.

    Raises OwnsWorkspace, LastAccount, NoMail, TooManyCodes.
    """
    with runtime.transaction() as session:
        _check_may_go(session, principal.id)
        return confirmations.send_code(
            runtime,
            session,
            Purpose.DELETE_ACCOUNT,
            email=accounts.own_email(session, principal),
            address=address,
            account_id=principal.id,
        )


def delete_own(runtime: Runtime, principal: Principal, *, token: str, code: str) -> None:
    """Delete the caller's account; raises BadToken, BadCode, OwnsWorkspace, LastAccount."""
    with runtime.reading() as session:
        email = accounts.own_email(session, principal)
    confirmed = confirmations.check_code(runtime, Purpose.DELETE_ACCOUNT, token=token, code=code, email=email)
    with runtime.transaction() as session:
        setup.hold(session)
        confirmations.spend(runtime, session, Purpose.DELETE_ACCOUNT, confirmed)
        _delete(session, principal.id)


def delete_by_operator(runtime: Runtime, email: str) -> None:
    """Delete an account; raises NotFound, OwnsWorkspace, LastAccount."""
    with runtime.transaction() as session:
        setup.hold(session)
        account_id = session.scalar(select(Account.id).where(Account.email == normal_email(email)))
        if account_id is None:
            raise NotFound(f"There is no account {email!r}.")
        _delete(session, account_id)


def note_feedback(text: str) -> None:
    """Tell the operator why somebody left."""
    logger.info("Someone who deleted their account says: %r", text)


def _check_may_go(session: Session, account_id: str) -> None:
    if session.scalar(select(Account.id).where(Account.id != account_id).limit(1)) is None:
        raise LastAccount("This is the only account of the installation.")
    shared = session.scalars(
        select(Tenant.name)
        .join(TenantMember, TenantMember.tenant_id == Tenant.id)
        .where(Tenant.id.in_(_owned(account_id)), TenantMember.account_id != account_id)
        .distinct()
        .order_by(Tenant.name)
    ).all()
    if shared:
        names = ", ".join(repr(name) for name in shared)
        raise OwnsWorkspace(f"Others belong to {names}, which you own: hand it over first.")


def _delete(session: Session, account_id: str) -> None:
    """Delete an account with its sessions, places and drafts; the workspaces that only it had are suspended.

    The caller has its turn, so that one account goes at a time. The locks let nobody join, or hand a
    workspace to it, meanwhile.
    """
    places = select(TenantMember.id).where(TenantMember.account_id == account_id)
    session.execute(places.order_by(TenantMember.id).with_for_update())
    owned = select(Tenant.id).where(Tenant.id.in_(_owned(account_id))).order_by(Tenant.id)
    owned_ids = session.scalars(owned.with_for_update()).all()
    _check_may_go(session, account_id)
    email, avatar = session.execute(
        select(Account.email, Account.avatar).where(Account.id == account_id)
    ).one()
    picture_id = avatar if avatar is not None and is_id(avatar) else NO_FILE
    for statement in (
        update(Tenant).where(Tenant.id.in_(owned_ids)).values(status=tenants.SUSPENDED),
        update(UploadFile)  # what nothing uses is purged
        .where(UploadFile.id == picture_id, UploadFile.created_by == account_id)
        .values(attached_at=None),
        delete(Invitation).where(Invitation.email == email),
        delete(DraftVariable).where(DraftVariable.account_id == account_id),
        delete(Account).where(Account.id == account_id),
    ):
        session.execute(statement.execution_options(synchronize_session=False))


def _owned(account_id: str) -> Select[str]:
    return select(TenantMember.tenant_id).where(
        TenantMember.account_id == account_id, TenantMember.role == Role.OWNER.wire
    )
