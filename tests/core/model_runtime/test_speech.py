"""Speech through the runtime: long texts in parts, voices, retries, providers that cannot."""

import itertools
from collections.abc import Iterator
from typing import ClassVar

import pytest

from api.core.egress import EgressPolicy
from api.core.http import HTTPClient, Timeouts
from api.core.model_runtime.metering import Tab
from api.core.model_runtime.provider import PROVIDERS, ProviderContext, RetryableFailure
from api.core.model_runtime.runtime import ModelRuntime, ResolvedModel
from api.core.model_runtime.types import Audio, ModelRef, ModelSchema, ModelType, ProviderSchema, Transcript
from api.core.ports import Cancel
from api.core.text.spoken import MAX_SPOKEN_CHARS, spoken_parts
from api.errors import CompletionFailed, ModelUnavailable, QuotaExceeded
from tests.vendors import InlineOffload

REF = ModelRef("talker", "tts")
AUDIO = Audio(extension="mp3", mime_type="audio/mpeg", content=b"ID3")
BUSY = RetryableFailure(CompletionFailed("busy"))


class Silent:
    """Has no models that hear or speak."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="silent",
        plugin_id="tests/silent",
        label="Silent",
        label_zh="静",
        description="-",
        description_zh="-",
        background="#FFFFFF",
        icon_svg="<svg/>",
        models=(),
    )

    def __init__(self, context: ProviderContext) -> None:
        self.context = context

    def check_credentials(self) -> None: ...

    def model_schema(self, model: str) -> ModelSchema | None:
        voices = ("ann", "bob") if model == "tts" else ()
        return ModelSchema(model=model, type=ModelType.TTS, label=model, context_tokens=0, voices=voices)


class Talker(Silent):
    """Says a text by its bytes and hears its script; each attempt plays the next of its acts."""

    acts: ClassVar[list[str | bytes | Exception]] = []
    spoken: ClassVar[list[tuple[str, str]]] = []

    def transcribe(self, model: str, audio: Audio, cancel: Cancel) -> Transcript:
        act = self.acts.pop(0)
        if isinstance(act, Exception):
            raise act
        return Transcript(str(act))

    def speak(self, model: str, text: str, voice: str, cancel: Cancel) -> Iterator[bytes]:
        self.spoken.append((text, voice))
        for act in self.acts or [text.encode()]:
            if isinstance(act, Exception):
                self.acts.remove(act)
                raise act
            assert isinstance(act, bytes)
            yield act


@pytest.fixture(autouse=True)
def _providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "silent", Silent)
    monkeypatch.setitem(PROVIDERS, "talker", Talker)
    monkeypatch.setattr(Talker, "acts", [])
    monkeypatch.setattr(Talker, "spoken", [])


def make_runtime(reports: list[bool] | None = None) -> ModelRuntime:
    noted = [] if reports is None else reports
    resolved = ResolvedModel(credentials={}, is_quota_ok=True, report=noted.append)
    http = HTTPClient(EgressPolicy(), Timeouts(connect_s=20, first_byte_s=20, idle_s=20))
    return ModelRuntime(lambda _tenant, _ref: resolved, http, InlineOffload(), book=Tab(), backoff_s=0)


def speak(text: str = "Hi.", voice: str = "ann", ref: ModelRef = REF) -> bytes:
    return b"".join(make_runtime().speak("t", ref, text, voice=voice, cancel=Cancel(30)))


@pytest.mark.parametrize(
    ("model", "voice", "used"),
    [
        ("tts", "bob", "bob"),
        ("tts", "", "ann"),
        ("tts", "eve", "ann"),
        ("any", "eve", "eve"),
        ("any", "", ""),
    ],
)
def test_voice_the_model_does_not_have_is_its_default(model: str, voice: str, used: str) -> None:
    speak(voice=voice, ref=ModelRef("talker", model))

    assert Talker.spoken == [("Hi.", used)]


def test_long_text_is_spoken_whole_in_parts_that_end_with_a_sentence() -> None:
    text = " ".join(f"This is sentence number {number} of them." for number in range(500))

    sound = speak(text)

    parts = [part for part, _ in Talker.spoken]
    assert len(parts) > 3
    assert all(len(part) <= MAX_SPOKEN_CHARS and part.endswith("them.") for part in parts)
    assert " ".join(parts) == text
    assert sound == "".join(parts).encode()


@pytest.mark.parametrize(
    "text",
    ["x" * 10_000, "a." + " " * 9_000 + "b.", " " * 9_000, "", "x" * 4_000, "x" * 4_001, "y z" * 5_000],
)
def test_parts_of_any_text_are_short_not_blank_and_lose_no_word(text: str) -> None:
    parts = list(spoken_parts(text))

    assert all(part.strip() and len(part) <= MAX_SPOKEN_CHARS for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_passing_fault_is_tried_again_before_the_first_piece_only() -> None:
    Talker.acts[:] = [BUSY, b"one"]
    assert speak() == b"one"

    Talker.acts[:] = [b"one", BUSY]
    pieces = make_runtime().speak("t", REF, "Hi.", voice="", cancel=Cancel(30))
    assert next(pieces) == b"one"
    with pytest.raises(CompletionFailed, match="busy"):
        next(pieces)


def test_model_that_makes_no_sound_has_failed() -> None:
    Talker.acts[:] = [b""]

    with pytest.raises(CompletionFailed, match="no sound"):
        speak()


def test_recording_is_heard_after_passing_faults() -> None:
    Talker.acts[:] = [BUSY, BUSY, "hello"]
    assert make_runtime().transcribe("t", REF, AUDIO, Cancel(30)) == "hello"

    Talker.acts[:] = list(itertools.repeat(BUSY, 3))
    with pytest.raises(CompletionFailed, match="busy"):
        make_runtime().transcribe("t", REF, AUDIO, Cancel(30))


def test_quota_used_up_is_reported() -> None:
    reports: list[bool] = []
    Talker.acts[:] = [QuotaExceeded("no more")]

    with pytest.raises(QuotaExceeded):
        make_runtime(reports).transcribe("t", REF, AUDIO, Cancel(30))
    assert reports == [False]


def test_provider_that_neither_hears_nor_speaks_is_named() -> None:
    with pytest.raises(ModelUnavailable, match="silent"):
        speak(ref=ModelRef("silent", "m"))
    with pytest.raises(ModelUnavailable, match="silent"):
        make_runtime().transcribe("t", ModelRef("silent", "m"), AUDIO, Cancel(30))
