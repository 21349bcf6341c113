"""Doors to the log of an app: everybody's conversations with it, for its team."""

from functools import partial

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.conversation_log import (
    CHAT_DETAIL,
    CHAT_LOG,
    CHAT_PAGE,
    COMPLETION_DETAIL,
    COMPLETION_LOG,
    COMPLETION_PAGE,
    MODELS,
    render_chat_detail,
    render_chats,
    render_completion_detail,
    render_completions,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import conversation_logs, files
from api.services.conversation_logs import LogQuery

ns = Namespace("conversation_logs", path="/apps/<string:app_id>", description="Logs of apps")
for model in MODELS:
    ns.add_model(model.name, model)
NO_APP = "There is no such app of that mode, or it has no conversation last_id."
NO_CONVERSATION = "There is no such app of that mode, or it has no such conversation."


@ns.route("/chat-conversations")
class ChatLog(Resource):
    """What was said to a chat app."""

    @ns.expect(CHAT_LOG)
    @ns.response(200, "A page of conversations.", CHAT_PAGE)
    @ns.response(404, NO_APP)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List everybody's conversations with a chat app; tests are not among them."""
        asked = parse(CHAT_LOG, LogQuery)
        return render(render_chats(conversation_logs.load_chats(session, principal, app_id, asked), asked))


@ns.route("/chat-conversations/<string:conversation_id>")
class LoggedChat(Resource):
    """One conversation."""

    @ns.response(200, "The conversation.", CHAT_DETAIL)
    @ns.response(404, NO_CONVERSATION)
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str, conversation_id: str) -> Response:
        """Show a conversation, and note that it was read."""
        item = conversation_logs.read_chat(runtime(), principal, app_id, conversation_id)
        return render(render_chat_detail(item))

    @ns.response(204, "Removed.")
    @ns.response(404, NO_CONVERSATION)
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str, conversation_id: str) -> Response:
        """Remove a conversation with all its messages."""
        conversation_logs.delete_chat(runtime(), session, principal, app_id, conversation_id)
        return Response(status=204)


@ns.route("/completion-conversations")
class CompletionLog(Resource):
    """What a completion app wrote."""

    @ns.expect(COMPLETION_LOG)
    @ns.response(200, "A page of completions, newest first.", COMPLETION_PAGE)
    @ns.response(404, NO_APP)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List what a completion app wrote for anybody; tests are not among it."""
        asked = parse(COMPLETION_LOG, LogQuery)
        found = conversation_logs.load_completions(session, principal, app_id, asked)
        return render(render_completions(found, asked))


@ns.route("/completion-conversations/<string:conversation_id>")
class LoggedCompletion(Resource):
    """One completion."""

    @ns.response(200, "The completion.", COMPLETION_DETAIL)
    @ns.response(404, NO_CONVERSATION)
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str, conversation_id: str) -> Response:
        """Show a completion with its message, and note that it was read."""
        item, message = conversation_logs.read_completion(runtime(), principal, app_id, conversation_id)
        link = partial(files.sign_url, runtime(), base_url=base_url())
        return render(render_completion_detail(item, message, link))

    @ns.response(204, "Removed.")
    @ns.response(404, NO_CONVERSATION)
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str, conversation_id: str) -> Response:
        """Remove a completion."""
        conversation_logs.delete_completion(runtime(), session, principal, app_id, conversation_id)
        return Response(status=204)
