"""API-based extensions of a workspace: checked by a ping, their keys sealed, shown masked.

Saving opens its own transactions, because the service is asked between them:
no session is open while it answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core import vault
from api.core.apps import extension as protocol
from api.core.apps.extension import Extension, Point
from api.core.ports import Cancel, JSONObject
from api.core.vault import DataKey, SealBroken
from api.errors import Duplicate, ExtensionFailed, InvalidRequest
from api.models.extension import APIExtension
from api.principal import Principal
from api.runtime import Runtime
from api.services import tenants
from api.services.access import access_api_extension, is_id
from api.services.constraints import is_duplicate
from api.services.credential_forms import HIDDEN

MASK = "******"
MASKED = (MASK, HIDDEN)
"""What stands for a stored key: what we show, and what the console sends for what was not touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionView:
    """An extension as it is shown; its key is never part of it."""

    id: str
    name: str
    endpoint: str
    created_at: datetime


def load_extensions(session: Session, principal: Principal) -> Sequence[ExtensionView]:
    """Return the extensions of a workspace, newest first."""
    rows = session.scalars(
        select(APIExtension)
        .where(APIExtension.tenant_id == principal.tenant_id)
        .order_by(APIExtension.created_at.desc(), APIExtension.id)
    )
    return [_to_view(row) for row in rows]


def get_extension(session: Session, principal: Principal, extension_id: str) -> ExtensionView:
    """Return one extension; raises NotFound."""
    return _to_view(access_api_extension(session, principal, extension_id))


def create_extension(
    runtime: Runtime, principal: Principal, *, name: str, endpoint: str, api_key: str
) -> ExtensionView:
    """Store an extension that answers a ping.

    Raises InvalidRequest for a bad address, Duplicate, ExtensionFailed, EgressDenied.
    """
    if api_key in MASKED:
        raise InvalidRequest("The API key must be entered.", field="api_key")
    checked = _check(runtime, name, endpoint, api_key)
    with runtime.transaction() as session:
        row = APIExtension(
            tenant_id=principal.tenant_id,
            name=name,
            endpoint=checked.endpoint,
            sealed_key=_seal(runtime, session, principal.tenant_id, api_key),
            created_by=principal.id,
        )
        session.add(row)
        _store(session)
        return _to_view(row)


def update_extension(
    runtime: Runtime, principal: Principal, extension_id: str, *, name: str, endpoint: str, api_key: str
) -> ExtensionView:
    """Replace what is known of an extension; a masked key stands for the stored one.

    Raises what create_extension does, NotFound, and InvalidRequest where the
    stored key would travel to another address.
    """
    with runtime.reading() as session:
        row = access_api_extension(session, principal, extension_id)
        key = api_key
        if api_key in MASKED:
            if protocol.check_endpoint(endpoint) != row.endpoint:
                raise InvalidRequest("A new endpoint needs its API key entered again.", field="api_key")
            key = _unseal(row, _keys(runtime, session, row.tenant_id))
    checked = _check(runtime, name, endpoint, key)
    with runtime.transaction() as session:
        row = access_api_extension(session, principal, extension_id)
        row.name, row.endpoint = name, checked.endpoint
        row.sealed_key = _seal(runtime, session, principal.tenant_id, key)
        _store(session)
        return _to_view(row)


def delete_extension(session: Session, principal: Principal, extension_id: str) -> None:
    """Forget an extension; apps that ask it fail from then on. Raises NotFound."""
    session.delete(access_api_extension(session, principal, extension_id))


def check_known(session: Session, tenant_id: str, ids: Iterable[str]) -> None:
    """Raise InvalidRequest unless a workspace has every one of some extensions."""
    wanted = {extension_id.lower() for extension_id in ids}
    here = (APIExtension.tenant_id == tenant_id, APIExtension.id.in_(wanted))
    are_ids = all(map(is_id, wanted))
    if wanted and not (
        are_ids and session.scalar(select(func.count()).select_from(APIExtension).where(*here)) == len(wanted)
    ):
        raise InvalidRequest("There is no such API-based extension.", field="api_based_extension_id")


def open_extension(runtime: Runtime, tenant_id: str, extension_id: str) -> Extension:
    """Return an extension as it is called, its key in clear; raises ExtensionFailed where there is none."""
    return open_extensions(runtime, tenant_id, [extension_id])[extension_id.lower()]


def open_extensions(runtime: Runtime, tenant_id: str, ids: Iterable[str]) -> dict[str, Extension]:
    """Return extensions by their ids in lower case; two statements. Raises as ``open_extension`` does."""
    wanted = {extension_id.lower() for extension_id in ids}
    here = (APIExtension.tenant_id == tenant_id, APIExtension.id.in_(filter(is_id, wanted)))
    with runtime.reading() as session:
        rows = session.scalars(select(APIExtension).where(*here)).all()
        if len(rows) < len(wanted):
            raise ExtensionFailed("The app asks an API-based extension that is no longer there.")
        keys = _keys(runtime, session, tenant_id)
    return {row.id: _opened(row, keys) for row in rows}


def _opened(row: APIExtension, keys: Mapping[str, DataKey]) -> Extension:
    return Extension(name=row.name, endpoint=row.endpoint, api_key=SecretStr(_unseal(row, keys)))


def consult(
    runtime: Runtime, extension: Extension, point: Point, params: JSONObject, cancel: Cancel
) -> JSONObject:
    """Return what an extension says at a point; raises ExtensionFailed, EgressDenied, Cancelled."""
    return protocol.ask(extension, point, params, runtime.http, cancel)


def _to_view(row: APIExtension) -> ExtensionView:
    return ExtensionView(id=row.id, name=row.name, endpoint=row.endpoint, created_at=row.created_at)


def _check(runtime: Runtime, name: str, endpoint: str, api_key: str) -> Extension:
    found = Extension(name=name, endpoint=protocol.check_endpoint(endpoint), api_key=SecretStr(api_key))
    protocol.check_extension(found, runtime.http, Cancel())
    return found


def _store(session: Session) -> None:
    """Write a row; raises Duplicate where its name is taken."""
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "api_extensions", "tenant_id", "name"):
            raise Duplicate("The workspace has an API-based extension of this name.", field="name") from exc
        raise


def _seal(runtime: Runtime, session: Session, tenant_id: str, api_key: str) -> bytes:
    key, _ = tenants.load_data_keys(runtime, session, tenant_id)
    return vault.seal(key, api_key.encode(), _context(tenant_id))


def _keys(runtime: Runtime, session: Session, tenant_id: str) -> Mapping[str, DataKey]:
    """Return what opens a workspace's keys of extensions."""
    try:
        return tenants.load_data_keys(runtime, session, tenant_id)[1]
    except SealBroken as exc:
        raise ExtensionFailed("The workspace's secrets can no longer be read.") from exc


def _unseal(row: APIExtension, keys: Mapping[str, DataKey]) -> str:
    try:
        return vault.unseal(keys, row.sealed_key, _context(row.tenant_id)).decode()
    except SealBroken as exc:
        message = f"The API key of {row.name!r} can no longer be read; enter it again."
        raise ExtensionFailed(message) from exc


def _context(tenant_id: str) -> str:
    """Return what binds a sealed key to its place."""
    return f"api-extension:{tenant_id}"
