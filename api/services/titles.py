"""Names for conversations, made by the app's own model after the first answer; never in its way."""

import logging

from sqlalchemy import bindparam, func, select

from api.core.apps.spec import AppSpec
from api.core.model_runtime.provider import is_generative
from api.core.model_runtime.types import ChatRequest, Message, Role
from api.core.ports import Cancel
from api.errors import AppError, InvalidRequest
from api.models.conversation import Message as MessageRow
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_specs, conversations, providers
from api.services.access import access_conversation
from api.services.conversations import ConversationItem
from api.services.jobs import Lease
from api.services.ledger import Tally

logger = logging.getLogger(__name__)

TITLE_CHARS = 60
PLAIN_CHARS = 50
QUERY_CHARS = 2000
TIMEOUT_S = 30.0
INSTRUCTIONS = (
    "Write a title for a conversation that begins with the user's message: at most six words, in the "
    "language of the message, without quotation marks or a full stop. Answer with the title alone."
)


_FIRST = select(
    MessageRow.app_id,
    MessageRow.query,
    MessageRow.conversation_id,
    func.coalesce(MessageRow.from_end_user_id, MessageRow.from_account_id).label("actor_id"),
).where(MessageRow.tenant_id == bindparam("of_tenant"), MessageRow.id == bindparam("message_key"))


def may_be_titled(app: AppSpec) -> bool:
    """Tell whether the app's model can write a title: one that only quotes cannot."""
    return is_generative(app.configured().model.ref.provider)


def make_title(runtime: Runtime, app: AppSpec, query: str, actor_id: str) -> str:
    """Return a title the app's model writes for an end user's question; raises the model's failure."""
    ref = app.configured().model.ref
    request = ChatRequest(
        model=ref.model,
        messages=(Message.of(Role.SYSTEM, INSTRUCTIONS), Message.of(Role.USER, query[:QUERY_CHARS])),
        parameters={"max_tokens": 40, "temperature": 0.2},
    )
    tally = Tally(runtime=runtime, tenant_id=app.tenant_id, app_id=app.id, actor_id=actor_id)
    models = providers.model_runtime(tally, app.providers_version)
    chunks = models.chat(app.tenant_id, ref, request, Cancel(TIMEOUT_S))
    answer = "".join(chunk.text for chunk in chunks)
    text = " ".join(answer.split()).strip("\"'“”「」《》。. ")
    return text[:TITLE_CHARS] or plain_title(query)


def plain_title(query: str) -> str:
    """Return the title of a question that no model writes one for: up to 50 characters of it."""
    words = " ".join(query.split())
    return words if len(words) <= PLAIN_CHARS else words[: PLAIN_CHARS - 3] + "..."


def name_conversation(runtime: Runtime, lease: Lease) -> None:
    """Run the job that names a new conversation, plainly where the model fails."""
    with runtime.reading() as session:
        asked = {"of_tenant": lease.tenant_id, "message_key": lease.payload["message_id"]}
        row = session.execute(_FIRST, asked).one_or_none()
        if row is None:
            return
        app = app_specs.load_spec(runtime, session, lease.tenant_id, row.app_id)
    try:
        title = make_title(runtime, app, row.query, row.actor_id)
    except AppError as exc:
        logger.info("no title made: %s", exc.code, extra={"conversation_id": row.conversation_id})
        title = plain_title(row.query)
    with runtime.autocommit() as connection:
        given = conversations.first_words(row.query)
        conversations.name_if_unnamed(
            connection, lease.tenant_id, row.conversation_id, given=given, title=title
        )


def rename(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    conversation_id: str,
    *,
    name: str | None,
    is_automatic: bool,
) -> ConversationItem:
    """Give a conversation of the caller a name, or let the app's model find one.

    Raises NotFound, and InvalidRequest where neither is asked for.
    """
    if is_automatic:
        name = _title_of(runtime, app, principal, conversation_id)
    elif not name:  # clients send an empty one with the wish for another
        message = "name is required when auto_generate is false"
        raise InvalidRequest(message, field="name", fault="required")
    with runtime.transaction() as session:
        return conversations.rename_conversation(session, principal, app.id, conversation_id, name)


def _title_of(runtime: Runtime, app: AppSpec, principal: Principal, conversation_id: str) -> str:
    """Return a title for a conversation of the caller, a plain one where the model cannot help.

    Raises NotFound, and InvalidRequest where it has no messages.
    """
    with runtime.transaction() as session:
        conversation = access_conversation(session, principal, app.id, conversation_id)
        first = select(MessageRow.query).where(
            MessageRow.tenant_id == principal.tenant_id, MessageRow.conversation_id == conversation.id
        )
        query = session.scalars(first.order_by(MessageRow.created_at, MessageRow.id).limit(1)).one_or_none()
    if query is None:
        raise InvalidRequest("The conversation has no messages to find a name in.", field="auto_generate")
    if not may_be_titled(app):
        return plain_title(query)
    try:
        return make_title(runtime, app, query, principal.id)
    except AppError as exc:
        logger.info("no title made: %s", exc.code, extra={"conversation_id": conversation_id})
        return plain_title(query)
