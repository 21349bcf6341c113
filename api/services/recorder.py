"""Writes down what a run tells: the message as it ends, whatever way it ends.

Watches the run's events and touches the database once, at the end, before the
terminal event goes out: who has read ``message_end`` finds the message stored.
"""

import logging
import time
from collections.abc import Iterator, Mapping
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
        names_it = self.wants_title and values["status"] == "normal"
        is_all = (
            self.is_new
            and not names_it
            and not self.thoughts
            and end_users.is_known(self.runtime, self.principal)
        )
        with ledger.settled(self.tally) as spent:
            if is_all and ledger.is_one_statement(self.runtime.engine, spent):
                with self.runtime.autocommit() as connection:
                    ledger.write_with(connection, END_MESSAGE, row, spent)
            elif is_all:
                with self.runtime.writing() as connection:
                    ledger.write_with(connection, END_MESSAGE, row, spent)
            else:
                with self.runtime.transaction() as session:
                    ledger.write_with(session.connection(), END_MESSAGE, row, spent)
                    self._store_the_rest(session, now, names_it=names_it)
        self.is_stored = True

    def _store_the_rest(self, session: Session, now: datetime, *, names_it: bool) -> None:
        """Write what a run's end changes besides its message."""
        header = self.header
        thoughts.keep(session, header, self.thoughts.values())
        if not self.is_new:
            session.connection().execute(
                TOUCH_CONVERSATION, {"conversation_key": header.conversation_id, "updated_at": now}
            )
        end_users.remember_end_user(self.runtime, session, self.principal)
        if names_it:
            jobs.enqueue_on_commit(
                self.runtime,
                session,
                Job.NAME_CONVERSATION,
                {"message_id": header.message_id},
                tenant_id=header.tenant_id,
                queue=Queue.TITLES,
            )


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
