"""Credentials of tools at rest: sealed for their row, opened for a call."""

from collections.abc import Mapping

import orjson
from sqlalchemy.orm import Session

from api.core import vault
from api.models.tool import ToolCredential, ToolProvider
from api.runtime import Runtime
from api.services import tenants


def seal(runtime: Runtime, session: Session, tenant_id: str, place: str, fields: Mapping[str, str]) -> bytes:
    """Return the fields of a form sealed for ``place``: a built-in provider's id, or an own one's row."""
    key, _ = tenants.load_data_keys(runtime, session, tenant_id)
    return vault.seal(key, orjson.dumps(dict(fields)), _context(tenant_id, place))


def unseal(runtime: Runtime, session: Session, row: ToolCredential | ToolProvider) -> dict[str, str]:
    """Return the fields of a row's credentials in clear."""
    _, keys = tenants.load_data_keys(runtime, session, row.tenant_id)
    place = row.provider if isinstance(row, ToolCredential) else row.id
    fields: dict[str, str] = orjson.loads(vault.unseal(keys, row.sealed, _context(row.tenant_id, place)))
    return fields


def _context(tenant_id: str, place: str) -> str:
    return f"tool:{tenant_id}:{place}"
