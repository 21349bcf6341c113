"""The variables of a chatflow's conversation, as its end user reads and sets them.

One is there from the conversation's beginning, with the workflow's default; a
row of its own it has once a run or its end user set it. Which there are, the
published version says. Wire: docs/wire/conversations.md#variables.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from api.core.apps.flow import ConversationDefault, FlowSpec
from api.core.apps.spec import AppMode, AppSpec
from api.core.ports import JSONValue
from api.core.workflow.declared import MAX_VALUE_BYTES
from api.core.workflow.variables import ValueType, accepts, type_of
from api.errors import BadRequest, InvalidRequest, NotFound
from api.models.conversation import Conversation
from api.models.workflow import ConversationVariable
from api.principal import Principal
from api.runtime import Runtime
from api.services import flow_rows, flows
from api.services.access import access_app, access_conversation, access_conversation_of_app


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableItem:
    """A variable with what it holds now."""

    id: str
    name: str
    value_type: ValueType
    value: JSONValue
    description: str
    created_at: datetime
    updated_at: datetime


def load_variables(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    conversation_id: str,
    *,
    name: str | None,
    last_id: str | None,
    limit: int,
) -> tuple[list[VariableItem], bool]:
    """Return a page of a conversation's variables after ``last_id``, and whether more follow.

    In the order they are declared in; with ``name`` only the one of that name.
    Raises NotFound for a conversation that is not the caller's, or an unknown ``last_id``.
    """
    flow = _flow_of(runtime, app)
    with runtime.reading() as session:
        items = _load(session, flow, principal, app.id, conversation_id)
    found = [item for item in items if name in (None, item.name)]
    start = 0
    if last_id is not None:
        places = {item.id: place for place, item in enumerate(found)}
        if last_id not in places:
            raise NotFound("Conversation Variable Not Exists.")
        start = places[last_id] + 1
    return found[start : start + limit], len(found) > start + limit


def load_for_team(
    runtime: Runtime, principal: Principal, app_id: str, conversation_id: str
) -> list[VariableItem]:
    """Return the variables of anyone's conversation with an app, as its draft declares them.

    Raises AppNotFound, NotFound.
    """
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
        conversation = access_conversation_of_app(session, app, conversation_id)
        is_flow = AppMode(app.mode) is AppMode.ADVANCED_CHAT
        draft = flows.draft_flow(runtime, session, app.tenant_id, app.id) if is_flow else None
        return _items(session, draft, conversation)


def set_variable(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    conversation_id: str,
    variable_id: str,
    value: JSONValue,
) -> VariableItem:
    """Have a variable hold a value from now on; the conversation's next run reads it.

    Raises NotFound, BadRequest for a value of another type, InvalidRequest for one too large.
    """
    flow = _flow_of(runtime, app)
    with runtime.reading() as session:
        items = _load(session, flow, principal, app.id, conversation_id)
    item = next((item for item in items if item.id == variable_id.lower()), None)
    if flow is None or item is None:
        raise NotFound("Conversation Variable Not Exists.")
    _check(item, value)
    flow_rows.keep_conversation_variable(runtime, app, flow, conversation_id.lower(), item.name, value)
    with runtime.reading() as session:
        items = _load(session, flow, principal, app.id, conversation_id)
    return next(now for now in items if now.id == item.id)


def _flow_of(runtime: Runtime, app: AppSpec) -> FlowSpec | None:
    """Return the workflow that declares an app's variables; None in modes without one."""
    return flows.published_flow(runtime, app) if app.mode is AppMode.ADVANCED_CHAT else None


def _load(
    session: Session, flow: FlowSpec | None, principal: Principal, app_id: str, conversation_id: str
) -> list[VariableItem]:
    conversation = access_conversation(session, principal, app_id, conversation_id)
    return _items(session, flow, conversation)


def _items(session: Session, flow: FlowSpec | None, conversation: Conversation) -> list[VariableItem]:
    if flow is None:
        return []
    rows = session.execute(
        select(
            ConversationVariable.name,
            ConversationVariable.value,
            ConversationVariable.updated_at,
        ).where(
            ConversationVariable.tenant_id == conversation.tenant_id,
            ConversationVariable.conversation_id == conversation.id,
        )
    )
    kept = {row.name: row for row in rows}
    return [_to_item(conversation, declared, kept) for declared in flow.conversation_variables]


def _to_item(
    conversation: Conversation, declared: ConversationDefault, kept: Mapping[str, Row[Any]]
) -> VariableItem:
    row = kept.get(declared.name)
    return VariableItem(
        id=_id_of(conversation.id, declared.name),
        name=declared.name,
        value_type=declared.value_type,
        value=row.value if row else declared.value,
        description=declared.description,
        created_at=conversation.created_at,
        updated_at=row.updated_at if row else conversation.created_at,
    )


def _id_of(conversation_id: str, name: str) -> str:
    """Return the id of a conversation's variable; it has one before anything is stored of it."""
    return str(uuid.uuid5(uuid.UUID(conversation_id), name))


def _check(item: VariableItem, value: JSONValue) -> None:
    if not accepts(item.value_type, value):
        expected = f"variable {item.name!r} expects {item.value_type}"
        raise BadRequest(
            f"Type mismatch: {expected}, but got {type_of(value)} type", field="value", fault="invalid_type"
        )
    if len(orjson.dumps(value)) > MAX_VALUE_BYTES:
        message = f"Parameter 'value' must have at most {MAX_VALUE_BYTES:,} bytes"
        raise InvalidRequest(message, field="value", fault="too_long")
