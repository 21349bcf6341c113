"""Members of a workspace: shown, given another role, removed; and its owner, who may hand it over.

A member changes only those below themselves, and a workspace always has exactly
one owner. Whoever is invited is listed as pending, under the invitation's id.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Delete, Select, Update, delete, func, select, update
from sqlalchemy.orm import Session

from api.errors import BadRequest, Conflict, Forbidden, NotFound
from api.models.account import Account, Invitation, LoginSession, TenantMember
from api.models.base import utc_now
from api.models.dataset import DatasetMember
from api.principal import Principal, Role
from api.runtime import Runtime
from api.services import accounts, confirmations, invitations, password_guesses
from api.services.access import is_id
from api.services.confirmations import BadToken, Purpose

PENDING = "pending"


class MemberNotFound(NotFound):
    """The workspace has no such member."""

    code = "member-not-found"


class CannotOperateSelf(BadRequest):
    """Members do not remove themselves, nor change their own role."""

    code = "cannot-operate-self"


class ChangedMeanwhile(Conflict):
    """Somebody else changed the member between the look at their role and what it allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member as the others see them. ``id`` is their account's, of a pending one the invitation's."""

    id: str
    name: str
    email: str
    avatar: str | None
    role: str
    status: str
    created_at: datetime
    last_login_at: datetime | None
    last_active_at: datetime | None


def load_members(session: Session, principal: Principal) -> list[Member]:
    """Return who belongs to the caller's workspace, in the order of joining, then who is invited."""
    found = session.execute(_members(principal)).all()
    invited = session.scalars(
        select(Invitation)
        .where(Invitation.tenant_id == principal.tenant_id, Invitation.expires_at > utc_now())
        .order_by(Invitation.created_at, Invitation.id)
    )
    return [Member(**row._mapping) for row in found] + [_to_pending(row) for row in invited]  # noqa: SLF001  # SQLAlchemy's name of a public attribute


def load_dataset_operators(session: Session, principal: Principal) -> list[Member]:
    """Return the members who are dataset operators."""
    found = session.execute(_members(principal).where(TenantMember.role == Role.DATASET_OPERATOR.wire)).all()
    return [Member(**row._mapping) for row in found]  # noqa: SLF001  # as above


def change_role(session: Session, principal: Principal, member_id: str, role: str) -> None:
    """Give a member, or who is invited, another role; it counts with their next call.

    Raises InvalidRole, MemberNotFound, CannotOperateSelf, Forbidden, ChangedMeanwhile.
    """
    given = invitations.check_role(principal, role)
    row = _manage(session, principal, member_id)
    _check_changed(session, update(type(row)).where(*_as_read(row)).values(role=given.wire), row)


def remove_member(session: Session, principal: Principal, member_id: str) -> None:
    """Remove a member, who sees nothing of the workspace from now on, or take an invitation back.

    Raises MemberNotFound, CannotOperateSelf, Forbidden, ChangedMeanwhile.
    """
    row = _manage(session, principal, member_id)
    _check_changed(session, delete(type(row)).where(*_as_read(row)), row)
    if isinstance(row, TenantMember):
        session.execute(
            delete(DatasetMember)
            .where(DatasetMember.tenant_id == principal.tenant_id, DatasetMember.account_id == row.account_id)
            .execution_options(synchronize_session=False)
        )


# -- the owner -----------------------------------------------------------------------------------


def send_transfer_code(runtime: Runtime, session: Session, principal: Principal, *, address: str) -> str:
    """Have a code sent to the owner, and return the token it goes with; raises NoMail, TooManyCodes."""
    return confirmations.send_code(
        runtime,
        session,
        Purpose.TRANSFER_OWNER,
        email=accounts.own_email(session, principal),
        address=address,
        account_id=principal.id,
        tenant_id=principal.tenant_id,
    )


def check_transfer_code(runtime: Runtime, principal: Principal, *, token: str, code: str) -> tuple[str, str]:
    """Return the token that lets the workspace be handed over, and the owner's address.

    Raises BadToken, BadCode.
    """
    with runtime.reading() as session:
        email = accounts.own_email(session, principal)
    confirmed = confirmations.check_code(runtime, Purpose.TRANSFER_OWNER, token=token, code=code, email=email)
    return confirmed, email


def transfer_ownership(
    runtime: Runtime, principal: Principal, member_id: str, *, token: str | None, password: str | None
) -> None:
    """Make another member the owner; who was it becomes an admin. Of two at once one does.

    It takes the token of a confirmed code, or the owner's password. Raises
    BadToken, CurrentPasswordIncorrect, LoginLocked, MemberNotFound, CannotOperateSelf, Forbidden and
    ChangedMeanwhile.
    """
    if token is None:
        password_guesses.check_own(runtime, principal.id, password, may_be_unset=False)
    with runtime.transaction() as session:
        if token is not None:
            _spend(runtime, session, principal, token)
        target = _find_member(session, principal, member_id)
        if target.account_id == principal.id:
            raise CannotOperateSelf("You are the owner already.")
        _step_down(session, principal)
        owned = update(TenantMember).where(*_as_read(target)).values(role=Role.OWNER.wire)
        _check_changed(session, owned, target)


def _step_down(session: Session, principal: Principal) -> None:
    """Make the owner an admin, by compare-and-set; raises Forbidden for who is not the owner any more."""
    stepped_down = session.execute(
        update(TenantMember)
        .where(
            TenantMember.tenant_id == principal.tenant_id,
            TenantMember.account_id == principal.id,
            TenantMember.role == Role.OWNER.wire,
        )
        .values(role=Role.ADMIN.wire)
        .returning(TenantMember.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if stepped_down is None:
        raise Forbidden("Only the owner hands a workspace over.")


def _spend(runtime: Runtime, session: Session, principal: Principal, token: str) -> None:
    """Use up a confirmed code; raises BadToken also for one that is about another workspace."""
    spent = confirmations.spend(runtime, session, Purpose.TRANSFER_OWNER, token)
    if (spent.account_id, spent.tenant_id) != (principal.id, principal.tenant_id):
        raise BadToken("The code is no longer good; ask for another one.")


# -- rows ----------------------------------------------------------------------------------------


def _manage(session: Session, principal: Principal, member_id: str) -> TenantMember | Invitation:
    """Return a member or an invitation the caller may change."""
    if member_id.lower() == principal.id:
        raise CannotOperateSelf("Members do not change their own place.")
    row: TenantMember | Invitation | None = None
    if is_id(member_id):
        row = session.scalars(
            select(Invitation).where(
                Invitation.tenant_id == principal.tenant_id, Invitation.id == member_id.lower()
            )
        ).one_or_none()
    row = row or _find_member(session, principal, member_id)
    if Role.from_wire(row.role) >= principal.role and principal.role is not Role.OWNER:
        raise Forbidden("Members change only those below themselves.")
    return row


def _as_read(row: TenantMember | Invitation) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a row has the role it was read with: it may be the owner by now."""
    table = type(row)
    return table.tenant_id == row.tenant_id, table.id == row.id, table.role == row.role


def _check_changed(session: Session, change: Update | Delete, row: TenantMember | Invitation) -> None:
    """Run a change of a row; raises ChangedMeanwhile where it is not as it was read."""
    session.expunge(row)
    changed = session.execute(
        change.returning(type(row).id).execution_options(synchronize_session=False)
    ).one_or_none()
    if changed is None:
        raise ChangedMeanwhile("Somebody has changed this member meanwhile; look again.")


def _find_member(session: Session, principal: Principal, member_id: str) -> TenantMember:
    row = None
    if is_id(member_id):
        row = session.scalars(
            select(TenantMember).where(
                TenantMember.tenant_id == principal.tenant_id, TenantMember.account_id == member_id.lower()
            )
        ).one_or_none()
    if row is None:
        raise MemberNotFound("There is no such member.")
    return row


def _members(
    principal: Principal,
) -> Select[str, str, str, str | None, str, str, datetime, datetime, datetime]:
    """Return the statement of the members; who was active is who got a token."""
    mine = select(TenantMember.account_id).where(TenantMember.tenant_id == principal.tenant_id)
    active = (
        select(
            LoginSession.account_id,
            func.max(func.coalesce(LoginSession.rotated_at, LoginSession.created_at)).label("at"),
        )
        .where(LoginSession.account_id.in_(mine))
        .group_by(LoginSession.account_id)
        .subquery()
    )
    return (
        select(
            Account.id,
            Account.name,
            Account.email,
            Account.avatar,
            TenantMember.role,
            Account.status,
            TenantMember.created_at,
            Account.last_login_at,
            active.c.at.label("last_active_at"),
        )
        .join(TenantMember, TenantMember.account_id == Account.id)
        .outerjoin(active, active.c.account_id == Account.id)
        .where(TenantMember.tenant_id == principal.tenant_id)
        .order_by(TenantMember.created_at, TenantMember.id)
    )


def _to_pending(row: Invitation) -> Member:
    return Member(
        id=row.id,
        name=row.email.partition("@")[0],
        email=row.email,
        avatar=None,
        role=row.role,
        status=PENDING,
        created_at=row.created_at,
        last_login_at=None,
        last_active_at=None,
    )
