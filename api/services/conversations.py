"""Conversations of end users: list, name, delete; and the memory a run reads."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_
from sqlalchemy.orm import Session

from api.core.model_runtime.types import PastTurn
from api.core.ports import JSONObject
from api.errors import NotFound
from api.models.base import Base, utc_now
from api.models.conversation import Conversation, Message, MessageFeedback, SavedMessage
from api.models.types import position_of
from api.models.workflow import ConversationVariable
from api.principal import Principal
from api.runtime import Runtime
from api.services import jobs, log_blocks, thoughts
from api.services.access import access_conversation, is_id, owned_by
from api.services.files import AttachedFile
from api.services.jobs import Job, Lease

MEMORY_TURNS = 100
NAME_CHARS = 20
PURGE_ROWS = 500

ITEM_COLUMNS = (
    Conversation.id,
    Conversation.name,
    Conversation.inputs,
    Conversation.status,
    Conversation.introduction,
    Conversation.created_at,
    Conversation.updated_at,
)

SortBy = Literal["created_at", "-created_at", "updated_at", "-updated_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationItem:
    """A conversation as its end user sees it."""

    id: str
    name: str
    inputs: JSONObject
    status: str
    introduction: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What a run needs of the conversation it continues: turns oldest first, their files latest first.

    ``message_count`` counts all its messages, those without an answer too.
    """

    conversation_id: str
    inputs: JSONObject
    turns: tuple[PastTurn, ...]
    files: tuple[AttachedFile, ...]
    message_count: int = 0


def first_words(query: str) -> str:
    """Return the name a conversation has at once: the beginning of its first question."""
    words = re.sub(r"\s+", " ", query).strip()
    return words if len(words) <= NAME_CHARS else words[:NAME_CHARS] + "…"


def recall(connection: Connection, principal: Principal, app_id: str, conversation_id: str) -> Recalled:
    """Return a conversation of the caller with its latest turns, in one statement; raises NotFound.

    Turns that failed or still run are left out: they have no answer to remember.
    """
    rows = []
    if is_id(conversation_id):
        query = (
            select(
                *(Conversation.inputs, Message.id, Message.query, Message.answer, Message.status),
                Message.files,
                func.count(Message.id).over().label("message_count"),
            )
            .outerjoin(Message, Message.conversation_id == Conversation.id)
            .where(
                Conversation.tenant_id == principal.tenant_id,
                Conversation.app_id == app_id,
                Conversation.id == conversation_id,
                Conversation.deleted_at.is_(None),
                owned_by(Conversation, principal),
            )
            .order_by(Message.created_at.desc(), Message.id.desc())
            .limit(MEMORY_TURNS)
        )
        rows = list(connection.execute(query))
    if not rows:
        raise NotFound("Conversation Not Exists.")
    answered = [
        row for row in rows if row.id is not None and row.status in ("normal", "stopped") and row.answer
    ]
    return Recalled(
        conversation_id=conversation_id,
        inputs=rows[0].inputs,
        turns=tuple(PastTurn(query=row.query, answer=row.answer) for row in reversed(answered)),
        files=tuple(AttachedFile.from_row(file) for row in answered for file in row.files or ()),
        message_count=rows[0].message_count,
    )


def load_conversations(
    session: Session,
    principal: Principal,
    app_id: str,
    *,
    last_id: str | None,
    limit: int,
    sort_by: SortBy,
    is_pinned: bool | None = None,
    invoke_from: str | None = None,
) -> tuple[list[ConversationItem], bool]:
    """Return a page of the caller's conversations after ``last_id``, and whether more follow.

    ``is_pinned`` asks for those that are pinned, or for those that are not,
    ``invoke_from`` for those that were begun there.
    Raises NotFound for an unknown ``last_id``.
    """
    is_descending = sort_by.startswith("-")
    column = Conversation.updated_at if sort_by.endswith("updated_at") else Conversation.created_at
    mine = (
        Conversation.tenant_id == principal.tenant_id,
        Conversation.app_id == app_id,
        Conversation.deleted_at.is_(None),
        owned_by(Conversation, principal),
    )
    query = select(*ITEM_COLUMNS).where(*mine)
    if is_pinned is not None:
        query = query.where(Conversation.is_pinned.is_(is_pinned))
    if invoke_from is not None:
        query = query.where(Conversation.invoke_from == invoke_from)
    if last_id is not None:
        position = session.execute(
            select(column, Conversation.id).where(*mine, Conversation.id == last_id)
        ).one_or_none()
        if position is None:
            raise NotFound("Last Conversation Not Exists.")
        key, at = tuple_(column, Conversation.id), position_of(*position)
        query = query.where(key < at if is_descending else key > at)
    order = (column.desc(), Conversation.id.desc()) if is_descending else (column, Conversation.id)
    rows = session.execute(query.order_by(*order).limit(limit + 1)).all()
    return [ConversationItem(**row._mapping) for row in rows[:limit]], len(rows) > limit  # noqa: SLF001  # documented


def rename_conversation(
    session: Session, principal: Principal, app_id: str, conversation_id: str, name: str
) -> ConversationItem:
    """Give a conversation of the caller a name; raises NotFound."""
    conversation = access_conversation(session, principal, app_id, conversation_id)
    conversation.name = name
    conversation.updated_at = utc_now()
    return to_item(conversation)


def pin_conversation(
    session: Session, principal: Principal, app_id: str, conversation_id: str, *, is_pinned: bool
) -> None:
    """Put a conversation of the caller above the others, or back among them; raises NotFound."""
    access_conversation(session, principal, app_id, conversation_id).is_pinned = is_pinned


def to_item(row: Conversation) -> ConversationItem:
    """Return a conversation as its end user sees it."""
    return ConversationItem(
        id=row.id,
        name=row.name,
        inputs=row.inputs,
        status=row.status,
        introduction=row.introduction,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def delete_conversation(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, conversation_id: str
) -> None:
    """Hide a conversation of the caller at once and have its rows removed; raises NotFound."""
    hide_conversation(runtime, session, access_conversation(session, principal, app_id, conversation_id))


def hide_conversation(runtime: Runtime, session: Session, conversation: Conversation) -> None:
    """Hide a conversation the caller was let into at once, and have its rows removed."""
    conversation.deleted_at = utc_now()
    jobs.enqueue_on_commit(
        runtime,
        session,
        Job.PURGE_CONVERSATION,
        {"conversation_id": conversation.id},
        tenant_id=conversation.tenant_id,
    )


def purge_conversation(runtime: Runtime, lease: Lease) -> None:
    """Remove a hidden conversation with all that hangs on it, in bounded batches; repeatable."""
    tenant_id, conversation_id = lease.tenant_id, str(lease.payload["conversation_id"])
    while _purge_batch(runtime, tenant_id, conversation_id):
        pass
    with runtime.transaction() as session:
        session.execute(
            delete(ConversationVariable).where(
                ConversationVariable.tenant_id == tenant_id,
                ConversationVariable.conversation_id == conversation_id,
            )
        )
        session.execute(
            delete(Conversation).where(
                Conversation.tenant_id == tenant_id,
                Conversation.id == conversation_id,
                Conversation.deleted_at.is_not(None),
            )
        )


def _purge_batch(runtime: Runtime, tenant_id: str, conversation_id: str) -> int:
    """Remove up to PURGE_ROWS messages of a conversation with what hangs on them; return how many."""
    with runtime.transaction() as session:
        found = session.execute(
            select(Message.id, Message.app_id, Message.created_at)
            .where(Message.tenant_id == tenant_id, Message.conversation_id == conversation_id)
            .limit(PURGE_ROWS)
        ).all()
        batch = [row.id for row in found]
        if batch:
            log_blocks.note_deletion(session, "messages", [(row.app_id, row.created_at) for row in found])
            session.execute(delete(MessageFeedback).where(MessageFeedback.message_id.in_(batch)))
            thoughts.forget(session, batch)
            session.execute(delete(SavedMessage).where(SavedMessage.message_id.in_(batch)))
            session.execute(delete(Message).where(Message.id.in_(batch)))
    return len(batch)


_CONVERSATIONS = Base.metadata.tables["conversations"]
_NAME_IF_UNNAMED = _CONVERSATIONS.update().where(
    _CONVERSATIONS.c.tenant_id == bindparam("of_tenant"),
    _CONVERSATIONS.c.id == bindparam("conversation_key"),
    _CONVERSATIONS.c.name == bindparam("given"),
)


def name_if_unnamed(
    connection: Connection, tenant_id: str, conversation_id: str, *, given: str, title: str
) -> None:
    """Replace the name a conversation was given at first, unless someone has renamed it since."""
    named = {"of_tenant": tenant_id, "conversation_key": conversation_id, "given": given, "name": title}
    connection.execute(_NAME_IF_UNNAMED, named)
