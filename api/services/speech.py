"""What is said to an app, written down, and what it answers, read aloud; nothing of either is kept.

The workspace's default models do it, where the app has the feature switched on.
Wire: docs/wire/audio.md.
"""

from collections.abc import Iterator, Sequence

from api.core.apps.config import ModelConfig
from api.core.apps.features import Features
from api.core.apps.spec import AppSpec
from api.core.apps.speech import MAX_TEXT_CHARS, voice_of
from api.core.model_runtime.runtime import ModelRuntime
from api.core.model_runtime.types import Audio, ModelRef, ModelType
from api.core.ports import Cancel
from api.errors import InvalidRequest, ProviderFailure, Unsupported
from api.principal import Principal
from api.runtime import Runtime
from api.services import app_info, file_kinds, limits, providers, read_aloud
from api.services.access import access_message
from api.services.file_kinds import FILE_TYPES, Kind
from api.services.ledger import Tally
from api.services.uploads import IncomingFile

MAX_AUDIO_BYTES = 30 * 1024 * 1024
TIMEOUT_S = 600.0
EXTENSION_OF = {
    "audio/amr": "amr",
    "audio/m4a": "m4a",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/mpga": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-m4a": "m4a",
    "audio/x-wav": "wav",
}
"""What a recording is that has no telling name, as browsers send what they recorded."""


class SpeechToTextDisabled(InvalidRequest):
    """The app does not take what is said."""

    code = "speech_to_text_disabled"


class SpeechToTextNotSupported(ProviderFailure):
    """No provider of the workspace has a model that hears."""

    code = "provider_not_support_speech_to_text"


class AudioUnsupported(Unsupported):
    """The recording is of a kind that is not taken."""

    code = "unsupported_audio_type"


def transcribe(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    sent: IncomingFile,
    mime_type: str,
    *,
    key_id: str | None = None,
    features: ModelConfig | Features | None = None,
) -> str:
    """Return what is said in a recording, of at most MAX_AUDIO_BYTES.

    ``mime_type`` is its client's word, used where its name tells nothing;
    ``features`` are those the app is used with unless others are given. Counts as
    a run of the app, and of the key of ``key_id``. Raises AppUnavailable,
    SpeechToTextDisabled, AudioUnsupported, RateLimited, a ProviderFailure.
    """
    if not (features or app_info.features_of(runtime, app)).speech_to_text.enabled:
        raise SpeechToTextDisabled("Speech to text is disabled.")
    audio = _to_audio(sent, mime_type)
    ref = _default_model(runtime, app, ModelType.SPEECH2TEXT)
    if ref is None:
        raise SpeechToTextNotSupported("No model provider of the workspace turns speech into text.")
    models = _models(runtime, app, principal, key_id)
    with limits.holding_slots(runtime, app, key_id):
        return models.transcribe(app.tenant_id, ref, audio, Cancel(TIMEOUT_S))


def speak(
    runtime: Runtime,
    app: AppSpec,
    principal: Principal,
    *,
    text: str | None,
    message_id: str | None,
    voice: str | None,
    key_id: str | None = None,
    features: ModelConfig | Features | None = None,
) -> Iterator[bytes]:
    """Yield a text as spoken MP3, or rather the answer of a message of the caller where one is named.

    The first piece has come when this returns. Without ``voice`` the app's own
    is used. ``features`` as for ``transcribe``. Counts as a run of the app, and of
    the key of ``key_id``, until all is said or the iterator is closed. Raises
    AppUnavailable, NotFound, InvalidRequest where the app does not speak or there is
    nothing to say, RateLimited, or a
    ProviderFailure.
    """
    switch = (features or app_info.features_of(runtime, app)).text_to_speech
    if not switch.enabled:
        raise InvalidRequest("TTS is not enabled")
    said = _answer(runtime, app, principal, message_id) if message_id else (text or "")
    if not said.strip():
        raise InvalidRequest("There is no text to speak", field="text", fault="required")
    if len(said) > MAX_TEXT_CHARS:
        message = f"At most {MAX_TEXT_CHARS:,} characters are spoken"
        raise InvalidRequest(message, field="text", fault="too_long")
    ref = read_aloud.speaking_model(runtime, app.tenant_id)
    pieces = _models(runtime, app, principal, key_id).speak(
        app.tenant_id,
        ref,
        said,
        voice=voice or voice_of(switch),
        cancel=Cancel(TIMEOUT_S),
    )
    spoken = _with_slots(runtime, app, key_id, pieces)
    next(spoken)
    return spoken


def _with_slots(
    runtime: Runtime, app: AppSpec, key_id: str | None, pieces: Iterator[bytes]
) -> Iterator[bytes]:
    """Yield nothing once the first piece has come, then all pieces, holding the slots of a run.

    Begun before anybody iterates, so that to close it is to give the slots back.
    """
    with limits.holding_slots(runtime, app, key_id):
        first = next(pieces)
        yield b""
        yield first
        yield from pieces


def load_voices(runtime: Runtime, app: AppSpec) -> Sequence[str]:
    """Return the voices of the model that reads an app's answers aloud; none where there is no such model."""
    ref = _default_model(runtime, app, ModelType.TTS)
    if ref is None:
        return ()
    tally = Tally(runtime=runtime, tenant_id=app.tenant_id)  # nothing is called
    models = providers.model_runtime(tally, app.providers_version)
    return models.schema(app.tenant_id, ref).voices


def _models(runtime: Runtime, app: AppSpec, principal: Principal, key_id: str | None) -> ModelRuntime:
    tally = Tally(
        runtime=runtime, tenant_id=app.tenant_id, app_id=app.id, actor_id=principal.id, key_id=key_id
    )
    return providers.model_runtime(tally, app.providers_version)


def _default_model(runtime: Runtime, app: AppSpec, kind: ModelType) -> ModelRef | None:
    with runtime.reading() as session:
        return providers.default_speech_model(runtime, session, app.tenant_id, kind)


def _answer(runtime: Runtime, app: AppSpec, principal: Principal, message_id: str) -> str:
    with runtime.reading() as session:
        return access_message(session, principal, app.id, message_id).answer


def _to_audio(sent: IncomingFile, mime_type: str) -> Audio:
    """Return a recording in memory; raises AudioUnsupported unless it is of a known kind."""
    extension = file_kinds.extension_of(sent.name)
    if extension not in FILE_TYPES or FILE_TYPES[extension].kind is not Kind.AUDIO:
        extension = EXTENSION_OF.get(mime_type, "")
    if not extension:
        raise AudioUnsupported("Audio type not allowed.")
    content = sent.content.read(MAX_AUDIO_BYTES)
    known = FILE_TYPES[extension]
    if not known.content.match(content[: file_kinds.HEAD_BYTES]):
        raise AudioUnsupported(f"The content of the audio is not that of a {extension!r} file.")
    return Audio(extension=extension, mime_type=known.mime_type, content=content)
