"""Conversations and messages: what callers send, and what they get."""

from dataclasses import dataclass
from typing import cast

from flask_restx import fields

from api.controllers.http.agent_frames import thought_item
from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Boolean,
    Choice,
    Integer,
    Text,
    json_field,
    parser,
    query_field,
    user_name,
)
from api.controllers.schemas.agent import AGENT_THOUGHT, render_made_files
from api.controllers.schemas.chat import RETRIEVER_RESOURCE
from api.controllers.schemas.fields import Link, to_unix
from api.core.ports import JSONObject, JSONValue
from api.services.conversations import ConversationItem, SortBy
from api.services.messages import MessageItem

NIL_ID = "00000000-0000-0000-0000-000000000000"
PAGE_LIMIT = Integer(minimum=1, maximum=100, is_text=True)
SORTS = Choice(("created_at", "-created_at", "updated_at", "-updated_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuery:
    """A reading request that says who asks; None is the shared anonymous end user."""

    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationsIn:
    """Which page of conversations is asked for."""

    user: str | None = None
    last_id: str | None = None
    limit: int = 20
    sort_by: SortBy = "-updated_at"
    pinned: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesIn:
    """Which page of a conversation's messages is asked for."""

    user: str | None = None
    conversation_id: str | None = None
    first_id: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class UserBody:
    """A changing request that may say who asks."""

    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameIn:
    """A conversation's new name, or the wish that a model finds one."""

    name: str | None = None
    auto_generate: bool = False
    user: str | None = None


_USER = query_field("user", user_name, help="End user, as the caller names it.")
_LIMIT = query_field("limit", PAGE_LIMIT, help="Items a page, 20 when absent.")
_FIRST_ID = query_field("first_id", UUID(may_be_blank=True), help="Oldest message the caller holds.")

USER_QUERY = parser(_USER)
USER_NEEDED = parser(query_field("user", user_name, required=True, help="End user, as the caller names it."))
CONVERSATIONS = parser(
    _USER,
    query_field("last_id", UUID(may_be_blank=True), help="Last conversation the caller holds."),
    _LIMIT,
    query_field("sort_by", SORTS, help="-updated_at when absent."),
    query_field("pinned", Boolean(is_text=True), help="Only those a guest has pinned, or has not."),
)
HISTORY = parser(_USER, _FIRST_ID, _LIMIT)
MESSAGES = parser(
    _USER,
    query_field("conversation_id", UUID(), required=True, help="Whose messages."),
    _FIRST_ID,
    _LIMIT,
)
USER_BODY = parser(json_field("user", user_name, nullable=True, help="End user, as the caller names it."))
RENAME = parser(
    json_field("name", Text(max_length=255, is_trimmed=True), nullable=True, help="The new name."),
    json_field("auto_generate", Boolean(), help="Let the app's model find a name."),
    json_field("user", user_name, nullable=True, help="End user, as the caller names it."),
)

CONVERSATION = Model(
    "Conversation",
    {
        "id": fields.String,
        "name": fields.String,
        "inputs": fields.Raw(description="Values of the app's variables, as first given."),
        "status": fields.String(example="normal"),
        "introduction": fields.String(description="The opening statement."),
        "created_at": fields.Integer(description="Unix seconds."),
        "updated_at": fields.Integer(description="Unix seconds."),
    },
)
CONVERSATION_PAGE = Model(
    "ConversationPage",
    {
        "limit": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(CONVERSATION)),
    },
)
MESSAGE_FILE = Model(
    "MessageFile",
    {
        "id": fields.String(nullable=True),
        "filename": fields.String(nullable=True),
        "type": fields.String(example="image"),
        "url": fields.String(nullable=True, description="Good for some minutes where it is signed."),
        "mime_type": fields.String(nullable=True),
        "size": fields.Integer(nullable=True, description="Bytes."),
        "transfer_method": fields.String(enum=["local_file", "remote_url"]),
        "belongs_to": fields.String(example="user"),
        "upload_file_id": fields.String(nullable=True),
    },
)
QUESTIONS = Model("SuggestedQuestions", {"result": fields.String, "data": fields.List(fields.String)})
FEEDBACK_GIVEN = Model("Feedback", {"rating": fields.String(enum=["like", "dislike"])})
MESSAGE = Model(
    "Message",
    {
        "id": fields.String,
        "conversation_id": fields.String,
        "parent_message_id": fields.String,
        "inputs": fields.Raw,
        "query": fields.String,
        "answer": fields.String,
        "status": fields.String(enum=["normal", "error"]),
        "error": fields.String(nullable=True),
        "feedback": fields.Nested(FEEDBACK_GIVEN, nullable=True),
        "message_files": fields.List(fields.Nested(MESSAGE_FILE)),
        "retriever_resources": fields.List(fields.Nested(RETRIEVER_RESOURCE)),
        "agent_thoughts": fields.List(fields.Nested(AGENT_THOUGHT)),
        "created_at": fields.Integer(description="Unix seconds."),
        "message_tokens": fields.Integer,
        "answer_tokens": fields.Integer,
        "total_tokens": fields.Integer,
        "provider_response_latency": fields.Float(description="Seconds."),
        "total_price": fields.String(description="A decimal string."),
        "currency": fields.String,
        "extra_contents": fields.List(fields.Raw),
    },
)
MESSAGE_PAGE = Model(
    "MessagePage",
    {
        "limit": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(MESSAGE)),
    },
)


def render_conversation(item: ConversationItem) -> JSONObject:
    """Return a conversation as JSON."""
    return {
        "id": item.id,
        "name": item.name,
        "inputs": item.inputs,
        "status": item.status,
        "introduction": item.introduction,
        "created_at": to_unix(item.created_at),
        "updated_at": to_unix(item.updated_at),
    }


def render_message(item: MessageItem, link: Link) -> JSONObject:
    """Return a message as JSON; one that still runs or was stopped counts as normal.

    ``link`` gives the address an uploaded file can be fetched at.
    """
    resources = cast("list[JSONValue]", (item.outcome or {}).get("retriever_resources", []))
    return {
        "id": item.id,
        "conversation_id": item.conversation_id,
        "parent_message_id": item.parent_message_id or NIL_ID,
        "inputs": item.inputs,
        "query": item.query,
        "answer": item.answer,
        "status": "error" if item.status == "error" else "normal",
        "error": item.error,
        "feedback": {"rating": item.rating} if item.rating else None,
        "message_files": [
            *(render_message_file(file, link) for file in item.files or []),
            *render_made_files(item.thoughts, link),
        ],
        "retriever_resources": resources,
        "agent_thoughts": [thought_item(one, item.id) for one in item.thoughts],
        "created_at": to_unix(item.created_at),
        "message_tokens": item.message_tokens,
        "answer_tokens": item.answer_tokens,
        "total_tokens": item.message_tokens + item.answer_tokens,
        "provider_response_latency": item.latency_s,
        "total_price": f"{item.total_price:.7f}",
        "currency": item.currency,
        "extra_contents": [],
    }


def render_message_file(file: JSONObject, link: Link) -> JSONObject:
    """Return a file a message came with; ``link`` gives the address of an upload."""
    upload_file_id = file.get("upload_file_id")
    return {
        "id": upload_file_id or file.get("url"),
        "filename": file.get("name"),
        "type": file.get("type"),
        "url": link(str(upload_file_id)) if upload_file_id else file.get("url"),
        "mime_type": file.get("mime_type"),
        "size": file.get("size_bytes"),
        "transfer_method": file.get("transfer_method"),
        "belongs_to": "user",
        "upload_file_id": upload_file_id,
    }
