"""The only way from a client's id to a row: tenant in the query, foreign and missing alike.

No other module may turn an id that came from outside into a row of a
workspace. A malformed id is simply one that does not exist.
"""

import uuid

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from api.errors import NotFound
from api.models.app import App
from api.models.conversation import Conversation, Message
from api.models.file import UploadFile
from api.principal import ActorKind, Principal


class AppNotFound(NotFound):
    """There is no such app in the caller's workspace."""

    code = "app_not_found"


class FileNotFound(NotFound):
    """There is no such file among the caller's own."""

    code = "file_not_found"


def is_id(text: str) -> bool:
    """Tell whether a text can be one of our ids; anything else must not reach the database."""
    if len(text) != 36:
        return False
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def access_app(session: Session, principal: Principal, app_id: str) -> App:
    """Return an app of the caller's workspace; raises AppNotFound."""
    app = None
    if is_id(app_id):
        query = select(App).where(App.tenant_id == principal.tenant_id, App.id == app_id.lower())
        app = session.scalars(query).one_or_none()
    if app is None:
        raise AppNotFound("App not found.")
    return app


def access_conversation(
    session: Session, principal: Principal, app_id: str, conversation_id: str
) -> Conversation:
    """Return a conversation the caller itself holds with the app; raises NotFound."""
    row = None
    if is_id(conversation_id):
        query = select(Conversation).where(
            Conversation.tenant_id == principal.tenant_id,
            Conversation.app_id == app_id,
            Conversation.id == conversation_id.lower(),
            Conversation.deleted_at.is_(None),
            owned_by(Conversation, principal),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Conversation Not Exists.")
    return row


def access_message(session: Session, principal: Principal, app_id: str, message_id: str) -> Message:
    """Return a message the caller itself got from the app; raises NotFound."""
    row = None
    if is_id(message_id):
        query = select(Message).where(
            Message.tenant_id == principal.tenant_id,
            Message.app_id == app_id,
            Message.id == message_id.lower(),
            owned_by(Message, principal),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Message Not Exists.")
    return row


def access_file(session: Session, principal: Principal, file_id: str) -> UploadFile:
    """Return a file the caller itself uploaded; raises FileNotFound."""
    row = None
    if is_id(file_id):
        query = select(UploadFile).where(*own_files(principal), UploadFile.id == file_id.lower())
        row = session.scalars(query).one_or_none()
    if row is None:
        raise FileNotFound("The requested file was not found.")
    return row


def own_files(principal: Principal) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a file was uploaded by the caller itself, for the app it speaks to."""
    return (
        UploadFile.tenant_id == principal.tenant_id,
        UploadFile.app_id == principal.app_id,
        UploadFile.created_by == principal.id,
    )


def owned_by(table: type[Conversation] | type[Message], principal: Principal) -> ColumnElement[bool]:
    """Return the condition that a row was made by the caller itself."""
    if principal.kind is ActorKind.ACCOUNT:
        return table.from_account_id == principal.id
    return table.from_end_user_id == principal.id
