"""What is told of a dataset beside itself, on the wire."""

from typing import Any
from urllib.parse import urljoin

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject
from api.services.dataset_reports import RelatedApp

TIMES = (
    "processing_started_at",
    "parsing_completed_at",
    "cleaning_completed_at",
    "splitting_completed_at",
    "completed_at",
    "paused_at",
    "stopped_at",
)
RETRIEVAL_METHODS = ("semantic_search", "full_text_search", "hybrid_search")
DATA_MODEL = Model("DatasetReport", {"data": fields.List(fields.Raw)})
COUNTED_MODEL = DATA_MODEL.clone("CountedReport", {"total": fields.Integer})
QUERY_PAGE_MODEL = COUNTED_MODEL.clone(
    "DatasetQueries", {"page": fields.Integer, "limit": fields.Integer, "has_more": fields.Boolean}
)
METHODS_MODEL = Model("RetrievalMethods", {"retrieval_method": fields.List(fields.String)})
BASE_MODEL = Model("APIBase", {"api_base_url": fields.String})
DISABLED_MODEL = Model("AutoDisabled", {"document_ids": fields.List(fields.String), "count": fields.Integer})
MODELS = (DATA_MODEL, COUNTED_MODEL, QUERY_PAGE_MODEL, METHODS_MODEL, BASE_MODEL, DISABLED_MODEL)


def render_query(row: Any) -> JSONObject:
    """Return one search of a dataset, in the words of new consoles and of old ones."""
    return {
        "id": row.id,
        "content": row.content,
        "queries": [{"content_type": "text_query", "content": row.content, "file_info": None}],
        "source": row.source,
        "source_app_id": row.source_app_id,
        "created_by_role": row.created_by_role,
        "created_by": row.created_by,
        "created_at": to_unix(row.created_at),
    }


def render_related_app(found: RelatedApp, base_url: str) -> JSONObject:
    """Return an app that uses a dataset."""
    app = found.app
    return {
        "id": app.id,
        "name": app.name,
        "description": app.description,
        "mode": app.mode,
        "icon_type": app.icon_type,
        "icon": app.icon,
        "icon_background": app.icon_background,
        "icon_url": urljoin(base_url, found.icon_url) if found.icon_url else None,
    }


def render_progress(row: Any) -> JSONObject:
    """Return how the indexing of a document is getting on."""
    return {
        "id": row.id,
        "name": row.name,
        "indexing_status": row.indexing_status,
        "error": row.error,
        "completed_segments": row.completed_segments,
        "total_segments": row.total_segments,
        **{name: to_unix(getattr(row, name)) for name in TIMES},
    }
