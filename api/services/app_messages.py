"""Messages of an app as its team sees them: of every end user and account, with all that is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from api.core.events import AgentThought
from api.errors import NotFound
from api.models.account import Account
from api.models.annotation import Annotation, AnnotationHit
from api.models.conversation import Message, MessageFeedback
from api.models.types import position_of
from api.principal import Principal
from api.services import messages, thoughts
from api.services.access import access_app, access_conversation_of_app, access_message_of_app


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackDetail:
    """A judgement of a message; ``account`` is who gave it, None for an end user or one who is gone."""

    feedback: MessageFeedback
    account: Account | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationDetail:
    """An annotation made of a message, or given as its answer ``at`` some time; ``account`` wrote it."""

    annotation: Annotation
    account: Account | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDetail:
    """A message with its judgements, its annotations, and the rounds of an agent that answered.

    ``annotation`` was made of it, ``hit`` answered it.
    """

    message: Message
    feedbacks: Sequence[FeedbackDetail]
    annotation: AnnotationDetail | None = None
    hit: AnnotationDetail | None = None
    thoughts: Sequence[AgentThought] = ()


def load_details(
    session: Session,
    principal: Principal,
    app_id: str,
    conversation_id: str,
    *,
    first_id: str | None,
    limit: int,
) -> tuple[list[MessageDetail], bool]:
    """Return a page of a conversation's messages, oldest first, and whether older ones exist.

    The page ends before ``first_id``. Raises AppNotFound, and NotFound for an
    unknown conversation or ``first_id``.
    """
    app = access_app(session, principal, app_id)
    conversation = access_conversation_of_app(session, app, conversation_id)
    here = (Message.tenant_id == app.tenant_id, Message.conversation_id == conversation.id)
    query = select(Message).where(*here)
    if first_id is not None:
        position = session.execute(
            select(Message.created_at, Message.id).where(*here, Message.id == first_id)
        ).one_or_none()
        if position is None:
            raise NotFound("First Message Not Exists.")
        query = query.where(tuple_(Message.created_at, Message.id) < position_of(*position))
    latest = query.order_by(Message.created_at.desc(), Message.id.desc()).limit(limit + 1)
    rows = session.scalars(latest).all()
    return _details(session, list(reversed(rows[:limit]))), len(rows) > limit


def get_detail(session: Session, principal: Principal, app_id: str, message_id: str) -> MessageDetail:
    """Return a message of an app; raises AppNotFound, NotFound."""
    app = access_app(session, principal, app_id)
    return _details(session, [access_message_of_app(session, app, message_id)])[0]


def with_judgements(session: Session, message: Message) -> MessageDetail:
    """Return a message the caller was let into with what was thought of it."""
    return _details(session, [message])[0]


def rate(
    session: Session,
    principal: Principal,
    app_id: str,
    message_id: str,
    *,
    rating: str | None,
    content: str | None,
) -> None:
    """Keep what the app's team thinks of a message; None takes it back.

    Raises AppNotFound, NotFound, and InvalidRequest where there is none to take back.
    """
    app = access_app(session, principal, app_id)
    message = access_message_of_app(session, app, message_id)
    messages.keep_rating(session, principal, message, rating=rating, content=content)


def _details(session: Session, rows: Sequence[Message]) -> list[MessageDetail]:
    ids = [row.id for row in rows]
    feedbacks, made, hits = _feedbacks(session, ids), _annotations(session, ids), _hits(session, ids)
    rounds = thoughts.load(session, rows[0].tenant_id, {row.id: row.mode for row in rows}) if rows else {}
    return [
        MessageDetail(
            message=row,
            feedbacks=feedbacks.get(row.id, ()),
            annotation=made.get(row.id),
            hit=hits.get(row.id),
            thoughts=rounds.get(row.id, ()),
        )
        for row in rows
    ]


def _annotations(session: Session, message_ids: Sequence[str]) -> Mapping[str, AnnotationDetail]:
    """Return the annotations that were made of messages, by message."""
    query = (
        select(Annotation, Account)
        .outerjoin(Account, Account.id == Annotation.account_id)
        .where(Annotation.message_id.in_(message_ids))
    )
    return {
        str(annotation.message_id): AnnotationDetail(
            annotation=annotation, account=account, at=annotation.created_at
        )
        for annotation, account in (session.execute(query) if message_ids else ())
    }


def _hits(session: Session, message_ids: Sequence[str]) -> Mapping[str, AnnotationDetail]:
    """Return the annotations that messages were answered by and that are still there, by message."""
    query = (
        select(AnnotationHit.message_id, AnnotationHit.created_at, Annotation, Account)
        .join(Annotation, Annotation.id == AnnotationHit.annotation_id)
        .outerjoin(Account, Account.id == Annotation.account_id)
        .where(AnnotationHit.message_id.in_(message_ids))
    )
    return {
        message_id: AnnotationDetail(annotation=annotation, account=account, at=at)
        for message_id, at, annotation, account in (session.execute(query) if message_ids else ())
    }


def _feedbacks(session: Session, message_ids: Sequence[str]) -> Mapping[str, list[FeedbackDetail]]:
    found: dict[str, list[FeedbackDetail]] = {}
    query = (
        select(MessageFeedback, Account)
        .outerjoin(Account, Account.id == MessageFeedback.from_account_id)
        .where(MessageFeedback.message_id.in_(message_ids))
        .order_by(MessageFeedback.created_at, MessageFeedback.id)
    )
    for feedback, account in session.execute(query) if message_ids else ():
        found.setdefault(feedback.message_id, []).append(FeedbackDetail(feedback=feedback, account=account))
    return found
