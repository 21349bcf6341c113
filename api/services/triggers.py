"""The triggers of workflows as rows: kept with what is drawn and published, listed, switched.

A trigger keeps its row, and so the address of a webhook, from version to version
of its node. It fires only as it was published last.
"""

import logging
import secrets
import string
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.core.workflow.graph import NodeSpec, read_graph
from api.core.workflow.timetable import ScheduleConfig, fires_after
from api.errors import InvalidRequest, NotFound
from api.models.app import App
from api.models.base import new_id, utc_now
from api.models.types import insert_for
from api.models.workflow import WorkflowTrigger
from api.services.access import is_id

logger = logging.getLogger(__name__)

WEBHOOK, SCHEDULE = "trigger-webhook", "trigger-schedule"
WEBHOOK_ID_CHARS = 24
ALPHABET = string.ascii_letters + string.digits


def keep_drawn(session: Session, app: App, graph: JSONObject) -> None:
    """Have a row for each trigger that is drawn, so that addresses are known before they are published."""
    for node in _triggers(graph):
        session.execute(
            insert_for(session)(WorkflowTrigger)
            .values(
                id=new_id(),
                tenant_id=app.tenant_id,
                app_id=app.id,
                node_id=node.id,
                type=node.type,
                title=node.title,
                is_enabled=True,
                webhook_id=_new_webhook_id(node),
                created_at=utc_now(),
                updated_at=utc_now(),
            )
            .on_conflict_do_nothing(index_elements=["app_id", "node_id"])
        )


def publish(session: Session, app: App, graph: JSONObject) -> None:
    """Let an app's triggers fire as they are drawn in ``graph``, and no others.

    Raises InvalidRequest for a schedule that is none.
    """
    keep_drawn(session, app, graph)
    rows = session.scalars(
        select(WorkflowTrigger).where(
            WorkflowTrigger.tenant_id == app.tenant_id, WorkflowTrigger.app_id == app.id
        )
    ).all()
    drawn = {node.id: node for node in _triggers(graph)}
    for row in rows:
        if row.node_id in drawn:
            _publish(row, drawn[row.node_id])
        else:
            session.delete(row)
    session.flush()


def _publish(row: WorkflowTrigger, node: NodeSpec) -> None:
    if row.type != node.type:
        row.type, row.webhook_id = node.type, _new_webhook_id(node)
    is_same = row.data == node.data
    row.title, row.data, row.updated_at = node.title, node.data, utc_now()
    if not (is_same and row.next_at):  # what is due already stays due
        row.next_at = next_firing(row, row.updated_at)


def next_firing(row: WorkflowTrigger, after: datetime) -> datetime | None:
    """Return when a trigger fires next by the clock, None for never. Raises InvalidRequest."""
    if row.type != SCHEDULE or row.data is None or not row.is_enabled:
        return None
    return next(fires_after(ScheduleConfig.model_validate(row.data), after), None)


def going_on(row: WorkflowTrigger) -> datetime | None:
    """Return when a published trigger fires next from now; None for never, and where it cannot go on.

    It was checked when it was published; the time zones of this machine may be others.
    """
    try:
        return next_firing(row, utc_now())
    except InvalidRequest:
        logger.warning("schedule cannot go on", extra={"trigger_id": row.id})
        return None


def load_triggers(session: Session, app: App) -> Sequence[WorkflowTrigger]:
    """Return the triggers of an app's published workflow, in the order they were made."""
    return session.scalars(
        select(WorkflowTrigger)
        .where(
            WorkflowTrigger.tenant_id == app.tenant_id,
            WorkflowTrigger.app_id == app.id,
            WorkflowTrigger.data.is_not(None),
        )
        .order_by(WorkflowTrigger.created_at, WorkflowTrigger.id)
    ).all()


def enable_trigger(session: Session, app: App, trigger_id: str, *, is_enabled: bool) -> WorkflowTrigger:
    """Switch a trigger on or off; a schedule goes on from now. Raises NotFound."""
    row = None
    if is_id(trigger_id):
        row = session.scalars(
            select(WorkflowTrigger).where(
                WorkflowTrigger.tenant_id == app.tenant_id,
                WorkflowTrigger.app_id == app.id,
                WorkflowTrigger.id == trigger_id.lower(),
                WorkflowTrigger.data.is_not(None),
            )
        ).one_or_none()
    if row is None:
        raise NotFound("Trigger not found.")
    row.is_enabled, row.updated_at = is_enabled, utc_now()
    row.next_at = next_firing(row, row.updated_at)
    session.flush()
    return row


def get_webhook(session: Session, app: App, node_id: str) -> WorkflowTrigger:
    """Return the webhook of a node that is drawn, published or not. Raises NotFound."""
    row = session.scalars(
        select(WorkflowTrigger).where(
            WorkflowTrigger.tenant_id == app.tenant_id,
            WorkflowTrigger.app_id == app.id,
            WorkflowTrigger.node_id == node_id,
            WorkflowTrigger.type == WEBHOOK,
        )
    ).one_or_none()
    if row is None:
        raise NotFound("The workflow has no such webhook.")
    return row


def _triggers(graph: JSONObject) -> list[NodeSpec]:
    return [node for node in read_graph(graph).roots if node.type in (WEBHOOK, SCHEDULE)]


def _new_webhook_id(node: NodeSpec) -> str | None:
    if node.type != WEBHOOK:
        return None
    return "".join(secrets.choice(ALPHABET) for _ in range(WEBHOOK_ID_CHARS))
