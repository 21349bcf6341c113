"""Messages of end users: their history, what was thought of them, and a finished run told again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import and_, bindparam, delete, select, tuple_
from sqlalchemy.orm import Session

from api.core.events import AgentThought, Event, EventBatch, EventLog, RunHeader, TextChunk, from_json
from api.core.ports import JSONObject
from api.errors import InvalidRequest, NotFound
from api.models.base import new_id, utc_now
from api.models.conversation import Message, MessageFeedback
from api.models.types import insert_for, position_of
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import thoughts
from api.services.access import access_conversation, access_message
from api.services.idempotency import StillRunning

ITEM_COLUMNS = (
    Message.id,
    Message.conversation_id,
    Message.mode,
    Message.parent_message_id,
    Message.inputs,
    Message.query,
    Message.answer,
    Message.status,
    Message.error,
    Message.files,
    Message.outcome,
    Message.message_tokens,
    Message.answer_tokens,
    Message.total_price,
    Message.currency,
    Message.latency_s,
    Message.created_at,
)


FEEDBACK_COLUMNS = (
    MessageFeedback.id,
    MessageFeedback.app_id,
    MessageFeedback.conversation_id,
    MessageFeedback.message_id,
    MessageFeedback.rating,
    MessageFeedback.content,
    MessageFeedback.from_source,
    MessageFeedback.from_end_user_id,
    MessageFeedback.from_account_id,
    MessageFeedback.created_at,
    MessageFeedback.updated_at,
)

_IN_CONVERSATION = (
    Message.tenant_id == bindparam("tenant_id"),
    Message.conversation_id == bindparam("conversation_id"),
)
_POSITION = select(Message.created_at, Message.id).where(
    *_IN_CONVERSATION, Message.id == bindparam("message_id")
)
# Built once: the history is what web clients ask for most.
_PAGE = (
    select(*ITEM_COLUMNS, MessageFeedback.rating)
    .outerjoin(
        MessageFeedback,
        and_(MessageFeedback.message_id == Message.id, MessageFeedback.from_source == bindparam("source")),
    )
    .where(*_IN_CONVERSATION)
    .order_by(Message.created_at.desc(), Message.id.desc())
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLog:
    """The log of a run whose own log has expired, told from its stored message."""

    header: RunHeader
    events: tuple[Event, ...]

    def append(self, event: Event) -> None:
        """Refuse: the run is over."""
        raise ValueError(f"the run {self.header.task_id} is over, {event!r} cannot be added")

    def close(self) -> None:
        """Do nothing: it is closed."""

    def read(self, after: int, timeout_s: float) -> EventBatch:
        """Return what follows ``after`` at once."""
        del timeout_s
        return EventBatch(self.events[after:], is_last=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageItem:
    """A message as its end user sees it. ``outcome`` is the run's terminal event, None while it runs.

    ``thoughts`` are the rounds of an agent.
    """

    id: str
    conversation_id: str
    mode: str
    parent_message_id: str | None
    inputs: JSONObject
    query: str
    answer: str
    status: str
    error: str | None
    files: list[JSONObject] | None
    outcome: JSONObject | None
    message_tokens: int
    answer_tokens: int
    total_price: Decimal
    currency: str
    latency_s: float
    created_at: datetime
    rating: str | None
    thoughts: Sequence[AgentThought] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackItem:
    """A judgement of a message; ``from_source`` is ``user`` or ``admin``."""

    id: str
    app_id: str
    conversation_id: str
    message_id: str
    rating: str
    content: str | None
    from_source: str
    from_end_user_id: str | None
    from_account_id: str | None
    created_at: datetime
    updated_at: datetime


def load_messages(
    session: Session,
    principal: Principal,
    app_id: str,
    conversation_id: str,
    *,
    first_id: str | None,
    limit: int,
) -> tuple[list[MessageItem], bool]:
    """Return a page of a conversation's messages, oldest first, and whether older ones exist.

    The page ends before ``first_id``, the oldest message the caller holds.
    Raises NotFound for a foreign conversation or an unknown ``first_id``.
    """
    conversation = access_conversation(session, principal, app_id, conversation_id)
    named = {
        "tenant_id": principal.tenant_id,
        "conversation_id": conversation.id,
        "source": source_of(principal),
        "limit": limit + 1,
    }
    query = _PAGE
    if first_id is not None:
        position = session.execute(_POSITION, {**named, "message_id": first_id}).one_or_none()
        if position is None:
            raise NotFound("First Message Not Exists.")
        query = query.where(tuple_(Message.created_at, Message.id) < position_of(*position))
    rows = session.connection().execute(query, named).all()
    found = thoughts.load(session, principal.tenant_id, {row.id: row.mode for row in rows[:limit]})
    page = [
        MessageItem(**row._mapping, thoughts=found.get(row.id, ()))  # noqa: SLF001  # documented
        for row in reversed(rows[:limit])
    ]
    return page, len(rows) > limit


def rate_message(
    session: Session,
    principal: Principal,
    app_id: str,
    message_id: str,
    *,
    rating: str | None,
    content: str | None,
) -> None:
    """Store the caller's judgement of its message; None takes it back. Raises NotFound, InvalidRequest."""
    message = access_message(session, principal, app_id, message_id)
    keep_rating(session, principal, message, rating=rating, content=content)


def keep_rating(
    session: Session, principal: Principal, message: Message, *, rating: str | None, content: str | None
) -> None:
    """Store what the caller thinks of a message it was let into; None takes it back.

    The app's team has one judgement of a message, its end user another. Raises
    InvalidRequest where there is none to take back.
    """
    source = source_of(principal)
    mine = (MessageFeedback.message_id == message.id, MessageFeedback.from_source == source)
    if rating is None:
        removed = session.execute(delete(MessageFeedback).where(*mine).returning(MessageFeedback.id)).all()
        if not removed:
            raise InvalidRequest("rating must not be null where there is none to take back", field="rating")
        return
    is_account = principal.kind is ActorKind.ACCOUNT
    judgement = {"rating": rating, "content": content, "updated_at": utc_now()}
    session.execute(
        insert_for(session)(MessageFeedback)
        .values(
            id=new_id(),
            created_at=utc_now(),
            tenant_id=message.tenant_id,
            app_id=message.app_id,
            conversation_id=message.conversation_id,
            message_id=message.id,
            from_source=source,
            from_end_user_id=None if is_account else principal.id,
            from_account_id=principal.id if is_account else None,
            **judgement,
        )
        .on_conflict_do_update(index_elements=["message_id", "from_source"], set_=judgement)
    )


def load_feedbacks(
    session: Session, tenant_id: str, app_id: str, *, page: int, limit: int
) -> list[FeedbackItem]:
    """Return a page of all that was thought of an app's messages, latest first."""
    rows = session.execute(
        select(*FEEDBACK_COLUMNS)
        .where(MessageFeedback.tenant_id == tenant_id, MessageFeedback.app_id == app_id)
        .order_by(MessageFeedback.created_at.desc(), MessageFeedback.id.desc())
        .limit(limit)
        .offset((page - 1) * limit)
    ).all()
    return [FeedbackItem(**row._mapping) for row in rows]  # noqa: SLF001  # documented


def first_run(runtime: Runtime, principal: Principal, app_id: str, message_id: str) -> EventLog:
    """Return the log of the run that made a message, for a repeated request; raises StillRunning."""
    with runtime.transaction() as session:
        message = access_message(session, principal, app_id, message_id)
        found = thoughts.load(session, principal.tenant_id, {message.id: message.mode})
    if message.status == "running":
        raise StillRunning("The first request with this Idempotency-Key is still running.", retry_after_s=1)
    return runtime.channel.find(message.task_id) or _stored_log(message, principal, found.get(message.id, ()))


def _stored_log(message: Message, principal: Principal, rounds: Sequence[AgentThought]) -> StoredLog:
    header = RunHeader(
        task_id=message.task_id,
        tenant_id=message.tenant_id,
        app_id=message.app_id,
        mode=message.mode,
        principal_id=principal.id,
        created_at=int(message.created_at.timestamp()),
        total_s=0.0,
        conversation_id=message.conversation_id,
        message_id=message.id,
        workflow_run_id=message.workflow_run_id,
    )
    text: tuple[Event, ...] = (TextChunk(text=message.answer),) if message.answer else ()
    return StoredLog(header=header, events=(*rounds, *text, from_json(message.outcome or {})))


def source_of(principal: Principal) -> str:
    """Return whose judgement of a message a caller gives: the app's team, or its end user."""
    return "admin" if principal.kind is ActorKind.ACCOUNT else "user"
