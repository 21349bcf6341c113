"""Workspaces and the keys that seal their secrets."""

import pytest
from sqlalchemy import select, update

from api.core.vault import seal, unseal
from api.models.account import Account, DataKey, Tenant, TenantMember
from api.models.base import new_id
from api.runtime import Runtime
from api.services import tenants
from tests.factories import Owner


def add_tenant(runtime: Runtime, account_id: str, name: str = "Second") -> str:
    with runtime.transaction() as session:
        account = session.get_one(Account, account_id)
        return tenants.create_tenant(runtime, session, name=name, owner=account).id


def current_tenants(runtime: Runtime, account_id: str) -> list[str]:
    with runtime.transaction() as session:
        query = select(TenantMember.tenant_id).where(
            TenantMember.account_id == account_id, TenantMember.is_current
        )
        return list(session.scalars(query))


def test_create_tenant_takes_the_default_plan_and_enters_its_owner(runtime: Runtime, owner: Owner) -> None:
    second = add_tenant(runtime, owner.account_id)

    with runtime.transaction() as session:
        made = session.get_one(Tenant, second)
        roles = session.scalars(select(TenantMember.role).where(TenantMember.tenant_id == second)).all()
    assert (made.plan, made.status) == (runtime.limits.default_plan, "normal")
    assert roles == ["owner"]
    assert current_tenants(runtime, owner.account_id) == [second]


def test_load_data_keys_seals_and_opens_a_secret_of_that_workspace_only(
    runtime: Runtime, owner: Owner
) -> None:
    second = add_tenant(runtime, owner.account_id)
    with runtime.transaction() as session:
        active, keys = tenants.load_data_keys(runtime, session, owner.tenant_id)
        _, foreign_keys = tenants.load_data_keys(runtime, session, second)

    sealed = seal(active, b"secret", "context")

    assert unseal(keys, sealed, "context") == b"secret"
    assert active.id not in foreign_keys


def test_load_data_keys_rotated_seals_with_the_new_and_opens_with_the_old(
    runtime: Runtime, owner: Owner
) -> None:
    with runtime.transaction() as session:
        old, _ = tenants.load_data_keys(runtime, session, owner.tenant_id)
    sealed = seal(old, b"secret", "context")
    key_id = new_id()
    with runtime.transaction() as session:
        session.execute(update(DataKey).where(DataKey.tenant_id == owner.tenant_id).values(is_active=False))
        _, sealed_key = runtime.vault.new_data_key(key_id)
        session.add(DataKey(id=key_id, tenant_id=owner.tenant_id, sealed_key=sealed_key))

    with runtime.transaction() as session:
        active, keys = tenants.load_data_keys(runtime, session, owner.tenant_id)

    assert active.id == key_id
    assert unseal(keys, sealed, "context") == b"secret"


@pytest.mark.parametrize("status", ["normal", "archive"])
def test_enter_open_tenant_makes_the_first_open_one_current(
    runtime: Runtime, owner: Owner, status: str
) -> None:
    second = add_tenant(runtime, owner.account_id)
    with runtime.transaction() as session:
        session.get_one(Tenant, owner.tenant_id).status = status

    with runtime.transaction() as session:
        entered = tenants.enter_open_tenant(session, owner.account_id)

    expected = owner.tenant_id if status == "normal" else second
    assert entered == (expected, "owner")
    assert current_tenants(runtime, owner.account_id) == [expected]


def test_enter_open_tenant_without_any_is_none(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        session.get_one(Tenant, owner.tenant_id).status = "archive"
        assert tenants.enter_open_tenant(session, owner.account_id) is None
        assert not tenants.has_open_tenant(session, owner.account_id)
