"""The credentials of a workspace's model providers: checked by a real call, sealed, masked.

Saving opens its own transactions, because the provider is asked between them:
no session is open while it answers. Every change bumps the workspace's version
of its providers (provider_snapshot.py).
"""

from sqlalchemy import Select, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.model_runtime.types import ProviderSchema
from api.core.ports import JSONObject, JSONValue
from api.errors import Duplicate, InvalidRequest, NotFound
from api.models.provider import ProviderCredential
from api.principal import Principal
from api.runtime import Runtime
from api.services import idempotency
from api.services.access import is_id
from api.services.constraints import is_duplicate
from api.services.credential_forms import mask_form, read_form
from api.services.idempotency import Claim
from api.services.provider_snapshot import Credential, bump_version, load_snapshot, seal_credential
from api.services.providers import access_provider, check_fields


def get_credential(
    runtime: Runtime, session: Session, principal: Principal, provider: str, credential_id: str | None
) -> dict[str, JSONValue] | None:
    """Return the masked fields of a provider's credentials: those named, else those in use.

    None when none are in use; raises NotFound for an unknown provider or id.
    """
    schema = access_provider(runtime, session, principal.tenant_id, provider).schema
    found = _find(runtime, session, principal, schema, credential_id)
    return None if found is None else mask_form(schema.credential_fields, found.fields)


def find_fault(
    runtime: Runtime, principal: Principal, provider: str, sent: JSONObject, credential_id: str | None
) -> str | None:
    """Return what is wrong with a filled-in form, or None when the provider accepts it."""
    try:
        _check(runtime, principal, provider, sent, credential_id)
    except InvalidRequest as exc:
        return exc.message
    return None


def create_credential(
    runtime: Runtime,
    principal: Principal,
    provider: str,
    *,
    sent: JSONObject,
    name: str | None,
    claim: Claim | None = None,
) -> None:
    """Store new credentials the provider accepts; they are used at once if none were in use before.

    With ``claim``, once however often it is asked. Raises InvalidRequest,
    Duplicate for a name that is taken.
    """
    fields = _check(runtime, principal, provider, sent, None)
    with runtime.transaction() as session:
        schema = access_provider(runtime, session, principal.tenant_id, provider).schema
        if claim is None or idempotency.take(session, claim) is None:
            _insert(runtime, session, principal, schema, fields, name)


def save_current_credential(runtime: Runtime, principal: Principal, provider: str, sent: JSONObject) -> None:
    """Replace the credentials in use, or store the first ones. Raises InvalidRequest."""
    fields = _check(runtime, principal, provider, sent, None)
    with runtime.transaction() as session:
        schema = access_provider(runtime, session, principal.tenant_id, provider).schema
        bump_version(session, principal.tenant_id)
        row = session.scalars(
            _rows(principal, schema).where(ProviderCredential.is_current.is_(True))
        ).one_or_none()
        if row is None:
            _insert(runtime, session, principal, schema, fields, None)
        else:
            row.sealed = seal_credential(runtime, session, principal.tenant_id, schema.id, fields)
            row.quota_exceeded_at = None


def update_credential(
    runtime: Runtime,
    principal: Principal,
    provider: str,
    credential_id: str,
    *,
    sent: JSONObject,
    name: str | None,
) -> None:
    """Replace stored credentials by ones the provider accepts, and rename them where a name is given.

    Raises NotFound, InvalidRequest, Duplicate for a name that is taken.
    """
    fields = _check(runtime, principal, provider, sent, credential_id)
    with runtime.transaction() as session:
        schema = access_provider(runtime, session, principal.tenant_id, provider).schema
        bump_version(session, principal.tenant_id)
        row = _access(session, principal, schema, credential_id)
        row.sealed = seal_credential(runtime, session, principal.tenant_id, schema.id, fields)
        row.quota_exceeded_at = None
        row.name = name or row.name
        _flush_name(session)


def delete_credential(
    runtime: Runtime, session: Session, principal: Principal, provider: str, credential_id: str
) -> None:
    """Forget credentials; if they were in use, none are until others are switched to. Raises NotFound."""
    schema = access_provider(runtime, session, principal.tenant_id, provider).schema
    bump_version(session, principal.tenant_id)
    session.delete(_access(session, principal, schema, credential_id))
    session.flush()


def delete_credentials(runtime: Runtime, session: Session, principal: Principal, provider: str) -> None:
    """Forget all credentials of a provider; raises NotFound for an unknown one."""
    schema = access_provider(runtime, session, principal.tenant_id, provider).schema
    bump_version(session, principal.tenant_id)
    session.execute(
        delete(ProviderCredential).where(
            ProviderCredential.tenant_id == principal.tenant_id, ProviderCredential.provider == schema.id
        )
    )


def switch_credential(
    runtime: Runtime, session: Session, principal: Principal, provider: str, credential_id: str
) -> None:
    """Use other stored credentials of a provider from now on; raises NotFound."""
    schema = access_provider(runtime, session, principal.tenant_id, provider).schema
    bump_version(session, principal.tenant_id)
    chosen = _access(session, principal, schema, credential_id)
    session.execute(
        update(ProviderCredential)
        .where(ProviderCredential.tenant_id == principal.tenant_id, ProviderCredential.provider == schema.id)
        .values(is_current=ProviderCredential.id == chosen.id)
        .execution_options(synchronize_session=False)
    )


def _check(
    runtime: Runtime, principal: Principal, provider: str, sent: JSONObject, credential_id: str | None
) -> dict[str, str]:
    """Return a filled-in form as it would be stored, once the provider has accepted it in a real call.

    Secrets sent back masked are those of ``credential_id``, else of the
    credentials in use. Raises InvalidRequest with the provider's own words. The
    provider may be gone by then: a plugin may be removed meanwhile.
    """
    with runtime.transaction() as session:
        kind = access_provider(runtime, session, principal.tenant_id, provider)
        stored = _find(runtime, session, principal, kind.schema, credential_id)
    schema = kind.schema
    if not schema.credential_fields:
        raise InvalidRequest(f"{schema.label} needs no credentials.", field="credentials")
    fields = read_form(schema.credential_fields, sent, stored.fields if stored else {})
    check_fields(runtime, principal, kind, fields)
    return fields


def _find(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    schema: ProviderSchema,
    credential_id: str | None,
) -> Credential | None:
    """Return the stored credentials named, raising NotFound, else those in use, if any."""
    known = load_snapshot(runtime, session, principal.tenant_id)
    if credential_id is None:
        return known.current(schema.id)
    found = known.credential(schema.id, credential_id.lower())
    if found is None:
        raise NotFound("Credential not found.")
    return found


def _insert(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    schema: ProviderSchema,
    fields: dict[str, str],
    name: str | None,
) -> None:
    bump_version(session, principal.tenant_id)
    rows = session.scalars(_rows(principal, schema)).all()
    session.add(
        ProviderCredential(
            tenant_id=principal.tenant_id,
            provider=schema.id,
            name=name or _free_name({row.name for row in rows}),
            sealed=seal_credential(runtime, session, principal.tenant_id, schema.id, fields),
            is_current=not any(row.is_current for row in rows),
            created_by=principal.id,
        )
    )
    _flush_name(session)


def _free_name(taken: set[str]) -> str:
    return next(name for n in range(1, len(taken) + 2) if (name := f"API KEY {n}") not in taken)


def _rows(principal: Principal, schema: ProviderSchema) -> Select[ProviderCredential]:
    return select(ProviderCredential).where(
        ProviderCredential.tenant_id == principal.tenant_id, ProviderCredential.provider == schema.id
    )


def _access(
    session: Session, principal: Principal, schema: ProviderSchema, credential_id: str
) -> ProviderCredential:
    row = None
    if is_id(credential_id):
        query = _rows(principal, schema).where(ProviderCredential.id == credential_id.lower())
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Credential not found.")
    return row


def _flush_name(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "provider_credentials", "tenant_id", "provider", "name"):
            raise Duplicate("A credential of this name already exists.", field="name") from exc
        raise
