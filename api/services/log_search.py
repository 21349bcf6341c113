"""Searches of the logs of apps: what a keyword stands in, or names. Both are a Search of log_pages.py.

What is in few rows, as the index says (log_index.py), is told at once; else the
rows of the list are looked at in their order, until a page is full.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select
from sqlalchemy.orm import Session

from api.core.apps.spec import AppSpec
from api.models.app import App, EndUser
from api.models.conversation import Conversation, Message
from api.models.types import contains
from api.models.workflow import NO_TEST, WorkflowRun
from api.services import log_index
from api.services.access import is_id
from api.services.flow_call import DEBUGGER
from api.services.local_days import Span

NAMED_USERS = 100
"""So many end users a keyword may name."""
THEIRS = 10_000
"""So many of what is theirs, the latest, are found where the keyword stands in few other rows."""


class ConversationSearch:
    """The conversations in which a keyword stands, or that it names; how to look takes a statement."""

    def __init__(self, session: Session, app: App, keyword: str, span: Span) -> None:
        self._app, self._keyword = app, keyword
        self._candidates = log_index.find(session, "messages", app, keyword, span)
        self._says = and_(
            Message.invoke_from != DEBUGGER,
            *span.holds(Message.created_at),
            or_(*(contains(text, keyword) for text in (Message.query, Message.answer))),
        )

    @property
    def is_all(self) -> bool:
        """Whether those that can be told at once are all there are."""
        return self._candidates.is_all

    def some(self) -> ColumnElement[bool]:
        """Return the condition that a conversation is one that can be told at once."""
        said = self._said_behind(), self._candidates.named(Message.conversation_id, self._says)
        users = _named_users(self._app, self._keyword)
        held = (
            select(Conversation.id)
            .where(Conversation.app_id == self._app.id, Conversation.from_end_user_id.in_(users))
            .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
            .limit(THEIRS)
            .subquery("held")
        )
        found: list[Select[Any]] = [*said, select(held.c.id)]
        if is_id(self._keyword):
            found.append(select(literal(self._keyword.lower(), Conversation.id.type)))
            found.append(self._of_message())
        mentioning = found[0].union(*found[1:]).cte("mentioning")
        return Conversation.id.in_(select(mentioning.c[0]))

    def each(self) -> ColumnElement[bool]:
        """Return the condition that a conversation is one, to be looked at in their order."""
        said = (
            select(literal(1))
            .where(Message.conversation_id == Conversation.id, self._says)
            .limit(1)
            .correlate(Conversation)
            .scalar_subquery()
        )
        says: ColumnElement[bool] = said.is_not(None)  # a planner would look for all of them with EXISTS
        if self._candidates.newest is not None:
            says = and_(Conversation.created_at <= self._candidates.newest, says)
        named: list[ColumnElement[bool]] = [
            Conversation.from_end_user_id.in_(_named_users(self._app, self._keyword))
        ]
        if is_id(self._keyword):
            named.append(Conversation.id == self._keyword.lower())
            named.append(Conversation.id.in_(self._of_message()))
        return or_(*named, Conversation.id.in_(self._said_behind()), says)

    def _said_behind(self) -> Select[str]:
        return self._candidates.behind(Message.conversation_id, self._says)

    def _of_message(self) -> Select[str]:
        return select(Message.conversation_id).where(Message.id == self._keyword.lower())


class RunSearch:
    """The runs in which a keyword stands, or that it names; how to look takes a statement."""

    def __init__(self, session: Session, app: AppSpec | App, keyword: str) -> None:
        self._app, self._keyword = app, keyword
        self._candidates = log_index.find(session, "workflow_runs", app, keyword, None)
        self._says = and_(NO_TEST, contains(WorkflowRun.searchable, keyword))

    @property
    def is_all(self) -> bool:
        """Whether those that can be told at once are all there are."""
        return self._candidates.is_all

    def some(self) -> ColumnElement[bool]:
        """Return the condition that a run is one that can be told at once."""
        said = (
            look(WorkflowRun.id, self._says) for look in (self._candidates.behind, self._candidates.named)
        )
        begun = (
            select(WorkflowRun.id)
            .where(WorkflowRun.from_end_user_id.in_(_named_users(self._app, self._keyword)))
            .order_by(WorkflowRun.created_at.desc(), WorkflowRun.id.desc())
            .limit(THEIRS)
            .subquery("begun")
        )
        found: list[Select[Any]] = [*said, select(begun.c.id)]
        if is_id(self._keyword):
            found.append(select(literal(self._keyword.lower(), WorkflowRun.id.type)))
        mentioning = found[0].union(*found[1:]).cte("mentioning")
        return WorkflowRun.id.in_(select(mentioning.c[0]))

    def each(self) -> ColumnElement[bool]:
        """Return the condition that a run is one, to be looked at in their order."""
        says: ColumnElement[bool] = self._says
        newest, after = self._candidates.newest, self._candidates.after
        if newest is not None and after is not None:
            says = and_(or_(WorkflowRun.created_at <= newest, WorkflowRun.created_at >= after[0]), says)
        named: list[ColumnElement[bool]] = [
            WorkflowRun.from_end_user_id.in_(_named_users(self._app, self._keyword))
        ]
        if is_id(self._keyword):
            named.append(WorkflowRun.id == self._keyword.lower())
        return or_(*named, says)


def _named_users(app: AppSpec | App, keyword: str) -> Select[str]:
    return (
        select(EndUser.id)
        .where(EndUser.app_id == app.id, EndUser.session_id.startswith(keyword, autoescape=True))
        .limit(NAMED_USERS)
    )
