"""Doors to what an app's team tries beside its messages: speech, and questions to go on with."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_audio, takes_audio
from api.controllers.schemas.audio import (
    CONSOLE_RECORDING_FORM,
    CONSOLE_SPEECH,
    TRANSCRIPTION,
    VOICE,
    VOICES,
    SpeechIn,
    render_voice,
)
from api.controllers.schemas.saved_message import PAGE_QUESTIONS
from api.principal import Principal, Role
from api.services import app_trials

ns = Namespace("app_trials", path="/", description="Speech and next questions of apps, to try")
NO_APP = "There is no such app."


@ns.route("/apps/<app_id>/audio-to-text")
class AppAudioToText(Resource):
    """Recordings to be written down."""

    @ns.expect(CONSOLE_RECORDING_FORM)
    @ns.response(200, "What is said.", TRANSCRIPTION)
    @ns.response(400, "No recording, an app that takes none, or no model that hears.")
    @ns.response(404, NO_APP)
    @takes_audio
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Write down what is said in a recording, as the app would; it is not kept."""
        trial = app_trials.open_trial(runtime(), principal, app_id)
        return render({"text": app_trials.transcribe(runtime(), trial, principal, *sent_audio())})


@ns.route("/apps/<app_id>/text-to-audio")
class AppTextToAudio(Resource):
    """Texts to be read aloud."""

    @ns.expect(CONSOLE_SPEECH)
    @ns.doc(produces=swagger.SOUND_ONLY)
    @ns.response(200, "The spoken text, as it comes.")
    @ns.response(400, "Nothing to say, an app that does not speak, or no model that does.")
    @ns.response(404, "There is no such app, or it has no such message.")
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Read a text or the answer of any message of the app aloud, as MP3."""
        asked = parse(CONSOLE_SPEECH, SpeechIn)
        pieces = app_trials.speak(
            runtime(), principal, app_id, text=asked.text, message_id=asked.message_id, voice=asked.voice
        )
        return Response(pieces, content_type=swagger.MP3)


@ns.route("/apps/<app_id>/text-to-audio/voices")
class AppVoices(Resource):
    """Voices an app may speak with."""

    @ns.expect(VOICES)
    @ns.response(200, "The voices of the workspace's model that speaks, the default first.", [VOICE])
    @ns.response(404, NO_APP)
    @console()
    def get(self, principal: Principal, app_id: str) -> Response:
        """List the voices; all of them speak any language."""
        return render([render_voice(name) for name in app_trials.load_voices(runtime(), principal, app_id)])


@ns.route("/apps/<app_id>/chat-messages/<string:message_id>/suggested-questions")
class AppSuggestions(Resource):
    """Questions that may follow a message."""

    @ns.response(200, "Three questions as a rule; none where the model has none.", PAGE_QUESTIONS)
    @ns.response(403, "The app suggests no questions: app_suggested_questions_after_answer_disabled.")
    @ns.response(404, "There is no such app, or the caller has no such message of it.")
    @console()
    def get(self, principal: Principal, app_id: str, message_id: str) -> Response:
        """Have a model write what may be asked after a message of the caller's."""
        return render({"data": app_trials.suggest(runtime(), principal, app_id, message_id)})
