"""Doors to tests of chat and completion apps: ask with settings that are not saved, read what was said."""

from functools import partial

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.app_message import (
    APP_MESSAGES,
    MESSAGE_DETAIL_PAGE,
    AppMessagesIn,
    render_detail,
)
from api.controllers.schemas.chat import ANSWERED, CHAT_ANSWER, COMPLETION_ANSWER
from api.controllers.schemas.debug_chat import CHAT_TRIAL, COMPLETION_TRIAL, TrialIn
from api.principal import Principal, Role
from api.runtime import Session
from api.services import app_messages, debug_chats, files

ns = Namespace("debug_chats", path="/", description="Tests of chat and completion apps")
BAD = "A bad parameter or configuration, or a model that does not answer."
NO_APP = "There is no such app of that mode, or the caller has no such conversation."


@ns.route("/apps/<app_id>/chat-messages")
class ChatTrials(Resource):
    """Tests of a chat app, and the messages of its conversations."""

    @ns.expect(APP_MESSAGES)
    @ns.response(200, "One page of messages.", MESSAGE_DETAIL_PAGE)
    @ns.response(404, "There is no such app, or it has no such conversation or message first_id.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List the messages of any conversation with an app, the latest page first."""
        asked = parse(APP_MESSAGES, AppMessagesIn)
        page, has_more = app_messages.load_details(
            session, principal, app_id, asked.conversation_id, first_id=asked.first_id, limit=asked.limit
        )
        link = partial(files.sign_url, runtime(), base_url=base_url())
        data = [render_detail(detail, link) for detail in page]
        return render({"limit": asked.limit, "has_more": has_more, "data": data})

    @ns.expect(CHAT_TRIAL)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM)
    @ns.response(200, ANSWERED, CHAT_ANSWER)
    @ns.response(400, BAD)
    @ns.response(404, NO_APP)
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Send a message to a chat app that is configured as the request says."""
        trial = parse(CHAT_TRIAL, TrialIn)
        log = debug_chats.try_app(
            runtime(), principal, app_id, trial.to_ask(), config=trial.model_config, modes=debug_chats.CHAT
        )
        return sse.respond(log, trial.response_mode, "continue", principal)


@ns.route("/apps/<app_id>/completion-messages")
class CompletionTrials(Resource):
    """Tests of a completion app."""

    @ns.expect(COMPLETION_TRIAL)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM)
    @ns.response(200, "The completion, or its events as they come.", COMPLETION_ANSWER)
    @ns.response(400, BAD)
    @ns.response(404, NO_APP)
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Ask for a completion of an app that is configured as the request says."""
        trial = parse(COMPLETION_TRIAL, TrialIn)
        log = debug_chats.try_app(
            runtime(),
            principal,
            app_id,
            trial.to_ask(),
            config=trial.model_config,
            modes=debug_chats.COMPLETION,
        )
        return sse.respond(log, trial.response_mode, "continue", principal)
