"""The OpenAI wire of speech: a form with a recording to send, a text to read, a text to be spoken.

Boundary: bytes and values only; calls nobody. Wire: OpenAI's API reference,
"Create transcription" and "Create speech".
"""

import secrets

from api.core.model_runtime.types import Audio, Transcript
from api.core.model_runtime.whole_answers import reading
from api.core.ports import JSONObject

MAX_TRANSCRIPTION_BYTES = 4 * 1024 * 1024
DEFAULT_VOICE = "alloy"


def transcription_form(model: str, audio: Audio) -> tuple[bytes, str]:
    """Return the multipart body of a transcription call, and its media type with the boundary."""
    boundary = secrets.token_hex(16)
    fields = {"model": model, "response_format": "json"}
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="audio.{audio.extension}"\r\n'
        f"Content-Type: {audio.mime_type}\r\n\r\n"
    )
    body = b"".join((head.encode(), audio.content, f"\r\n--{boundary}--\r\n".encode()))
    return body, f"multipart/form-data; boundary={boundary}"


def read_transcription(content: bytes) -> Transcript:
    """Return what a transcription tells. Raises CompletionFailed or Unusable where it has no text."""
    with reading("transcription") as answer:
        text = answer.read(content)["text"]
        if not isinstance(text, str):
            raise TypeError(text)
    return Transcript(text.strip(), answer.tokens)


def speech_body(model: str, text: str, voice: str) -> JSONObject:
    """Return the body of a call that has a text spoken, as MP3."""
    return {"model": model, "input": text, "voice": voice or DEFAULT_VOICE, "response_format": "mp3"}
