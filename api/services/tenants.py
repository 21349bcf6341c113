"""Workspaces: made, listed, entered; and the keys that seal their secrets."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from api.core.vault import DataKey
from api.errors import InvalidRequest, Unauthorized
from api.models import account as models
from api.models.account import Account, Tenant, TenantMember
from api.models.base import new_id, utc_now
from api.principal import Principal, Role
from api.runtime import Runtime
from api.services.access import is_id

NORMAL = "normal"
SUSPENDED = "suspended"
TRIAL = "trial"
NAME_MAX = 100


class NotJoined(InvalidRequest):
    """The caller has not joined the workspace, or it is suspended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace as one of its members sees it; ``status`` is normal, trial or suspended."""

    id: str
    name: str
    plan: str
    status: str
    created_at: datetime
    role: str
    is_current: bool
    trial_end_at: datetime | None


def is_open(tenant_id: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return the condition that a row's workspace is not suspended: in one that is, nothing begins."""
    return tenant_id.in_(select(Tenant.id).where(Tenant.status == NORMAL))


def create_tenant(
    runtime: Runtime, session: Session, *, name: str, owner: Account, is_entered: bool = True
) -> Tenant:
    """Make a workspace on the default plan, with a first key for its secrets, and have its owner enter it."""
    tenant = Tenant(id=new_id(), name=name, plan=runtime.limits.default_plan)
    session.add(tenant)
    session.flush()
    if is_entered:
        others = update(TenantMember).where(TenantMember.account_id == owner.id)
        session.execute(others.values(is_current=False))
    place = TenantMember(
        tenant_id=tenant.id, account_id=owner.id, role=Role.OWNER.wire, is_current=is_entered
    )
    key_id = new_id()
    _, sealed_key = runtime.vault.new_data_key(key_id)
    session.add_all([place, models.DataKey(id=key_id, tenant_id=tenant.id, sealed_key=sealed_key)])
    session.flush()
    return tenant


def create_own_tenant(runtime: Runtime, session: Session, principal: Principal, name: str) -> Workspace:
    """Make another workspace of the caller's, which becomes their current one."""
    owner = session.get_one(Account, principal.id)
    tenant = create_tenant(runtime, session, name=name, owner=owner)
    return _get_joined(session, principal.id, tenant.id)


def switch_tenant(session: Session, principal: Principal, tenant_id: str) -> Workspace:
    """Make another workspace the caller has joined the current one; raises NotJoined."""
    joined = (
        select(Tenant.id)
        .join(TenantMember, TenantMember.tenant_id == Tenant.id)
        .where(TenantMember.account_id == principal.id, Tenant.id == tenant_id, Tenant.status == NORMAL)
    )
    if not is_id(tenant_id) or session.execute(joined).first() is None:
        raise NotJoined("You have not joined this workspace.", field="tenant_id")
    _make_current(session, principal.id, tenant_id)
    return _get_joined(session, principal.id, tenant_id)


def rename_tenant(session: Session, principal: Principal, name: str) -> Workspace:
    """Give the caller's workspace another name."""
    session.execute(
        update(Tenant)
        .where(Tenant.id == principal.tenant_id)
        .values(name=name)
        .execution_options(synchronize_session=False)
    )
    return get_workspace(session, principal)


def load_data_keys(runtime: Runtime, session: Session, tenant_id: str) -> tuple[DataKey, dict[str, DataKey]]:
    """Return the key that seals a workspace's new secrets, and all its keys by id, which open the old ones.

    The rows are read each time, so that a rotation counts at once; opening a
    key takes microseconds. Raises SealBroken where the root secret has changed.
    """
    rows = session.scalars(select(models.DataKey).where(models.DataKey.tenant_id == tenant_id)).all()
    keys = {row.id: runtime.vault.open_data_key(row.id, row.sealed_key) for row in rows}
    active_id = next(row.id for row in rows if row.is_active)
    return keys[active_id], keys


def get_workspace(session: Session, principal: Principal) -> Workspace:
    """Return the caller's current workspace; raises Unauthorized when the caller was just removed from it."""
    return _get_joined(session, principal.id, principal.tenant_id)


def load_workspaces(session: Session, principal: Principal) -> list[Workspace]:
    """Return every workspace the caller has joined, in the order of joining."""
    return [_to_workspace(row) for row in session.execute(_joined(principal.id))]


def has_open_tenant(session: Session, account_id: str) -> bool:
    """Tell whether an account has joined a workspace that is not suspended."""
    return session.execute(_open_places(account_id)).first() is not None


def enter_open_tenant(session: Session, account_id: str) -> tuple[str, str] | None:
    """Make the first open workspace an account has joined its current one; return its id and the role there.

    None when there is none.
    """
    place = session.execute(_open_places(account_id)).first()
    if place is None:
        return None
    _make_current(session, account_id, place.tenant_id)
    return place.tenant_id, place.role


def _make_current(session: Session, account_id: str, tenant_id: str) -> None:
    session.execute(
        update(TenantMember)
        .where(TenantMember.account_id == account_id)
        .values(is_current=TenantMember.tenant_id == tenant_id)
        .execution_options(synchronize_session=False)
    )


def _get_joined(session: Session, account_id: str, tenant_id: str) -> Workspace:
    row = session.execute(
        _joined(account_id)
        .where(TenantMember.tenant_id == tenant_id)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        raise Unauthorized("The account no longer belongs to this workspace.")
    return _to_workspace(row)


def _open_places(account_id: str) -> Select[str, str]:
    return (
        select(TenantMember.tenant_id, TenantMember.role)
        .join(Tenant, Tenant.id == TenantMember.tenant_id)
        .where(TenantMember.account_id == account_id, Tenant.status == NORMAL)
        .order_by(TenantMember.created_at, TenantMember.id)
        .limit(1)
    )


def _joined(account_id: str) -> Select[Tenant, TenantMember]:
    return (
        select(Tenant, TenantMember)
        .join(TenantMember, TenantMember.tenant_id == Tenant.id)
        .where(TenantMember.account_id == account_id)
        .order_by(TenantMember.created_at, TenantMember.id)
    )


def _to_workspace(row: Row[Tenant, TenantMember]) -> Workspace:
    tenant, member = row
    return Workspace(
        id=tenant.id,
        name=tenant.name,
        plan=tenant.plan,
        status=shown_status(tenant),
        created_at=tenant.created_at,
        role=member.role,
        is_current=member.is_current,
        trial_end_at=tenant.trial_end_at,
    )


def shown_status(tenant: Tenant) -> str:
    """Return the status clients know: a workspace is on trial only while its trial has an end to come."""
    if tenant.status != NORMAL:
        return SUSPENDED
    is_on_trial = tenant.trial_end_at is not None and tenant.trial_end_at > utc_now()
    return TRIAL if is_on_trial else NORMAL
