"""The rounds of agents: kept with the messages they answered, and told again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, defer

from api.core.apps.spec import AppMode
from api.core.events import AgentThought, RunHeader
from api.core.ports import JSONObject
from api.models.base import Base
from api.models.conversation import AgentThought as Row
from api.models.inserts import insert_rows

TABLE = Base.metadata.tables["agent_thoughts"]


def keep(session: Session, header: RunHeader, told: Collection[AgentThought]) -> None:
    """Write the rounds of a run that has ended, in one statement; none where there were none."""
    if told:
        insert_rows(session.connection(), TABLE, [_to_row(header, one) for one in told])


def load(
    session: Session, tenant_id: str, modes: Mapping[str, str], *, with_calls: bool = False
) -> Mapping[str, Sequence[AgentThought]]:
    """Return the rounds of messages by the messages' ids, in order; ``modes`` are the messages' by their ids.

    Only agents are asked for: a page of other messages costs nothing. What their
    calls gave is told by the observations, so calls are read where asked alone.
    """
    ids = [message_id for message_id, mode in modes.items() if mode == AppMode.AGENT_CHAT]
    found: dict[str, list[AgentThought]] = {}
    query = (
        select(Row)
        .where(Row.tenant_id == tenant_id, Row.message_id.in_(ids))
        .order_by(Row.message_id, Row.position)
    )
    if not with_calls:
        query = query.options(defer(Row.calls, raiseload=True))
    for row in session.scalars(query) if ids else ():
        event = _to_event(row, row.calls if with_calls else ())
        found.setdefault(row.message_id, []).append(event)
    return found


def forget(session: Session, message_ids: Sequence[str]) -> None:
    """Remove the rounds of messages that go."""
    session.execute(delete(Row).where(Row.message_id.in_(message_ids)))


def _to_row(header: RunHeader, told: AgentThought) -> dict[str, object]:
    return {
        "id": told.id,
        "created_at": datetime.fromtimestamp(told.created_at, UTC),
        "tenant_id": header.tenant_id,
        "app_id": header.app_id,
        "conversation_id": header.conversation_id,
        "message_id": header.message_id,
        "position": told.position,
        "thought": told.thought,
        "observation": told.observation,
        "tool": told.tool,
        "tool_labels": told.tool_labels or {},
        "tool_input": told.tool_input,
        "files": list(told.files),
        "calls": list(told.calls),
        "tokens": told.tokens,
    }


def _to_event(row: Row, calls: Iterable[JSONObject]) -> AgentThought:
    return AgentThought(
        id=row.id,
        position=row.position,
        created_at=int(row.created_at.timestamp()),
        thought=row.thought,
        observation=row.observation,
        tool=row.tool,
        tool_labels=row.tool_labels,
        tool_input=row.tool_input,
        files=tuple(row.files),
        calls=tuple(calls),
        tokens=row.tokens,
    )
