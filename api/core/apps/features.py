"""The features of a workflow, by one rule wherever they are saved, imported, run and told of.

What is accepted here can be run. Wire: docs/wire/workflows.md#features.
"""

from typing import Literal

from pydantic import Field, ValidationError

from api.core.apps import config
from api.core.apps.config import Part, Several, WordAvoidance
from api.core.ports import JSONValue
from api.core.rag.faults import to_invalid_request
from api.errors import InvalidRequest

TransferMethod = Literal["local_file", "remote_url"]


class Switch(Part):
    """A feature that is on or off."""

    enabled: bool = False


class Speech(Switch):
    """Answers read aloud."""

    voice: str | None = None
    language: str | None = None
    autoPlay: str | None = None  # noqa: N815  # the wire's name


class ImageUpload(Part, config.ImageUpload):
    """Images in messages, as files of old name them."""

    number_limits: int = Field(3, ge=0, le=100)
    transfer_methods: Several[TransferMethod] = ("remote_url", "local_file")


class FileUpload(Part, config.FileUpload):
    """Files in messages. A number of 0 is none of its own, as real files have it."""

    image: ImageUpload = ImageUpload()
    allowed_file_upload_methods: Several[TransferMethod] | None = None
    number_limits: int | None = Field(None, ge=0, le=100)


class Features(Part):
    """All of them; what is not there is off, but for the sources of an answer."""

    opening_statement: str = ""
    suggested_questions: Several[str] = ()
    suggested_questions_after_answer: Switch = Switch()
    speech_to_text: Switch = Switch()
    text_to_speech: Speech = Speech()
    retriever_resource: Switch = Switch(enabled=True)
    sensitive_word_avoidance: WordAvoidance = WordAvoidance()
    file_upload: FileUpload = FileUpload()


def read_features(raw: JSONValue) -> Features:
    """Return the features. Raises InvalidRequest for a value no feature can have."""
    if raw is not None and not isinstance(raw, dict):
        raise InvalidRequest("features must be an object", field="features", fault="invalid_type")
    try:
        return Features.model_validate(raw or {})
    except ValidationError as exc:
        raise to_invalid_request(exc, "features") from None
