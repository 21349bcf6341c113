"""Documents on the wire: what is sent of one, in a form or as JSON, which of them are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from werkzeug.datastructures import FileStorage

from api.controllers.http.parsing import (
    UUID,
    Choice,
    Field,
    Items,
    Object,
    Text,
    form_field,
    json_field,
    parser,
    query_field,
)
from api.controllers.schemas.document_origin import INFO_LIST, to_origin
from api.controllers.schemas.fields import PageIn, capped_page_fields, page_fields
from api.controllers.schemas.shapes import Check, JSONText, Shape, Words
from api.core.ports import JSONObject, JSONValue
from api.core.text.process_rule import DocForm
from api.errors import InvalidRequest
from api.services.document_batches import Batch
from api.services.document_settings import DocumentSettings
from api.services.document_sources import to_text_file
from api.services.document_types import TYPES
from api.services.documents import BY_DISPLAY_STATUS, ORDERS, DocumentFilter
from api.services.uploads import IncomingFile

MAX_NAME_CHARS = 255
MAX_TOLD = 50
TECHNIQUE = Choice(("high_quality", "economy"))
FORM = Choice(tuple(DocForm))
NAME = Text(min_length=1, max_length=MAX_NAME_CHARS, is_trimmed=True)
TEXT = Text(needs_content=True)
LANGUAGE = Text(min_length=1, max_length=255)
MODEL = Text(min_length=1, max_length=255)
IDS = Items(item=UUID(), max_items=1000)
FEW_IDS = Items(item=UUID(), min_items=1, max_items=100)


def process_rule(value: object) -> JSONValue:
    """Return a process rule as it was sent, an object or its JSON text; the service checks what is in it."""
    return value if isinstance(value, str) else Object()(value)


process_rule.__schema__ = {"type": "object"}  # type: ignore[attr-defined]  # restx documents the parameter by it


def described(value: object) -> JSONObject:
    """Return what is told of a document by name, the names without surrounding space."""
    said = {name.strip(): told for name, told in Object()(value).items()}
    if len(said) > MAX_TOLD or not all(0 < len(name) <= MAX_NAME_CHARS for name in said):
        message = f"The value must have at most {MAX_TOLD} names of 1 to {MAX_NAME_CHARS} characters"
        raise InvalidRequest(message, fault="too_long")
    return said


described.__schema__ = {"type": "object"}  # type: ignore[attr-defined]  # restx documents the parameter by it

SETTINGS: dict[str, Check] = {
    "indexing_technique": TECHNIQUE,
    "doc_form": FORM,
    "doc_language": LANGUAGE,
    "process_rule": process_rule,
    "retrieval_model": Object(),
    "embedding_model": MODEL,
    "embedding_model_provider": MODEL,
    "summary_index_setting": Object(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsIn:
    """How documents are to be processed, as requests of any kind say it."""

    indexing_technique: str | None = None
    doc_form: str | None = None
    doc_language: str | None = None
    process_rule: JSONValue = None
    retrieval_model: JSONObject | None = None
    embedding_model: str | None = None
    embedding_model_provider: str | None = None
    summary_index_setting: JSONObject | None = None

    @property
    def settings(self) -> DocumentSettings:
        """The same for the service."""
        return DocumentSettings(**{name: getattr(self, name) for name in SETTINGS})


@dataclass(frozen=True, slots=True, kw_only=True)
class FormIn(SettingsIn):
    """The fields of a form, and those of its part ``data``."""

    name: str | None = None
    original_document_id: str | None = None
    data: JSONObject | None = None

    @property
    def merged(self) -> "FormIn":
        """The fields, those of ``data`` where the form has none of the name."""
        own = {name: getattr(self, name) for name in FORM_FIELDS if getattr(self, name) is not None}
        within: dict[str, Any] = self.data or {}
        return FormIn(**{**within, **own})


@dataclass(frozen=True, slots=True, kw_only=True)
class TextIn(SettingsIn):
    """A document as text."""

    name: str
    text: str
    original_document_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChangeIn(SettingsIn):
    """What of a document is to be another."""

    name: str | None = None
    text: str | None = None

    @property
    def file(self) -> IncomingFile | None:
        """The text as the file it is kept as; raises InvalidRequest for one without a name."""
        if self.text is None:
            return None
        if self.name is None:
            raise InvalidRequest("Parameter 'name' is required", field="name", fault="required")
        return to_text_file(self.name, self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchIn(SettingsIn):
    """What documents are to be made of."""

    data_source: dict[str, Any]
    original_document_id: str | None = None
    name: str | None = None

    @property
    def batch(self) -> Batch:
        """The same for the service; raises InvalidRequest where the list of its type is missing."""
        return Batch(
            origin=to_origin(self.data_source["info_list"]),
            settings=self.settings,
            name=self.name,
            original_document_id=self.original_document_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentListIn(PageIn):
    """Which documents to list."""

    keyword: str = ""
    sort: str = "-created_at"
    status: str | None = None

    @property
    def chosen(self) -> DocumentFilter:
        """The same for the service."""
        return DocumentFilter(keyword=self.keyword.strip(), status=self.status or None, sort=self.sort)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdsIn:
    """Documents named in a body."""

    document_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryIdsIn:
    """Documents named in a query."""

    document_id: Sequence[tuple[str, ...]] = ()

    @property
    def ids(self) -> list[str]:
        """All that are named."""
        return list(chain.from_iterable(self.document_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class NameIn:
    """A document's new name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionIn:
    """What a document is, and what is told of it by name."""

    doc_type: str
    doc_metadata: dict[str, JSONValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleIn:
    """Whose process rule is asked for."""

    document_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataIn:
    """Which part of a document is asked for."""

    metadata: str = "all"


OPTIONAL_ID = UUID(may_be_blank=True)
FORM_FIELDS: dict[str, Check] = {**SETTINGS, "name": NAME, "original_document_id": OPTIONAL_ID}
_FORM_HELP = {
    "process_rule": "A JSON object as text; the automatic rule when absent.",
    "doc_form": "One form a dataset; text_model when absent.",
    "doc_language": "English when absent.",
    "retrieval_model": "A JSON object as text, taken over by a dataset that has none.",
    "embedding_model": "The workspace's own when absent.",
    "embedding_model_provider": "The provider of embedding_model.",
    "summary_index_setting": "A JSON object as text, taken over by a dataset that has none.",
    "name": "That of the file when absent.",
    "indexing_technique": "Needed by the first document of a dataset.",
    "original_document_id": "The document that is replaced; it keeps its id.",
}
FORM_TYPES: dict[str, Check] = {
    **FORM_FIELDS,
    "process_rule": Text(),
    "retrieval_model": JSONText(),
    "summary_index_setting": JSONText(),
}
DOCUMENT_FORM = parser(
    *(form_field(name, check, help=_FORM_HELP[name]) for name, check in FORM_TYPES.items()),
    form_field("data", JSONText(Shape(optional=FORM_FIELDS)), help="The same fields as one JSON object."),
)
_FILE = Field("file", type=FileStorage, location="files", required=True, help="The file, exactly one.")
DOCUMENT_UPLOAD = DOCUMENT_FORM.copy().add_argument(_FILE)
"""The upload as it is documented; the file itself is taken by controllers/http/uploads.py."""
DOCUMENT_UPLOAD_CHANGE = DOCUMENT_FORM.copy().add_argument(
    Field("file", type=FileStorage, location="files", help="The file that takes the place of the other.")
)


def settings_fields() -> tuple[Field, ...]:
    """Return the fields of a JSON body that say how documents are processed."""
    return tuple(json_field(name, check, nullable=True) for name, check in SETTINGS.items())


DOCUMENT_TEXT = parser(
    json_field("name", NAME, required=True),
    json_field("text", TEXT, required=True),
    json_field("original_document_id", OPTIONAL_ID, nullable=True),
    *settings_fields(),
)
DOCUMENT_TEXT_CHANGE = parser(
    json_field("name", NAME, nullable=True), json_field("text", TEXT, nullable=True), *settings_fields()
)
BATCH = parser(
    json_field("data_source", Shape(required={"info_list": INFO_LIST}), required=True),
    json_field("original_document_id", OPTIONAL_ID, nullable=True),
    json_field("name", NAME, nullable=True),
    *settings_fields(),
)
_FILTERS = (
    query_field("keyword", Text(), help="Part of the name, whatever its case."),
    query_field("sort", Choice(tuple(ORDERS)), help="-created_at when absent."),
    query_field("status", Choice((*BY_DISPLAY_STATUS, "")), help="A display_status."),
)
DOCUMENT_LIST = parser(*page_fields(20), *_FILTERS)
DOCUMENT_LIST_CAPPED = parser(*capped_page_fields(), *_FILTERS)
DOCUMENT_IDS = parser(json_field("document_ids", IDS, required=True))
ARCHIVE = parser(json_field("document_ids", FEW_IDS, required=True))
QUERY_IDS = parser(query_field("document_id", Words(check=UUID()), required=True, action="append"))
RENAME = parser(json_field("name", NAME, required=True))
DESCRIPTION = parser(
    json_field("doc_type", Choice(TYPES), required=True),
    json_field("doc_metadata", described, required=True, help="Values by the names of fields."),
)
RULE_OF = parser(query_field("document_id", OPTIONAL_ID))
METADATA = parser(query_field("metadata", Text(), help="all, only or without."))
