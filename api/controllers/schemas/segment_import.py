"""Imports of segments on the wire."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, json_field, parser
from api.core.ports import JSONObject
from api.services.segment_imports import ImportView


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportIn:
    """The table to import."""

    upload_file_id: str


IMPORT = parser(json_field("upload_file_id", UUID(), required=True, help="An uploaded CSV file."))
IMPORT_MODEL = Model(
    "SegmentImport",
    {
        "job_id": fields.String,
        "job_status": fields.String(enum=["waiting", "processing", "completed", "error"]),
        "imported_segments": fields.Integer,
        "error": fields.String(nullable=True),
    },
)


def render_import(view: ImportView) -> JSONObject:
    """Return how far an import is."""
    row = view.row
    return {
        "job_id": row.id,
        "job_status": row.status,
        "imported_segments": row.rows_done,
        "error": row.error,
    }
