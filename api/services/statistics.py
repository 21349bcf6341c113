"""What an app was used for, day by day: messages, people, tokens, and how good the answers were.

Tests in the console do not count. A day is one of the account that asks, and a
day without anything is left out. Each statistic is a statement over the messages,
or the workflow runs, of each month of a span.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from api.core.apps.spec import CHAT_MODES, AppMode
from api.core.ports import JSONObject
from api.models.account import Account
from api.models.app import App
from api.models.base import utc_now
from api.models.conversation import Message, MessageFeedback
from api.models.workflow import NO_TEST, WorkflowRun
from api.principal import Principal
from api.services.access import AppNotFound, access_app
from api.services.flow_call import DEBUGGER
from api.services.local_days import Span, day_number, read_span, to_date

MODES = frozenset(AppMode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """What is summed up of each day, by name, and how a day of it is told."""

    sums: Mapping[str, ColumnElement[Any]]
    tell: Callable[[Any], JSONObject]
    modes: frozenset[AppMode] = MODES
    looks_at_likes: bool = False


def _ratio(amount: float | Decimal | None, count: float | Decimal | None, digits: int = 2) -> float:
    return round(float(amount or 0) / float(count), digits) if count else 0.0


def _counted(name: str, amount: ColumnElement[Any]) -> Statistic:
    """Return the statistic of a whole number, told by its name."""

    def tell(day: Any) -> JSONObject:
        return {name: int(day.amount or 0)}

    return Statistic(sums={"amount": amount}, tell=tell)


def _average(
    name: str, amount: ColumnElement[Any], count: ColumnElement[Any], modes: frozenset[AppMode] = MODES
) -> Statistic:
    """Return the statistic of one amount for each of a count, told by its name."""

    def tell(day: Any) -> JSONObject:
        return {name: _ratio(day.amount, day.count)}

    return Statistic(sums={"amount": amount, "count": count}, tell=tell, modes=modes)


def _tell_costs(day: Any) -> JSONObject:
    price = Decimal(str(day.price or 0))
    return {"token_count": int(day.tokens or 0), "total_price": f"{price:.7f}", "currency": day.currency}


def _tell_rate(day: Any) -> JSONObject:
    return {"rate": _ratio(day.amount, day.count)}


def _tell_latency(day: Any) -> JSONObject:
    return {"latency": _ratio(day.amount * 1000, day.count, 4)}


_LIKED = and_(
    MessageFeedback.message_id == Message.id,
    MessageFeedback.rating == "like",
    MessageFeedback.from_source == "user",
)
_MESSAGES = func.count(Message.id)
_CONVERSATIONS = func.count(Message.conversation_id.distinct())
_SECONDS = func.sum(Message.latency_s)
_RUNS = func.count(WorkflowRun.id)
_RUNNERS = func.count(WorkflowRun.from_end_user_id.distinct())

OF_MESSAGES: Mapping[str, Statistic] = {
    "daily-messages": _counted("message_count", _MESSAGES),
    "daily-conversations": _counted("conversation_count", _CONVERSATIONS),
    "daily-end-users": _counted("terminal_count", func.count(Message.from_end_user_id.distinct())),
    "token-costs": Statistic(
        sums={
            "tokens": func.sum(Message.message_tokens + Message.answer_tokens),
            "price": func.sum(Message.total_price),
            "currency": func.max(Message.currency),
        },
        tell=_tell_costs,
    ),
    "average-session-interactions": _average("interactions", _MESSAGES, _CONVERSATIONS, CHAT_MODES),
    "user-satisfaction-rate": Statistic(
        sums={"amount": func.count(MessageFeedback.id) * 1000, "count": _MESSAGES},
        tell=_tell_rate,
        looks_at_likes=True,
    ),
    "average-response-time": Statistic(
        sums={"amount": _SECONDS, "count": _MESSAGES},
        tell=_tell_latency,
        modes=frozenset({AppMode.COMPLETION}),
    ),
    "tokens-per-second": _average("tps", func.sum(Message.answer_tokens), _SECONDS),
}
OF_RUNS: Mapping[str, Statistic] = {
    "daily-conversations": _counted("runs", _RUNS),
    "daily-terminals": _counted("terminal_count", _RUNNERS),
    "token-costs": _counted("token_count", func.sum(WorkflowRun.total_tokens)),
    "average-app-interactions": _average("interactions", _RUNS, _RUNNERS),
}


def of_messages(
    session: Session, principal: Principal, app_id: str, name: str, *, start: str | None, end: str | None
) -> list[JSONObject]:
    """Return a statistic of an app's messages by day, oldest first.

    Raises AppNotFound, also for apps whose mode has no such statistic, and InvalidRequest.
    """
    statistic = OF_MESSAGES[name]
    app, span = _begin(session, principal, app_id, start, end)
    if AppMode(app.mode) not in statistic.modes:
        raise AppNotFound("App not found.")
    where = [
        Message.app_id == app.id,
        Message.tenant_id == app.tenant_id,
        Message.invoke_from != DEBUGGER,
    ]
    return _by_day(session, statistic, Message.created_at, where, span)


def of_runs(
    session: Session, principal: Principal, app_id: str, name: str, *, start: str | None, end: str | None
) -> list[JSONObject]:
    """Return a statistic of an app's runs by day, oldest first; raises AppNotFound, InvalidRequest."""
    app, span = _begin(session, principal, app_id, start, end)
    where = [WorkflowRun.app_id == app.id, WorkflowRun.tenant_id == app.tenant_id, NO_TEST]
    return _by_day(session, OF_RUNS[name], WorkflowRun.created_at, where, span)


def _begin(
    session: Session, principal: Principal, app_id: str, start: str | None, end: str | None
) -> tuple[App, Span]:
    app = access_app(session, principal, app_id)
    timezone = session.scalars(select(Account.timezone).where(Account.id == principal.id)).one()
    return app, read_span(start, end, timezone)


def _by_day(
    session: Session,
    statistic: Statistic,
    column: InstrumentedAttribute[datetime],
    where: Sequence[Any],
    span: Span,
) -> list[JSONObject]:
    first = session.scalar(select(func.min(column)).where(*where))
    if first is None:
        return []
    # What is looked at is where something is: nobody else says when it begins, and the future has nothing.
    now = utc_now() + timedelta(seconds=1)
    start, end = max(span.start or first, first), min(span.end or now, now)
    if start >= end:
        return []
    found: list[JSONObject] = []
    for month in Span(start=start, end=end, zone=span.zone).months():
        day = day_number(column, month).label("day")
        sums = (amount.label(name) for name, amount in statistic.sums.items())
        query = select(day, *sums).where(*where, *month.holds(column)).group_by(day).order_by(day)
        if statistic.looks_at_likes:
            query = query.outerjoin(MessageFeedback, _LIKED)
        found += [{"date": to_date(row.day), **statistic.tell(row)} for row in session.execute(query)]
        time.sleep(0)  # SQLite works on the event loop: others have their turn between two months
    return found
