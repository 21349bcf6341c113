"""What an agent did before it answered, for the team of its app."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.events import AgentThought
from api.errors import NotFound
from api.models.account import Account
from api.models.app import AppModelConfig, EndUser
from api.models.conversation import Message
from api.principal import Principal
from api.services import thoughts
from api.services.access import access_app, access_message_of_app


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLog:
    """The rounds behind a message. ``executor`` is who asked, ``strategy`` what the app is set to now."""

    message: Message
    executor: str
    strategy: str
    rounds: Sequence[AgentThought]


def get_log(
    session: Session, principal: Principal, app_id: str, *, conversation_id: str, message_id: str
) -> AgentLog:
    """Return the log of a message of an app, without rounds where no agent answered.

    Raises AppNotFound, and NotFound for a message that is not of the conversation.
    """
    app = access_app(session, principal, app_id)
    message = access_message_of_app(session, app, message_id)
    if message.conversation_id != conversation_id.lower():
        raise NotFound("Message Not Exists.")
    config = session.get(AppModelConfig, app.app_model_config_id) if app.app_model_config_id else None
    mode = config.config.get("agent_mode") if config else None
    rounds = thoughts.load(session, app.tenant_id, {message.id: message.mode}, with_calls=True)
    return AgentLog(
        message=message,
        executor=_executor(session, message),
        strategy=str((mode or {}).get("strategy") or "function_call"),
        rounds=rounds.get(message.id, ()),
    )


def _executor(session: Session, message: Message) -> str:
    """Return the name of who asked, an end user's as the caller gave it; empty for one that is gone."""
    if message.from_account_id:
        query = select(Account.name).where(Account.id == message.from_account_id)
    else:
        query = select(EndUser.session_id).where(
            EndUser.tenant_id == message.tenant_id, EndUser.id == message.from_end_user_id
        )
    return session.scalars(query).first() or ""
