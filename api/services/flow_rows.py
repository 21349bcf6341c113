"""The rows a workflow's run begins with, and what a run that goes on has behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from api.core.apps.flow import FlowSpec
from api.core.apps.spec import AppSpec
from api.core.events import RunHeader
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.engine import DoneNode
from api.models.base import Base, new_id, utc_now
from api.models.prepared import run_prepared
from api.models.types import insert_for
from api.models.workflow import ConversationVariable, NodeExecution, WorkflowRun, WorkflowSnapshot
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import conversations, workflow_runs
from api.services.files import AttachedFile
from api.services.flow_call import FlowCall
from api.services.run_rows import BEGUN, INSERT_CONVERSATION, INSERT_MESSAGE

SEARCHABLE_BYTES = 1000
INSERT_RUN = Base.metadata.tables["workflow_runs"].insert()


@dataclass(frozen=True, slots=True)
class SnapshotKey:
    """Key under which a process remembers that a draft's graph is kept, and is said to be used that day."""

    app_id: str
    hash: str
    day: date


def insert_run(connection: Connection, call: FlowCall, header: RunHeader, values: Mapping[str, Any]) -> None:
    """Write a running run; ``values`` are the columns that depend on what was asked."""
    app, flow, principal = call.app, call.flow, call.principal
    is_account = principal.kind is ActorKind.ACCOUNT
    run_prepared(
        connection,
        INSERT_RUN,
        {
            "id": header.workflow_run_id,
            "tenant_id": app.tenant_id,
            "app_id": app.id,
            "workflow_id": flow.workflow_id,
            "task_id": header.task_id,
            "type": "chat" if call.is_chat else "workflow",
            "version": flow.version,
            "graph_hash": flow.hash if flow.snapshot is not None else None,
            "status": "running",
            "elapsed_s": 0.0,
            "total_tokens": 0,
            "total_price": 0,
            "currency": "USD",
            "total_steps": 0,
            "exceptions_count": 0,
            "told_chars": 0,
            "told_events": 0,
            "searchable": searchable(values["inputs"]),
            "from_end_user_id": None if is_account else principal.id,
            "from_account_id": principal.id if is_account else None,
            "conversation_id": header.conversation_id,
            "message_id": header.message_id,
            "created_at": utc_now(),
            **values,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTurn:
    """One turn of a chatflow, about to be written; ``is_new`` where its conversation is."""

    header: RunHeader
    query: str
    inputs: JSONObject
    attached: tuple[AttachedFile, ...]
    introduction: str
    is_new: bool


def insert_turn(
    connection: Connection, principal: Principal, turn: FlowTurn, *, owner: str, invoke_from: str
) -> None:
    """Write the running message of a chatflow, and its conversation when new."""
    header = turn.header
    is_account = principal.kind is ActorKind.ACCOUNT
    shared = {
        "tenant_id": header.tenant_id,
        "app_id": header.app_id,
        "mode": header.mode,
        "created_at": utc_now(),
        "inputs": turn.inputs,
        "invoke_from": invoke_from,
        "from_end_user_id": None if is_account else principal.id,
        "from_account_id": principal.id if is_account else None,
    }
    if turn.is_new:
        conversation = {
            "id": header.conversation_id,
            "name": conversations.first_words(turn.query),
            "introduction": turn.introduction,
            "status": "normal",
            "updated_at": shared["created_at"],
        }
        run_prepared(connection, INSERT_CONVERSATION, {**shared, **conversation})
    message = {
        "id": header.message_id,
        "conversation_id": header.conversation_id,
        "workflow_run_id": header.workflow_run_id,
        "task_id": header.task_id,
        "query": turn.query,
        "files": [file.to_row() for file in turn.attached] or None,
        "owner": owner,
    }
    run_prepared(connection, INSERT_MESSAGE, {**shared, **BEGUN, **message})


def load_done_nodes(runtime: Runtime, run: WorkflowRun) -> tuple[DoneNode, ...]:
    """Return what a run had done, at the top of its graph, in the order of the ends. Raises Unavailable."""
    query = (
        select(NodeExecution)
        .where(
            NodeExecution.tenant_id == run.tenant_id,
            NodeExecution.workflow_run_id == run.id,
            NodeExecution.iteration_id.is_(None),
            NodeExecution.loop_id.is_(None),
            NodeExecution.status.in_(("succeeded", "exception")),
        )
        .order_by(NodeExecution.finished_order)
    )
    with runtime.reading() as session:
        rows = session.scalars(query).all()
    return tuple(_as_done(workflow_runs.with_values(runtime, row)) for row in rows)


def _as_done(row: NodeExecution) -> DoneNode:
    return DoneNode(
        node_id=row.node_id,
        outputs=row.outputs or {},
        edge=row.edge,
        is_exception=row.status == "exception",
    )


def searchable(*values: JSONObject) -> str:
    """Return what a run is found by: the beginning of what it was given and gave, as text."""
    texts = [orjson.dumps(value)[:SEARCHABLE_BYTES].decode("utf-8", "ignore") for value in values if value]
    return "\n".join(texts).replace("\\u0000", "")


def keep_snapshot(runtime: Runtime, session: Session, app: AppSpec, flow: FlowSpec) -> None:
    """Keep the graph of a draft for the runs that found it so; no statement when this process did today.

    Its ``created_at`` is when it was last said to be used; services/run_purge.py goes by it.
    """
    now = utc_now()
    key = SnapshotKey(app.id, flow.hash, now.date())
    if flow.snapshot is None or runtime.memory.get(key):
        return
    session.execute(
        insert_for(session)(WorkflowSnapshot)
        .values(
            id=new_id(),
            tenant_id=app.tenant_id,
            app_id=app.id,
            hash=flow.hash,
            graph=flow.snapshot,
            created_at=now,
        )
        .on_conflict_do_update(index_elements=["app_id", "hash"], set_={"created_at": now})
    )
    runtime.memory.put(key, True)  # a mark


def load_conversation_variables(
    connection: Connection, tenant_id: str, conversation_id: str
) -> dict[str, JSONValue]:
    """Return what a conversation's variables hold now, as far as it is not their default."""
    rows = connection.execute(
        select(ConversationVariable.name, ConversationVariable.value).where(
            ConversationVariable.tenant_id == tenant_id,
            ConversationVariable.conversation_id == conversation_id,
        )
    )
    return {row.name: row.value for row in rows}


def keep_conversation_variable(
    runtime: Runtime, app: AppSpec, flow: FlowSpec, conversation_id: str, name: str, value: JSONValue
) -> None:
    """Keep what a conversation's variable holds from now on."""
    declared = next((item for item in flow.conversation_variables if item.name == name), None)
    now = utc_now()
    with runtime.transaction() as session:
        insert = insert_for(session)(ConversationVariable)
        session.execute(
            insert.values(
                id=new_id(),
                tenant_id=app.tenant_id,
                app_id=app.id,
                conversation_id=conversation_id,
                name=name,
                value_type=str(declared.value_type) if declared else "string",
                description=declared.description if declared else "",
                value=value,
                created_at=now,
                updated_at=now,
            ).on_conflict_do_update(
                index_elements=["conversation_id", "name"],
                set_={"value": insert.excluded.value, "updated_at": now},
            )
        )
