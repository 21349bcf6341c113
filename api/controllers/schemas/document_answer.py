"""Documents on the wire as they are shown: in lists, alone, on their way into the index."""

from typing import Any

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.schemas.dataset import DATASET_MODEL, render_dataset
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject, JSONValue
from api.core.text.process_rule import DocForm
from api.services.built_in_fields import BUILT_IN
from api.services.document_batches import Added
from api.services.document_origins import UPLOAD
from api.services.documents import (
    BY_DISPLAY_STATUS,
    DocumentDetail,
    DocumentView,
    IndexingStatus,
    display_status,
)
from api.services.uploads import StoredFile

BUILT_IN_ID = "built-in"
"""Stands where the metadata that are given have the id of their field."""

DOCUMENT_KEYS = {
    "id": fields.String,
    "position": fields.Integer(description="From 1."),
    "data_source_type": fields.String,
    "data_source_info": fields.Raw,
    "data_source_detail_dict": fields.Raw,
    "dataset_process_rule_id": fields.String(nullable=True),
    "name": fields.String,
    "created_from": fields.String(enum=["api", "web"]),
    "created_by": fields.String(nullable=True),
    "created_at": fields.Integer(description="Unix seconds."),
    "tokens": fields.Integer,
    "indexing_status": fields.String,
    "error": fields.String(nullable=True),
    "enabled": fields.Boolean,
    "disabled_at": fields.Integer(nullable=True),
    "disabled_by": fields.String(nullable=True),
    "archived": fields.Boolean,
    "display_status": fields.String(enum=list(BY_DISPLAY_STATUS)),
    "word_count": fields.Integer(description="Characters."),
    "hit_count": fields.Integer,
    "doc_form": fields.String(enum=list(DocForm)),
    "doc_metadata": fields.List(fields.Raw),
    "summary_index_status": fields.String(nullable=True, description="SUMMARIZING, or null."),
    "need_summary": fields.Boolean,
}
DOCUMENT = Model("Document", DOCUMENT_KEYS)
SEED_DOCUMENT = DOCUMENT.clone("UploadedDocument", {"doc_type": fields.String})
DOCUMENT_DETAIL = Model(
    "DocumentDetail",
    {
        **{k: v for k, v in DOCUMENT_KEYS.items() if k not in ("data_source_detail_dict", "word_count")},
        "dataset_process_rule": fields.Raw,
        "document_process_rule": fields.Raw,
        "completed_at": fields.Integer(nullable=True),
        "updated_at": fields.Integer,
        "indexing_latency": fields.Float(nullable=True, description="Seconds."),
        "segment_count": fields.Integer,
        "average_segment_length": fields.Float,
        "doc_type": fields.String(nullable=True),
        "doc_language": fields.String,
    },
)
CREATED = Model("DocumentCreated", {"document": fields.Nested(DOCUMENT), "batch": fields.String})
SEED_CREATED = Model("DocumentUploaded", {"document": fields.Nested(SEED_DOCUMENT), "batch": fields.String})
BATCH = Model(
    "DocumentBatch",
    {
        "dataset": fields.Nested(DATASET_MODEL),
        "documents": fields.List(fields.Nested(DOCUMENT)),
        "batch": fields.String,
    },
)
DOCUMENT_PAGE = Model(
    "DocumentPage",
    {
        "data": fields.List(fields.Nested(DOCUMENT)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)
TIMES = (
    "processing_started_at",
    "parsing_completed_at",
    "cleaning_completed_at",
    "splitting_completed_at",
    "completed_at",
    "paused_at",
    "stopped_at",
)
STATUS = Model(
    "IndexingStatus",
    {
        "id": fields.String,
        "indexing_status": fields.String,
        **{name: fields.Integer(nullable=True) for name in TIMES},
        "error": fields.String(nullable=True),
        "completed_segments": fields.Integer,
        "total_segments": fields.Integer,
    },
)
STATUSES = Model("IndexingStatuses", {"data": fields.List(fields.Nested(STATUS))})
URL = Model(
    "DocumentDownload", {"url": fields.String(description="A signed address, good for some minutes.")}
)
DESCRIBED = Model("DocumentDescribed", {"result": fields.String, "message": fields.String})
SOURCE_FILE = Model(
    "DocumentFile",
    {
        "id": fields.String,
        "name": fields.String,
        "size": fields.Integer(description="Bytes."),
        "extension": fields.String,
        "url": fields.String,
        "download_url": fields.String,
        "mime_type": fields.String,
        "created_by": fields.String,
        "created_at": fields.Integer,
    },
)
MODELS = (
    DOCUMENT,
    SEED_DOCUMENT,
    DOCUMENT_DETAIL,
    CREATED,
    SEED_CREATED,
    BATCH,
    DOCUMENT_PAGE,
    STATUS,
    STATUSES,
    URL,
    DESCRIBED,
    SOURCE_FILE,
)


def render_document(view: DocumentView) -> JSONObject:
    """Return a document as lists show it."""
    row = view.document
    return {
        "id": row.id,
        "position": row.position,
        "data_source_type": row.data_source_type,
        "data_source_info": _render_info(view),
        "data_source_detail_dict": _render_source(view),
        "dataset_process_rule_id": row.process_rule_id,
        "name": row.name,
        "created_from": row.created_from,
        "created_by": row.created_by,
        "created_at": to_unix(row.created_at),
        "tokens": row.tokens,
        "indexing_status": row.indexing_status,
        "error": row.error,
        "enabled": row.enabled,
        "disabled_at": to_unix(row.disabled_at),
        "disabled_by": row.disabled_by,
        "archived": row.archived,
        "display_status": display_status(row),
        "word_count": row.word_count,
        "hit_count": row.hit_count,
        "doc_form": row.doc_form,
        "doc_metadata": _render_metadata(view),
        "summary_index_status": "SUMMARIZING" if view.is_summarizing else None,
        "need_summary": view.needs_summaries,
    }


def _render_info(view: DocumentView) -> JSONObject:
    """Return where a document comes from; the file in which a page's text is kept is ours alone."""
    source = view.document.source
    if view.document.data_source_type == UPLOAD:
        return source
    return {name: value for name, value in source.items() if name != "upload_file_id"}


def _render_source(view: DocumentView) -> JSONObject:
    """Return the same with what is known of an upload."""
    file = view.upload
    if file is None or view.document.data_source_type != UPLOAD:
        return _render_info(view)
    shown: JSONObject = {
        "id": file.id,
        "name": file.name,
        "size": file.size_bytes,
        "extension": file.extension,
        "mime_type": file.mime_type,
        "created_by": file.created_by,
        "created_at": to_unix(file.created_at),
    }
    return {"upload_file": shown}


def _render_metadata(view: DocumentView) -> list[JSONValue]:
    """Return the values given to a document, and those built in where its dataset shows them."""
    values = view.document.doc_metadata or {}
    given: list[JSONValue] = [
        {"id": field.id, "name": field.name, "type": field.type, "value": values.get(field.id)}
        for field in view.fields.values()
        if field.id in values
    ]
    return given + [
        {"id": BUILT_IN_ID, "name": name, "type": BUILT_IN[name], "value": value}
        for name, value in view.built_in.items()
    ]


def render_seed_created(view: DocumentView) -> JSONObject:
    """Return an upload's answer in the seed's words: its extension as type, and queuing for waiting."""
    extension = view.upload.extension if view.upload else None
    said: JSONObject = {"doc_type": extension, "indexing_status": "queuing"}
    return {"document": {**render_document(view), **said}, "batch": view.document.batch}


def render_created(view: DocumentView) -> JSONObject:
    """Return the answer to a document that came in or was replaced."""
    return {"document": render_document(view), "batch": view.document.batch}


def render_batch(added: Added, base_url: str) -> JSONObject:
    """Return the answer to documents that came in together, with the dataset as it is now."""
    return {
        "dataset": render_dataset(added.dataset, base_url),
        "documents": [render_document(view) for view in added.views],
        "batch": added.views[0].document.batch,
    }


def render_detail(detail: DocumentDetail, metadata: str) -> JSONObject:
    """Return a document as its own page shows it: ``all``, ``only`` its metadata, or ``without`` them."""
    row = detail.document
    if metadata == "only":
        return {"id": row.id, "doc_type": row.doc_type, "doc_metadata": _render_metadata(detail)}
    shown: dict[str, Any] = render_document(detail)
    words = shown.pop("word_count")
    source = shown.pop("data_source_detail_dict")
    started, completed = row.processing_started_at, row.completed_at
    latency = (completed - started).total_seconds() if completed and started else None
    shown |= {
        "data_source_info": {**_render_info(detail), **source},
        "dataset_process_rule": detail.dataset_rule,
        "document_process_rule": detail.rule,
        "completed_at": to_unix(completed),
        "updated_at": to_unix(row.updated_at),
        "indexing_latency": latency,
        "segment_count": row.total_segments,
        "average_segment_length": words / row.total_segments if row.total_segments else 0.0,
        "doc_type": row.doc_type,
        "doc_language": row.doc_language,
    }
    if metadata == "without":
        del shown["doc_type"], shown["doc_metadata"]
    return shown


def render_status(status: IndexingStatus) -> JSONObject:
    """Return where a document's indexing stands."""
    row = status.document
    return {
        "id": row.id,
        "indexing_status": row.indexing_status,
        **{name: to_unix(getattr(row, name)) for name in TIMES},
        "error": row.error,
        "completed_segments": row.completed_segments,
        "total_segments": row.total_segments,
    }


def render_source_file(file: StoredFile, url: str, download_url: str) -> JSONObject:
    """Return the file a document was made of; both addresses are signed."""
    return {
        "id": file.id,
        "name": file.name,
        "size": file.size_bytes,
        "extension": file.extension,
        "url": url,
        "download_url": download_url,
        "mime_type": file.mime_type,
        "created_by": file.created_by,
        "created_at": to_unix(file.created_at),
    }
