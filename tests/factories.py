"""Makes what tests need, through the services, with sensible defaults."""

import itertools
import uuid
from dataclasses import dataclass
from typing import cast

from api.core.ports import JSONObject
from api.models.account import Account, TenantMember
from api.principal import ActorKind, Principal, Role
from api.runtime import Runtime
from api.services import app_configs, apps, sessions, tenants, tokens

PASSWORD = "correct horse 1"
BUILTIN: JSONObject = {
    "provider": "builtin",
    "name": "extractive-qa",
    "mode": "chat",
    "completion_params": {},
}
COUNTER = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A signed-in member of a workspace."""

    account_id: str
    tenant_id: str
    email: str
    role: Role
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a console call of this member carries."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def principal(self) -> Principal:
        """The member as a principal."""
        return Principal(tenant_id=self.tenant_id, kind=ActorKind.ACCOUNT, id=self.account_id, role=self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatApp:
    """An app and a key that opens it."""

    id: str
    key: str
    owner: Owner

    @property
    def headers(self) -> dict[str, str]:
        """What a public API call with the key carries."""
        return {"Authorization": f"Bearer {self.key}"}


def make_owner(runtime: Runtime, *, password_hash: str | None = None) -> Owner:
    """Make an account that owns a fresh workspace, and sign it in."""
    email = f"user-{uuid.uuid4().hex[:12]}@example.com"
    with runtime.transaction() as session:
        account = Account(email=email, name="Test Owner", password_hash=password_hash)
        session.add(account)
        session.flush()
        tenant = tenants.create_tenant(runtime, session, name="Test Workspace", owner=account)
        issued = sessions.open_session(runtime, session, account.id, "127.0.0.1")
    return Owner(
        account_id=account.id,
        tenant_id=tenant.id,
        email=email,
        role=Role.OWNER,
        token=issued.access_token,
    )


def make_member(runtime: Runtime, owner: Owner, role: Role) -> Owner:
    """Make another member of the owner's workspace, signed in."""
    email = f"user-{uuid.uuid4().hex[:12]}@example.com"
    with runtime.transaction() as session:
        account = Account(email=email, name=f"Test {role.wire}")
        session.add(account)
        session.flush()
        session.add(
            TenantMember(tenant_id=owner.tenant_id, account_id=account.id, role=role.wire, is_current=True)
        )
        issued = sessions.open_session(runtime, session, account.id, "127.0.0.1")
    return Owner(
        account_id=account.id, tenant_id=owner.tenant_id, email=email, role=role, token=issued.access_token
    )


def make_app(runtime: Runtime, owner: Owner, *, mode: str = "chat", name: str | None = None) -> str:
    """Make an app of a workspace; return its id."""
    with runtime.transaction() as session:
        row = apps.create_app(
            runtime, session, owner.principal, name=name or f"App {next(COUNTER)}", mode=mode
        )
    return row.id


def make_key(runtime: Runtime, owner: Owner, app_id: str | None, *permissions: str) -> str:
    """Make an app key (or a workspace key); return it in clear."""
    with runtime.transaction() as session:
        _, key = tokens.create_token(
            session,
            owner.principal,
            name="test",
            app_id=app_id,
            permissions=permissions or tokens.DEFAULT_SCOPES,
        )
    return key


def make_dataset_key(runtime: Runtime, owner: Owner) -> str:
    """Make a dataset key with the rights of a member; return it in clear."""
    with runtime.transaction() as session:
        _, key = tokens.create_token(session, owner.principal, name="test", app_id=None, kind="dataset")
    return key


def make_chat_app(runtime: Runtime, owner: Owner, *, mode: str = "chat", **config: object) -> ChatApp:
    """Make an app with a key; ``config`` overrides keys of its configuration (the model included)."""
    app_id = make_app(runtime, owner, mode=mode)
    if config:
        sent = cast("JSONObject", {"model": dict(BUILTIN), **config})
        with runtime.transaction() as session:
            app_configs.save_config(runtime, session, owner.principal, app_id, sent)
    return ChatApp(id=app_id, key=make_key(runtime, owner, app_id), owner=owner)
