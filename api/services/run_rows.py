"""The rows a run begins with: its message, and its conversation where that is new."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam

from api.core.apps.prompting import fill
from api.core.apps.spec import AppSpec, Turn
from api.core.events import RunHeader
from api.models.base import Base, utc_now
from api.models.types import joins_inserts
from api.principal import ActorKind, Principal
from api.services import conversations, files

CONVERSATIONS = Base.metadata.tables["conversations"]
MESSAGES = Base.metadata.tables["messages"]
# Built once: a statement that takes its values as parameters costs a fraction of one that holds them.
INSERT_CONVERSATION = CONVERSATIONS.insert()
INSERT_MESSAGE = MESSAGES.insert()
FIRST = "first_"  # sets the conversation's parameters apart from the message's
FIRST_COLUMNS = (
    *("id", "tenant_id", "app_id", "created_at", "updated_at", "inputs", "invoke_from"),
    *("from_end_user_id", "from_account_id", "mode", "name", "introduction", "status"),
)
INSERT_BOTH = MESSAGES.insert().add_cte(
    CONVERSATIONS.insert()
    .values({name: bindparam(FIRST + name, type_=CONVERSATIONS.c[name].type) for name in FIRST_COLUMNS})
    .cte("conversation")
)


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
    }
    message = {**shared, **_message(app, started, owner)}
    if not started.is_new:
        connection.execute(INSERT_MESSAGE, message)
        return
    conversation = {**shared, **_conversation(app, started), "updated_at": shared["created_at"]}
    if joins_inserts(connection):
        first = {FIRST + name: conversation[name] for name in FIRST_COLUMNS}
        connection.execute(INSERT_BOTH, {**first, **message})
    else:
        connection.execute(INSERT_CONVERSATION, conversation)
        connection.execute(INSERT_MESSAGE, message)


def _conversation(app: AppSpec, started: Started) -> dict[str, object]:
    return {
        "id": started.header.conversation_id,
        "mode": app.mode.value,
        "name": conversations.first_words(started.turn.query),
        "introduction": fill(app.configured().opening_statement, started.turn.inputs),
        "status": "normal",
    }


def _message(app: AppSpec, started: Started, owner: str) -> dict[str, object]:
    config, header = app.configured(), started.header
    return {
        "id": header.message_id,
        "conversation_id": header.conversation_id,
        "task_id": header.task_id,
        "mode": header.mode,
        "query": started.turn.query,
        "files": [file.to_row() for file in started.attached] or None,
        "answer": "",
        "status": "running",
        "owner": owner,
        "model_provider": config.model.ref.provider,
        "model_name": config.model.name,
        "message_tokens": 0,
        "answer_tokens": 0,
        "total_price": 0,
        "currency": "USD",
        "latency_s": 0.0,
    }
