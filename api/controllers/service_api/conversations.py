"""Doors of conversations: list, history, rename, delete."""

from functools import partial

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http.auth import app_key
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.conversation import (
    CONVERSATION,
    CONVERSATION_PAGE,
    CONVERSATIONS,
    HISTORY,
    MESSAGE_PAGE,
    MESSAGES,
    RENAME,
    USER_BODY,
    ConversationsIn,
    MessagesIn,
    RenameIn,
    UserBody,
    render_conversation,
)
from api.controllers.schemas.guest import render_message_for
from api.errors import InvalidRequest
from api.runtime import Session
from api.services import conversations, files, generation, messages, titles
from api.services.tokens import KeyCaller

ns = Namespace("conversations", path="/", description="Conversations of chat apps")


@ns.route("/conversations")
class Conversations(Resource):
    """The caller's conversations with an app."""

    @ns.expect(CONVERSATIONS)
    @ns.response(200, "One page of conversations.", CONVERSATION_PAGE)
    @ns.response(404, "The caller has no conversation last_id.")
    @app_key("chat", has_guests=True)
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """List conversations, latest change first unless said otherwise."""
        generation.check_chat_mode(caller.app)
        asked = parse(CONVERSATIONS, ConversationsIn)
        page, has_more = conversations.load_conversations(
            session,
            caller.end_user(asked.user),
            caller.app.id,
            last_id=asked.last_id,
            limit=asked.limit,
            sort_by=asked.sort_by,
            is_pinned=asked.pinned,
        )
        data = [render_conversation(item) for item in page]
        return render({"limit": asked.limit, "has_more": has_more, "data": data})


@ns.route("/conversations/<string:conversation_id>")
class Conversation(Resource):
    """One conversation."""

    @ns.expect(USER_BODY)
    @ns.response(204, "Deleted.")
    @app_key("chat", has_guests=True)
    @transactional
    def delete(self, session: Session, caller: KeyCaller, conversation_id: str) -> Response:
        """Delete a conversation with all its messages."""
        generation.check_chat_mode(caller.app)
        asked = parse(USER_BODY, UserBody) if request.content_length else UserBody()
        principal = caller.end_user(asked.user)
        conversations.delete_conversation(runtime(), session, principal, caller.app.id, conversation_id)
        return Response(status=204)


@ns.route("/conversations/<string:conversation_id>/name")
class ConversationName(Resource):
    """A conversation's name."""

    @ns.expect(RENAME)
    @ns.response(200, "The conversation with its new name.", CONVERSATION)
    @app_key("chat", has_guests=True)
    def post(self, caller: KeyCaller, conversation_id: str) -> Response:
        """Rename a conversation, or let the app's model find a name."""
        generation.check_chat_mode(caller.app)
        asked = parse(RENAME, RenameIn)
        principal = caller.end_user(asked.user)
        item = titles.rename(
            runtime(),
            caller.app,
            principal,
            conversation_id,
            name=asked.name,
            is_automatic=asked.auto_generate,
        )
        return render(render_conversation(item))


def _history(session: Session, caller: KeyCaller, conversation_id: str, asked: MessagesIn) -> Response:
    """Answer with a page of a conversation's messages."""
    generation.check_chat_mode(caller.app)
    page, has_more = messages.load_messages(
        session,
        caller.end_user(asked.user),
        caller.app.id,
        conversation_id,
        first_id=asked.first_id,
        limit=asked.limit,
    )
    link = partial(files.sign_url, runtime(), base_url=base_url())
    data = [render_message_for(caller, item, link) for item in page]
    return render({"limit": asked.limit, "has_more": has_more, "data": data})


@ns.route("/conversations/<string:conversation_id>/messages")
class ConversationMessages(Resource):
    """The history of a conversation, at its own address."""

    @ns.expect(HISTORY)
    @ns.response(200, "One page of messages.", MESSAGE_PAGE)
    @app_key("chat", has_guests=True)
    @transactional
    def get(self, session: Session, caller: KeyCaller, conversation_id: str) -> Response:
        """List messages, the latest page first, oldest message first inside it."""
        asked = parse(HISTORY, MessagesIn)
        if asked.user is None and request.blueprint == "seed":
            raise InvalidRequest("Parameter 'user' is required", field="user", fault="required")
        return _history(session, caller, conversation_id, asked)


@ns.route("/messages")
class Messages(Resource):
    """The history of a conversation, by query parameter."""

    @ns.expect(MESSAGES)
    @ns.response(200, "One page of messages.", MESSAGE_PAGE)
    @ns.response(404, "The caller has no such conversation, or no message first_id.")
    @app_key("chat", has_guests=True)
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """List messages, the latest page first, oldest message first inside it."""
        asked = parse(MESSAGES, MessagesIn)
        return _history(session, caller, str(asked.conversation_id), asked)
