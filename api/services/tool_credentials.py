"""The credentials of a workspace's tools, built in or of plugins: checked by a real call, sealed, masked.

Saving opens its own transactions, because the provider is asked between them:
no session is open while it answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.http import HTTPFailure
from api.core.model_runtime.types import CredentialField
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.rag.waiting import within
from api.core.tools.provider import TOOL_PROVIDERS, ToolProvider, short_id
from api.core.tools.tool import ToolFailed
from api.errors import AppError, Duplicate, InvalidRequest, NotFound, Unavailable
from api.models.tool import ToolCredential
from api.principal import Principal
from api.runtime import Runtime
from api.services import plugin_tools, tool_calls, tool_secrets
from api.services.access import is_id
from api.services.constraints import is_duplicate
from api.services.credential_forms import mask_form, read_form

CHECK_S = 30.0
TRIES = 5


class TakenMeanwhile(Exception):
    """Another request took the name, or became the default, a moment ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialView:
    """Stored credentials as they are shown: secrets masked."""

    id: str
    name: str
    provider: str
    is_default: bool
    fields: dict[str, JSONValue]


def get_provider(runtime: Runtime, session: Session, principal: Principal, provider_id: str) -> ToolProvider:
    """Return a built-in provider by its short or long id, or that of an installed plugin; raises NotFound."""
    known = TOOL_PROVIDERS.get(short_id(provider_id))
    found = known or plugin_tools.find_provider(runtime, session, principal.tenant_id, provider_id)
    if found is None:
        raise NotFound(f"Tool provider {provider_id[:100]!r} not found.")
    return found


def get_builtin_icon(provider_id: str) -> str:
    """Return the picture of a built-in provider, which is the same everywhere; raises NotFound."""
    provider = TOOL_PROVIDERS.get(short_id(provider_id))
    if provider is None:
        raise NotFound(f"Tool provider {provider_id[:100]!r} not found.")
    return provider.schema.icon_svg


def load_credentials(
    runtime: Runtime, session: Session, principal: Principal, provider_id: str | None = None
) -> Sequence[CredentialView]:
    """Return the credentials of one built-in provider, or of all, oldest first. Raises NotFound."""
    query = select(ToolCredential).where(ToolCredential.tenant_id == principal.tenant_id)
    if provider_id is not None:
        providers = [get_provider(runtime, session, principal, provider_id)]
        query = _rows(principal, providers[0])
    else:
        of_plugins = plugin_tools.load_providers(runtime, session, principal.tenant_id)
        providers = [*TOOL_PROVIDERS.values(), *of_plugins]
    known = {provider.schema.id: provider.schema for provider in providers}
    rows = session.scalars(query.order_by(ToolCredential.created_at, ToolCredential.id)).all()
    mine = [row for row in rows if row.provider in known]
    fields = tool_secrets.unseal_all(runtime, session, principal.tenant_id, mine)
    return [_to_view(row, known[row.provider].credential_fields, fields[row.id]) for row in mine]


def create_credential(
    runtime: Runtime, principal: Principal, provider_id: str, *, sent: JSONObject, name: str | None
) -> None:
    """Store credentials the provider accepts; the first are the default.

    Raises NotFound, InvalidRequest with what the provider said, Duplicate for a name that is taken.
    """
    with runtime.reading() as session:
        provider = get_provider(runtime, session, principal, provider_id)
    fields = _checked(runtime, principal, provider, sent, {})
    for _ in range(TRIES):
        try:
            with runtime.transaction() as session:
                _add(runtime, session, principal, provider, fields, name)
        except TakenMeanwhile:  # of two that come at once, the second now sees the first
            continue
        return
    raise Unavailable("Too many credentials are added at once; try again.")


def _add(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    provider: ToolProvider,
    fields: dict[str, str],
    name: str | None,
) -> None:
    rows = session.scalars(_rows(principal, provider)).all()
    taken = {row.name for row in rows}
    free = next(each for n in range(1, len(taken) + 2) if (each := f"API KEY {n}") not in taken)
    session.add(
        ToolCredential(
            tenant_id=principal.tenant_id,
            provider=provider.schema.id,
            name=name or free,
            sealed=tool_secrets.seal(runtime, session, principal.tenant_id, provider.schema.id, fields),
            is_default=not any(row.is_default for row in rows),
            created_by=principal.id,
        )
    )
    _flush_name(session, is_chosen=name is not None)


def update_credential(
    runtime: Runtime,
    principal: Principal,
    provider_id: str,
    credential_id: str,
    *,
    sent: JSONObject | None,
    name: str | None,
) -> None:
    """Replace stored credentials by ones the provider accepts, or rename them. Raises as creating does."""
    with runtime.reading() as session:
        provider = get_provider(runtime, session, principal, provider_id)
    fields = None
    if sent is not None:
        with runtime.reading() as session:
            row = _access(session, principal, provider, credential_id)
            stored = tool_secrets.unseal(runtime, session, row)
        fields = _checked(runtime, principal, provider, sent, stored)
    with runtime.transaction() as session:
        row = _access(session, principal, provider, credential_id)
        if fields is not None:
            row.sealed = tool_secrets.seal(runtime, session, principal.tenant_id, provider.schema.id, fields)
        row.name = name or row.name
        _flush_name(session, is_chosen=True)


def delete_credential(
    runtime: Runtime, session: Session, principal: Principal, provider_id: str, credential_id: str
) -> None:
    """Forget credentials; the oldest of those left become the default where it was they. Raises NotFound."""
    provider = get_provider(runtime, session, principal, provider_id)
    row = _access(session, principal, provider, credential_id)
    session.delete(row)
    session.flush()
    if row.is_default:
        oldest = _rows(principal, provider).order_by(ToolCredential.created_at, ToolCredential.id).limit(1)
        heir = session.scalars(oldest).one_or_none()
        if heir is not None:
            _make_default(session, heir)


def choose_default(
    runtime: Runtime, session: Session, principal: Principal, provider_id: str, credential_id: str
) -> None:
    """Use other stored credentials of a provider where none are named. Raises NotFound."""
    provider = get_provider(runtime, session, principal, provider_id)
    chosen = _access(session, principal, provider, credential_id)
    _make_default(session, chosen)


def _make_default(session: Session, chosen: ToolCredential) -> None:
    """Make credentials the default and no others; whoever does the same at once waits for its turn."""
    of_provider = update(ToolCredential).where(
        ToolCredential.tenant_id == chosen.tenant_id, ToolCredential.provider == chosen.provider
    )
    kept = {"updated_at": ToolCredential.updated_at}
    for changed in (
        of_provider.values(is_default=False, **kept),
        of_provider.where(ToolCredential.id == chosen.id).values(is_default=True, **kept),
    ):
        session.execute(changed.execution_options(synchronize_session=False))


def _checked(
    runtime: Runtime,
    principal: Principal,
    provider: ToolProvider,
    sent: JSONObject,
    stored: dict[str, str],
) -> dict[str, str]:
    """Return a filled-in form as it is stored, once the provider has accepted it."""
    form = provider.schema.credential_fields
    if not form:
        raise InvalidRequest(f"{provider.schema.label.en} needs no credentials.", field="credentials")
    fields = read_form(form, sent, stored)
    if provider.check is not None:
        with within(CHECK_S, Cancel()) as cancel:
            context = tool_calls.make_context(runtime, principal.tenant_id, principal.id, fields, cancel)
            try:
                provider.check(context)
            except (ToolFailed, HTTPFailure, CodeFailed, AppError) as exc:
                raise InvalidRequest(str(exc), field="credentials") from exc
    return fields


def _rows(principal: Principal, provider: ToolProvider) -> Select[ToolCredential]:
    return select(ToolCredential).where(
        ToolCredential.tenant_id == principal.tenant_id, ToolCredential.provider == provider.schema.id
    )


def _access(
    session: Session, principal: Principal, provider: ToolProvider, credential_id: str
) -> ToolCredential:
    row = None
    if is_id(credential_id):
        query = _rows(principal, provider).where(ToolCredential.id == credential_id.lower())
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Credential not found.")
    return row


def _to_view(
    row: ToolCredential, form: Sequence[CredentialField], fields: Mapping[str, str]
) -> CredentialView:
    return CredentialView(
        id=row.id,
        name=row.name,
        provider=row.provider,
        is_default=row.is_default,
        fields=mask_form(form, fields),
    )


def _flush_name(session: Session, *, is_chosen: bool) -> None:
    """Write what is to be written; ``is_chosen`` tells that the caller named it. Raises Duplicate."""
    try:
        session.flush()
    except IntegrityError as exc:
        is_name = is_duplicate(exc, "tool_credentials", "tenant_id", "provider", "name")
        if is_name and is_chosen:
            raise Duplicate("A credential of this name already exists.", field="name") from exc
        if is_name or is_duplicate(exc, "tool_credentials", "tenant_id", "provider"):
            raise TakenMeanwhile from exc
        raise
