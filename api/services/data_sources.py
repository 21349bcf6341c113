"""Keys to the services documents are fetched from (Notion): tried, sealed, shown masked, one a service.

Saving opens its own transactions, because the service is asked between them:
no session is open while it answers. Websites need no key.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core import vault
from api.core.ports import Cancel, JSONObject
from api.core.rag.sources.notion import NotionClient
from api.core.vault import DataKey
from api.errors import Conflict, InvalidRequest, NotionFailed
from api.models.base import utc_now
from api.models.dataset import DataSourceKey
from api.principal import Principal
from api.runtime import Runtime
from api.services import credential_forms, tenants
from api.services.access import access_data_source_key
from api.services.constraints import is_duplicate

NOTION = "notion"
CHECK_S = 60.0
SWITCHES = {"enable": False, "disable": True}
"""What an action makes of ``is_disabled``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """A stored key; of the key itself only what ``masked_key`` shows."""

    row: DataSourceKey
    masked_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionConnection:
    """The way to a workspace's Notion, and which Notion workspace it is; the id may be empty."""

    client: NotionClient
    workspace_id: str
    workspace_name: str


def load_keys(runtime: Runtime, session: Session, principal: Principal) -> list[KeyView]:
    """Return the keys of the workspace, oldest first."""
    rows = session.scalars(
        select(DataSourceKey)
        .where(DataSourceKey.tenant_id == principal.tenant_id)
        .order_by(DataSourceKey.created_at, DataSourceKey.id)
    ).all()
    if not rows:
        return []
    _, keys = tenants.load_data_keys(runtime, session, principal.tenant_id)
    return [KeyView(row=row, masked_key=credential_forms.mask(_unseal(keys, row))) for row in rows]


def save_key(runtime: Runtime, principal: Principal, provider: str, api_key: str) -> None:
    """Store the key of a service in the place of an earlier one, once the service has taken it.

    A key as it was shown, masked, stands for the stored one. Raises InvalidRequest
    for a service that needs none, NotionFailed with what Notion said.
    """
    if provider != NOTION:
        message = f"Only {NOTION!r} needs a key; websites are read by Slipway's own crawler, without one."
        raise InvalidRequest(message, field="provider", fault="invalid_choice")
    key = _entered(runtime, principal, api_key)
    info = _ask_notion(_client(runtime, key))
    try:
        with runtime.transaction() as session:
            session.execute(delete(DataSourceKey).where(*_is_notion(principal.tenant_id)))
            data_key, _ = tenants.load_data_keys(runtime, session, principal.tenant_id)
            row = DataSourceKey(
                tenant_id=principal.tenant_id,
                provider=NOTION,
                sealed_key=vault.seal(data_key, key.encode(), _context(principal.tenant_id, NOTION)),
                source_info=info,
                created_by=principal.id,
                created_at=utc_now(),
            )
            session.add(row)
    except IntegrityError as exc:
        if not is_duplicate(exc, "data_source_keys", "tenant_id", "provider"):
            raise
        raise Conflict("Another key was saved at the same moment; look at it and try again.") from exc


def switch(session: Session, principal: Principal, binding_id: str, action: str) -> None:
    """Let a key be used (``enable``) or not (``disable``); raises NotFound, InvalidRequest."""
    row = access_data_source_key(session, principal, binding_id)
    if action not in SWITCHES:
        message = f"The action must be one of: {', '.join(SWITCHES)}."
        raise InvalidRequest(message, field="action", fault="invalid_choice")
    row.is_disabled = SWITCHES[action]
    session.flush()


def delete_key(session: Session, principal: Principal, binding_id: str) -> None:
    """Forget a key; what was read with it stays. Raises NotFound."""
    row = access_data_source_key(session, principal, binding_id)
    session.execute(
        delete(DataSourceKey).where(
            DataSourceKey.tenant_id == principal.tenant_id, DataSourceKey.id == row.id
        )
    )


def open_notion(runtime: Runtime, tenant_id: str) -> NotionConnection:
    """Return the way to a workspace's Notion; raises NotionFailed where it is not connected, or disabled."""
    with runtime.reading() as session:
        row = session.scalars(select(DataSourceKey).where(*_is_notion(tenant_id))).one_or_none()
        if row is None:
            raise NotionFailed("Notion is not connected; an admin connects it by an integration's secret.")
        if row.is_disabled:
            raise NotionFailed("The connection to Notion is disabled; an admin can enable it.")
        _, keys = tenants.load_data_keys(runtime, session, tenant_id)
        key = _unseal(keys, row)
    info = row.source_info or {}
    return NotionConnection(
        client=_client(runtime, key),
        workspace_id=str(info.get("workspace_id", "")),
        workspace_name=str(info.get("workspace_name", "")),
    )


def _entered(runtime: Runtime, principal: Principal, api_key: str) -> str:
    """Return the key a form means: the stored one where it was left as it was shown."""
    with runtime.reading() as session:
        row = session.scalars(select(DataSourceKey).where(*_is_notion(principal.tenant_id))).one_or_none()
        if row is None:
            return api_key
        _, keys = tenants.load_data_keys(runtime, session, principal.tenant_id)
        stored = _unseal(keys, row)
    is_kept = api_key in (credential_forms.HIDDEN, credential_forms.mask(stored))
    return stored if is_kept else api_key


def _ask_notion(client: NotionClient) -> JSONObject:
    """Return which Notion workspace a key opens and how many pages it shows; raises NotionFailed."""
    cancel = Cancel(CHECK_S)
    workspace = client.workspace(cancel)
    total = sum(1 for _ in client.search("", cancel))
    return {
        "workspace_id": workspace.id,
        "workspace_name": workspace.name,
        "workspace_icon": None,
        "total": total,
        "pages": [],
    }


def _client(runtime: Runtime, key: str) -> NotionClient:
    return NotionClient(SecretStr(key), runtime.http, base_url=runtime.limits.notion_api_url)


def _is_notion(tenant_id: str) -> tuple[ColumnElement[bool], ...]:
    return (DataSourceKey.tenant_id == tenant_id, DataSourceKey.provider == NOTION)


def _unseal(keys: Mapping[str, DataKey], row: DataSourceKey) -> str:
    return vault.unseal(keys, row.sealed_key, _context(row.tenant_id, row.provider)).decode()


def _context(tenant_id: str, provider: str) -> str:
    """Return what binds a sealed key to its place."""
    return f"data-source:{provider}:{tenant_id}"
