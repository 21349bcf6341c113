"""Conversations with an app as its team finds them: everybody's, by time, text and judgement.

Tests in the console are not among them. A page takes three statements, an empty one four, however
many conversations and messages there are, and none of them reads more than a
bounded part of these: what is counted ends at ``log_pages.COUNTED``. A search
takes one more statement, which asks an index where to look (log_index.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    and_,
    case,
    func,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased, defer

from api.core.apps.spec import CHAT_MODES, AppMode
from api.core.ports import JSONObject
from api.errors import NotFound
from api.models.account import Account
from api.models.annotation import Annotation
from api.models.app import App, AppModelConfig, EndUser
from api.models.base import utc_now
from api.models.conversation import LOGGED, Conversation, Message, MessageFeedback
from api.models.types import unindexed
from api.models.workflow import WorkflowRun
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_messages, conversations
from api.services.access import AppNotFound, access_app, access_conversation_of_app
from api.services.app_messages import AnnotationDetail, MessageDetail
from api.services.conversations import SortBy
from api.services.flow_call import DEBUGGER
from api.services.local_days import Span, read_span
from api.services.log_pages import Listed, Slice, load
from api.services.log_search import ConversationSearch

COMPLETIONS = frozenset({AppMode.COMPLETION})

Annotated = Literal["all", "annotated", "not_annotated"]

FirstMessage = aliased(Message, name="first_message")
Writer = aliased(Account, name="writer")
UNREAD = (FirstMessage.outcome, FirstMessage.files)
"""Columns that may hold much, which a list does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which conversations are asked for.

    ``start`` and ``end`` are local minutes of the caller, both included, of the
    time the list is sorted by. ``keyword`` is part of a message, the beginning of
    an end user's name, or an id. ``last_id`` is the last conversation the caller
    holds; then ``page`` does not count.
    """

    page: int = 1
    limit: int = 20
    last_id: str | None = None
    keyword: str = ""
    start: str | None = None
    end: str | None = None
    annotation_status: Annotated = "all"
    sort_by: SortBy = "-created_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedConversation:
    """A conversation, who holds it, its first message, and counts of all its messages."""

    row: Conversation
    session_id: str | None
    account_name: str | None
    first: Message | None
    annotation: AnnotationDetail | None
    config: JSONObject | None
    messages: int
    failed: int
    partial: int
    annotations: int
    user_likes: int
    user_dislikes: int
    admin_likes: int
    admin_dislikes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """A page of a log. ``total`` ends at log_pages.COUNTED; ``has_more`` is always right."""

    items: Sequence[LoggedConversation]
    total: int
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """The log of an app as its caller sees it."""

    app: App
    timezone: str
    config: JSONObject | None
    held: tuple[datetime, datetime, str] | None = None
    """When the last conversation the caller holds was made and went on, and its id."""


def load_chats(session: Session, principal: Principal, app_id: str, asked: LogQuery) -> LogPage:
    """Return a page of the conversations with a chat app; AppNotFound, InvalidRequest, NotFound."""
    log = _access(session, principal, app_id, CHAT_MODES, asked.last_id)
    return _load(session, log, asked, unread=(*UNREAD, FirstMessage.answer))


def load_completions(session: Session, principal: Principal, app_id: str, asked: LogQuery) -> LogPage:
    """Return a page of the answers of a completion app; AppNotFound, InvalidRequest, NotFound."""
    log = _access(session, principal, app_id, COMPLETIONS, asked.last_id)
    return _load(session, log, asked, unread=UNREAD)


def read_chat(
    runtime: Runtime, principal: Principal, app_id: str, conversation_id: str
) -> LoggedConversation:
    """Return a conversation with a chat app, and note that it was read; AppNotFound, NotFound."""
    with runtime.transaction() as session:
        return _read(session, _access(session, principal, app_id, CHAT_MODES), conversation_id)


def read_completion(
    runtime: Runtime, principal: Principal, app_id: str, conversation_id: str
) -> tuple[LoggedConversation, MessageDetail | None]:
    """Return an answer of a completion app, and note that it was read; AppNotFound, NotFound."""
    with runtime.transaction() as session:
        item = _read(session, _access(session, principal, app_id, COMPLETIONS), conversation_id)
        return item, app_messages.with_judgements(session, item.first) if item.first else None


def delete_chat(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, conversation_id: str
) -> None:
    """Remove anybody's conversation with a chat app; raises AppNotFound, NotFound."""
    _delete(runtime, session, _access(session, principal, app_id, CHAT_MODES).app, conversation_id)


def delete_completion(
    runtime: Runtime, session: Session, principal: Principal, app_id: str, conversation_id: str
) -> None:
    """Remove anybody's answer of a completion app; raises AppNotFound, NotFound."""
    _delete(runtime, session, _access(session, principal, app_id, COMPLETIONS).app, conversation_id)


def _access(
    session: Session, principal: Principal, app_id: str, modes: frozenset[AppMode], last_id: str | None = None
) -> _Log:
    """Return the log of an app of one of the modes; raises AppNotFound, NotFound for ``last_id``."""
    app = access_app(session, principal, app_id)
    if AppMode(app.mode) not in modes:
        raise AppNotFound("App not found.")
    config = and_(AppModelConfig.tenant_id == app.tenant_id, AppModelConfig.id == app.app_model_config_id)
    facts = (
        select(Account.timezone, AppModelConfig.config)
        .select_from(Account)
        .outerjoin(AppModelConfig, config)
        .where(Account.id == principal.id)
    )
    if last_id is None:
        return _Log(app=app, **session.execute(facts).one()._mapping)  # noqa: SLF001  # documented
    held = and_(
        Conversation.tenant_id == app.tenant_id, Conversation.app_id == app.id, Conversation.id == last_id
    )
    placed = facts.add_columns(Conversation.created_at, Conversation.updated_at, Conversation.id)
    timezone, settings, *place = session.execute(placed.outerjoin(Conversation, held)).one()
    if place[-1] is None:
        raise NotFound("Last Conversation Not Exists.")
    return _Log(app=app, timezone=timezone, config=settings, held=(place[0], place[1], place[2]))


def _load(
    session: Session, log: _Log, asked: LogQuery, *, unread: Sequence[InstrumentedAttribute[Any]]
) -> LogPage:
    column = Conversation.updated_at if asked.sort_by.endswith("updated_at") else Conversation.created_at
    span = read_span(asked.start, asked.end, log.timezone)
    listed = Listed(
        at=column,
        row_id=Conversation.id,
        in_order=[Conversation.app_id == log.app.id, LOGGED],  # that app's id alone is one workspace's
        by_id=[
            unindexed(Conversation.app_id) == log.app.id,
            unindexed(Conversation.deleted_at).is_(None),
            Conversation.invoke_from != DEBUGGER,
        ],
        where=_conditions(log, asked, span, column),
    )
    search = ConversationSearch(session, log.app, asked.keyword, span) if asked.keyword else None
    after = None
    if log.held is not None:
        created_at, updated_at, last_id = log.held
        after = (updated_at if column is Conversation.updated_at else created_at), last_id
    is_descending = asked.sort_by.startswith("-")
    wanted = Slice(limit=asked.limit, page=asked.page, after=after, is_descending=is_descending)

    def describe(page: CTE) -> Select[Any]:
        return (
            _described(log.app, page)
            .options(*(defer(each, raiseload=True) for each in unread))
            .add_columns(page.c.total)
            .order_by(*wanted.order(column, Conversation.id))
        )

    page = load(session, listed, wanted, describe, search)
    return LogPage(items=[_item(row, log) for row in page.rows], total=page.total, has_more=page.has_more)


def _conditions(
    log: _Log, asked: LogQuery, span: Span, column: InstrumentedAttribute[datetime]
) -> list[ColumnElement[bool]]:
    """Return what the conversations asked for have in common."""
    where = span.holds(column)
    if asked.annotation_status != "all":
        annotated = (
            select(Message.conversation_id)
            .join(Annotation, Annotation.message_id == Message.id)
            .where(Annotation.tenant_id == log.app.tenant_id, Annotation.app_id == log.app.id)
        )
        is_annotated = Conversation.id.in_(annotated)
        where.append(is_annotated if asked.annotation_status == "annotated" else ~is_annotated)
    return where


def _described(app: App, page: CTE) -> Select[Any]:
    """Return the statement that tells all there is to tell of some conversations."""
    ids = select(page.c.id)
    talk, judged = _talk(ids), _judged(ids)
    first = (
        select(Message.id)
        .where(Message.conversation_id == Conversation.id)
        .order_by(Message.created_at, Message.id)
        .limit(1)
        .correlate(Conversation)
        .scalar_subquery()
    )
    return (
        select(Conversation, EndUser.session_id, Account.name, FirstMessage, Annotation, Writer, talk, judged)
        .select_from(page)
        .outerjoin(Conversation, and_(Conversation.id == page.c.id, Conversation.tenant_id == app.tenant_id))
        .outerjoin(EndUser, EndUser.id == Conversation.from_end_user_id)
        .outerjoin(Account, Account.id == Conversation.from_account_id)
        .outerjoin(FirstMessage, FirstMessage.id == first)
        .outerjoin(Annotation, Annotation.message_id == FirstMessage.id)
        .outerjoin(Writer, Writer.id == Annotation.account_id)
        .outerjoin(talk, talk.c.talk_id == Conversation.id)
        .outerjoin(judged, judged.c.judged_id == Conversation.id)
    )


def _talk(ids: Select[Any]) -> CTE:
    """Return how many messages conversations have, and how many of these went wrong."""
    is_partial = WorkflowRun.status == "partial-succeeded"
    return (
        select(
            Message.conversation_id.label("talk_id"),
            func.count().label("messages"),
            func.count(case((Message.status == "error", 1))).label("failed"),
            func.count(case((is_partial, 1))).label("partial"),
            func.count(Annotation.id).label("annotations"),
        )
        .outerjoin(WorkflowRun, WorkflowRun.id == Message.workflow_run_id)
        .outerjoin(Annotation, Annotation.message_id == Message.id)
        .where(Message.conversation_id.in_(ids))
        .group_by(Message.conversation_id)
        .cte("talk")
    )


def _judged(ids: Select[Any]) -> CTE:
    """Return what was thought of the messages of conversations."""

    def count(rating: str, source: str) -> ColumnElement[int]:
        is_such = and_(MessageFeedback.rating == rating, MessageFeedback.from_source == source)
        return func.count(case((is_such, 1)))

    return (
        select(
            MessageFeedback.conversation_id.label("judged_id"),
            count("like", "user").label("user_likes"),
            count("dislike", "user").label("user_dislikes"),
            count("like", "admin").label("admin_likes"),
            count("dislike", "admin").label("admin_dislikes"),
        )
        .where(MessageFeedback.conversation_id.in_(ids))
        .group_by(MessageFeedback.conversation_id)
        .cte("judged")
    )


def _item(row: Any, log: _Log) -> LoggedConversation:
    return LoggedConversation(
        row=row[0],
        session_id=row[1],
        account_name=row[2],
        first=row[3],
        annotation=AnnotationDetail(annotation=row[4], account=row[5], at=row[4].created_at)
        if row[4]
        else None,
        config=log.config,
        messages=row.messages or 0,
        failed=row.failed or 0,
        partial=row.partial or 0,
        annotations=row.annotations or 0,
        user_likes=row.user_likes or 0,
        user_dislikes=row.user_dislikes or 0,
        admin_likes=row.admin_likes or 0,
        admin_dislikes=row.admin_dislikes or 0,
    )


def _read(session: Session, log: _Log, conversation_id: str) -> LoggedConversation:
    row = access_conversation_of_app(session, log.app, conversation_id)
    session.execute(
        update(Conversation)
        .where(Conversation.tenant_id == row.tenant_id, Conversation.id == row.id)
        .values(read_at=utc_now())
    )
    page = select(Conversation.id).where(Conversation.id == row.id).cte("page")
    return _item(session.execute(_described(log.app, page)).one(), log)


def _delete(runtime: Runtime, session: Session, app: App, conversation_id: str) -> None:
    conversations.hide_conversation(
        runtime, session, access_conversation_of_app(session, app, conversation_id)
    )
