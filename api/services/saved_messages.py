"""Answers of completion apps, kept by whoever asked for them. Wire: docs/wire/web-app.md#kept-answers."""

from sqlalchemy import and_, delete, select, tuple_
from sqlalchemy.orm import Session

from api.errors import NotFound
from api.models.base import new_id, utc_now
from api.models.conversation import Message, MessageFeedback, SavedMessage
from api.models.types import insert_for, position_of
from api.principal import ActorKind, Principal
from api.services.access import access_message, is_id, owned_by
from api.services.messages import ITEM_COLUMNS, MessageItem, source_of


def save_message(session: Session, principal: Principal, app_id: str, message_id: str) -> None:
    """Keep an answer the caller got; once is enough. Raises NotFound."""
    message = access_message(session, principal, app_id, message_id)
    is_account = principal.kind is ActorKind.ACCOUNT
    session.execute(
        insert_for(session)(SavedMessage)
        .values(
            id=new_id(),
            created_at=utc_now(),
            tenant_id=message.tenant_id,
            app_id=message.app_id,
            message_id=message.id,
            from_end_user_id=None if is_account else principal.id,
            from_account_id=principal.id if is_account else None,
        )
        .on_conflict_do_nothing()
    )


def load_saved(
    session: Session, principal: Principal, app_id: str, *, last_id: str | None, limit: int
) -> tuple[list[MessageItem], bool]:
    """Return a page of what the caller keeps, the last kept first, and whether more follows.

    The page begins after the message ``last_id``; raises NotFound where that is not kept.
    """
    mine = (
        SavedMessage.tenant_id == principal.tenant_id,
        SavedMessage.app_id == app_id,
        owned_by(SavedMessage, principal),
    )
    feedback = and_(
        MessageFeedback.message_id == Message.id, MessageFeedback.from_source == source_of(principal)
    )
    query = (
        select(*ITEM_COLUMNS, MessageFeedback.rating)
        .join(SavedMessage, SavedMessage.message_id == Message.id)
        .outerjoin(MessageFeedback, feedback)
        .where(*mine)
    )
    if last_id is not None:
        position = session.execute(
            select(SavedMessage.created_at, SavedMessage.id).where(*mine, SavedMessage.message_id == last_id)
        ).one_or_none()
        if position is None:
            raise NotFound("Last Message Not Exists.")
        query = query.where(tuple_(SavedMessage.created_at, SavedMessage.id) < position_of(*position))
    latest = query.order_by(SavedMessage.created_at.desc(), SavedMessage.id.desc())
    rows = session.execute(latest.limit(limit + 1)).all()
    return [MessageItem(**row._mapping) for row in rows[:limit]], len(rows) > limit  # noqa: SLF001  # documented


def delete_saved(session: Session, principal: Principal, app_id: str, message_id: str) -> None:
    """Keep an answer no longer; raises NotFound where the caller does not keep it."""
    deleted = None
    if is_id(message_id):
        deleted = session.execute(
            delete(SavedMessage)
            .where(
                SavedMessage.tenant_id == principal.tenant_id,
                SavedMessage.app_id == app_id,
                SavedMessage.message_id == message_id.lower(),
                owned_by(SavedMessage, principal),
            )
            .returning(SavedMessage.id)
        ).one_or_none()
    if deleted is None:
        raise NotFound("Message Not Exists.")
