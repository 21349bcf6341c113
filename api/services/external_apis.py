"""External knowledge APIs of a workspace: checked by a real call, their keys sealed, shown masked.

Saving opens its own transactions, because the service is asked between them:
no session is open while it answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from api.core import vault
from api.core.ports import Cancel
from api.core.rag import external
from api.core.rag.external import ExternalAPI
from api.core.vault import SealBroken
from api.errors import Conflict, ExternalKnowledgeFailed, InvalidRequest, NotFound
from api.models.dataset import Dataset, ExternalKnowledgeAPI
from api.principal import Principal
from api.runtime import Runtime
from api.services import tenants
from api.services.access import access_external_api, check_may_edit

MASK = "******"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A dataset that is searched through an external API."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAPIView:
    """An external API with the datasets searched through it; its key is never part of it."""

    api: ExternalKnowledgeAPI
    bindings: Sequence[Binding]


def load_external_apis(
    session: Session, principal: Principal, *, keyword: str, page: int, limit: int
) -> tuple[list[ExternalAPIView], int]:
    """Return a page of external APIs, newest first, and how many there are in all."""
    matches = [ExternalKnowledgeAPI.tenant_id == principal.tenant_id]
    if keyword:
        matches.append(ExternalKnowledgeAPI.name.icontains(keyword, autoescape=True))
    rows = session.scalars(
        select(ExternalKnowledgeAPI)
        .where(*matches)
        .order_by(ExternalKnowledgeAPI.created_at.desc(), ExternalKnowledgeAPI.id)
        .offset((page - 1) * limit)
        .limit(limit)
    ).all()
    total = session.scalar(select(func.count()).select_from(ExternalKnowledgeAPI).where(*matches))
    bound = _load_bindings(session, principal, [row.id for row in rows])
    return [ExternalAPIView(api=row, bindings=bound[row.id]) for row in rows], total or 0


def get_external_api(session: Session, principal: Principal, api_id: str) -> ExternalAPIView:
    """Return one external API; raises NotFound."""
    row = access_external_api(session, principal, api_id)
    return ExternalAPIView(api=row, bindings=_load_bindings(session, principal, [row.id])[row.id])


def create_external_api(
    runtime: Runtime, principal: Principal, *, name: str, description: str, endpoint: str, api_key: str
) -> ExternalAPIView:
    """Store an external API that answers to its key.

    Raises Forbidden, InvalidRequest for a bad address, ExternalKnowledgeFailed
    with what the service said, EgressDenied.
    """
    check_may_edit(principal)
    checked = _check(runtime, name, endpoint, api_key)
    with runtime.transaction() as session:
        row = ExternalKnowledgeAPI(
            tenant_id=principal.tenant_id,
            name=name,
            description=description,
            endpoint=checked.endpoint,
            sealed_key=_seal(runtime, session, principal.tenant_id, api_key),
            created_by=principal.id,
            updated_by=principal.id,
        )
        session.add(row)
        session.flush()
        return ExternalAPIView(api=row, bindings=())


def update_external_api(
    runtime: Runtime,
    principal: Principal,
    api_id: str,
    *,
    name: str,
    description: str | None,
    endpoint: str,
    api_key: str,
) -> ExternalAPIView:
    """Replace what is known of an external API; a masked key stands for the stored one.

    Raises what create_external_api does, NotFound, and InvalidRequest where the
    stored key would travel to another address.
    """
    check_may_edit(principal)
    with runtime.reading() as session:
        row = access_external_api(session, principal, api_id)
        key = api_key
        if api_key == MASK:
            key = _unseal(runtime, session, row)
            if external.check_endpoint(endpoint) != row.endpoint:
                raise InvalidRequest("A new endpoint needs its API key entered again.", field="settings")
    checked = _check(runtime, name, endpoint, key)
    with runtime.transaction() as session:
        row = access_external_api(session, principal, api_id)
        row.name, row.endpoint, row.updated_by = name, checked.endpoint, principal.id
        row.description = row.description if description is None else description
        row.sealed_key = _seal(runtime, session, principal.tenant_id, key)
        session.flush()
        return get_external_api(session, principal, api_id)


def delete_external_api(session: Session, principal: Principal, api_id: str) -> None:
    """Forget an external API; raises Forbidden, NotFound, Conflict where datasets are searched through it."""
    check_may_edit(principal)
    row = access_external_api(session, principal, api_id)
    here = (ExternalKnowledgeAPI.tenant_id == principal.tenant_id, ExternalKnowledgeAPI.id == row.id)
    # A dataset about to use the API is waited for here where rows are locked, at the deletion elsewhere.
    session.execute(select(ExternalKnowledgeAPI.id).where(*here).with_for_update())
    deleted = session.execute(
        delete(ExternalKnowledgeAPI)
        .where(*here, ~exists().where(Dataset.external_api_id == row.id))
        .returning(ExternalKnowledgeAPI.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if deleted is None:
        if _load_bindings(session, principal, [row.id])[row.id]:
            raise Conflict("Datasets are searched through this API; delete them first.")
        raise NotFound("External knowledge API not found.")


def open_external_api(runtime: Runtime, session: Session, row: ExternalKnowledgeAPI) -> ExternalAPI:
    """Return an external API as it is called, with its key in clear; raises ExternalKnowledgeFailed."""
    key = SecretStr(_unseal(runtime, session, row))
    return ExternalAPI(name=row.name, endpoint=row.endpoint, api_key=key)


def _check(runtime: Runtime, name: str, endpoint: str, api_key: str) -> ExternalAPI:
    api = ExternalAPI(name=name, endpoint=external.check_endpoint(endpoint), api_key=SecretStr(api_key))
    external.check_api(api, runtime.http, Cancel())
    return api


def _load_bindings(
    session: Session, principal: Principal, ids: Sequence[str]
) -> Mapping[str, Sequence[Binding]]:
    found: dict[str, list[Binding]] = {api_id: [] for api_id in ids}
    rows = session.execute(
        select(Dataset.external_api_id, Dataset.id, Dataset.name)
        .where(Dataset.tenant_id == principal.tenant_id, Dataset.external_api_id.in_(ids))
        .order_by(Dataset.name)
    )
    for api_id, dataset_id, name in rows:
        found[str(api_id)].append(Binding(id=dataset_id, name=name))
    return found


def _seal(runtime: Runtime, session: Session, tenant_id: str, api_key: str) -> bytes:
    key, _ = tenants.load_data_keys(runtime, session, tenant_id)
    return vault.seal(key, api_key.encode(), _context(tenant_id))


def _unseal(runtime: Runtime, session: Session, row: ExternalKnowledgeAPI) -> str:
    try:
        _, keys = tenants.load_data_keys(runtime, session, row.tenant_id)
        return vault.unseal(keys, row.sealed_key, _context(row.tenant_id)).decode()
    except SealBroken as exc:
        message = f"The API key of {row.name!r} can no longer be read; enter it again."
        raise ExternalKnowledgeFailed(message) from exc


def _context(tenant_id: str) -> str:
    """Return what binds a sealed key to its place."""
    return f"external-knowledge:{tenant_id}"
