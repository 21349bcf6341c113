"""Calls of a workspace's tools: which tool is meant, with whose credentials, and what it may use."""

from dataclasses import dataclass, field

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from api.core.ports import Cancel, JSONObject
from api.core.tools import builtin  # noqa: F401  # makes the built-in tools known
from api.core.tools.openapi.document import BadDocument, load_document
from api.core.tools.openapi.operations import Operation, clean_name, read_operations
from api.core.tools.openapi.tools import to_tool
from api.core.tools.provider import TOOL_PROVIDERS, short_id
from api.core.tools.tool import Tool, ToolContext, ToolFailed, ToolFiles
from api.errors import BadRequest, Unavailable
from api.models.tool import ToolCredential, ToolProvider
from api.runtime import Runtime
from api.services import tool_secrets
from api.services.access import is_id

BUILTIN = ("builtin", "plugin")
"""Kinds of providers whose tools are built in here; what Dify installs as plugins is."""

API = "api"
PARSE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRef:
    """A tool as drawings and agents name it. An own provider is named by its id, or by its name."""

    kind: str
    provider: str
    name: str
    provider_name: str = ""
    credential_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReadyTool:
    """A tool, and the credentials it is called with."""

    tool: Tool
    credentials: dict[str, str] = field(repr=False)


class NoFiles:
    """A call that is given no files."""

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Raise ToolFailed: there are none."""
        del cancel
        raise ToolFailed(f"The file {str(file.get('filename'))[:100]!r} cannot be given here.")


def find_tool(runtime: Runtime, tenant_id: str, ref: ToolRef) -> ReadyTool:
    """Return a tool of a workspace, ready to be called. Raises ToolFailed where there is none."""
    if ref.kind in BUILTIN:
        return _find_builtin(runtime, tenant_id, ref)
    if ref.kind == API:
        return _find_own(runtime, tenant_id, ref)
    raise _absent(ref)


def has_tool(runtime: Runtime, session: Session, tenant_id: str, ref: ToolRef) -> bool:
    """Tell whether a workspace has a tool; whether it has credentials for it is not asked."""
    if ref.kind in BUILTIN:
        provider = TOOL_PROVIDERS.get(short_id(ref.provider))
        return provider is not None and ref.name in provider.tools
    row = session.scalars(own_provider(tenant_id, ref)).first() if ref.kind == API else None
    if row is None:
        return False
    return any(each.name == clean_name(ref.name) for each in load_operations(runtime, row))


def own_provider(tenant_id: str, ref: ToolRef) -> Select[ToolProvider]:
    """Return the statement for the own provider a tool is of: its id counts before its name."""
    named = [name for name in (ref.provider, ref.provider_name) if name and "\0" not in name]
    ids = [ref.provider.lower()] if is_id(ref.provider) else []
    is_named = ToolProvider.name.in_(named)
    return (
        select(ToolProvider)
        .where(
            ToolProvider.tenant_id == tenant_id,
            ToolProvider.kind == API,
            or_(ToolProvider.id.in_(ids), is_named),
        )
        .order_by(is_named.asc(), ToolProvider.created_at)
    )


def load_operations(runtime: Runtime, row: ToolProvider) -> list[Operation]:
    """Return the operations of an own provider; a document is read once while it stays as it is.

    Raises BadRequest for one that can no longer be read, Unavailable.
    """
    key = ("tool-operations", row.id, row.updated_at)
    known: list[Operation] | None = runtime.memory.get(key)
    if known is None:
        try:
            known = parse_operations(runtime, row.document)[1]
        except BadDocument as exc:
            raise BadRequest(f"The document of {row.name!r} can no longer be read: {exc}") from exc
        runtime.memory.put(key, known)
    return known


def parse_operations(runtime: Runtime, text: str) -> tuple[str, list[Operation]]:
    """Return the language of a document and its operations, read off the event loop.

    Raises BadDocument, Unavailable where reading takes too long.
    """
    try:
        return runtime.offload.call(_parsed, text, timeout_s=PARSE_S)
    except TimeoutError as exc:
        raise Unavailable(f"The document could not be read within {PARSE_S:g} s; try again.") from exc


def make_context(
    runtime: Runtime,
    tenant_id: str,
    user: str,
    credentials: dict[str, str],
    cancel: Cancel,
    *,
    files: ToolFiles | None = None,
) -> ToolContext:
    """Return what a tool may use in one call."""
    limits = runtime.limits.flow
    return ToolContext(
        tenant_id=tenant_id,
        user=user,
        http=runtime.http,
        sandbox=runtime.sandbox,
        offload=runtime.offload,
        files=files or NoFiles(),
        cancel=cancel,
        credentials=credentials,
        max_text_bytes=limits.http_text_bytes,
        max_file_bytes=limits.http_file_bytes,
    )


def _find_builtin(runtime: Runtime, tenant_id: str, ref: ToolRef) -> ReadyTool:
    provider = TOOL_PROVIDERS.get(short_id(ref.provider))
    tool = provider.tools.get(ref.name) if provider else None
    if provider is None or tool is None:
        raise _absent(ref)
    if not provider.schema.credential_fields:
        return ReadyTool(tool, {})
    with runtime.reading() as session:
        row = session.scalars(_credential(tenant_id, provider.schema.id, ref.credential_id)).first()
        if row is None:
            raise ToolFailed(
                f"There are no credentials for {provider.schema.label.en} here.",
                error_type="ToolCredentialsError",
            )
        return ReadyTool(tool, tool_secrets.unseal(runtime, session, row))


def _credential(tenant_id: str, provider: str, credential_id: str | None) -> Select[ToolCredential]:
    query = select(ToolCredential).where(
        ToolCredential.tenant_id == tenant_id, ToolCredential.provider == provider
    )
    if credential_id and is_id(credential_id):
        return query.where(ToolCredential.id == credential_id.lower())
    return query.where(ToolCredential.is_default.is_(True))


def _find_own(runtime: Runtime, tenant_id: str, ref: ToolRef) -> ReadyTool:
    with runtime.reading() as session:
        row = session.scalars(own_provider(tenant_id, ref)).first()
        if row is None:
            raise _absent(ref)
        credentials = tool_secrets.unseal(runtime, session, row)
    for operation in load_operations(runtime, row):
        if operation.name == clean_name(ref.name):
            return ReadyTool(to_tool(operation), credentials)
    raise _absent(ref)


def _absent(ref: ToolRef) -> ToolFailed:
    named = f"{ref.provider_name or ref.provider}/{ref.name}"
    return ToolFailed(f"The tool {named[:200]} is not installed here.", error_type="ToolNotFound")


def _parsed(text: str) -> tuple[str, list[Operation]]:
    document = load_document(text)
    return document.kind, read_operations(document)
