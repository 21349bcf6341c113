"""Ends the runs of processes that died: no message and no run says ``running`` for ever.

Every serving process beats; the runs of one that fell silent are marked failed
with the reason ``worker_lost`` by whichever process notices.
"""

import logging
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from api.core.events import ErrorOccurred, to_json
from api.models.base import utc_now
from api.models.conversation import Message
from api.models.job import WorkerBeat
from api.models.workflow import WorkflowRun
from api.runtime import Runtime

logger = logging.getLogger(__name__)

SILENT_AFTER = timedelta(seconds=15)
"""Three beats missed; with the next beat of any process its runs have ended, within 20 s."""
LOST = ErrorOccurred(
    status=500, code="worker_lost", message="The process of this run ended before it did (worker lost)."
)


def beat(runtime: Runtime) -> None:
    """Say that this process is alive, and end the runs of those that are not."""
    now = utc_now()
    with runtime.transaction() as session:
        known = session.execute(
            update(WorkerBeat)
            .where(WorkerBeat.id == runtime.owner)
            .values(beat_at=now)
            .returning(WorkerBeat.id)
        ).one_or_none()
        if known is None:
            session.add(WorkerBeat(id=runtime.owner, beat_at=now))
        session.execute(delete(WorkerBeat).where(WorkerBeat.beat_at < now - SILENT_AFTER))
        session.flush()
        ended = _end_lost(session)
    if ended:
        logger.warning("ended %s runs of lost processes", ended)


def _end_lost(session: Session) -> int:
    """Mark running messages whose process beats no more; return how many."""
    now = utc_now()
    alive = select(WorkerBeat.id)
    session.execute(
        update(WorkflowRun)
        .where(WorkflowRun.status == "running", WorkflowRun.owner.not_in(alive))
        .values(status="failed", error=LOST.message, outcome=to_json(LOST), finished_at=now)
    )
    lost = session.execute(
        update(Message)
        .where(Message.status == "running", Message.owner.not_in(alive))
        .values(status="error", error=LOST.message, outcome=to_json(LOST), finished_at=now)
        .returning(Message.id)
    ).all()
    return len(lost)
