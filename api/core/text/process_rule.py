"""How a document becomes segments, as clients say it: what is cleaned away, where it is cut, whether twice.

Boundary: reads what a request or a row holds; cleaning and cutting are done in
``clean.py`` and ``splitter.py``. Wire: ProcessRule of the knowledge API.
"""

import json
from enum import StrEnum
from typing import Any

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from api.core.ports import JSONObject, JSONValue
from api.errors import FaultType, InvalidRequest

MIN_TOKENS = 50
DEFAULT_OVERLAP_TOKENS = 50
DEFAULT_CHILD_TOKENS = 512


class DocForm(StrEnum):
    """What a document's segments are: passages, parents with children, questions with answers."""

    TEXT = "text_model"
    HIERARCHICAL = "hierarchical_model"
    QA = "qa_model"


class Mode(StrEnum):
    """Who decides how to cut."""

    AUTOMATIC = "automatic"
    CUSTOM = "custom"
    HIERARCHICAL = "hierarchical"


class ParentMode(StrEnum):
    """What a parent is: a passage, or the whole document."""

    PARAGRAPH = "paragraph"
    FULL_DOC = "full-doc"


class Cleaning(StrEnum):
    """What may be cleaned away before cutting."""

    EXTRA_SPACES = "remove_extra_spaces"
    URLS_EMAILS = "remove_urls_emails"
    STOPWORDS = "remove_stopwords"


class Part(BaseModel):
    """A part of a rule; unknown keys are dropped, and nulls mean the default."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, raw: object) -> object:
        return (
            {key: value for key, value in raw.items() if value is not None} if isinstance(raw, dict) else raw
        )


class PreProcessingRule(Part):
    """One kind of cleaning, on or off."""

    id: Cleaning
    enabled: bool


class Segmentation(Part):
    """Where to cut: always at ``separator``, and wherever a piece would be above ``max_tokens``.

    ``chunk_overlap`` is in tokens, below ``max_tokens``.
    """

    separator: str = Field(min_length=1, validation_alias=AliasChoices("separator", "delimiter"))
    max_tokens: int
    chunk_overlap: int = Field(
        default_factory=lambda known: min(DEFAULT_OVERLAP_TOKENS, known.get("max_tokens", MIN_TOKENS) - 1),
        ge=0,
    )

    @property
    def literal_separator(self) -> str:
        r"""The separator itself, where a form gave it escaped, such as ``\n\n``."""
        return self.separator.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")

    @field_validator("max_tokens")
    @classmethod
    def _is_within_limits(cls, max_tokens: int, info: ValidationInfo) -> int:
        most = (info.context or {}).get("max_tokens_limit", max_tokens)
        if not MIN_TOKENS <= max_tokens <= most:
            message = "must be between {least} and {most}"
            raise PydanticCustomError("out_of_range", message, {"least": MIN_TOKENS, "most": most})
        return max_tokens

    @field_validator("chunk_overlap")
    @classmethod
    def _is_below_max_tokens(cls, chunk_overlap: int, info: ValidationInfo) -> int:
        if chunk_overlap >= info.data.get("max_tokens", chunk_overlap + 1):
            raise PydanticCustomError("out_of_range", "must be less than max_tokens")
        return chunk_overlap


class ChildSegmentation(Segmentation):
    """Where to cut parents into children, which by default share nothing."""

    chunk_overlap: int = Field(0, ge=0)


class Rules(Part):
    """The parts of a rule that is not automatic."""

    pre_processing_rules: tuple[PreProcessingRule, ...]
    segmentation: Segmentation
    parent_mode: ParentMode = ParentMode.PARAGRAPH
    subchunk_segmentation: ChildSegmentation | None = None


class ProcessRule(Part):
    """A checked rule, complete in every mode."""

    mode: Mode
    rules: Rules

    @property
    def cleaning(self) -> frozenset[Cleaning]:
        """What is cleaned away; the last word on a kind counts."""
        switches = {rule.id: rule.enabled for rule in self.rules.pre_processing_rules}
        return frozenset(kind for kind, is_on in switches.items() if is_on)

    @property
    def segmentation(self) -> Segmentation:
        """How the document is cut."""
        return self.rules.segmentation

    @property
    def child_segmentation(self) -> ChildSegmentation:
        """How parents are cut; by lines where the rule does not say."""
        tokens = min(DEFAULT_CHILD_TOKENS, self.segmentation.max_tokens)
        return self.rules.subchunk_segmentation or ChildSegmentation(separator="\n", max_tokens=tokens)

    @property
    def is_full_doc(self) -> bool:
        """Tell whether the whole document is one parent."""
        return self.mode is Mode.HIERARCHICAL and self.rules.parent_mode is ParentMode.FULL_DOC

    def to_json(self) -> JSONObject:
        """Return the rule as rows keep it and answers show it; ``from_json`` reads it back."""
        shown: JSONObject = self.model_dump(mode="json", exclude_none=True)
        return shown

    @classmethod
    def from_json(cls, stored: JSONObject) -> "ProcessRule":
        """Return a rule that was stored, whatever the limit is by now."""
        return cls.model_validate(stored)


def _make(mode: Mode, *, max_tokens: int) -> ProcessRule:
    cleaning = (
        PreProcessingRule(id=Cleaning.EXTRA_SPACES, enabled=True),
        PreProcessingRule(id=Cleaning.URLS_EMAILS, enabled=False),
    )
    segmentation = Segmentation(separator="\n", max_tokens=max_tokens, chunk_overlap=DEFAULT_OVERLAP_TOKENS)
    return ProcessRule(mode=mode, rules=Rules(pre_processing_rules=cleaning, segmentation=segmentation))


AUTOMATIC = _make(Mode.AUTOMATIC, max_tokens=500)
SUGGESTED = _make(Mode.CUSTOM, max_tokens=1024)
"""What the console's form begins with."""


def load_process_rule(raw: JSONValue, *, max_tokens_limit: int) -> ProcessRule:
    """Return the rule of a request: an object, its JSON text, or nothing for the automatic one.

    ``max_tokens_limit`` is the most tokens a segment may be given. Raises
    InvalidRequest naming the first field at fault.
    """
    if isinstance(raw, str):
        raw = _parse(raw) if raw.strip() else None
    if raw is None:
        return AUTOMATIC
    if not isinstance(raw, dict):
        message = "Process rule must be an object."
        raise InvalidRequest(message, field="process_rule", fault="invalid_type")
    if raw.get("mode") == Mode.AUTOMATIC:
        return AUTOMATIC
    try:
        return ProcessRule.model_validate(raw, context={"max_tokens_limit": max_tokens_limit})
    except ValidationError as exc:
        raise _refusal(exc.errors()[0]) from None


def to_form(rule: ProcessRule, *, max_tokens_limit: int) -> JSONObject:
    """Return a rule with what the console's form needs besides: ``delimiter`` and the limit."""
    form: dict[str, Any] = rule.to_json()
    form["rules"]["segmentation"]["delimiter"] = rule.segmentation.separator
    form["limits"] = {"indexing_max_segmentation_tokens_length": max_tokens_limit}
    return form


def _parse(text: str) -> JSONValue:
    try:
        raw: JSONValue = json.loads(text)
    except (ValueError, RecursionError):
        message = "Process rule is not valid JSON."
        raise InvalidRequest(message, field="process_rule", fault="invalid_format") from None
    return raw


_FAULTS: dict[str, FaultType] = {
    "missing": "required",
    "enum": "invalid_choice",
    "string_too_short": "too_short",
    "out_of_range": "out_of_range",
    "greater_than_equal": "out_of_range",
}


def _refusal(fault: ErrorDetails) -> InvalidRequest:
    """Return the error that names the part of a rule that is at fault."""
    names = [part for part in fault["loc"] if isinstance(part, str)]
    subject = " ".join(names[1:] if len(names) > 1 else names)
    kind = _FAULTS.get(fault["type"], "invalid_type")
    is_absent = kind in ("required", "too_short")
    reason = "is required" if is_absent else fault["msg"].removeprefix("Input ")
    field = ".".join(["process_rule", *map(str, fault["loc"])])
    return InvalidRequest(f"Process rule {subject} {reason}.", field=field, fault=kind)
