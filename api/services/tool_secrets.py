"""Credentials of tools at rest: sealed for their row, opened for a call."""

from collections.abc import Iterable, Mapping

import orjson
from sqlalchemy.orm import Session

from api.core import vault
from api.core.vault import DataKey
from api.models.tool import ToolCredential, ToolProvider
from api.runtime import Runtime
from api.services import tenants


def seal(runtime: Runtime, session: Session, tenant_id: str, place: str, fields: Mapping[str, str]) -> bytes:
    """Return the fields of a form sealed for ``place``: a built-in provider's id, or an own one's row."""
    key, _ = tenants.load_data_keys(runtime, session, tenant_id)
    return vault.seal(key, orjson.dumps(dict(fields)), _context(tenant_id, place))


def unseal(runtime: Runtime, session: Session, row: ToolCredential | ToolProvider) -> dict[str, str]:
    """Return the fields of a row's credentials in clear."""
    return unseal_all(runtime, session, row.tenant_id, [row])[row.id]


def unseal_all(
    runtime: Runtime, session: Session, tenant_id: str, rows: Iterable[ToolCredential | ToolProvider]
) -> dict[str, dict[str, str]]:
    """Return the fields of a workspace's credentials in clear, by the ids of their rows; one statement."""
    _, keys = tenants.load_data_keys(runtime, session, tenant_id)
    return {row.id: _opened(keys, row) for row in rows}


def _opened(keys: Mapping[str, DataKey], row: ToolCredential | ToolProvider) -> dict[str, str]:
    place = row.provider if isinstance(row, ToolCredential) else row.id
    fields: dict[str, str] = orjson.loads(vault.unseal(keys, row.sealed, _context(row.tenant_id, place)))
    return fields


def _context(tenant_id: str, place: str) -> str:
    return f"tool:{tenant_id}:{place}"
