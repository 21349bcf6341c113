"""Calls of a workspace's tools: which tool is meant, with whose credentials, and what it may use."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

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


@dataclass(frozen=True, slots=True)
class OwnProvider:
    """A provider the workspace made, and the credentials its tools are called with."""

    row: ToolProvider
    credentials: dict[str, str] = field(repr=False)


class NoFiles:
    """A call that is given no files."""

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Raise ToolFailed: there are none."""
        del cancel
        raise ToolFailed(f"The file {str(file.get('filename'))[:100]!r} cannot be given here.")


def find_tool(runtime: Runtime, tenant_id: str, ref: ToolRef) -> ReadyTool:
    """Return a tool of a workspace, ready to be called. Raises ToolFailed where there is none, BadRequest."""
    return pick_tool(runtime, tenant_id, ref, open_own(runtime, tenant_id, [ref]))


def open_own(runtime: Runtime, tenant_id: str, refs: Collection[ToolRef]) -> dict[ToolRef, OwnProvider]:
    """Return the workspace's own providers of some tools with their credentials; two statements at most."""
    if not any(ref.kind in own_tools.KINDS for ref in refs):
        return {}
    with runtime.reading() as session:
        rows = own_providers(session, tenant_id, refs)
        fields = tool_secrets.unseal_all(runtime, session, tenant_id, rows.values()) if rows else {}
    return {ref: OwnProvider(row, fields[row.id]) for ref, row in rows.items()}


def pick_tool(
    runtime: Runtime, tenant_id: str, ref: ToolRef, own: Mapping[ToolRef, OwnProvider]
) -> ReadyTool:
    """Return what ``find_tool`` does, with the own providers that were opened for several tools at once."""
    if ref.kind in BUILTIN:
        return _find_builtin(runtime, tenant_id, ref)
    provider = own.get(ref)
    tool = None if provider is None else _tool_of(runtime, provider.row, ref)
    if provider is None or tool is None:
        raise _absent(ref)
    return ReadyTool(tool, provider.credentials)


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
    with runtime.reading() as session:
        row = own_providers(session, tenant_id, [ref]).get(ref)
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


def own_providers(session: Session, tenant_id: str, refs: Collection[ToolRef]) -> dict[ToolRef, ToolProvider]:
    """Return the own providers that tools are of, those that are there, in one statement."""
    kinds = {ref.kind for ref in refs}.intersection(own_tools.KINDS)
    names = {name for ref in refs for name in (ref.provider, ref.provider_name)}
    if not kinds:
        return {}
    rows = session.scalars(own_tools.named(tenant_id, kinds, names)).all()
    meant = {ref: _meant(rows, ref) for ref in refs}
    return {ref: row for ref, row in meant.items() if row is not None}


def _meant(rows: Sequence[ToolProvider], ref: ToolRef) -> ToolProvider | None:
    """Return the provider that a drawing means, of those that are named: an id counts before a name."""
    of_kind = [row for row in rows if row.kind == ref.kind]
    by_id = (row for row in of_kind if row.id == ref.provider.lower())
    by_name = (row for row in of_kind if row.name in (ref.provider, ref.provider_name))
    return next(itertools.chain(by_id, by_name), None)


def _tool_of(runtime: Runtime, row: ToolProvider, ref: ToolRef) -> Tool | None:
    name = clean_name(ref.name)
    return next((tool for tool in own_tools.load_tools(runtime, row) if tool.schema.name == name), None)


def _absent(ref: ToolRef) -> ToolFailed:
    named = f"{ref.provider_name or ref.provider}/{ref.name}"
    return ToolFailed(f"The tool {named[:200]} is not installed here.", error_type="ToolNotFound")
