"""What the operator decides of workspaces, from the command line: their making, plan, trial, suspension."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.errors import InvalidRequest, NotFound
from api.models.account import Account, Tenant
from api.runtime import Runtime
from api.services import tenants
from api.services.access import is_id
from api.services.accounts import normal_email
from api.services.plans import PLANS


def load_tenants(session: Session) -> Sequence[Tenant]:
    """Return every workspace of the installation, the oldest first."""
    return session.scalars(select(Tenant).order_by(Tenant.created_at, Tenant.id)).all()


def create_workspace(runtime: Runtime, session: Session, *, name: str, email: str) -> str:
    """Make a workspace for an account that is there, and return its id; raises NotFound."""
    owner = session.scalars(select(Account).where(Account.email == normal_email(email))).one_or_none()
    if owner is None:
        raise NotFound(f"There is no account {email!r}.")
    return tenants.create_tenant(runtime, session, name=name, owner=owner).id


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
