"""What a workspace has configured of model providers, decrypted: read once, kept until it changes.

Boundary: rows in, values out; decides nothing. What must stay true: whoever
changes a row read here calls ``bump_version`` first in the same transaction,
and reads no snapshot after that in it. Then a snapshot of the version a
transaction sees is always the stored state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.core import vault
from api.core.model_runtime.provider import PROVIDERS, Provider, short_id
from api.core.model_runtime.runtime import Opened
from api.core.model_runtime.types import ModelRef, ModelType, ProviderSchema
from api.core.vault import DataKey
from api.errors import NotFound
from api.models.account import Tenant
from api.models.provider import CustomModel, DefaultModel, ProviderCredential
from api.runtime import Runtime
from api.services import plugin_models, tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A stored set of credentials of a provider. ``fields`` are in clear and never leave the server."""

    id: str
    provider: str
    name: str
    is_current: bool
    quota_exceeded_at: datetime | None
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedModel:
    """A model a workspace added to a provider. ``fields`` are credentials of its own, if it has any."""

    id: str
    ref: ModelRef
    type: ModelType
    quota_exceeded_at: datetime | None
    fields: Mapping[str, str] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Serving:
    """The fields a provider is made with, and the stored credentials they come from."""

    source: Credential | AddedModel
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a workspace has configured at one version. Lives in memory only.

    ``brought`` are the providers of its plugins, which nobody else has, by their
    long ids, ``opened`` the models that have been called with what it holds.
    """

    version: int
    brought: Mapping[str, type[Provider]]
    credentials: tuple[Credential, ...]
    models: tuple[AddedModel, ...]
    defaults: Mapping[ModelType, ModelRef]
    opened: Opened = field(default_factory=dict, compare=False, repr=False)

    @property
    def providers(self) -> Mapping[str, type[Provider]]:
        """All that the workspace may use, by the ids they are stored with."""
        return {**PROVIDERS, **self.brought}

    def find(self, provider: str) -> type[Provider] | None:
        """Return a provider by the id it is stored with."""
        return PROVIDERS.get(provider) or self.brought.get(provider)

    def access(self, provider: str) -> type[Provider]:
        """Return a provider by its short or long id, as a client names it; raises NotFound."""
        found = self.find(short_id(provider))
        if found is None:
            raise NotFound(f"There is no model provider {provider[:100]!r}.")
        return found

    def current(self, provider: str) -> Credential | None:
        """Return the credentials in use of a provider, by its short id."""
        return next((c for c in self.credentials if c.provider == provider and c.is_current), None)

    def credential(self, provider: str, credential_id: str) -> Credential | None:
        """Return one set of credentials of a provider."""
        return next((c for c in self.credentials if c.provider == provider and c.id == credential_id), None)

    def added(self, ref: ModelRef, kind: ModelType | None = None) -> AddedModel | None:
        """Return a model the workspace added; of any type where none is named."""
        return next(
            (added for added in self.models if added.ref == ref and kind in (None, added.type)),
            None,
        )

    def serving(self, schema: ProviderSchema, model: str, kind: ModelType | None = None) -> Serving | None:
        """Return the credentials that serve a model of a provider, None where there are none.

        Fields of the model's own complete those in use of its provider, unless
        they say themselves where to go and with which key: the provider's key
        must not travel to an address the model brought along.
        """
        added = self.added(ModelRef(schema.id, model), kind)
        own = (added.fields if added else None) or {}
        is_whole = not schema.credential_fields or any(
            form.variable in own for form in schema.credential_fields
        )
        if added is not None and own and is_whole:
            return Serving(added, own)
        current = self.current(schema.id)
        return None if current is None else Serving(current, {**current.fields, **own})


@dataclass(frozen=True, slots=True)
class SnapshotKey:
    """Key under which a process keeps a workspace's last snapshot; its version is checked on every use."""

    tenant_id: str


def snapshot_at(runtime: Runtime, tenant_id: str, version: int) -> Snapshot:
    """Return the workspace's snapshot at a version just read, or a newer one.

    No statement when this process knows that version already.
    """
    known = known_since(runtime, tenant_id, version)
    if known is not None:
        return known
    with runtime.transaction() as session:
        return load_snapshot(runtime, session, tenant_id)


def known_since(runtime: Runtime, tenant_id: str, version: int) -> Snapshot | None:
    """Return the snapshot this process knows, where it is of a version that was just read, or a newer one."""
    known: Snapshot | None = runtime.memory.get(SnapshotKey(tenant_id))
    return None if known is None or known.version < version else known


def load_snapshot(runtime: Runtime, session: Session, tenant_id: str) -> Snapshot:
    """Return the workspace's snapshot as of now; one statement when this process knows it already."""
    version = session.scalars(select(Tenant.providers_version).where(Tenant.id == tenant_id)).one()
    known: Snapshot | None = runtime.memory.get(SnapshotKey(tenant_id))
    if known is not None and known.version == version:
        return known
    fresh = _read(runtime, session, tenant_id, version)
    runtime.memory.put(SnapshotKey(tenant_id), fresh)
    return fresh


def bump_version(session: Session, tenant_id: str) -> None:
    """Say that the workspace's providers change in this transaction; others who change them wait for it."""
    session.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id)
        .values(providers_version=Tenant.providers_version + 1, updated_at=Tenant.updated_at)
        .execution_options(synchronize_session=False)
    )


def seal_credential(
    runtime: Runtime, session: Session, tenant_id: str, provider: str, fields: Mapping[str, str]
) -> bytes:
    """Return the fields of a provider's credentials, sealed for their row."""
    return _seal(runtime, session, tenant_id, fields, credential_context(tenant_id, provider))


def seal_model(
    runtime: Runtime, session: Session, tenant_id: str, ref: ModelRef, fields: Mapping[str, str]
) -> bytes:
    """Return the fields of an added model's own credentials, sealed for their row."""
    return _seal(runtime, session, tenant_id, fields, model_context(tenant_id, ref))


def credential_context(tenant_id: str, provider: str) -> str:
    """Return what binds sealed credentials to their place."""
    return f"provider:{tenant_id}:{provider}"


def model_context(tenant_id: str, ref: ModelRef) -> str:
    """Return what binds an added model's sealed credentials to their place."""
    return f"model:{tenant_id}:{ref.provider}:{ref.model}"


def _seal(
    runtime: Runtime, session: Session, tenant_id: str, fields: Mapping[str, str], context: str
) -> bytes:
    key, _ = tenants.load_data_keys(runtime, session, tenant_id)
    return vault.seal(key, orjson.dumps(dict(fields)), context)


def _read(runtime: Runtime, session: Session, tenant_id: str, version: int) -> Snapshot:
    credentials = session.scalars(
        select(ProviderCredential)
        .where(ProviderCredential.tenant_id == tenant_id)
        .order_by(ProviderCredential.created_at, ProviderCredential.id)
    ).all()
    models = session.scalars(
        select(CustomModel)
        .where(CustomModel.tenant_id == tenant_id)
        .order_by(CustomModel.created_at, CustomModel.id)
    ).all()
    defaults = session.scalars(select(DefaultModel).where(DefaultModel.tenant_id == tenant_id)).all()
    keys: Mapping[str, DataKey] = {}
    if credentials or models:
        _, keys = tenants.load_data_keys(runtime, session, tenant_id)
    return Snapshot(
        version=version,
        brought=plugin_models.load_providers(runtime, session, tenant_id),
        credentials=tuple(_open_credential(row, keys) for row in credentials),
        models=tuple(_open_model(row, keys) for row in models),
        defaults={ModelType(row.model_type): ModelRef(row.provider, row.model) for row in defaults},
    )


def _open_credential(row: ProviderCredential, keys: Mapping[str, DataKey]) -> Credential:
    return Credential(
        id=row.id,
        provider=row.provider,
        name=row.name,
        is_current=row.is_current,
        quota_exceeded_at=row.quota_exceeded_at,
        fields=_unseal(keys, row.sealed, credential_context(row.tenant_id, row.provider)),
    )


def _open_model(row: CustomModel, keys: Mapping[str, DataKey]) -> AddedModel:
    ref = ModelRef(row.provider, row.model)
    context = model_context(row.tenant_id, ref)
    return AddedModel(
        id=row.id,
        ref=ref,
        type=ModelType(row.model_type),
        quota_exceeded_at=row.quota_exceeded_at,
        fields=None if row.sealed is None else _unseal(keys, row.sealed, context),
    )


def _unseal(keys: Mapping[str, DataKey], sealed: bytes, context: str) -> Mapping[str, str]:
    fields: Mapping[str, str] = orjson.loads(vault.unseal(keys, sealed, context))
    return fields
