"""Doors of chat apps: send a message, read its events again, stop it."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import claim, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.chat import ANSWERED, CHAT, CHAT_ANSWER, USER, ChatTurnIn, UserIn
from api.controllers.schemas.conversation import USER_QUERY, UserQuery
from api.controllers.schemas.fields import RESULT
from api.services import generation
from api.services.asks import Ask
from api.services.tokens import KeyCaller

ns = Namespace("chat", path="/", description="Messages of chat apps")


@ns.route("/chat-messages")
class ChatMessages(Resource):
    """Messages to a chat app."""

    @ns.expect(CHAT)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM, params=swagger.RUN_HEADERS)
    @ns.response(200, ANSWERED, CHAT_ANSWER)
    @ns.response(400, "A bad parameter, an app of another mode, or a model that does not answer.")
    @ns.response(404, "The caller has no such conversation, or the app no such version.")
    @app_key("chat", has_guests=True)
    def post(self, caller: KeyCaller) -> Response:
        """Send a message and get the answer, streamed or whole."""
        generation.check_chat_mode(caller.app)
        turn = parse(CHAT, ChatTurnIn)
        principal = caller.end_user(turn.user)
        ask = Ask(
            query=turn.query,
            inputs=turn.inputs or {},
            files=turn.files or (),
            conversation_id=turn.conversation_id,
            workflow_id=turn.workflow_id if caller.guest is None else None,
            auto_generate_name=turn.auto_generate_name,
            key_id=caller.key_id,
            invoke_from=caller.invoke_from,
            claim=claim(principal.tenant_id, principal.id),
            is_watched=turn.response_mode == "streaming",
            may_be_spoken=turn.read_aloud,
        )
        log = generation.generate(runtime(), caller.app, principal, ask)
        return sse.respond(log, turn.response_mode, turn.on_disconnect, principal)


@ns.route("/chat-messages/<string:task_id>/events")
class ChatMessageEvents(Resource):
    """The events of one message's run."""

    @ns.expect(USER_QUERY)
    @ns.doc(produces=swagger.STREAM_ONLY, params=swagger.RESUME_HEADERS)
    @ns.response(200, "The events, each with its number.")
    @app_key("chat", has_guests=True)
    def get(self, caller: KeyCaller, task_id: str) -> Response:
        """Stream a run's events from the start, or after Last-Event-ID, until ten minutes past its end."""
        principal = caller.end_user(parse(USER_QUERY, UserQuery).user)
        return sse.resume(generation.find_run(runtime(), principal, caller.app.id, task_id))


@ns.route("/chat-messages/<string:task_id>/stop")
class ChatMessageStop(Resource):
    """Stopping one message's run."""

    @ns.expect(USER)
    @ns.response(200, "Stopped; also where there was nothing to stop.", RESULT)
    @app_key("chat", has_guests=True)
    def post(self, caller: KeyCaller, task_id: str) -> Response:
        """Stop the run; what was answered so far is kept. Always succeeds."""
        generation.check_chat_mode(caller.app)
        principal = caller.end_user(parse(USER, UserIn).user)
        generation.stop(runtime(), principal, caller.app.id, task_id)
        return render({"result": "success"})
