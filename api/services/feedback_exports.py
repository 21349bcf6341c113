"""What was thought of an app's messages, with what was asked and answered, to be taken elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, func, select, tuple_
from sqlalchemy.orm import Session

from api.models.account import Account
from api.models.app import App
from api.models.conversation import Conversation, Message, MessageFeedback
from api.models.types import position_of
from api.principal import Principal
from api.runtime import Runtime
from api.services.access import access_app
from api.services.local_days import Span, span_of_days

ROWS_AT_ONCE = 200
"""Each may bring a whole answer."""

Found = Row[MessageFeedback, Message, str, str | None]
"""A judgement, its message, what their conversation is called, and who of the team judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackChoice:
    """Which judgements are wanted; None is any. Both days belong to it."""

    source: str | None
    rating: str | None
    has_comment: bool | None
    first_day: date | None
    last_day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRecord:
    """One judgement, and what it is of; times are in the time zone of who asks."""

    id: str
    conversation_id: str
    conversation_name: str
    message_id: str
    query: str
    answer: str
    rating: str
    comment: str
    source: str
    judged_at: datetime
    asked_at: datetime
    account_name: str
    end_user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackExport:
    """The judgements of an app, newest first, some hundred at once."""

    app_id: str
    app_name: str
    pages: Iterator[Sequence[FeedbackRecord]]


def export(runtime: Runtime, principal: Principal, app_id: str, choice: FeedbackChoice) -> FeedbackExport:
    """Return the chosen judgements of an app's messages; raises AppNotFound, InvalidRequest.

    Nothing of the database is held between two pages.
    """
    with runtime.reading() as session:
        app = access_app(session, principal, app_id)
        timezone = session.scalars(select(Account.timezone).where(Account.id == principal.id)).one()
    span = span_of_days(choice.first_day, choice.last_day, timezone)
    pages = _pages(runtime, _chosen(app, choice, span), span.zone)
    return FeedbackExport(app_id=app.id, app_name=app.name, pages=pages)


def _chosen(app: App, choice: FeedbackChoice, span: Span) -> list[ColumnElement[bool]]:
    feedback = MessageFeedback
    conditions = [feedback.tenant_id == app.tenant_id, feedback.app_id == app.id]
    conditions += span.holds(feedback.created_at)
    if choice.source is not None:
        conditions.append(feedback.from_source == choice.source)
    if choice.rating is not None:
        conditions.append(feedback.rating == choice.rating)
    if choice.has_comment is not None:
        said = func.trim(func.coalesce(feedback.content, "")) != ""
        conditions.append(said if choice.has_comment else ~said)
    return conditions


def _pages(
    runtime: Runtime, chosen: Sequence[ColumnElement[bool]], zone: ZoneInfo
) -> Iterator[Sequence[FeedbackRecord]]:
    """Yield judgements page by page; what is added meanwhile is newer than all that is still to come."""
    place = tuple_(MessageFeedback.created_at, MessageFeedback.id)
    last: MessageFeedback | None = None
    while True:
        here = [] if last is None else [place < position_of(last.created_at, last.id)]
        with runtime.reading() as session:
            rows = _load(session, [*chosen, *here])
            records = [_to_record(row, zone) for row in rows]
        yield records
        if len(rows) < ROWS_AT_ONCE:
            return
        last = rows[-1][0]


def _load(session: Session, conditions: Sequence[ColumnElement[bool]]) -> Sequence[Found]:
    query = (
        select(MessageFeedback, Message, Conversation.name, Account.name)
        .join(Message, Message.id == MessageFeedback.message_id)
        .join(Conversation, Conversation.id == MessageFeedback.conversation_id)
        .outerjoin(Account, Account.id == MessageFeedback.from_account_id)
        .where(*conditions)
        .order_by(MessageFeedback.created_at.desc(), MessageFeedback.id.desc())
        .limit(ROWS_AT_ONCE)
    )
    return session.execute(query).all()


def _to_record(row: Found, zone: ZoneInfo) -> FeedbackRecord:
    feedback, message, conversation_name, account_name = row
    return FeedbackRecord(
        id=feedback.id,
        conversation_id=feedback.conversation_id,
        conversation_name=conversation_name or "",
        message_id=feedback.message_id,
        query=message.query or "",
        answer=message.answer or "",
        rating=feedback.rating,
        comment=feedback.content or "",
        source=feedback.from_source,
        judged_at=feedback.created_at.astimezone(zone),
        asked_at=message.created_at.astimezone(zone),
        account_name=account_name or "",
        end_user_id=feedback.from_end_user_id or "",
    )
