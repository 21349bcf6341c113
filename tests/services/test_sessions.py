"""Who a console token stands for, at the moment it is used."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from api.errors import Unauthorized
from api.models.account import Account, LoginSession, Tenant, TenantMember
from api.models.base import utc_now
from api.principal import ActorKind, Role
from api.runtime import Runtime
from api.services import remembered, session_tokens, sessions, tenants
from tests.conftest import BOTH
from tests.factories import Owner, make_owner
from tests.statements import count_statements

pytestmark = BOTH


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are changed here behind the program's back, as another process would."""
    monkeypatch.setattr(remembered, "REMEMBER_S", 0.0)


def set_status(runtime: Runtime, owner: Owner, status: str) -> None:
    with runtime.transaction() as session:
        session.get_one(Account, owner.account_id).status = status


def test_identify_signed_in_is_the_owner_in_one_statement(runtime: Runtime, owner: Owner) -> None:
    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        identity = sessions.identify(runtime, owner.token)

    assert len([text for text in statements if "sessions" in text]) == len(statements) == 1
    assert identity.account_id == owner.account_id
    assert identity.principal.tenant_id == owner.tenant_id
    assert identity.principal.kind is ActorKind.ACCOUNT
    assert identity.principal.role is Role.OWNER


def test_identify_role_changed_counts_at_once(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        session.execute(
            update(TenantMember).where(TenantMember.account_id == owner.account_id).values(role="normal")
        )

    assert sessions.identify(runtime, owner.token).principal.role is Role.NORMAL


def test_identify_removed_member_is_refused_at_once(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        session.execute(delete(TenantMember).where(TenantMember.account_id == owner.account_id))

    with pytest.raises(Unauthorized, match="no workspace"):
        sessions.identify(runtime, owner.token)


@pytest.mark.parametrize("status", ["banned", "closed"])
def test_identify_barred_account_is_refused(runtime: Runtime, owner: Owner, status: str) -> None:
    set_status(runtime, owner, status)

    with pytest.raises(Unauthorized, match="banned"):
        sessions.identify(runtime, owner.token)


def test_identify_suspended_workspace_moves_to_another(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        account = session.get_one(Account, owner.account_id)
        second = tenants.create_tenant(runtime, session, name="Second", owner=account)
        second.status = "archive"

    assert sessions.identify(runtime, owner.token).principal.tenant_id == owner.tenant_id
    with count_statements(runtime.session_factory.kw["bind"]) as statements:
        sessions.identify(runtime, owner.token)
    assert len(statements) == 1, "the move is remembered"


def test_identify_only_workspace_suspended_is_refused(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        session.get_one(Tenant, owner.tenant_id).status = "archive"

    with pytest.raises(Unauthorized):
        sessions.identify(runtime, owner.token)


def test_identify_session_run_out_is_refused(runtime: Runtime, owner: Owner) -> None:
    with runtime.transaction() as session:
        session.execute(
            update(LoginSession)
            .where(LoginSession.account_id == owner.account_id)
            .values(expires_at=utc_now() - timedelta(seconds=1))
        )

    with pytest.raises(Unauthorized, match="ended"):
        sessions.identify(runtime, owner.token)


def test_identify_session_of_another_account_is_refused(runtime: Runtime, owner: Owner) -> None:
    other = make_owner(runtime)
    claims = session_tokens.read_access_token(runtime.vault, owner.token)
    crossed = session_tokens.issue_tokens(
        runtime.vault,
        account_id=other.account_id,
        session_id=claims.session_id,
        refresh_token="",
        ttl_s=60,
    )

    with pytest.raises(Unauthorized):
        sessions.identify(runtime, crossed.access_token)


def test_open_session_clears_sessions_that_are_over(runtime: Runtime, owner: Owner) -> None:
    sessions.logout(runtime, access_token=owner.token, refresh_token=None, is_everywhere=False)

    with runtime.transaction() as session:
        sessions.open_session(runtime, session, owner.account_id, None)
        left = session.query(LoginSession).filter_by(account_id=owner.account_id).count()

    assert left == 1
