"""Calls of a workspace's tools: which tool is meant, with whose credentials, and what it may use."""

from dataclasses import dataclass, field

from sqlalchemy import Select, select

from api.core.ports import Cancel, JSONObject
from api.core.tools import builtin  # noqa: F401  # makes the built-in tools known
from api.core.tools.openapi.operations import clean_name
from api.core.tools.provider import TOOL_PROVIDERS, short_id
from api.core.tools.tool import Flows, NoFlows, Tool, ToolContext, ToolFailed, ToolFiles
from api.errors import BadRequest
from api.models.tool import ToolCredential, ToolProvider
from api.runtime import Runtime
from api.services import own_tools, plugin_tools, tool_secrets
from api.services.access import is_id

BUILTIN = ("builtin", "plugin")
"""Kinds of providers whose tools are built in here or come with a plugin; drawings may call either so."""


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
    if ref.kind in own_tools.KINDS:
        return _find_own(runtime, tenant_id, ref)
    raise _absent(ref)


def has_tool(runtime: Runtime, tenant_id: str, ref: ToolRef) -> bool:
    """Tell whether a workspace has a tool; whether it has credentials for it is not asked.

    Opens a session of its own, because a document may have to be read.
    """
    if ref.kind in BUILTIN:
        known = TOOL_PROVIDERS.get(short_id(ref.provider))
        if known is None:
            with runtime.reading() as session:
                known = plugin_tools.find_provider(runtime, session, tenant_id, ref.provider)
        return known is not None and ref.name in known.tools
    if ref.kind not in own_tools.KINDS:
        return False
    with runtime.reading() as session:
        row = session.scalars(_own_provider(tenant_id, ref)).first()
    try:
        return row is not None and _tool_of(runtime, row, ref) is not None
    except BadRequest:  # what can no longer be read has no tools
        return False


def make_context(
    runtime: Runtime,
    tenant_id: str,
    user: str,
    credentials: dict[str, str],
    cancel: Cancel,
    *,
    files: ToolFiles | None = None,
    flows: Flows | None = None,
) -> ToolContext:
    """Return what a tool may use in one call; without ``flows`` it runs no workflow."""
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
        flows=flows or NoFlows(),
    )


def _find_builtin(runtime: Runtime, tenant_id: str, ref: ToolRef) -> ReadyTool:
    known = TOOL_PROVIDERS.get(short_id(ref.provider))
    if known is not None and ref.name in known.tools and not known.schema.credential_fields:
        return ReadyTool(known.tools[ref.name], {})
    with runtime.reading() as session:
        provider = known or plugin_tools.find_provider(runtime, session, tenant_id, ref.provider)
        if provider is None or ref.name not in provider.tools:
            raise _absent(ref)
        row = session.scalars(_credential(tenant_id, provider.schema.id, ref.credential_id)).first()
        if row is not None:
            return ReadyTool(provider.tools[ref.name], tool_secrets.unseal(runtime, session, row))
    if not any(field.is_required for field in provider.schema.credential_fields):
        return ReadyTool(provider.tools[ref.name], {})
    raise ToolFailed(
        f"There are no credentials for {provider.schema.label.en} here.", error_type="ToolCredentialsError"
    )


def _credential(tenant_id: str, provider: str, credential_id: str | None) -> Select[ToolCredential]:
    query = select(ToolCredential).where(
        ToolCredential.tenant_id == tenant_id, ToolCredential.provider == provider
    )
    if credential_id and is_id(credential_id):
        return query.where(ToolCredential.id == credential_id.lower())
    return query.where(ToolCredential.is_default.is_(True))


def _find_own(runtime: Runtime, tenant_id: str, ref: ToolRef) -> ReadyTool:
    with runtime.reading() as session:
        row = session.scalars(_own_provider(tenant_id, ref)).first()
        if row is None:
            raise _absent(ref)
        credentials = tool_secrets.unseal(runtime, session, row)
    tool = _tool_of(runtime, row, ref)
    if tool is None:
        raise _absent(ref)
    return ReadyTool(tool, credentials)


def _own_provider(tenant_id: str, ref: ToolRef) -> Select[ToolProvider]:
    return own_tools.named(tenant_id, ref.kind, ref.provider, ref.provider_name)


def _tool_of(runtime: Runtime, row: ToolProvider, ref: ToolRef) -> Tool | None:
    name = clean_name(ref.name)
    return next((tool for tool in own_tools.load_tools(runtime, row) if tool.schema.name == name), None)


def _absent(ref: ToolRef) -> ToolFailed:
    named = f"{ref.provider_name or ref.provider}/{ref.name}"
    return ToolFailed(f"The tool {named[:200]} is not installed here.", error_type="ToolNotFound")
