"""Servers of tools (MCP) a workspace uses: kept with sealed headers, asked for their tools, shown masked.

A server is asked before anything is written, and no connection is held
meanwhile. One that wants to know who asks is kept without tools until its
headers let us in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypedDict, cast
from urllib.parse import urlsplit

import orjson
from sqlalchemy.orm import Session

from api.core.http import HTTPFailure
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag.waiting import within
from api.core.tools.mcp.messages import HEADERS_FIELD, URL_FIELD, NotLetIn
from api.core.tools.mcp.sessions import MCPSessions
from api.core.tools.mcp.tools import AskServer, fetch_tools
from api.core.tools.tool import ToolFailed, ToolSchema
from api.errors import InvalidRequest, NotFound
from api.models.base import new_id
from api.models.tool import ToolProvider
from api.principal import Principal
from api.runtime import Runtime
from api.services import own_tools, tool_calls, tool_secrets
from api.services.credential_forms import HIDDEN, mask
from api.services.own_tools import MCP
from api.services.tool_calls import ToolRef

MAX_CHECK_S = 60.0
MAX_HEADERS = 50
MAX_HEADER_CHARS = 16_384
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
OURS = frozenset(
    {
        "accept",
        "connection",
        "content-length",
        "content-type",
        "host",
        "mcp-protocol-version",
        "mcp-session-id",
        "transfer-encoding",
    }
)
"""Headers that are the protocol's own business."""


class Details(TypedDict):
    """How a server is shown and spoken to; ``is_authorized`` tells that it let us in when last asked."""

    name: str
    icon: str
    icon_type: str
    icon_background: str
    timeout_s: float
    sse_read_timeout_s: float
    is_authorized: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenServer:
    """A server as it is given; its address and headers may be masked. ``headers`` None leaves the stored."""

    url: str
    identifier: str
    headers: JSONObject | None
    details: Details


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """A server as it is shown, its secrets masked. ``tools`` are None where they were not asked for."""

    id: str
    identifier: str
    url: str
    headers: dict[str, str]
    details: Details
    updated_at: datetime
    tools: Sequence[ToolSchema] | None = None


def load_servers(runtime: Runtime, principal: Principal, *, with_tools: bool = False) -> Sequence[ServerView]:
    """Return the servers of a workspace, oldest first, with their tools where asked."""
    with runtime.reading() as session:
        rows = session.scalars(own_tools.of_kind(principal.tenant_id, MCP)).all()
        fields = tool_secrets.unseal_all(runtime, session, principal.tenant_id, rows)
        found = [(row, _to_view(row, fields[row.id])) for row in rows]
    return [_with_tools(runtime, row, view) if with_tools else view for row, view in found]


def get_server(runtime: Runtime, principal: Principal, server_id: str) -> ServerView:
    """Return a server by its id or identifier, with its tools. Raises NotFound."""
    with runtime.reading() as session:
        row = _access(session, principal, server_id)
        view = _to_view(row, tool_secrets.unseal(runtime, session, row))
    return _with_tools(runtime, row, view)


def create_server(runtime: Runtime, principal: Principal, given: GivenServer) -> ServerView:
    """Keep a server with the tools it has. Raises InvalidRequest with what is wrong, Duplicate."""
    fields = _read_fields(given, {})
    tools = _fetch_anew(runtime, principal, fields, given.details)
    row_id = new_id()
    with runtime.transaction() as session:
        own_tools.check_room(session, principal, MCP)
        session.add(
            ToolProvider(
                id=row_id,
                tenant_id=principal.tenant_id,
                kind=MCP,
                name=given.identifier,
                document=_written(tools),
                details=_to_row(given.details, tools),
                sealed=tool_secrets.seal(runtime, session, principal.tenant_id, row_id, fields),
                created_by=principal.id,
            )
        )
        own_tools.flush_name(session, "server_identifier")
    return get_server(runtime, principal, row_id)


def update_server(runtime: Runtime, principal: Principal, server_id: str, given: GivenServer) -> None:
    """Replace what is kept of a server, and its tools where it is spoken to in another way now.

    Raises NotFound, Duplicate, InvalidRequest where a stored header would travel to another server.
    """
    with runtime.reading() as session:
        row = _access(session, principal, server_id)
        stored = tool_secrets.unseal(runtime, session, row)
    fields = _read_fields(given, stored)
    is_same = fields == stored
    tools = None if is_same else _fetch_anew(runtime, principal, fields, given.details)
    with runtime.transaction() as session:
        row = _access(session, principal, server_id)
        row.name = given.identifier
        if is_same:
            was = cast("Details", orjson.loads(row.details))
            row.details = orjson.dumps({**given.details, "is_authorized": was["is_authorized"]})
        else:
            row.details = _to_row(given.details, tools)
            row.document = _written(tools)
            row.sealed = tool_secrets.seal(runtime, session, principal.tenant_id, row.id, fields)
        own_tools.flush_name(session, "server_identifier")


def delete_server(session: Session, principal: Principal, server_id: str) -> None:
    """Forget a server and its tools. Raises NotFound."""
    session.delete(_access(session, principal, server_id))
    session.flush()


def refresh_tools(runtime: Runtime, principal: Principal, server_id: str) -> ServerView:
    """Ask a server for its tools again; return it with them.

    Raises NotFound, InvalidRequest where it cannot be asked, or lets nobody in with the stored headers.
    """
    with runtime.reading() as session:
        row = _access(session, principal, server_id)
        fields = tool_secrets.unseal(runtime, session, row)
    details = cast("Details", orjson.loads(row.details))
    ask = own_tools.ask_server(runtime, row)
    refusal, tools = None, None
    try:
        tools = _fetch(runtime, principal, fields, details, ask)
    except NotLetIn as exc:
        refusal = exc
    with runtime.transaction() as session:
        row = _access(session, principal, server_id)
        row.details = _to_row(details, tools)
        if tools is not None:
            row.document = _written(tools)
    if refusal is not None:
        raise InvalidRequest(refusal.message, field="headers") from refusal
    return get_server(runtime, principal, server_id)


def close_idle(runtime: Runtime) -> None:
    """End the sessions of this process with servers that were not called for a while."""
    runtime.mcp_sessions.close_idle()


def _fetch_anew(
    runtime: Runtime, principal: Principal, fields: dict[str, str], details: Details
) -> list[JSONObject] | None:
    """Return the tools of a server in a session of its own; None where it lets nobody in."""
    sessions = MCPSessions()
    ask = partial(sessions.request, "new", read_timeout_s=details["sse_read_timeout_s"])
    try:
        return _fetch(runtime, principal, fields, details, ask)
    except NotLetIn:
        return None
    finally:
        sessions.close()


def _fetch(
    runtime: Runtime, principal: Principal, fields: dict[str, str], details: Details, ask: AskServer
) -> list[JSONObject]:
    with within(min(details["timeout_s"], MAX_CHECK_S), Cancel()) as cancel:
        context = tool_calls.make_context(runtime, principal.tenant_id, principal.id, fields, cancel)
        try:
            return fetch_tools(ask, context)
        except NotLetIn:
            raise
        except (ToolFailed, HTTPFailure) as exc:
            raise InvalidRequest(f"The server cannot be asked for its tools: {exc}", field=URL_FIELD) from exc


def _read_fields(given: GivenServer, stored: Mapping[str, str]) -> dict[str, str]:
    """Return address and headers as they are sealed; what came back masked is completed by the stored."""
    known_url = stored.get(URL_FIELD, "")
    url = known_url if known_url and given.url in (HIDDEN, mask_url(known_url)) else given.url
    _check_url(url)
    known: dict[str, str] = orjson.loads(stored.get(HEADERS_FIELD) or "{}")
    headers, is_kept = dict(known), bool(known)
    if given.headers is not None:
        kept = {name for name, value in given.headers.items() if _is_kept(value, known.get(name))}
        headers = {name: known[name] if name in kept else str(value) for name, value in given.headers.items()}
        is_kept = bool(kept)
        _check_headers({name: value for name, value in given.headers.items() if name not in kept})
    if is_kept and known_url and _origin(url) != _origin(known_url):
        raise InvalidRequest("The address changes; give the headers again", field="headers", fault="required")
    return {URL_FIELD: url, HEADERS_FIELD: orjson.dumps(headers).decode()}


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise InvalidRequest("server_url must be an http address", field=URL_FIELD, fault="invalid_format")


def _is_kept(value: JSONValue, stored: str | None) -> bool:
    return stored is not None and value in (HIDDEN, mask(stored))


def _check_headers(headers: JSONObject) -> None:
    if len(headers) > MAX_HEADERS:
        raise InvalidRequest(
            f"headers must have at most {MAX_HEADERS} items", field="headers", fault="too_long"
        )
    for name, value in headers.items():
        is_name = HEADER_NAME.fullmatch(name) is not None and name.lower() not in OURS
        is_value = isinstance(value, str) and len(value) <= MAX_HEADER_CHARS and HEADER_VALUE.fullmatch(value)
        if not is_name or not is_value:
            raise InvalidRequest(
                f"headers has one that cannot be sent: {name[:100]!r}",
                field="headers",
                fault="invalid_format",
            )


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def mask_url(url: str) -> str:
    """Return an address as it is shown: what follows the host may be a key."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    return f"{parts.scheme}://{host}{'' if is_bare else '/******'}"


def _access(session: Session, principal: Principal, server_id: str) -> ToolProvider:
    ref = ToolRef(kind=MCP, provider=server_id, name="")
    row = tool_calls.own_providers(session, principal.tenant_id, [ref]).get(ref)
    if row is None:
        raise NotFound("MCP server not found.")
    return row


def _to_view(row: ToolProvider, fields: Mapping[str, str]) -> ServerView:
    headers: dict[str, str] = orjson.loads(fields[HEADERS_FIELD])
    return ServerView(
        id=row.id,
        identifier=row.name,
        url=mask_url(fields[URL_FIELD]),
        headers={name: mask(value) for name, value in headers.items()},
        details=cast("Details", orjson.loads(row.details)),
        updated_at=row.updated_at,
    )


def _with_tools(runtime: Runtime, row: ToolProvider, view: ServerView) -> ServerView:
    return replace(view, tools=own_tools.load_schemas(runtime, row))


def _written(tools: list[JSONObject] | None) -> str:
    return orjson.dumps(tools or []).decode()


def _to_row(details: Details, tools: list[JSONObject] | None) -> bytes:
    return orjson.dumps({**details, "is_authorized": tools is not None})
