"""Model providers as a workspace sees them: which are usable, with which models, and which one by default.

Boundary: judges what provider_snapshot.py read. Credentials never appear in a
view, only their names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from api.core.model_runtime.provider import Provider, ProviderContext
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel
from api.core.model_runtime.types import (
    IdStyle,
    ModelRef,
    ModelSchema,
    ModelType,
    ParameterRule,
    ProviderSchema,
)
from api.errors import InvalidRequest, NotFound, ProviderNotConfigured
from api.models.base import utc_now
from api.models.provider import CustomModel, DefaultModel, ProviderCredential
from api.principal import Principal
from api.runtime import Runtime
from api.services.ledger import Tally
from api.services.provider_snapshot import (
    AddedModel,
    Credential,
    Snapshot,
    bump_version,
    known_since,
    load_snapshot,
    snapshot_at,
)

BUILTIN = "builtin"
"""The provider that needs no credentials and is always there."""


class Status(StrEnum):
    """Whether a provider or model can be used, in the words of the console."""

    ACTIVE = "active"
    NO_CONFIGURE = "no-configure"
    QUOTA_EXCEEDED = "quota-exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialName:
    """A stored set of credentials, by its name alone."""

    id: str
    name: str
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model of a provider. ``credential`` names its own credentials, where it was added with some."""

    schema: ModelSchema
    status: Status
    is_added: bool
    credential: CredentialName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """A provider with its models of the type asked for, and what the workspace has configured of it."""

    tenant_id: str
    schema: ProviderSchema
    status: Status
    models: tuple[ModelView, ...]
    credentials: tuple[CredentialName, ...]
    id_style: IdStyle

    @property
    def usable_models(self) -> tuple[ModelView, ...]:
        """The models that can be called now."""
        return tuple(model for model in self.models if model.status is Status.ACTIVE)


def access_provider(runtime: Runtime, session: Session, tenant_id: str, provider: str) -> type[Provider]:
    """Return a provider a workspace may use, by its short or long id; raises NotFound."""
    return load_snapshot(runtime, session, tenant_id).access(provider)


def make_provider(runtime: Runtime, kind: type[Provider], fields: Mapping[str, str]) -> Provider:
    """Return a provider that speaks with the given credentials."""
    return kind(ProviderContext(credentials=fields, http=runtime.provider_http, offload=runtime.offload))


def check_fields(
    runtime: Runtime, principal: Principal, kind: type[Provider], fields: Mapping[str, str]
) -> None:
    """Have a provider prove credentials in a real call; raises InvalidRequest with its own words."""
    spent = make_provider(runtime, kind, fields).check_credentials()
    if spent is not None:
        Tally(runtime=runtime, tenant_id=principal.tenant_id, actor_id=principal.id).add([spent])


def model_runtime(tally: Tally, providers_version: int, *, is_watched: bool = False) -> ModelRuntime:
    """Return the way to the models of a tally's workspace, for a version of its providers that was just read.

    What is taken of them is added to the tally. ``is_watched`` says that somebody sees answers come.

    No statement is needed while this process knows that version's credentials;
    they are the stored ones, because every change makes a new version.
    """
    runtime, tenant_id = tally.runtime, tally.tenant_id

    def resolve(asked: str, ref: ModelRef) -> ResolvedModel:
        assert asked == tenant_id, "a version says nothing of another workspace"
        return _resolve(runtime, tenant_id, snapshot_at(runtime, tenant_id, providers_version), ref)

    known = known_since(runtime, tenant_id, providers_version)
    return ModelRuntime(
        resolve,
        runtime.provider_http,
        runtime.offload,
        book=tally,
        is_watched=is_watched,
        opened=None if known is None else known.opened,
    )


def _resolve(runtime: Runtime, tenant_id: str, known: Snapshot, ref: ModelRef) -> ResolvedModel:
    found = known.find(ref.provider)
    if found is None:
        raise ProviderNotConfigured(_absent(ref.provider))
    schema = found.schema
    serving = known.serving(schema, ref.model)
    if serving is not None:
        return ResolvedModel(
            credentials=serving.fields,
            is_quota_ok=serving.source.quota_exceeded_at is None,
            report=partial(_save_quota, runtime, tenant_id, serving.source),
            make=found,
        )
    if schema.needs_credentials:
        raise ProviderNotConfigured(f"The provider {schema.label} is not configured in this workspace.")
    return ResolvedModel(credentials={}, is_quota_ok=True, report=lambda _is_ok: None, make=found)


def _absent(provider: str) -> str:
    """Return what is told of a provider that is not there, which a plugin may have brought."""
    hint = "; the plugin that brings it is not installed here" if "/" in provider else ""
    return f"There is no model provider {provider[:100]!r}{hint}."


def _save_quota(runtime: Runtime, tenant_id: str, source: Credential | AddedModel, is_ok: bool) -> None:
    """Note that a provider says a quota is used up, or that a call succeeded; only where that is news."""
    table = ProviderCredential if isinstance(source, Credential) else CustomModel
    row = and_(table.tenant_id == tenant_id, table.id == source.id)
    with runtime.transaction() as session:
        noted = session.execute(select(table.quota_exceeded_at).where(row)).one_or_none()
        if noted is None or (noted[0] is None) == is_ok:
            return
        bump_version(session, tenant_id)
        session.execute(update(table).where(row).values(quota_exceeded_at=None if is_ok else utc_now()))


def load_providers(
    runtime: Runtime, session: Session, principal: Principal, kind: ModelType | None = None
) -> list[ProviderView]:
    """Return every known provider, configured or not, that has models of a type (None: of any)."""
    known = load_snapshot(runtime, session, principal.tenant_id)
    found = [each for each in known.providers.values() if kind is None or kind in each.schema.model_types]
    return [_to_view(runtime, known, principal.tenant_id, each, kind) for each in found]


def get_provider(runtime: Runtime, session: Session, principal: Principal, provider: str) -> ProviderView:
    """Return one provider with all its models; raises NotFound."""
    known = load_snapshot(runtime, session, principal.tenant_id)
    return _to_view(runtime, known, principal.tenant_id, known.access(provider), None)


def get_rules(
    runtime: Runtime, session: Session, principal: Principal, provider: str, model: str
) -> Sequence[ParameterRule]:
    """Return the completion parameters a model accepts; raises NotFound for an unknown provider or model."""
    schema = access_provider(runtime, session, principal.tenant_id, provider).schema
    if not _offers(schema, model, ModelType.LLM):
        raise NotFound(f"{schema.label} has no chat model {model[:100]!r}.")
    return rules_of(schema, model)


def rules_of(schema: ProviderSchema, model: str) -> Sequence[ParameterRule]:
    """Return the completion parameters of a model: its own, else those of its provider."""
    own = (known.rules for known in schema.models if known.model == model and known.rules)
    return next(own, schema.parameter_rules)


def get_default(
    runtime: Runtime, session: Session, principal: Principal, kind: ModelType
) -> tuple[ModelRef, ProviderSchema] | None:
    """Return the model the workspace uses for a type where none is named, with its provider."""
    known = load_snapshot(runtime, session, principal.tenant_id)
    ref = _default(known, kind)
    return None if ref is None else (ref, known.access(ref.provider).schema)


def default_chat_model(runtime: Runtime, session: Session, tenant_id: str) -> ModelRef:
    """Return the chat model of a workspace's new apps.

    The one it chose; else the first of a provider it has configured; else the
    built-in one, which needs no key, so that a new app answers at once.
    """
    ref = _default(load_snapshot(runtime, session, tenant_id), ModelType.LLM)
    assert ref is not None, "the built-in provider has a chat model"
    return ref


def default_speech_model(
    runtime: Runtime, session: Session, tenant_id: str, kind: ModelType
) -> ModelRef | None:
    """Return a workspace's model that hears or speaks; None where no provider it has offers one.

    The default one, else one it added. Raises ProviderNotConfigured where it has no provider at all.
    """
    known = load_snapshot(runtime, session, tenant_id)
    added = (model.ref for model in known.models if model.type is kind)
    ref = _default(known, kind) or next(added, None)
    if ref is None and not known.credentials and not known.models:
        raise ProviderNotConfigured("The workspace has not configured a model provider.")
    return ref


def update_defaults(
    runtime: Runtime, session: Session, principal: Principal, chosen: Mapping[ModelType, ModelRef]
) -> None:
    """Set the workspace's models for types; other types stay. Raises InvalidRequest for an unusable one."""
    for kind, ref in chosen.items():
        check_usable(runtime, session, principal.tenant_id, ref, kind)
    bump_version(session, principal.tenant_id)
    stored = session.scalars(select(DefaultModel).where(DefaultModel.tenant_id == principal.tenant_id))
    rows = {ModelType(row.model_type): row for row in stored}
    for kind, ref in chosen.items():
        row = rows.get(kind) or DefaultModel(tenant_id=principal.tenant_id, model_type=kind.value)
        row.provider, row.model = ref.provider, ref.model
        session.add(row)
    session.flush()


def check_usable(
    runtime: Runtime,
    session: Session,
    tenant_id: str,
    ref: ModelRef,
    kind: ModelType,
    *,
    names: tuple[str, str] = ("provider", "model"),
) -> None:
    """Raise InvalidRequest unless the workspace can call a model for a type.

    ``names`` are those of the two parameters that say which model is meant.
    """
    known = load_snapshot(runtime, session, tenant_id)
    cls = known.find(ref.provider)
    if cls is None:
        raise InvalidRequest(_absent(ref.provider), field=names[0])
    if status_of(known, cls.schema, ref.model, kind) is Status.NO_CONFIGURE:
        raise InvalidRequest(f"The provider {cls.schema.label} is not configured.", field=names[0])
    if not _offers(cls.schema, ref.model, kind) and known.added(ref, kind) is None:
        raise InvalidRequest(f"{cls.schema.label} has no {kind} model {ref.model[:100]!r}.", field=names[1])


def status_of(known: Snapshot, schema: ProviderSchema, model: str, kind: ModelType) -> Status:
    """Return whether a model of a provider can be called with what the workspace has configured."""
    if not schema.needs_credentials:
        return Status.ACTIVE
    serving = known.serving(schema, model, kind)
    return _status_of_source(serving.source if serving else None)


def _status_of_source(source: Credential | AddedModel | None) -> Status:
    if source is None:
        return Status.NO_CONFIGURE
    return Status.ACTIVE if source.quota_exceeded_at is None else Status.QUOTA_EXCEEDED


def _offers(schema: ProviderSchema, model: str, kind: ModelType) -> bool:
    """Tell whether a provider has a model of a name; a customizable one takes any name."""
    is_listed = any((known.model, known.type) == (model, kind) for known in schema.models)
    return is_listed or kind in schema.custom_model_types


def _default(known: Snapshot, kind: ModelType) -> ModelRef | None:
    """Return the model chosen for a type, else the first listed one of a configured provider."""
    chosen = known.defaults.get(kind)
    if chosen is not None and known.find(chosen.provider) is not None:
        return chosen
    configured = [credential.provider for credential in known.credentials if credential.is_current]
    for provider in (*configured, BUILTIN):
        cls = known.find(provider)
        for model in cls.schema.models if cls else ():
            if model.type is kind:
                return ModelRef(provider, model.model)
    return None


def _to_view(
    runtime: Runtime, known: Snapshot, tenant_id: str, provider: type[Provider], kind: ModelType | None
) -> ProviderView:
    schema = provider.schema
    views = (*_listed_models(known, schema), *_added_models(runtime, known, provider))
    return ProviderView(
        tenant_id=tenant_id,
        schema=schema,
        status=_provider_status(known, schema),
        models=tuple(view for view in views if kind in (None, view.schema.type)),
        credentials=tuple(
            CredentialName(id=credential.id, name=credential.name, is_current=credential.is_current)
            for credential in known.credentials
            if credential.provider == schema.id
        ),
        id_style=runtime.limits.provider_id_style,
    )


def _provider_status(known: Snapshot, schema: ProviderSchema) -> Status:
    """Return the best status among a provider's own credentials and those of the models added to it."""
    if not schema.needs_credentials:
        return Status.ACTIVE
    served = (
        known.serving(schema, added.ref.model, added.type)
        for added in known.models
        if added.ref.provider == schema.id
    )
    sources = (known.current(schema.id), *(serving.source for serving in served if serving))
    found = {_status_of_source(source) for source in sources}
    ranked = (Status.ACTIVE, Status.QUOTA_EXCEEDED)
    return next((status for status in ranked if status in found), Status.NO_CONFIGURE)


def _listed_models(known: Snapshot, schema: ProviderSchema) -> Iterator[ModelView]:
    for model in schema.models:
        yield ModelView(
            schema=model, status=status_of(known, schema, model.model, model.type), is_added=False
        )


def _added_models(runtime: Runtime, known: Snapshot, provider: type[Provider]) -> Iterator[ModelView]:
    schema = provider.schema
    for added in known.models:
        if added.ref.provider == schema.id:
            yield ModelView(
                schema=_describe(runtime, known, provider, added),
                status=status_of(known, schema, added.ref.model, added.type),
                is_added=True,
                credential=_own_credential(added),
            )


def _describe(runtime: Runtime, known: Snapshot, provider: type[Provider], added: AddedModel) -> ModelSchema:
    """Return what is known of an added model; without credentials that is its name."""
    model = added.ref.model
    serving = known.serving(provider.schema, model, added.type)
    described = make_provider(runtime, provider, serving.fields).model_schema(model) if serving else None
    if described is None:
        return ModelSchema(model=model, type=added.type, label=model, context_tokens=0)
    return replace(described, type=added.type)


def _own_credential(added: AddedModel) -> CredentialName | None:
    if added.fields is None:
        return None
    return CredentialName(id=added.id, name=added.ref.model, is_current=True)
