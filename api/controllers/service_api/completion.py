"""Doors of completion apps: complete, read the events again, stop."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import claim, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.chat import COMPLETION, COMPLETION_ANSWER, USER, CompletionIn, UserIn
from api.controllers.schemas.conversation import USER_QUERY, UserQuery
from api.controllers.schemas.fields import RESULT
from api.services import generation
from api.services.asks import Ask
from api.services.tokens import KeyCaller

ns = Namespace("completion", path="/", description="Runs of completion apps")


@ns.route("/completion-messages")
class CompletionMessages(Resource):
    """Requests to a completion app."""

    @ns.expect(COMPLETION)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM, params=swagger.RUN_HEADERS)
    @ns.response(200, "The completion, or its events as they come.", COMPLETION_ANSWER)
    @ns.response(400, "A bad parameter, an app of another mode, or a model that does not answer.")
    @app_key("completion", has_guests=True)
    def post(self, caller: KeyCaller) -> Response:
        """Fill the app's template and get the completion, streamed or whole."""
        generation.check_completion_mode(caller.app)
        turn = parse(COMPLETION, CompletionIn)
        principal = caller.end_user(turn.user)
        ask = Ask(
            query=turn.query,
            inputs=turn.inputs or {},
            files=turn.files or (),
            auto_generate_name=False,
            key_id=caller.key_id,
            invoke_from=caller.invoke_from,
            claim=claim(principal.tenant_id, principal.id),
            is_watched=turn.response_mode == "streaming",
            may_be_spoken=turn.read_aloud,
        )
        log = generation.generate(runtime(), caller.app, principal, ask)
        return sse.respond(log, turn.response_mode, turn.on_disconnect, principal)


@ns.route("/completion-messages/<string:task_id>/events")
class CompletionMessageEvents(Resource):
    """The events of one completion."""

    @ns.expect(USER_QUERY)
    @ns.doc(produces=swagger.STREAM_ONLY, params=swagger.RESUME_HEADERS)
    @ns.response(200, "The events, each with its number.")
    @app_key("completion", has_guests=True)
    def get(self, caller: KeyCaller, task_id: str) -> Response:
        """Stream a run's events from the start, or after Last-Event-ID, until ten minutes past its end."""
        principal = caller.end_user(parse(USER_QUERY, UserQuery).user)
        return sse.resume(generation.find_run(runtime(), principal, caller.app.id, task_id))


@ns.route("/completion-messages/<string:task_id>/stop")
class CompletionMessageStop(Resource):
    """Stopping one completion."""

    @ns.expect(USER)
    @ns.response(200, "Stopped; also where there was nothing to stop.", RESULT)
    @app_key("completion", has_guests=True)
    def post(self, caller: KeyCaller, task_id: str) -> Response:
        """Stop the run; what was answered so far is kept. Always succeeds."""
        generation.check_completion_mode(caller.app)
        principal = caller.end_user(parse(USER, UserIn).user)
        generation.stop(runtime(), principal, caller.app.id, task_id)
        return render({"result": "success"})
