"""Doors of speech: write down a recording, read a text aloud."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_audio, takes_audio
from api.controllers.schemas.audio import (
    RECORDING,
    RECORDING_FORM,
    SPEECH,
    TRANSCRIPTION,
    RecordingIn,
    SpeechIn,
)
from api.services import speech
from api.services.tokens import KeyCaller

ns = Namespace("audio", path="/", description="Speech")


@ns.route("/audio-to-text")
class AudioToText(Resource):
    """Recordings to be written down."""

    @ns.expect(RECORDING_FORM)
    @ns.response(200, "What is said.", TRANSCRIPTION)
    @ns.response(400, "No recording, an app that takes none, or no model that hears.")
    @ns.response(413, "The recording is over 30 MB: audio_too_large.")
    @ns.response(415, "Recordings of this kind are not taken: unsupported_audio_type.")
    @takes_audio
    @app_key("audio", has_guests=True)
    def post(self, caller: KeyCaller) -> Response:
        """Write down what is said in a recording; it is not kept."""
        sent, mime_type = sent_audio()
        user = caller.end_user(parse(RECORDING, RecordingIn).user)
        text = speech.transcribe(runtime(), caller.app, user, sent, mime_type, key_id=caller.key_id)
        return render({"text": text})


@ns.route("/text-to-audio")
class TextToAudio(Resource):
    """Texts to be read aloud."""

    @ns.expect(SPEECH)
    @ns.doc(produces=swagger.SOUND_ONLY)
    @ns.response(200, "The spoken text, as it comes.")
    @ns.response(400, "Nothing to say, an app that does not speak, or no model that does.")
    @app_key("audio", has_guests=True)
    def post(self, caller: KeyCaller) -> Response:
        """Read a text or the answer of a message aloud, as MP3."""
        asked = parse(SPEECH, SpeechIn)
        pieces = speech.speak(
            runtime(),
            caller.app,
            caller.end_user(asked.user),
            text=asked.text,
            message_id=asked.message_id,
            voice=asked.voice,
            key_id=caller.key_id,
        )
        return Response(pieces, content_type=swagger.MP3)
