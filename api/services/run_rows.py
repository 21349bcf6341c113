"""The rows a run begins with: its message, and its conversation where that is new."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Table, bindparam, literal_column

from api.core.apps.prompting import fill
from api.core.apps.spec import AppSpec, Turn
from api.core.events import RunHeader
from api.models.base import Base, utc_now
from api.models.prepared import run_prepared
from api.models.types import joins_inserts
from api.principal import ActorKind, Principal
from api.services import conversations, files

CONVERSATIONS = Base.metadata.tables["conversations"]
MESSAGES = Base.metadata.tables["messages"]
# Built once: a statement that takes its values as parameters costs a fraction of one that holds them.
INSERT_CONVERSATION = CONVERSATIONS.insert()
INSERT_MESSAGE = MESSAGES.insert()
BEGUN: Mapping[str, object] = {
    "answer": "",
    "status": "running",
    "message_tokens": 0,
    "answer_tokens": 0,
    "total_price": 0,
    "currency": "USD",
    "latency_s": 0.0,
}
"""What every message begins with."""
SHARED = (
    *("tenant_id", "app_id", "created_at", "inputs", "invoke_from"),
    *("from_end_user_id", "from_account_id", "mode"),
)
"""What a message and the conversation it begins have in common."""
OWN = "own_"  # sets parameters apart from columns, so that two inserts can share them


def _own(table: Table, *names: str) -> dict[str, ColumnElement[Any]]:
    return {name: bindparam(OWN + name, type_=table.c[name].type) for name in names}


def _insert_both() -> Insert:
    """Return the statement that writes a message with its conversation; what both have goes over once."""
    asked = ("id", "conversation_id", "task_id", "query", "files", "owner", "model_provider", "model_name")
    message = _own(MESSAGES, *SHARED, *asked)
    conversation = {
        **{name: message[name] for name in SHARED},
        **_own(CONVERSATIONS, "name", "introduction"),
        "id": message["conversation_id"],
        "updated_at": message["created_at"],
        "status": literal_column("'normal'"),
    }
    # Numbers can be quoted too.
    begun: dict[str, ColumnElement[Any]] = {n: literal_column(f"'{value}'") for n, value in BEGUN.items()}
    first = CONVERSATIONS.insert().values(conversation).cte("conversation")
    return MESSAGES.insert().values({**message, **begun}).add_cte(first)


INSERT_BOTH = _insert_both()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that has its rows: what its thread needs to go on; ``earlier`` are files of earlier messages."""

    header: RunHeader
    turn: Turn
    attached: tuple[files.AttachedFile, ...] = ()
    earlier: tuple[files.AttachedFile, ...]
    is_new: bool


def insert(
    connection: Connection,
    app: AppSpec,
    principal: Principal,
    started: Started,
    *,
    owner: str,
    invoke_from: str,
) -> None:
    """Write the running message, and its conversation when new: one statement where it can be."""
    is_account = principal.kind is ActorKind.ACCOUNT
    shared = {
        "tenant_id": app.tenant_id,
        "app_id": app.id,
        "created_at": utc_now(),
        "inputs": started.turn.inputs,
        "invoke_from": invoke_from,
        "from_end_user_id": None if is_account else principal.id,
        "from_account_id": principal.id if is_account else None,
        "mode": started.header.mode,
    }
    message = {**shared, **_message(app, started, owner)}
    if not started.is_new:
        run_prepared(connection, INSERT_MESSAGE, {**message, **BEGUN})
        return
    conversation = _conversation(app, started)
    if joins_inserts(connection):
        both = {**conversation, **message}
        run_prepared(connection, INSERT_BOTH, {OWN + name: value for name, value in both.items()})
        return
    first = {"id": message["conversation_id"], "updated_at": shared["created_at"], "status": "normal"}
    run_prepared(connection, INSERT_CONVERSATION, {**shared, **conversation, **first})
    run_prepared(connection, INSERT_MESSAGE, {**message, **BEGUN})


def _conversation(app: AppSpec, started: Started) -> dict[str, object]:
    return {
        "name": conversations.first_words(started.turn.query),
        "introduction": fill(app.configured().opening_statement, started.turn.inputs),
    }


def _message(app: AppSpec, started: Started, owner: str) -> dict[str, object]:
    config, header = app.configured(), started.header
    return {
        "id": header.message_id,
        "conversation_id": header.conversation_id,
        "task_id": header.task_id,
        "query": started.turn.query,
        "files": [file.to_row() for file in started.attached] or None,
        "owner": owner,
        "model_provider": config.model.ref.provider,
        "model_name": config.model.name,
    }
