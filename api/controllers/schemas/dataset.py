"""Datasets on the wire: what clients send of one, and the shape both APIs show it in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Unpack
from urllib.parse import urljoin

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    UUID,
    Boolean,
    Choice,
    Items,
    Object,
    Text,
    json_field,
    parser,
    query_field,
)
from api.controllers.schemas.fields import (
    PageIn,
    capped_page_fields,
    page_fields,
    split_commas,
    to_unix,
)
from api.core.ports import JSONObject
from api.services.dataset_views import DatasetFilter, DatasetView
from api.services.datasets import DatasetChanges
from api.services.tags import Label

PERMISSIONS = ("only_me", "all_team_members", "partial_members")
TECHNIQUES = ("high_quality", "economy")
NAME = Text(min_length=1, max_length=40, is_trimmed=True)
SHORT = Text(max_length=255)
NO_ICON: JSONObject = {"icon_type": "emoji", "icon": "📙", "icon_background": "#FFF4ED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetListIn(PageIn):
    """Which datasets to list; lists of ids come repeated, with commas, or both."""

    keyword: str = ""
    tag_ids: Sequence[str] = field(default_factory=list)
    ids: Sequence[str] = field(default_factory=list)
    include_all: bool = False
    is_created_by_me: bool = False

    @property
    def chosen(self) -> DatasetFilter:
        """What is asked for, without the page."""
        return DatasetFilter(
            keyword=self.keyword,
            tag_ids=split_commas(self.tag_ids),
            ids=split_commas(self.ids),
            include_all=self.include_all,
            is_created_by_me=self.is_created_by_me,
        )


def _member(value: object) -> object:
    """Return the account id of a member, which comes alone or as ``{"user_id": …}``."""
    return UUID()(value.get("user_id") if isinstance(value, dict) else value)


_member.__schema__ = {"type": "object", "properties": {"user_id": UUID.__schema__}}  # type: ignore[attr-defined]  # read by restx


def _technique(value: object) -> str | None:
    """Return a technique; a blank, which the console sends, names none."""
    return None if value == "" else Choice(TECHNIQUES)(value)


_technique.__schema__ = Choice(TECHNIQUES).__schema__  # type: ignore[attr-defined]  # read by restx

OPTIONAL = (
    json_field("description", Text(max_length=400), nullable=True, help="At most 400 characters."),
    json_field(
        "indexing_technique", _technique, nullable=True, help="Set by the first document when absent."
    ),
    json_field("permission", Choice(PERMISSIONS), nullable=True, help="only_me when absent."),
    json_field(
        "partial_member_list",
        Items(item=_member),
        nullable=True,
        help="Who may use it, with the permission partial_members: [{user_id}].",
    ),
    json_field("embedding_model_provider", SHORT, nullable=True, help="The workspace's default when absent."),
    json_field("embedding_model", SHORT, nullable=True, help="The workspace's default when absent."),
    json_field(
        "retrieval_model", Object(), nullable=True, help="How it is searched where nothing else is said."
    ),
    json_field("external_knowledge_api_id", UUID(may_be_blank=True), nullable=True),
    json_field(
        "external_knowledge_id", SHORT, nullable=True, help="The external API's own id of the knowledge."
    ),
    json_field("external_retrieval_model", Object(), nullable=True),
    json_field("icon_info", Object(), nullable=True, help="icon_type, icon, icon_background."),
    json_field("summary_index_setting", Object(), nullable=True),
)
_FILTERS = (
    query_field("keyword", Text(), help="Part of the name, whatever its case."),
    query_field("tag_ids", Text(), action="append", help="Only datasets with all of these tags."),
    query_field("ids", Text(), action="append", help="Only these datasets."),
    query_field("include_all", Boolean(is_text=True), help="Owners: also what others keep to themselves."),
    query_field("is_created_by_me", Boolean(is_text=True), help="Only datasets the caller made."),
)
DATASET_LIST = parser(*page_fields(), *_FILTERS)
DATASET_LIST_CAPPED = parser(*capped_page_fields(), *_FILTERS)
NEW_DATASET = parser(
    json_field("name", NAME, required=True, help="1 to 40 characters, unique in the workspace."),
    json_field("provider", Choice(("vendor", "external")), help="vendor when absent."),
    *OPTIONAL,
)
DATASET_CHANGES = parser(
    json_field("name", NAME, help="1 to 40 characters, unique in the workspace."), *OPTIONAL
)


class NewDatasetIn:
    """A new dataset: what it is to hold, and where its passages are kept."""

    def __init__(self, *, provider: str = "vendor", **wanted: Unpack[DatasetChanges]) -> None:
        self.provider = provider
        self.wanted = wanted


LABEL_MODEL = Model("Label", {"id": fields.String, "name": fields.String, "type": fields.String})
EXTERNAL_INFO_MODEL = Model(
    "ExternalKnowledgeInfo",
    {
        "external_knowledge_id": fields.String(nullable=True),
        "external_knowledge_api_id": fields.String(nullable=True),
        "external_knowledge_api_name": fields.String(nullable=True),
        "external_knowledge_api_endpoint": fields.String(nullable=True),
    },
)
ICON_MODEL = Model(
    "DatasetIcon",
    {
        "icon_type": fields.String(nullable=True),
        "icon": fields.String(nullable=True),
        "icon_background": fields.String(nullable=True),
        "icon_url": fields.String(nullable=True),
    },
)
DATASET_MODEL = Model(
    "Dataset",
    {
        "id": fields.String,
        "name": fields.String,
        "description": fields.String,
        "provider": fields.String(enum=["vendor", "external"]),
        "permission": fields.String(enum=PERMISSIONS),
        "data_source_type": fields.String(nullable=True),
        "indexing_technique": fields.String(nullable=True),
        "app_count": fields.Integer,
        "document_count": fields.Integer,
        "word_count": fields.Integer,
        "created_by": fields.String(nullable=True),
        "author_name": fields.String(nullable=True),
        "created_at": fields.Integer,
        "updated_by": fields.String(nullable=True),
        "updated_at": fields.Integer,
        "embedding_model": fields.String(nullable=True),
        "embedding_model_provider": fields.String(nullable=True),
        "embedding_available": fields.Boolean,
        "retrieval_model_dict": fields.Raw,
        "summary_index_setting": fields.Raw(nullable=True),
        "tags": fields.List(fields.Nested(LABEL_MODEL)),
        "doc_form": fields.String(nullable=True),
        "external_knowledge_info": fields.Nested(EXTERNAL_INFO_MODEL),
        "external_retrieval_model": fields.Raw(nullable=True),
        "doc_metadata": fields.List(fields.Nested(LABEL_MODEL)),
        "built_in_field_enabled": fields.Boolean,
        "pipeline_id": fields.String(nullable=True),
        "runtime_mode": fields.String,
        "chunk_structure": fields.String(nullable=True),
        "icon_info": fields.Nested(ICON_MODEL),
        "is_published": fields.Boolean,
        "total_documents": fields.Integer,
        "total_available_documents": fields.Integer,
        "enable_api": fields.Boolean,
        "is_multimodal": fields.Boolean,
        "partial_member_list": fields.List(fields.String, nullable=True),
    },
)
DATASET_PAGE_MODEL = Model(
    "DatasetPage",
    {
        "data": fields.List(fields.Nested(DATASET_MODEL)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)
IN_USE_MODEL = Model("DatasetUse", {"is_using": fields.Boolean})
MODELS = (LABEL_MODEL, EXTERNAL_INFO_MODEL, ICON_MODEL, DATASET_MODEL, DATASET_PAGE_MODEL)


def render_dataset(view: DatasetView, base_url: str) -> JSONObject:
    """Return a dataset as lists and its own page show it; ``base_url`` is where clients reach this server."""
    row = view.dataset
    is_partial = row.permission == "partial_members"
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "provider": row.provider,
        "permission": row.permission,
        "data_source_type": row.data_source_type,
        "indexing_technique": row.indexing_technique,
        "app_count": view.app_count,
        "document_count": view.counts.documents,
        "word_count": view.counts.words,
        "created_by": row.created_by,
        "author_name": view.author,
        "created_at": to_unix(row.created_at),
        "updated_by": row.updated_by,
        "updated_at": to_unix(row.updated_at),
        "embedding_model": row.embedding_model,
        "embedding_model_provider": view.embedding_provider,
        "embedding_available": view.is_embedding_available,
        "retrieval_model_dict": view.retrieval_model,
        "summary_index_setting": row.summary_index_setting,
        "tags": [render_label(tag) for tag in view.tags],
        "doc_form": row.doc_form,
        "external_knowledge_info": _render_external(view),
        "external_retrieval_model": view.external_retrieval_model,
        "doc_metadata": [render_label(each) for each in view.fields],
        "built_in_field_enabled": row.built_in_field_enabled,
        "pipeline_id": None,
        "runtime_mode": "general",
        "chunk_structure": None,
        "icon_info": _render_icon(view, base_url),
        "is_published": True,
        "total_documents": view.counts.documents,
        "total_available_documents": view.counts.available,
        "enable_api": row.enable_api,
        "is_multimodal": False,
        "partial_member_list": list(view.members) if is_partial else None,
    }


def render_label(label: Label) -> JSONObject:
    """Return a tag or a metadata field."""
    return {"id": label.id, "name": label.name, "type": label.type}


def _render_external(view: DatasetView) -> JSONObject:
    return {
        "external_knowledge_id": view.dataset.external_knowledge_id,
        "external_knowledge_api_id": view.dataset.external_api_id,
        "external_knowledge_api_name": view.external_api_name,
        "external_knowledge_api_endpoint": view.external_api_endpoint,
    }


def _render_icon(view: DatasetView, base_url: str) -> JSONObject:
    url = urljoin(base_url, view.icon_url) if view.icon_url else None
    return {**NO_ICON, **(view.dataset.icon_info or {}), "icon_url": url}
