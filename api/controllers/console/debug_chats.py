"""Doors to tests of chat and completion apps: ask, with settings that may not be saved."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import console
from api.controllers.http.door import runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.chat import CHAT_ANSWER, COMPLETION_ANSWER
from api.controllers.schemas.debug_chat import CHAT_TRIAL, COMPLETION_TRIAL, TrialIn
from api.principal import Principal, Role
from api.services import debug_chats

ns = Namespace("debug_chats", path="/", description="Tests of chat and completion apps")
BAD = "A bad parameter or configuration, or a model that does not answer."
NO_APP = "There is no such app of that mode, or the caller has no such conversation."


@ns.route("/apps/<app_id>/chat-messages")
class ChatTrials(Resource):
    """Tests of a chat app."""

    @ns.expect(CHAT_TRIAL)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM)
    @ns.response(200, "The answer, or its events as they come.", CHAT_ANSWER)
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
