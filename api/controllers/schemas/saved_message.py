"""Answers that are kept, and others like them: what pages send, and what they get."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, json_field, parser, query_field
from api.controllers.schemas.chat import MODES
from api.controllers.schemas.conversation import (
    FEEDBACK_GIVEN,
    MESSAGE_FILE,
    PAGE_LIMIT,
    render_message_file,
)
from api.controllers.schemas.fields import Link, to_unix
from api.core.ports import JSONObject
from api.services.messages import MessageItem


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedIn:
    """Which page of kept answers is asked for."""

    last_id: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveIn:
    """Which answer is to be kept."""

    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainIn:
    """How another answer is to come."""

    response_mode: str = "blocking"


SAVED = parser(
    query_field("last_id", UUID(may_be_blank=True), help="Last message the caller holds."),
    query_field("limit", PAGE_LIMIT, help="Items a page, 20 when absent."),
)
SAVE = parser(json_field("message_id", UUID(), required=True, help="A message of the caller's."))
AGAIN = parser(query_field("response_mode", MODES, help="blocking when absent."))
SAVED_MESSAGE = Model(
    "SavedMessage",
    {
        "id": fields.String,
        "inputs": fields.Raw,
        "query": fields.String,
        "answer": fields.String,
        "message_files": fields.List(fields.Nested(MESSAGE_FILE)),
        "feedback": fields.Nested(FEEDBACK_GIVEN, nullable=True),
        "created_at": fields.Integer(description="Unix seconds."),
    },
)
SAVED_PAGE = Model(
    "SavedMessagePage",
    {
        "limit": fields.Integer,
        "has_more": fields.Boolean,
        "data": fields.List(fields.Nested(SAVED_MESSAGE)),
    },
)
PAGE_QUESTIONS = Model("NextQuestions", {"data": fields.List(fields.String)})


def render_saved(item: MessageItem, link: Link) -> JSONObject:
    """Return a kept answer as JSON; ``link`` gives the address of an upload."""
    return {
        "id": item.id,
        "inputs": item.inputs,
        "query": item.query,
        "answer": item.answer,
        "message_files": [render_message_file(file, link) for file in item.files or []],
        "feedback": {"rating": item.rating} if item.rating else None,
        "created_at": to_unix(item.created_at),
    }
