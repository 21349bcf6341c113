"""Models a workspace adds by name to a provider that takes any, with credentials of their own or its."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.model_runtime.provider import Provider
from api.core.model_runtime.types import CredentialField, ModelRef, ModelType, ProviderSchema
from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest, NotFound
from api.models.provider import CustomModel
from api.principal import Principal
from api.runtime import Runtime
from api.services.credential_forms import mask_form, read_form
from api.services.provider_snapshot import AddedModel, Snapshot, bump_version, load_snapshot, seal_model
from api.services.providers import access_provider, check_fields


def add_model(
    runtime: Runtime, session: Session, principal: Principal, provider: str, *, model: str, kind: ModelType
) -> None:
    """Add a model that uses the provider's credentials; nothing changes when it is there already.

    Raises InvalidRequest for a type the provider takes no names for, and where
    it has no credentials.
    """
    known = load_snapshot(runtime, session, principal.tenant_id)
    schema = _customizable(known, provider, kind).schema
    ref = ModelRef(schema.id, model)
    if schema.needs_credentials and known.serving(schema, model, kind) is None:
        raise InvalidRequest(f"The provider {schema.label} is not configured.", field="provider")
    bump_version(session, principal.tenant_id)
    if _find_row(session, principal, ref, kind) is None:
        session.add(_new_row(principal, ref, kind))
    session.flush()


def remove_model(
    runtime: Runtime, session: Session, principal: Principal, provider: str, *, model: str, kind: ModelType
) -> None:
    """Remove an added model with its credentials; raises NotFound."""
    ref = _ref(runtime, session, principal, provider, model)
    bump_version(session, principal.tenant_id)
    session.delete(_access(session, principal, ref, kind))
    session.flush()


def get_model_credential(
    runtime: Runtime, session: Session, principal: Principal, provider: str, *, model: str, kind: ModelType
) -> tuple[AddedModel | None, dict[str, JSONValue]]:
    """Return an added model (None: it was not added) and the masked fields of its own credentials."""
    known = load_snapshot(runtime, session, principal.tenant_id)
    schema = known.access(provider).schema
    added = known.added(ModelRef(schema.id, model), kind)
    if added is None or added.fields is None:
        return None, {}
    return added, mask_form(_form(schema), added.fields)


def check_model_credential(
    runtime: Runtime, principal: Principal, provider: str, sent: JSONObject, *, model: str, kind: ModelType
) -> dict[str, str]:
    """Return a filled-in form as it would be stored, once the provider has accepted it in a real call.

    Where the provider has credentials in use, the form may leave those fields
    out and only complete them. Raises InvalidRequest with the provider's words.
    """
    with runtime.transaction() as session:
        known = load_snapshot(runtime, session, principal.tenant_id)
    found = _customizable(known, provider, kind)
    schema = found.schema
    added = known.added(ModelRef(schema.id, model), kind)
    current = known.current(schema.id)
    is_complete = current is None or any(sent.get(field.variable) for field in schema.credential_fields)
    form = _form(schema) if is_complete else schema.model_credential_fields
    fields = read_form(form, sent, (added.fields if added else None) or {})
    inherited = current.fields if current and not is_complete else {}
    check_fields(runtime, principal, found, {**inherited, **fields})
    return fields


def find_model_fault(
    runtime: Runtime, principal: Principal, provider: str, sent: JSONObject, *, model: str, kind: ModelType
) -> str | None:
    """Return what is wrong with a filled-in form, or None when the provider accepts it."""
    try:
        check_model_credential(runtime, principal, provider, sent, model=model, kind=kind)
    except InvalidRequest as exc:
        return exc.message
    return None


def save_model_credential(
    runtime: Runtime,
    principal: Principal,
    provider: str,
    sent: JSONObject,
    *,
    model: str,
    kind: ModelType,
    credential_id: str | None = None,
) -> None:
    """Give a model credentials of its own the provider accepts, adding the model where it was not there.

    Raises InvalidRequest, and NotFound where ``credential_id`` names others.
    """
    fields = check_model_credential(runtime, principal, provider, sent, model=model, kind=kind)
    with runtime.transaction() as session:
        ref = _ref(runtime, session, principal, provider, model)
        bump_version(session, principal.tenant_id)
        row = (
            _find_row(session, principal, ref, kind) or _new_row(principal, ref, kind)
            if credential_id is None
            else _access(session, principal, ref, kind, credential_id)
        )
        row.sealed = seal_model(runtime, session, principal.tenant_id, ref, fields)
        row.quota_exceeded_at = None
        session.add(row)


def delete_model_credential(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    provider: str,
    credential_id: str,
    *,
    model: str,
    kind: ModelType,
) -> None:
    """Forget a model's own credentials, and with them the model; raises NotFound."""
    ref = _ref(runtime, session, principal, provider, model)
    bump_version(session, principal.tenant_id)
    session.delete(_access(session, principal, ref, kind, credential_id))
    session.flush()


def _customizable(known: Snapshot, provider: str, kind: ModelType) -> type[Provider]:
    """Return a provider that takes any name for a type; raises InvalidRequest, NotFound."""
    found = known.access(provider)
    if kind not in found.schema.custom_model_types:
        raise InvalidRequest(
            f"{found.schema.label} takes no added models of type {kind}.", field="model_type"
        )
    return found


def _ref(runtime: Runtime, session: Session, principal: Principal, provider: str, model: str) -> ModelRef:
    return ModelRef(access_provider(runtime, session, principal.tenant_id, provider).schema.id, model)


def _form(schema: ProviderSchema) -> tuple[CredentialField, ...]:
    """Return the whole form of a model's own credentials: the provider's fields and those of the model."""
    return (*schema.credential_fields, *schema.model_credential_fields)


def _new_row(principal: Principal, ref: ModelRef, kind: ModelType) -> CustomModel:
    return CustomModel(
        tenant_id=principal.tenant_id,
        provider=ref.provider,
        model=ref.model,
        model_type=kind.value,
        created_by=principal.id,
    )


def _find_row(session: Session, principal: Principal, ref: ModelRef, kind: ModelType) -> CustomModel | None:
    return session.scalars(
        select(CustomModel).where(
            CustomModel.tenant_id == principal.tenant_id,
            CustomModel.provider == ref.provider,
            CustomModel.model == ref.model,
            CustomModel.model_type == kind.value,
        )
    ).one_or_none()


def _access(
    session: Session, principal: Principal, ref: ModelRef, kind: ModelType, credential_id: str | None = None
) -> CustomModel:
    """Return an added model; where ``credential_id`` is given, only if its own credentials are those."""
    row = _find_row(session, principal, ref, kind)
    if row is None:
        raise NotFound("Model not found.")
    if credential_id is not None and (row.sealed is None or row.id != credential_id.lower()):
        raise NotFound("Credential not found.")
    return row
