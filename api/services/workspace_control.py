"""What the operator sees and decides of workspaces: making, owner, plan, trial, suspension."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, and_, func, select, update
from sqlalchemy.orm import Session

from api.errors import InvalidRequest, NotFound
from api.models.account import Account, Tenant, TenantMember
from api.models.base import new_id, utc_now
from api.models.types import insert_for
from api.principal import Role
from api.runtime import Runtime
from api.services import setup, tenants
from api.services.access import is_id
from api.services.accounts import normal_email
from api.services.plans import PLANS


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A workspace as the operator's programs see it; ``status`` is normal, trial or suspended."""

    id: str
    name: str
    status: str
    created_at: datetime


def load_tenants(session: Session) -> Sequence[Row[Tenant, str | None]]:
    """Return every workspace with its owner's address, None where it has none; the oldest first."""
    is_owner = and_(TenantMember.tenant_id == Tenant.id, TenantMember.role == Role.OWNER.wire)
    return session.execute(
        select(Tenant, Account.email)
        .outerjoin(TenantMember, is_owner)
        .outerjoin(Account, Account.id == TenantMember.account_id)
        .order_by(Tenant.created_at, Tenant.id)
    ).all()


def load_page(session: Session, *, page: int, limit: int) -> tuple[list[Listed], int]:
    """Return a page of all workspaces, the newest first, and how many there are."""
    query = select(Tenant).order_by(Tenant.created_at.desc(), Tenant.id.desc())
    rows = session.scalars(query.limit(limit).offset((page - 1) * limit))
    listed = [
        Listed(id=row.id, name=row.name, status=tenants.shown_status(row), created_at=row.created_at)
        for row in rows
    ]
    return listed, session.scalar(select(func.count()).select_from(Tenant)) or 0


def create_workspace(runtime: Runtime, session: Session, *, name: str, email: str) -> str:
    """Make a workspace for an account that is there, and return its id.

    The account goes on in the workspace it is in. Raises NotFound, and
    InvalidRequest for what is no name.
    """
    name = name.strip()
    if not 1 <= len(name) <= tenants.NAME_MAX:
        raise InvalidRequest(f"A name has 1 to {tenants.NAME_MAX} characters.", field="name")
    owner = _find_account(session, email)
    return tenants.create_tenant(runtime, session, name=name, owner=owner, is_entered=False).id


def set_owner(session: Session, tenant_id: str, email: str) -> None:
    """Make an account the owner of a workspace, a member or not; who was it becomes an admin.

    Raises NotFound.
    """
    setup.hold(session)  # nobody deletes the account meanwhile
    account = _find_account(session, email)
    _change(session, tenant_id, updated_at=utc_now())
    place = TenantMember.tenant_id == tenant_id.lower()
    is_owner = TenantMember.role == Role.OWNER.wire
    # The owner's place first, as members.py locks: who hands it over meanwhile is waited for, and seen.
    session.execute(
        select(TenantMember.id).where(place).order_by(is_owner.desc(), TenantMember.id).with_for_update()
    )
    session.execute(
        update(TenantMember)
        .where(place, is_owner)
        .values(role=Role.ADMIN.wire)
        .execution_options(synchronize_session=False)
    )
    statement = insert_for(session)(TenantMember).values(
        id=new_id(),
        tenant_id=tenant_id.lower(),
        account_id=account.id,
        role=Role.OWNER.wire,
        is_current=False,
        created_at=utc_now(),
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "account_id"], set_={"role": Role.OWNER.wire}
        )
    )


def set_plan(session: Session, tenant_id: str, plan: str) -> None:
    """Put a workspace on a plan; its limits count within a second. Raises InvalidRequest, NotFound."""
    if plan not in PLANS:
        raise InvalidRequest(f"{plan!r} is no plan; there are {', '.join(PLANS)}.", field="plan")
    _change(session, tenant_id, plan=plan)


def set_trial_end(session: Session, tenant_id: str, trial_end_at: datetime | None) -> None:
    """Say when a workspace's trial ends; None: it is not on trial. Raises NotFound."""
    _change(session, tenant_id, trial_end_at=trial_end_at)


def suspend(session: Session, tenant_id: str) -> None:
    """Close a workspace: its members, keys, guests, webhooks and schedules are refused. Raises NotFound."""
    _change(session, tenant_id, status=tenants.SUSPENDED)


def resume(session: Session, tenant_id: str) -> None:
    """Open a suspended workspace again; raises NotFound."""
    _change(session, tenant_id, status=tenants.NORMAL)


def _find_account(session: Session, email: str) -> Account:
    account = session.scalars(select(Account).where(Account.email == normal_email(email))).one_or_none()
    if account is None:
        raise NotFound(f"There is no account {email!r}.")
    return account


def _change(session: Session, tenant_id: str, **values: object) -> None:
    changed = None
    if is_id(tenant_id):
        changed = session.execute(
            update(Tenant)
            .where(Tenant.id == tenant_id.lower())
            .values(**values)
            .returning(Tenant.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
    if changed is None:
        raise NotFound(f"There is no workspace {tenant_id!r}.")
