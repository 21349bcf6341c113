"""Writes down what a run tells: the message as it ends, whatever way it ends.

Watches the run's events and touches the database once, at the end, before the
terminal event goes out: who has read ``message_end`` finds the message stored.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.core.events import (
    AgentThought,
    ErrorOccurred,
    Event,
    MessageEnd,
    RunHeader,
    RunPaused,
    TextChunk,
    TextReplaced,
    to_json,
)
from api.core.ports import Queue
from api.errors import Unavailable
from api.models.base import Base, utc_now
from api.models.prepared import run_prepared
from api.models.types import joins_inserts
from api.principal import Principal
from api.runtime import Runtime
from api.services import end_users, jobs, ledger, thoughts
from api.services.jobs import Job
from api.services.ledger import STORE_AGAIN_S, Tally

logger = logging.getLogger(__name__)

MESSAGES = Base.metadata.tables["messages"]
CONVERSATIONS = Base.metadata.tables["conversations"]
# Built once, with their values as parameters: cheaper than statements made for each run.
END_MESSAGE = MESSAGES.update().where(MESSAGES.c.id == bindparam("message_key"))
END_MESSAGE_WITH_JOB = jobs.inserted_with(END_MESSAGE)
TOUCH_CONVERSATION = CONVERSATIONS.update().where(CONVERSATIONS.c.id == bindparam("conversation_key"))


@dataclass(kw_only=True)
class Recorder:
    """Gathers one run's answer and stores it.

    ``is_new`` says that the run made its conversation, ``wants_title`` that a
    model shall name it afterwards. The ``tally`` is what the run took of models.
    """

    runtime: Runtime
    header: RunHeader
    principal: Principal
    is_new: bool
    wants_title: bool
    tally: Tally | None = None
    started: float = field(default_factory=time.monotonic)
    pieces: list[str] = field(default_factory=list)
    thoughts: dict[str, AgentThought] = field(default_factory=dict)
    ending: Mapping[str, Any] | None = None
    is_stored: bool = False

    @property
    def answer(self) -> str:
        """The answer as far as it has come."""
        return "".join(self.pieces)

    def watch(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield every event; store the message before its last one.

        Raises Unavailable where it cannot be stored now; ``store_later`` then does.
        """
        for event in events:
            match event:
                case TextChunk():
                    self.pieces.append(event.text)
                case TextReplaced():
                    self.pieces[:] = [event.text]
                    # What an agent thought is what it said, or nearly.
                    self.thoughts = {id_: replace(one, thought="") for id_, one in self.thoughts.items()}
                case AgentThought():
                    self.thoughts[event.id] = event
                case MessageEnd():
                    self._end(_ending(event))
            yield event

    def pause(self, event: RunPaused) -> None:
        """Store the answer as far as it came before its run waits for a person."""
        self._end({"status": "paused", "finished_at": None, "outcome": to_json(event)})

    def fail(self, error: ErrorOccurred) -> None:
        """Store what there is of the answer, marked with the error that ended it.

        A complete answer that only could not be stored stays complete.
        """
        if self.ending is not None and self.ending["status"] != "paused":
            return
        ending = {"status": "error", "error": error.message, "outcome": to_json(error)}
        try:
            self._end(ending)
        except Unavailable:
            logger.warning("message not stored yet", extra={"message_id": self.header.message_id})
        except SQLAlchemyError:
            logger.exception("answer not storable", extra={"message_id": self.header.message_id})
            self.pieces.clear()
            self.thoughts.clear()
            self._end(ending)

    def store_later(self) -> None:
        """Store what could not be stored when the run ended, trying for ten minutes, and what was late."""
        for pause_s in STORE_AGAIN_S:
            if self.is_stored:
                break
            time.sleep(pause_s)
            with suppress(Unavailable):
                self._store()
        if not self.is_stored:
            logger.error("message not stored", extra={"message_id": self.header.message_id})
        if self.tally is not None:
            self.tally.end()

    def _end(self, ending: Mapping[str, Any]) -> None:
        """Store how the run ended; an ending the database refuses is as good as none."""
        self.ending = ending
        try:
            self._store()
        except SQLAlchemyError:
            self.ending = None
            raise

    def _store(self) -> None:
        """Write the end of the message."""
        now = utc_now()
        header = self.header
        values = {
            "answer": self.answer,
            "latency_s": time.monotonic() - self.started,
            "finished_at": now,
            **(self.ending or {}),
        }
        row = {"message_key": header.message_id, **values}
        job = self._naming() if self.wants_title and values["status"] == "normal" else None
        is_known = end_users.is_known(self.runtime, self.principal)
        with ledger.settled(self.tally) as spent:
            if self.is_new and is_known and not self.thoughts:
                self._store_alone(row, job, spent)
            else:
                with self.runtime.transaction() as session:
                    ledger.write_with(session.connection(), END_MESSAGE, row, spent)
                    self._store_the_rest(session, now)
                    if job is not None:
                        run_prepared(session.connection(), jobs.INSERT_JOB, job)
        self.is_stored = True
        if job is not None:
            self.runtime.queue.enqueue(job["id"], queue=job["queue"])

    def _naming(self) -> dict[str, Any]:
        """Return the row of the job that names the conversation."""
        payload = {"message_id": self.header.message_id}
        tenant_id = self.header.tenant_id
        return jobs.to_row(Job.NAME_CONVERSATION, payload, tenant_id=tenant_id, queue=Queue.TITLES)

    def _store_alone(
        self, row: Mapping[str, Any], job: Mapping[str, Any] | None, spent: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write the end of the message and the job: one statement where it can be."""
        engine = self.runtime.engine
        if ledger.is_one_statement(engine, spent) and (job is None or joins_inserts(engine)):
            with self.runtime.autocommit() as connection:
                if job is None:
                    ledger.write_with(connection, END_MESSAGE, row, spent)
                else:
                    named = {jobs.NEW_JOB + name: value for name, value in job.items()}
                    ledger.write_with(connection, END_MESSAGE_WITH_JOB, {**row, **named}, spent)
            return
        with self.runtime.writing() as connection:
            ledger.write_with(connection, END_MESSAGE, row, spent)
            if job is not None:
                run_prepared(connection, jobs.INSERT_JOB, job)

    def _store_the_rest(self, session: Session, now: datetime) -> None:
        """Write what a run's end changes besides its message."""
        header = self.header
        thoughts.keep(session, header, self.thoughts.values())
        if not self.is_new:
            session.connection().execute(
                TOUCH_CONVERSATION, {"conversation_key": header.conversation_id, "updated_at": now}
            )
        end_users.remember_end_user(self.runtime, session, self.principal)


def _ending(event: MessageEnd) -> dict[str, Any]:
    """Return the columns a finished answer fills."""
    values: dict[str, Any] = {
        "status": "stopped" if event.outcome == "stopped" else "normal",
        "outcome": to_json(event),
    }
    if event.usage is not None:
        values |= {
            "message_tokens": event.usage.prompt_tokens,
            "answer_tokens": event.usage.completion_tokens,
            "total_price": event.usage.total_price,
            "currency": event.usage.price.currency,
        }
    return values
