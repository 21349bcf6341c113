"""Providers of tools a workspace made, of whatever kind: their rows, and the tools these come to.

Documents are large, so a row comes without its own, which is read where its
tools are not known yet. No connection is held while it is taken apart.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import orjson
from sqlalchemy import Select, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from api.core.ports import JSONObject
from api.core.tools import flow_tool
from api.core.tools.mcp import tools as mcp
from api.core.tools.mcp.tools import AskServer
from api.core.tools.openapi.document import BadDocument, load_document
from api.core.tools.openapi.operations import Operation, clean_name, read_operations
from api.core.tools.openapi.tools import to_tool
from api.core.tools.tool import Tool, ToolParameter, ToolSchema, Words
from api.errors import BadRequest, Duplicate, Unavailable
from api.models.tool import ToolProvider
from api.principal import Principal
from api.runtime import Runtime
from api.services.access import is_id
from api.services.constraints import is_duplicate

API, MCP, WORKFLOW = "api", "mcp", "workflow"
KINDS = (API, MCP, WORKFLOW)
PARSE_S = 20.0
MAX_PROVIDERS = 200
"""Of one kind in a workspace."""

Parsed = TypeVar("Parsed")
NamedSchemas = Sequence[tuple[str, ToolSchema]]


class TooManyProviders(BadRequest):
    """The workspace has as many providers of tools as it may have."""

    code = "limit_exceeded"


def of_kind(tenant_id: str, kind: str) -> Select[ToolProvider]:
    """Return the statement for a workspace's providers of a kind, oldest first, without their documents."""
    return _rows(tenant_id, [kind])


def named(tenant_id: str, kinds: Collection[str], names: Collection[str]) -> Select[ToolProvider]:
    """Return the statement for the providers that are known by some names or ids, as ``of_kind`` does."""
    known = [name for name in names if name and "\0" not in name]
    ids = [name.lower() for name in known if is_id(name)]
    return _rows(tenant_id, kinds).where(or_(ToolProvider.id.in_(ids), ToolProvider.name.in_(known)))


def _rows(tenant_id: str, kinds: Collection[str]) -> Select[ToolProvider]:
    return (
        select(ToolProvider)
        .where(ToolProvider.tenant_id == tenant_id, ToolProvider.kind.in_(kinds))
        .options(defer(ToolProvider.document, raiseload=True))
        .order_by(ToolProvider.created_at, ToolProvider.id)
    )


def check_room(session: Session, principal: Principal, kind: str) -> None:
    """Raise TooManyProviders where the workspace has as many of a kind as it may have."""
    held = session.scalar(
        select(func.count())
        .select_from(ToolProvider)
        .where(ToolProvider.tenant_id == principal.tenant_id, ToolProvider.kind == kind)
    )
    if (held or 0) >= MAX_PROVIDERS:
        raise TooManyProviders(f"A workspace has at most {MAX_PROVIDERS} providers of tools of a kind.")


def flush_name(session: Session, field: str) -> None:
    """Write what is to be written. Raises Duplicate naming ``field`` where another provider has the name."""
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "tool_providers", "tenant_id", "kind", "name"):
            raise Duplicate("A tool provider of this name already exists.", field=field) from exc
        raise


def load_tools(runtime: Runtime, row: ToolProvider) -> Iterator[Tool]:
    """Yield the tools of a provider. Raises BadRequest where they can no longer be read, Unavailable."""
    match row.kind:
        case "api":
            yield from map(to_tool, load_operations(runtime, row))
        case "mcp":
            ask = ask_server(runtime, row)
            yield from (mcp.to_tool(name, schema, ask) for name, schema in load_served(runtime, row))
        case "workflow":
            assert row.app_id is not None
            assert row.workflow_id is not None
            for _, schema in _load(runtime, row, _drawn_schema):
                timed = replace(schema, timeout_s=runtime.limits.run_timeout_s)
                yield flow_tool.to_tool(timed, row.app_id, row.workflow_id)


def ask_server(runtime: Runtime, row: ToolProvider) -> AskServer:
    """Return how a server is asked: in the session it has with this process, under its present headers."""
    read_timeout_s = orjson.loads(row.details)["sse_read_timeout_s"]
    return partial(runtime.mcp_sessions.request, (row.id, row.sealed), read_timeout_s=read_timeout_s)


def load_schemas(runtime: Runtime, row: ToolProvider) -> list[ToolSchema]:
    """Return what is told of the tools of a provider. Raises BadRequest, Unavailable."""
    return [tool.schema for tool in load_tools(runtime, row)]


def load_operations(runtime: Runtime, row: ToolProvider) -> list[Operation]:
    """Return the operations of a provider made of a document. Raises BadRequest, Unavailable."""
    return _load(runtime, row, lambda text, _row: parse_operations(runtime, text)[1])


def load_served(runtime: Runtime, row: ToolProvider) -> NamedSchemas:
    """Return the tools of a server by the names it knows them by. Raises Unavailable."""
    timeout_s = float(orjson.loads(row.details)["timeout_s"])

    def read(text: str, _row: ToolProvider) -> NamedSchemas:
        return _offloaded(runtime, _served_schemas, text, timeout_s)

    return _load(runtime, row, read)


def parse_operations(runtime: Runtime, text: str) -> tuple[str, list[Operation]]:
    """Return the language of a document and its operations, read off the event loop.

    Raises BadDocument, Unavailable where reading takes too long.
    """
    return _offloaded(runtime, _parsed, text)


def write_parameters(parameters: Sequence[ToolParameter], outputs: JSONObject) -> str:
    """Return the document of a workflow's tool."""
    listed = [
        {
            "name": each.name,
            "label": each.label.en,
            "description": each.llm_description,
            "form": each.form,
            "type": each.type,
            "required": each.is_required,
            "default": each.default,
            "options": [word for word, _ in each.options],
        }
        for each in parameters
    ]
    return orjson.dumps({"parameters": listed, "outputs": outputs}).decode()


def _load(runtime: Runtime, row: ToolProvider, read: Callable[[str, ToolProvider], Parsed]) -> Parsed:
    """Return what a provider's document comes to; it is read once while it stays as it is."""
    key = ("own-tools", row.id, row.updated_at)
    known: Parsed | None = runtime.memory.get(key)
    if known is None:
        with runtime.reading() as session:
            document = session.scalar(
                select(ToolProvider.document).where(
                    ToolProvider.tenant_id == row.tenant_id, ToolProvider.id == row.id
                )
            )
        try:
            known = read(document or "", row)
        except BadDocument as exc:
            raise BadRequest(f"The document of {row.name!r} can no longer be read: {exc}") from exc
        runtime.memory.put(key, known)
    return known


def _offloaded(runtime: Runtime, read: Callable[..., Parsed], *args: object) -> Parsed:
    try:
        return runtime.offload.call(read, *args, timeout_s=PARSE_S)
    except TimeoutError as exc:
        raise Unavailable(f"The document could not be read within {PARSE_S:g} s; try again.") from exc


def _parsed(text: str) -> tuple[str, list[Operation]]:
    document = load_document(text)
    return document.kind, read_operations(document)


def _served_schemas(text: str, timeout_s: float) -> NamedSchemas:
    listed = orjson.loads(text or "[]")
    return [(str(told["name"]), mcp.to_schema(told, timeout_s)) for told in listed]


def _drawn_schema(text: str, row: ToolProvider) -> NamedSchemas:
    document, details = orjson.loads(text or "{}"), orjson.loads(row.details)
    parameters = tuple(
        ToolParameter(
            name=each["name"],
            label=Words(each["label"]),
            human_description=Words(each["description"]),
            llm_description=each["description"],
            type=each["type"],
            form=each["form"],
            is_required=each["required"],
            default=each["default"],
            options=tuple((word, Words(word)) for word in each["options"]),
        )
        for each in document.get("parameters", [])
    )
    description = details["description"]
    schema = ToolSchema(
        name=clean_name(row.name),
        label=Words(details["label"]),
        description=Words(description),
        llm_description=description or details["label"],
        parameters=parameters,
        output_schema=document.get("outputs", {}),
    )
    return [(row.name, schema)]
