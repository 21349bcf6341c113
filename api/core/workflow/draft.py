"""What a workflow holds besides its graph: its features, and the mark by which saves are told apart.

Wire: docs/wire/workflows.md#features.
"""

import hashlib
from typing import Annotated, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from api.core.ports import JSONObject, JSONValue
from api.core.rag.faults import to_invalid_request
from api.errors import InvalidRequest

Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Field(strict=False)]
TransferMethod = Literal["local_file", "remote_url"]


class Part(BaseModel):
    """A part of the features: types are strict, null is the default, unknown keys are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, raw: object) -> object:
        return (
            {key: value for key, value in raw.items() if value is not None} if isinstance(raw, dict) else raw
        )


class Switch(Part):
    """A feature that is on or off."""

    enabled: bool = False


class Speech(Switch):
    """Answers read aloud."""

    voice: str = ""
    language: str = ""
    autoPlay: str = ""  # noqa: N815  # the wire's name


class Moderation(Switch):
    """Texts checked for what must not be said."""

    type: str = ""
    config: dict[str, JsonValue] = Field(default_factory=dict)


class ImageUpload(Switch):
    """Images in messages, as files of old name them."""

    number_limits: int = Field(default=3, ge=0, le=100)
    transfer_methods: Several[TransferMethod] = ()


class FileUpload(Switch):
    """Files in messages."""

    image: ImageUpload = ImageUpload()
    allowed_file_types: Several[str] = ()
    allowed_file_extensions: Several[str] = ()
    allowed_file_upload_methods: Several[TransferMethod] = ()
    number_limits: int = Field(default=3, ge=0, le=100)


class Features(Part):
    """All of them; what is not there is off."""

    opening_statement: str = ""
    suggested_questions: Several[str] = ()
    suggested_questions_after_answer: Switch = Switch()
    speech_to_text: Switch = Switch()
    text_to_speech: Speech = Speech()
    retriever_resource: Switch = Switch()
    sensitive_word_avoidance: Moderation = Moderation()
    file_upload: FileUpload = FileUpload()


def read_features(raw: JSONValue) -> Features:
    """Return the features. Raises InvalidRequest for a value no feature can have."""
    if raw is not None and not isinstance(raw, dict):
        raise InvalidRequest("features must be an object", field="features", fault="invalid_type")
    try:
        return Features.model_validate(raw or {})
    except ValidationError as exc:
        raise to_invalid_request(exc, "features") from None


def draft_hash(graph: JSONObject, features: JSONObject) -> str:
    """Return the mark of a graph and its features: the same in whatever order they are written."""
    text = orjson.dumps({"graph": graph, "features": features}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()
