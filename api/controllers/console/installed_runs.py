"""Doors of apps that members use: ask, run, stop, and what an app tells of itself.

As the web app has them, with the member's account as the user.
"""

from collections.abc import Callable

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import console
from api.controllers.http.door import claim, render, runtime
from api.controllers.http.parsing import Parser, parse
from api.controllers.http.uploads import sent_audio, takes_audio
from api.controllers.schemas.audio import (
    CONSOLE_RECORDING_FORM,
    CONSOLE_SPEECH,
    TRANSCRIPTION,
    SpeechIn,
)
from api.controllers.schemas.chat import CHAT_ANSWER, COMPLETION_ANSWER
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.info import META, PARAMETERS
from api.controllers.schemas.installed_app import OWN_CHAT, OWN_COMPLETION, OWN_RUN, OwnTurnIn
from api.controllers.schemas.workflow_run import RUN_ANSWER
from api.core.apps.spec import AppSpec
from api.principal import Principal
from api.services import app_info, generation, installed_apps, speech
from api.services.flow_runs import check_workflow_mode

APP = "/installed-apps/<installed_id>"
NO_APP = "There is no such app, or its page is closed."
BAD = "A bad parameter, an app of another mode, or a model that does not answer."

ns = Namespace("installed_runs", path="/", description="Apps that members use")


def _generate(
    principal: Principal, installed_id: str, check: Callable[[AppSpec], None], parser: Parser
) -> Response:
    """Start a run of an app of the right mode, and answer with it."""
    app = installed_apps.open_app(runtime(), principal, installed_id)
    check(app)
    turn = parse(parser, OwnTurnIn)
    ask = turn.to_ask(claim(principal.tenant_id, principal.id))
    log = generation.generate(runtime(), app, principal, ask)
    return sse.respond(log, turn.response_mode, turn.on_disconnect, principal)


def _stop(
    principal: Principal, installed_id: str, check: Callable[[AppSpec], None], task_id: str
) -> Response:
    """Stop a run of an app of the right mode."""
    app = installed_apps.open_app(runtime(), principal, installed_id)
    check(app)
    generation.stop(runtime(), principal, app.id, task_id)
    return render(render_success())


@ns.route(f"{APP}/chat-messages")
class OwnChatMessages(Resource):
    """Messages to a chat app."""

    @ns.expect(OWN_CHAT)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM, params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The answer, or its events as they come.", CHAT_ANSWER)
    @ns.response(400, BAD)
    @ns.response(404, "There is no such app, or the member has no such conversation.")
    @console()
    def post(self, principal: Principal, installed_id: str) -> Response:
        """Send a message and get the answer, streamed or whole."""
        return _generate(principal, installed_id, generation.check_chat_mode, OWN_CHAT)


@ns.route(f"{APP}/chat-messages/<string:task_id>/stop")
class OwnChatStop(Resource):
    """Stopping one message's run."""

    @ns.response(200, "Stopped; also where there was nothing to stop.", RESULT)
    @ns.response(404, NO_APP)
    @console()
    def post(self, principal: Principal, installed_id: str, task_id: str) -> Response:
        """Stop the run; what was answered so far is kept."""
        return _stop(principal, installed_id, generation.check_chat_mode, task_id)


@ns.route(f"{APP}/completion-messages")
class OwnCompletions(Resource):
    """Requests to a completion app."""

    @ns.expect(OWN_COMPLETION)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM, params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "The completion, or its events as they come.", COMPLETION_ANSWER)
    @ns.response(400, BAD)
    @ns.response(404, NO_APP)
    @console()
    def post(self, principal: Principal, installed_id: str) -> Response:
        """Fill the app's template and get the completion, streamed or whole."""
        return _generate(principal, installed_id, generation.check_completion_mode, OWN_COMPLETION)


@ns.route(f"{APP}/completion-messages/<string:task_id>/stop")
class OwnCompletionStop(Resource):
    """Stopping one completion."""

    @ns.response(200, "Stopped; also where there was nothing to stop.", RESULT)
    @ns.response(404, NO_APP)
    @console()
    def post(self, principal: Principal, installed_id: str, task_id: str) -> Response:
        """Stop the run; what was answered so far is kept."""
        return _stop(principal, installed_id, generation.check_completion_mode, task_id)


@ns.route(f"{APP}/workflows/run")
class OwnWorkflowRuns(Resource):
    """Runs of the published workflow."""

    @ns.expect(OWN_RUN)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM, params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "How the run ended, also where it failed; or its events as they come.", RUN_ANSWER)
    @ns.response(400, "A bad parameter, an app of another mode, or nothing published.")
    @ns.response(404, NO_APP)
    @console()
    def post(self, principal: Principal, installed_id: str) -> Response:
        """Run the app's workflow, streamed or whole."""
        return _generate(principal, installed_id, check_workflow_mode, OWN_RUN)


@ns.route(f"{APP}/workflows/tasks/<string:task_id>/stop")
class OwnWorkflowStop(Resource):
    """Stopping one run."""

    @ns.response(200, "Stopped; also where there was nothing to stop.", RESULT)
    @ns.response(404, NO_APP)
    @console()
    def post(self, principal: Principal, installed_id: str, task_id: str) -> Response:
        """Stop the run."""
        return _stop(principal, installed_id, check_workflow_mode, task_id)


@ns.route(f"{APP}/parameters")
class OwnParameters(Resource):
    """What a page needs to build its form."""

    @ns.response(200, "Form, features and limits of the app.", PARAMETERS)
    @ns.response(400, "No usable configuration, or nothing published: app_unavailable.")
    @ns.response(404, NO_APP)
    @console()
    def get(self, principal: Principal, installed_id: str) -> Response:
        """Return the app's form, features and limits."""
        app = installed_apps.open_app(runtime(), principal, installed_id)
        return render(app_info.get_parameters(runtime(), app))


@ns.route(f"{APP}/meta")
class OwnMeta(Resource):
    """Icons of the app's tools."""

    @ns.response(200, "The icons.", META)
    @ns.response(404, NO_APP)
    @console()
    def get(self, principal: Principal, installed_id: str) -> Response:
        """Return an icon for each tool of the app; no app has any yet."""
        installed_apps.open_app(runtime(), principal, installed_id)
        return render({"tool_icons": {}})


@ns.route(f"{APP}/audio-to-text")
class OwnAudioToText(Resource):
    """Recordings to be written down."""

    @ns.expect(CONSOLE_RECORDING_FORM)
    @ns.response(200, "What is said.", TRANSCRIPTION)
    @ns.response(400, "No recording, an app that takes none, or no model that hears.")
    @ns.response(404, NO_APP)
    @takes_audio
    @console()
    def post(self, principal: Principal, installed_id: str) -> Response:
        """Write down what is said in a recording; it is not kept."""
        app = installed_apps.open_app(runtime(), principal, installed_id)
        return render({"text": speech.transcribe(runtime(), app, principal, *sent_audio())})


@ns.route(f"{APP}/text-to-audio")
class OwnTextToAudio(Resource):
    """Texts to be read aloud."""

    @ns.expect(CONSOLE_SPEECH)
    @ns.doc(produces=swagger.SOUND_ONLY)
    @ns.response(200, "The spoken text, as it comes.")
    @ns.response(400, "Nothing to say, an app that does not speak, or no model that does.")
    @ns.response(404, "There is no such app, or the member has no such message.")
    @console()
    def post(self, principal: Principal, installed_id: str) -> Response:
        """Read a text or the answer of a message of the member's aloud, as MP3."""
        app, asked = (
            installed_apps.open_app(runtime(), principal, installed_id),
            parse(CONSOLE_SPEECH, SpeechIn),
        )
        pieces = speech.speak(
            runtime(), app, principal, text=asked.text, message_id=asked.message_id, voice=asked.voice
        )
        return Response(pieces, content_type=swagger.MP3)
