"""Searches of the logs of apps: what a keyword stands in, or names. Both are a Search of log_pages.py.

What may hold it, as the index says (log_index.py), is read by number, a batch at a
time, or where it is much, part by part in the order of the list.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
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
from api.services.log_pages import Part

NAMED_USERS = 100
"""So many end users a keyword may name."""
THEIRS = 10_000
"""So many of what is theirs, the latest, are found where the keyword stands in few other rows."""


class ConversationSearch:
    """The conversations in which a keyword stands, or that it names; how to look takes a statement."""

    def __init__(self, session: Session, app: App, keyword: str, span: Span) -> None:
        self._app, self._keyword = app, keyword
        self._candidates = log_index.find(session, "messages", app, keyword, since=span.start, until=span.end)
        self._says = and_(
            Message.invoke_from != DEBUGGER,
            *span.holds(Message.created_at),
            or_(*(contains(text, keyword) for text in (Message.query, Message.answer))),
        )

    @property
    def count(self) -> int:
        """How many messages are read to tell all there is."""
        return self._candidates.count

    def some(self) -> ColumnElement[bool]:
        """Return the condition of those behind the index, of the first batch, and of those that are named."""
        said = (
            self._candidates.behind(Message.conversation_id, self._says),
            self._said(self._candidates.first()),
        )
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
            named = self._keyword.lower()
            found.append(select(literal(named, Conversation.id.type)))
            found.append(select(Message.conversation_id).where(Message.id == named))
        mentioning = found[0].union(*found[1:]).cte("mentioning")
        return Conversation.id.in_(select(mentioning.c[0]))

    def more(self) -> Iterator[ColumnElement[bool]]:
        """Yield the condition of those of each other batch."""
        for numbers in self._candidates.others():
            yield Conversation.id.in_(self._said(numbers))

    def parts(self) -> Sequence[Part]:
        """Return all of the list, if there may be others: conversations go on whenever they like."""
        return list(self._candidates.whole())

    def each(self) -> Sequence[ColumnElement[bool]]:
        """Return the conditions that something that was said holds the keyword."""
        said = (
            select(literal(1))
            .where(Message.conversation_id == Conversation.id, self._says)
            .limit(1)
            .correlate(Conversation)
            .scalar_subquery()
        )
        # A planner would look for all of them with EXISTS.
        return [Conversation.created_at <= self._candidates.newest(), said.is_not(None)]

    def _said(self, numbers: Sequence[int]) -> Select[str]:
        return self._candidates.named(numbers, Message.conversation_id, self._says)


class RunSearch:
    """The runs in which a keyword stands, or that it names; how to look takes a statement."""

    def __init__(
        self,
        session: Session,
        app: AppSpec | App,
        keyword: str,
        *,
        since: datetime | None,
        until: datetime | None,
    ) -> None:
        self._app, self._keyword = app, keyword
        self._candidates = log_index.find(session, "workflow_runs", app, keyword, since=since, until=until)
        self._says = and_(NO_TEST, contains(WorkflowRun.searchable, keyword))

    @property
    def count(self) -> int:
        """How many runs are read to tell all there is."""
        return self._candidates.count

    def some(self) -> ColumnElement[bool]:
        """Return the condition of those behind the index, of the first batch, and of those that are named."""
        said = self._candidates.behind(WorkflowRun.id, self._says), self._said(self._candidates.first())
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

    def more(self) -> Iterator[ColumnElement[bool]]:
        """Yield the condition of those of each other batch."""
        for numbers in self._candidates.others():
            yield WorkflowRun.id.in_(self._said(numbers))

    def parts(self) -> Sequence[Part]:
        """Return where the index names others: the list has its order."""
        return list(self._candidates.parts())

    def each(self) -> Sequence[ColumnElement[bool]]:
        """Return the condition that the keyword stands in a run."""
        return [self._says]

    def _said(self, numbers: Sequence[int]) -> Select[str]:
        return self._candidates.named(numbers, WorkflowRun.id, self._says)


def _named_users(app: AppSpec | App, keyword: str) -> Select[str]:
    return (
        select(EndUser.id)
        .where(EndUser.app_id == app.id, EndUser.session_id.startswith(keyword, autoescape=True))
        .limit(NAMED_USERS)
    )
