"""Speech: what callers send, and what they get."""

from dataclasses import dataclass

from flask_restx import fields
from werkzeug.datastructures import FileStorage

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Boolean,
    Text,
    form_field,
    json_field,
    parser,
    query_field,
    user_name,
)
from api.core.apps.speech import MAX_TEXT_CHARS
from api.core.ports import JSONObject


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingIn:
    """Who sends a recording."""

    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechIn:
    """What is to be read aloud; ``message_id`` counts more than ``text``."""

    text: str | None = None
    message_id: str | None = None
    voice: str | None = None
    streaming: bool | None = None
    user: str | None = None


RECORDING = parser(form_field("user", user_name, help="End user, as the caller names it."))
RECORDING_FORM = RECORDING.copy().add_argument(
    "file", type=FileStorage, location="files", required=True, help="One recording, of at most 30 MB."
)
SPEECH = parser(
    json_field("text", Text(max_length=MAX_TEXT_CHARS), nullable=True, help="What to say."),
    json_field("message_id", UUID(may_be_blank=True), nullable=True, help="The message whose answer to say."),
    json_field("voice", Text(max_length=100), nullable=True, help="The app's own when absent."),
    json_field("streaming", Boolean(), nullable=True, help="Has no effect: the sound always streams."),
    json_field("user", user_name, nullable=True, help="End user, as the caller names it."),
)
TRANSCRIPTION = Model("Transcription", {"text": fields.String})

CONSOLE_RECORDING_FORM = RECORDING_FORM.copy().remove_argument("user")
CONSOLE_SPEECH = SPEECH.copy().remove_argument("user")
VOICES = parser(
    query_field("language", Text(max_length=32), help="Has no effect: voices speak any language.")
)
VOICE = Model("Voice", {"name": fields.String, "value": fields.String})


def render_voice(name: str) -> JSONObject:
    """Return a voice as JSON, with a name to show."""
    return {"name": name.replace("_", " ").capitalize(), "value": name}
