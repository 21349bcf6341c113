"""Writes down what a workflow's run tells: its nodes as they end, in batches, and how it ended.

A node's row is all a later run needs to go on after it. Rows wait for a node
that may take long, or for the end, so that a quick chain costs one statement.
"""

import io
import logging
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, Update, bindparam
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.core.events import (
    ErrorOccurred,
    Event,
    MessageEnd,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunHeader,
    RunPaused,
    TextChunk,
    TextReplaced,
    to_json,
)
from api.core.ports import JSONObject
from api.core.workflow.graph import is_root
from api.core.workflow.node import NODES
from api.core.workflow.variables import SYSTEM
from api.errors import Unavailable
from api.models.base import Base, utc_now
from api.models.inserts import ROWS, from_json, insert_rows, to_recordset
from api.models.types import joins_inserts
from api.models.workflow import pack
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import end_users, jobs, ledger
from api.services.draft_rows import Drafts
from api.services.jobs import Job
from api.services.ledger import STORE_AGAIN_S, Tally
from api.services.read_aloud import ReadAloud
from api.services.recorder import MESSAGES, Recorder

logger = logging.getLogger(__name__)

RUNS = Base.metadata.tables["workflow_runs"]
EXECUTIONS = Base.metadata.tables["workflow_node_executions"]
END_RUN = RUNS.update().where(RUNS.c.id == bindparam("run_key"))
UNSTORABLE = (SQLAlchemyError, TypeError, ValueError, OverflowError)
"""What is raised for a value that the database, its driver or JSON cannot hold."""
FORGET_RUN = RUNS.delete().where(RUNS.c.id == bindparam("run_key"))
UNLINK_MESSAGE = (
    MESSAGES.update().where(MESSAGES.c.id == bindparam("message_key")).values(workflow_run_id=None)
)
IN_ROW_BYTES = 256 * 1024
"""What of one node's values a row holds, compressed; more lies in the storage."""
MAX_PENDING = 100


@dataclass(kw_only=True)
class FlowRecorder:
    """Gathers one run's nodes and stores them.

    ``message`` records the answer of a chatflow; ``drafts`` are what a test
    leaves to its account, ``tally`` what it took of models. A node that ``is_alone``
    has no run. One that goes on after a pause begins with the counts of the time before.
    ``reading`` tells events of its own.
    """

    runtime: Runtime
    header: RunHeader
    principal: Principal
    message: Recorder | None = None
    drafts: Drafts | None = None
    tally: Tally | None = None
    is_alone: bool = False
    reading: ReadAloud | None = None
    order: int = 0
    told_chars: int = 0
    told_events: int = 0
    executions: dict[str, str] = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)
    price: Decimal = Decimal(0)
    currency: str = "USD"
    ending: Mapping[str, Any] | None = None
    is_stored: bool = False
    started: float = field(default_factory=time.monotonic)

    def watch(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield every event; what it tells is stored before those that follow from it.

        Raises Unavailable where the end cannot be stored now; ``store_later`` then does.
        """
        watched = self._watch(events)
        yield from watched if self.message is None else self.message.watch(watched)

    def fail(self, error: ErrorOccurred) -> None:
        """Store a run that ended outside of its graph, and its answer as far as it came."""
        if self.ending is None:
            self._fail({"status": "failed", "error": error.message, "outcome": to_json(error)})
        if self.message is not None:
            self.message.fail(error)

    def _fail(self, ending: Mapping[str, Any]) -> None:
        """Store that the run failed, without its last nodes where the database refuses these."""
        try:
            with suppress(Unavailable):
                self._end(ending)
        except UNSTORABLE:
            logger.exception("nodes not storable", extra={"workflow_run_id": self.header.workflow_run_id})
            self.pending.clear()
            self.drafts = None
            with suppress(Unavailable):
                self._end(ending)

    def store_later(self) -> None:
        """Store what could not be stored when the run ended, trying for ten minutes, and what was late."""
        for pause_s in STORE_AGAIN_S:
            if self.is_stored or self.ending is None:
                break
            time.sleep(pause_s)
            with suppress(Unavailable):
                self._store()
        if self.ending is not None and not self.is_stored:
            logger.error("run not stored", extra={"workflow_run_id": self.header.workflow_run_id})
        if self.message is not None:
            self.message.store_later()
        if self.tally is not None:
            self.tally.end()

    def _watch(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            self.told_events += 1
            match event:
                case TextChunk():
                    self.told_chars += len(event.text)
                case TextReplaced():
                    self.told_chars = len(event.text)
                case NodeStarted() if _may_wait(event.node_type) or len(self.pending) >= MAX_PENDING:
                    self._flush()
                case NodeFinished() if event.status != "retry":
                    self.pending.append(self._row(event))
                case RunFinished():
                    self._end(_ending(event))
                case RunPaused():
                    self._pause(event)
                case MessageEnd() if self.ending is None:
                    self._forget()
            yield event

    def _forget(self) -> None:
        """Remove the run of a message that was answered before its workflow began."""
        named = {"run_key": self.header.workflow_run_id, "message_key": self.header.message_id}
        with self.runtime.writing() as connection:
            connection.execute(FORGET_RUN, named)
            connection.execute(UNLINK_MESSAGE, named)

    def _pause(self, event: RunPaused) -> None:
        """Store that the run waits: its message first, for once its own row says so the run may go on.

        What is read aloud ends here, for the part that goes on is numbered from here.
        """
        if self.reading is not None:
            self.told_events += self.reading.end()
        if self.message is not None:
            self.message.pause(event)
        told = {"told_chars": self.told_chars, "told_events": self.told_events}
        self._end({**_ending(event), **told})

    def _flush(self) -> None:
        """Store the nodes that have ended; where that fails they are stored with the next ones."""
        if not self.pending:
            return
        try:
            with self.runtime.transaction() as session:
                insert_rows(session.connection(), EXECUTIONS, self.pending)
        except Unavailable:
            logger.warning("nodes not stored yet", extra={"workflow_run_id": self.header.workflow_run_id})
        else:
            self.pending.clear()

    def _end(self, ending: Mapping[str, Any]) -> None:
        self.ending = ending
        try:
            self._store()
        except UNSTORABLE:
            self.ending = None
            raise

    def _store(self) -> None:
        """Write the end of the run with the nodes not yet written."""
        row = {
            "run_key": self.header.workflow_run_id,
            "finished_at": utc_now(),
            "elapsed_s": time.monotonic() - self.started,
            "total_price": self.price,
            "currency": self.currency,
            **(self.ending or {}),
        }
        with ledger.settled(self.tally) as spent:
            self._store_with(row, spent)
        self.pending.clear()
        self.is_stored = True

    def _store_with(self, row: Mapping[str, Any], spent: Sequence[Mapping[str, Any]]) -> None:
        """Write the end of the run and what it took of models."""
        is_one = self.pending and not self.is_alone and joins_inserts(self.runtime.engine)
        if self._needs_session(row):
            with self.runtime.transaction() as session:
                self._write(session.connection(), row, spent)
                self._write_the_rest(session, row)
        elif is_one and ledger.is_one_statement(self.runtime.engine, spent):
            with self.runtime.autocommit() as connection:
                end = _end_with_nodes(tuple(self.pending[0]))
                ledger.write_with(connection, end, {**row, ROWS: to_recordset(self.pending)}, spent)
        else:
            with self.runtime.writing() as connection:
                self._write(connection, row, spent)

    def _write(
        self, connection: Connection, row: Mapping[str, Any], spent: Sequence[Mapping[str, Any]]
    ) -> None:
        insert_rows(connection, EXECUTIONS, self.pending)
        if self.is_alone:
            ledger.add(connection, spent)
        else:
            ledger.write_with(connection, END_RUN, row, spent)

    def _needs_session(self, row: Mapping[str, Any]) -> bool:
        """Tell whether more than the run and its nodes is to be written."""
        is_known = self.message is not None or end_users.is_known(self.runtime, self.principal)
        return self.drafts is not None or not is_known or row.get("status") == "paused"

    def _write_the_rest(self, session: Session, row: Mapping[str, Any]) -> None:
        if self.drafts is not None:
            self.drafts.store(session, self.header, self.executions)
        if self.message is None:
            end_users.remember_end_user(self.runtime, session, self.principal)
        if row.get("status") == "paused":
            self._go_on_if_answered(session)

    def _go_on_if_answered(self, session: Session) -> None:
        """Have a worker look whether a form was answered while other nodes were still running."""
        jobs.enqueue_on_commit(
            self.runtime,
            session,
            Job.RESUME_RUN,
            {"run_id": self.header.workflow_run_id},
            tenant_id=self.header.tenant_id,
        )

    def _row(self, event: NodeFinished) -> dict[str, Any]:
        header, metadata = self.header, event.metadata
        self.order += 1
        self._add_price(metadata)
        self._remember(event)
        now = utc_now()
        is_account = self.principal.kind is ActorKind.ACCOUNT
        return {
            "id": event.execution_id,
            "tenant_id": header.tenant_id,
            "app_id": header.app_id,
            "workflow_id": header.workflow_id,
            "workflow_run_id": None if self.is_alone else header.workflow_run_id,
            "triggered_from": "single-step" if self.is_alone else "workflow-run",
            "index": event.index,
            "node_id": event.node_id,
            "node_type": event.node_type,
            "title": event.title,
            "predecessor_node_id": event.predecessor,
            "iteration_id": event.iteration_id,
            "loop_id": event.loop_id,
            "status": event.status,
            "error": event.error,
            "edge": event.edge,
            "elapsed_s": event.elapsed_s,
            "execution_metadata": pack(metadata),
            "finished_order": self.order,
            "from_end_user_id": None if is_account else self.principal.id,
            "from_account_id": self.principal.id if is_account else None,
            "created_at": now - timedelta(seconds=event.elapsed_s),
            "finished_at": now,
            **self._values(event),
        }

    def _values(self, event: NodeFinished) -> dict[str, Any]:
        """Return what the node was given and gave: in the row, or, where that is much, in the storage."""
        values: JSONObject = {
            "inputs": event.inputs,
            "process_data": event.process_data,
            "outputs": event.outputs,
        }
        packed = {name: pack(value) for name, value in values.items()}
        if sum(len(value or b"") for value in packed.values()) <= IN_ROW_BYTES:
            return {**packed, "kept_at": None}
        key = f"runs/{self.header.tenant_id}/{self.header.workflow_run_id}/{event.execution_id}"
        try:
            self.runtime.storage.put(key, io.BytesIO(zlib.compress(orjson.dumps(values), 1)))
        except Unavailable:
            logger.warning("values of a node stay in its row", extra={"execution_id": event.execution_id})
            return {**packed, "kept_at": None}
        return {"inputs": None, "process_data": None, "outputs": None, "kept_at": key}

    def _remember(self, event: NodeFinished) -> None:
        """Note what gave a node's variables; the system's come from where the run began."""
        if event.iteration_id is None and event.loop_id is None:
            self.executions[event.node_id] = event.execution_id
            if is_root(event.node_type):
                self.executions[SYSTEM] = event.execution_id

    def _add_price(self, metadata: JSONObject) -> None:
        price = metadata.get("total_price")
        if isinstance(price, str):
            self.price += Decimal(price)
            self.currency = str(metadata.get("currency") or self.currency)


def _may_wait(node_type: str) -> bool:
    """Tell whether what is before a node should be written down before it begins."""
    kind = NODES.get((node_type, "1"))
    return kind is not None and kind.waits


def _ending(event: RunFinished | RunPaused) -> dict[str, Any]:
    """Return the columns that the end of a run, or its pause, fills."""
    shared = {
        "outputs": event.outputs,
        "total_tokens": event.total_tokens,
        "total_steps": event.total_steps,
        "elapsed_s": event.elapsed_s,
        "outcome": to_json(event),
    }
    if isinstance(event, RunPaused):
        return {**shared, "status": "paused", "finished_at": None}
    return {
        **shared,
        "status": event.status,
        "error": event.error,
        "exceptions_count": event.exceptions,
    }


@lru_cache(maxsize=4)
def _end_with_nodes(keys: tuple[str, ...]) -> Update:
    """Return the statement that ends a run and inserts its last nodes, for databases that join the two."""
    return END_RUN.add_cte(from_json(EXECUTIONS, keys).cte("nodes"))
