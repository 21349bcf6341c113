"""Tools a workspace makes of OpenAPI documents: kept, shown with masked keys, tried out.

No connection is held while a document is read or a tool is called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, cast
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from api.core.http import HTTPFailure
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.tools.calling import call_tool
from api.core.tools.openapi.document import MAX_BYTES, BadDocument
from api.core.tools.openapi.operations import Operation, clean_name
from api.core.tools.openapi.tools import AUTH_FIELDS, to_tool
from api.core.tools.tool import ToolFailed
from api.errors import InvalidRequest, NotFound
from api.models.base import new_id
from api.models.tool import ToolProvider
from api.principal import Principal
from api.runtime import Runtime
from api.services import own_tools, tool_calls, tool_secrets
from api.services.credential_forms import HIDDEN, mask, mask_form, read_form
from api.services.remote_files import check_address

FETCH_S = 30.0


class Details(TypedDict):
    """How an own provider is shown."""

    icon: JSONObject
    schema_type: str
    privacy_policy: str
    custom_disclaimer: str
    labels: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomProvider:
    """An own provider as it is given: its document, its credentials (secrets may be masked), its looks."""

    name: str
    document: str
    credentials: JSONObject
    details: Details


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomView:
    """An own provider as it is shown. ``operations`` are None where they were not asked for.

    A list shows no ``document``, which is large.
    """

    id: str
    name: str
    credentials: dict[str, JSONValue]
    details: Details
    document: str = ""
    operations: Sequence[Operation] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A call of a tool of a document that need not be stored; ``provider`` names whose keys are masked."""

    tool_name: str
    document: str
    credentials: JSONObject
    parameters: JSONObject
    provider: str | None = None


def parse_document(runtime: Runtime, text: str) -> tuple[str, Sequence[Operation]]:
    """Return the language and the operations of a document. Raises InvalidRequest with what is wrong."""
    try:
        return own_tools.parse_operations(runtime, text)
    except BadDocument as exc:
        raise InvalidRequest(str(exc), field="schema") from exc


def fetch_document(runtime: Runtime, url: str) -> str:
    """Return the text at an address. Raises InvalidRequest, EgressDenied."""
    try:
        reply = runtime.http.request(
            "GET", check_address(url), cancel=Cancel(FETCH_S), max_bytes=MAX_BYTES, follow=True
        )
    except HTTPFailure as exc:
        raise InvalidRequest(f"The address could not be read: {exc}", field="url") from exc
    if reply.status != 200:
        raise InvalidRequest(f"The address answers with status {reply.status}.", field="url")
    try:
        text = reply.content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InvalidRequest("The document at the address is no UTF-8 text.", field="url") from exc
    parse_document(runtime, text)
    return text


def load_providers(
    runtime: Runtime, principal: Principal, *, with_tools: bool = False
) -> Sequence[CustomView]:
    """Return the own providers of a workspace, oldest first, with their operations where asked."""
    with runtime.reading() as session:
        rows = session.scalars(own_tools.of_kind(principal.tenant_id, own_tools.API)).all()
        fields = tool_secrets.unseal_all(runtime, session, principal.tenant_id, rows)
        found = [(row, _to_view(row, fields[row.id])) for row in rows]
    return [_with_tools(runtime, row, view) if with_tools else view for row, view in found]


def get_provider(runtime: Runtime, principal: Principal, name: str) -> CustomView:
    """Return an own provider by its name, with its operations. Raises NotFound."""
    with runtime.reading() as session:
        row = _access(session, principal, name)
        view = replace(_to_view(row, tool_secrets.unseal(runtime, session, row)), document=row.document)
    return _with_tools(runtime, row, view)


def create_provider(runtime: Runtime, principal: Principal, given: CustomProvider) -> None:
    """Keep a provider of tools. Raises InvalidRequest, TooManyProviders, Duplicate for a taken name."""
    parse_document(runtime, given.document)
    fields = _read_credentials(given.credentials, {})
    row_id = new_id()
    with runtime.transaction() as session:
        own_tools.check_room(session, principal, own_tools.API)
        session.add(
            ToolProvider(
                id=row_id,
                tenant_id=principal.tenant_id,
                kind=own_tools.API,
                name=given.name,
                document=given.document,
                details=orjson.dumps(given.details),
                sealed=tool_secrets.seal(runtime, session, principal.tenant_id, row_id, fields),
                created_by=principal.id,
            )
        )
        own_tools.flush_name(session, "provider")


def update_provider(runtime: Runtime, principal: Principal, original: str, given: CustomProvider) -> None:
    """Replace what is kept of a provider; a masked key stands for the stored one.

    Raises NotFound, Duplicate, and InvalidRequest where a stored key would travel to another server.
    """
    _, operations = parse_document(runtime, given.document)
    fields = _credentials_of(runtime, principal, original, given.credentials, operations)
    with runtime.transaction() as session:
        row = _access(session, principal, original)
        row.sealed = tool_secrets.seal(runtime, session, principal.tenant_id, row.id, fields)
        row.name, row.document = given.name, given.document
        row.details = orjson.dumps(given.details)
        own_tools.flush_name(session, "provider")


def delete_provider(session: Session, principal: Principal, name: str) -> None:
    """Forget a provider and its tools. Raises NotFound."""
    session.delete(_access(session, principal, name))
    session.flush()


def try_tool(runtime: Runtime, principal: Principal, trial: Trial) -> JSONObject:
    """Return what a tool of a document answers, or why it does not. Raises InvalidRequest, NotFound."""
    _, operations = parse_document(runtime, trial.document)
    chosen = next((each for each in operations if each.name == clean_name(trial.tool_name)), None)
    if chosen is None:
        raise InvalidRequest(f"There is no tool {trial.tool_name[:100]!r}.", field="tool_name")
    if trial.provider:
        fields = _credentials_of(runtime, principal, trial.provider, trial.credentials, operations)
    else:
        fields = _read_credentials(trial.credentials, {})
    context = tool_calls.make_context(runtime, principal.tenant_id, principal.id, fields, Cancel())
    limit_s = runtime.limits.flow.tool_timeout_s
    try:
        output = call_tool(to_tool(chosen), trial.parameters, context, timeout_s=limit_s)
    except ToolFailed as exc:
        return {"error": exc.message}
    files = (f"[{file.name}: {len(file.content)} bytes]" for file in output.files)
    return {"result": "\n".join([*([output.text] if output.text else []), *files])}


def warning_of(operations: Sequence[Operation]) -> str:
    """Return what the maker of tools should know of a document; nothing where all is well."""
    if any(not operation.server_url for operation in operations):
        return "The document names no server with an http address for some operations; they cannot be called."
    return ""


def _credentials_of(
    runtime: Runtime,
    principal: Principal,
    name: str,
    sent: JSONObject,
    operations: Sequence[Operation],
) -> dict[str, str]:
    """Return credentials as sent, masked keys completed by the stored ones of a provider."""
    with runtime.reading() as session:
        row = _access(session, principal, name)
        stored = tool_secrets.unseal(runtime, session, row)
    key = stored.get("api_key_value")
    is_kept = key is not None and sent.get("api_key_value") in (HIDDEN, mask(key))
    if is_kept and not _origins(operations) <= _origins(own_tools.load_operations(runtime, row)):
        raise InvalidRequest(
            "The document names another server; give the key again",
            field="credentials.api_key_value",
            fault="required",
        )
    return _read_credentials(sent, stored)


def _read_credentials(sent: JSONObject, stored: dict[str, str]) -> dict[str, str]:
    """Return a filled-in form of keys. Raises InvalidRequest where a key is to be sent and there is none."""
    if sent.get("auth_type") == "api_key":
        sent = {**sent, "auth_type": "api_key_header"}
    fields = read_form(AUTH_FIELDS, sent, stored)
    if fields["auth_type"] == "none":
        return {"auth_type": "none"}
    if not fields.get("api_key_value"):
        raise InvalidRequest("Key is required", field="credentials.api_key_value", fault="required")
    return fields


def _origins(operations: Sequence[Operation]) -> set[tuple[str, str]]:
    parts = (urlsplit(operation.server_url) for operation in operations)
    return {(part.scheme, part.netloc) for part in parts}


def _rows(principal: Principal) -> Select[ToolProvider]:
    return select(ToolProvider).where(
        ToolProvider.tenant_id == principal.tenant_id, ToolProvider.kind == own_tools.API
    )


def _access(session: Session, principal: Principal, name: str) -> ToolProvider:
    row = session.scalars(_rows(principal).where(ToolProvider.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"Tool provider {name[:100]!r} not found.")
    return row


def _to_view(row: ToolProvider, fields: Mapping[str, str]) -> CustomView:
    return CustomView(
        id=row.id,
        name=row.name,
        credentials=mask_form(AUTH_FIELDS, fields),
        details=cast("Details", orjson.loads(row.details)),
    )


def _with_tools(runtime: Runtime, row: ToolProvider, view: CustomView) -> CustomView:
    return replace(view, operations=own_tools.load_operations(runtime, row))
