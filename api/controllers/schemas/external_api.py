"""External knowledge APIs on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Object, Text, json_field, parser, query_field
from api.controllers.schemas.dataset import NAME
from api.controllers.schemas.fields import PageIn, page_fields, to_unix
from api.controllers.schemas.retrieval import MAX_QUERY_CHARS, render_hit_test
from api.core.ports import JSONObject, JSONValue
from api.core.rag.external import ExternalRecord
from api.errors import InvalidRequest
from api.services.external_apis import MASK, ExternalAPIView
from api.services.retrieval import HitTest


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalListIn(PageIn):
    """Which external APIs to list."""

    keyword: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsIn:
    """Where an external API answers, and the key it knows us by."""

    endpoint: str
    api_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAPIIn:
    """An external API."""

    name: str
    settings: SettingsIn
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalSearchIn:
    """A search; without ``external_retrieval_model`` as the dataset says."""

    query: str
    external_retrieval_model: JSONObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAnswerIn:
    """A search in the words of the protocol."""

    knowledge_id: str
    query: str
    retrieval_setting: JSONObject
    metadata_condition: JSONObject | None = None


def _condition(value: object) -> JSONObject:
    """Return the protocol's conditions as ours; theirs name a list of fields each, of which we take one."""
    said = Object()(value)
    conditions = said.get("conditions")
    if not isinstance(conditions, list):
        return said
    return {**said, "conditions": [_with_one_name(each) for each in conditions]}


def _with_one_name(condition: JSONValue) -> JSONValue:
    if isinstance(condition, dict):
        names = condition.get("name")
        if isinstance(names, list) and len(names) == 1:
            return {**condition, "name": names[0]}
    return condition


_condition.__schema__ = {"type": "object"}  # type: ignore[attr-defined]  # read by restx


def _settings(value: object) -> SettingsIn:
    said = Object()(value)
    found = {}
    for key in ("endpoint", "api_key"):
        text = said.get(key)
        if not isinstance(text, str) or not text.strip():
            raise InvalidRequest(f"The value needs {key!r}, a text", fault="required")
        found[key] = text.strip()
    return SettingsIn(endpoint=found["endpoint"], api_key=found["api_key"])


_settings.__schema__ = {  # type: ignore[attr-defined]  # read by restx
    "type": "object",
    "properties": {"endpoint": {"type": "string"}, "api_key": {"type": "string"}},
}

EXTERNAL_LIST = parser(*page_fields(), query_field("keyword", Text(), help="Part of the name."))
EXTERNAL_API = parser(
    json_field("name", NAME, required=True, help="1 to 40 characters."),
    json_field("description", Text(max_length=400), nullable=True),
    json_field("settings", _settings, required=True, help="endpoint, api_key."),
)
EXTERNAL_API_MODEL = Model(
    "ExternalKnowledgeAPI",
    {
        "id": fields.String,
        "tenant_id": fields.String,
        "name": fields.String,
        "description": fields.String,
        "settings": fields.Raw,
        "dataset_bindings": fields.List(fields.Raw),
        "created_by": fields.String,
        "created_at": fields.Integer,
    },
)
EXTERNAL_PAGE_MODEL = Model(
    "ExternalKnowledgeAPIs",
    {
        "data": fields.List(fields.Nested(EXTERNAL_API_MODEL)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)
EXTERNAL_USE_MODEL = Model("ExternalUse", {"is_using": fields.Boolean, "count": fields.Integer})


EXTERNAL_SEARCH = parser(
    json_field("query", Text(min_length=1, max_length=MAX_QUERY_CHARS, needs_content=True), required=True),
    json_field(
        "external_retrieval_model", Object(), nullable=True, help="The dataset's own settings when absent."
    ),
)
EXTERNAL_ANSWER = parser(
    json_field("knowledge_id", Text(min_length=1, max_length=255), required=True, help="A dataset's id."),
    json_field("query", Text(min_length=1, needs_content=True), required=True),
    json_field("retrieval_setting", Object(), required=True, help="top_k, score_threshold."),
    json_field("metadata_condition", _condition, nullable=True),
)
EXTERNAL_RECORD_MODEL = Model(
    "ExternalRecord",
    {
        "content": fields.String,
        "score": fields.Float(description="The service's own; higher is nearer."),
        "title": fields.String,
        "metadata": fields.Raw,
    },
)
EXTERNAL_FOUND_MODEL = Model(
    "ExternalRetrieval",
    {"query": fields.Raw, "records": fields.List(fields.Nested(EXTERNAL_RECORD_MODEL))},
)
EXTERNAL_ANSWER_MODEL = Model(
    "ExternalAnswer", {"records": fields.List(fields.Nested(EXTERNAL_RECORD_MODEL))}
)
MODELS = (
    EXTERNAL_ANSWER_MODEL,
    EXTERNAL_API_MODEL,
    EXTERNAL_PAGE_MODEL,
    EXTERNAL_USE_MODEL,
    EXTERNAL_RECORD_MODEL,
    EXTERNAL_FOUND_MODEL,
)


def render_found(query: str, records: Sequence[ExternalRecord]) -> JSONObject:
    """Return what a service found for a query, best first."""
    return {"query": {"content": query}, **render_records(records)}


def render_hits(query: str, found: HitTest | Sequence[ExternalRecord]) -> JSONObject:
    """Return what a dataset found, best first: segments of ours, or the records of a service."""
    return render_hit_test(found) if isinstance(found, HitTest) else render_found(query, found)


def render_records(records: Sequence[ExternalRecord]) -> JSONObject:
    """Return records as the protocol has them, best first."""
    return {
        "records": [
            {
                "content": record.content,
                "score": record.score,
                "title": record.title,
                "metadata": dict(record.metadata),
            }
            for record in records
        ]
    }


def render_external_api(view: ExternalAPIView) -> JSONObject:
    """Return an external API; its key is masked."""
    row = view.api
    return {
        "id": row.id,
        "tenant_id": row.tenant_id,
        "name": row.name,
        "description": row.description,
        "settings": {"endpoint": row.endpoint, "api_key": MASK},
        "dataset_bindings": [{"id": each.id, "name": each.name} for each in view.bindings],
        "created_by": row.created_by,
        "created_at": to_unix(row.created_at),
    }
