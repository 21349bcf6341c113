"""Apps as files on the wire: what is imported, what became of it, what an app lacks."""

from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Boolean, Choice, Text, json_field, parser, query_field
from api.controllers.schemas.app import LOOKS, NAME
from api.core.dsl.versions import CURRENT_VERSION
from api.core.ports import JSONObject
from api.services.app_imports import Import

STATUS_CODES = {"completed": 200, "completed-with-warnings": 200, "pending": 202, "failed": 400}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportIn:
    """What of an app to export."""

    include_secret: bool = False
    workflow_id: str | None = None


EXPORT = parser(
    query_field("include_secret", Boolean(is_text=True), help="Secrets too; needs the role owner."),
    query_field("workflow_id", Text(), help="A published version; the draft when absent."),
)
IMPORT = parser(
    json_field("mode", Choice(("yaml-content", "yaml-url")), required=True),
    json_field("yaml_content", Text(), nullable=True, help="The file; at most 10 MB."),
    json_field("yaml_url", Text(max_length=2048), nullable=True, help="Where the file is, by http(s)."),
    json_field("name", NAME, nullable=True, help="In place of the file's; numbered where it is taken."),
    *LOOKS,
    json_field("app_id", Text(), nullable=True, help="The app whose draft the file takes the place of."),
)

EXPORTED = Model("AppExport", {"data": fields.String(description="YAML.")})
NEED = Model(
    "AppNeed",
    {
        "kind": fields.String(enum=["model", "tool", "dataset"]),
        "provider": fields.String,
        "name": fields.String,
    },
)
IMPORTED = Model(
    "AppImport",
    {
        "id": fields.String,
        "status": fields.String(enum=list(STATUS_CODES)),
        "app_id": fields.String(nullable=True, description="Null where there is no app, or not yet."),
        "app_mode": fields.String(nullable=True),
        "current_dsl_version": fields.String,
        "imported_dsl_version": fields.String,
        "error": fields.String,
        "missing": fields.List(fields.Nested(NEED), description="What the workspace does not have."),
    },
)
DEPENDENCIES = Model(
    "AppDependencies",
    {"leaked_dependencies": fields.List(fields.Raw), "missing": fields.List(fields.Nested(NEED))},
)


def render_import(done: Import) -> JSONObject:
    """Return what became of a file."""
    return {
        "id": done.id,
        "status": done.status,
        "app_id": done.app_id,
        "app_mode": done.app_mode,
        "current_dsl_version": CURRENT_VERSION,
        "imported_dsl_version": done.version,
        "error": done.error,
        "missing": [dict(need.to_json()) for need in done.missing],
    }
