"""Pipelines of knowledge on the wire, as clients expect to find none."""

from flask_restx import fields

from api.controllers.http.model import Model
from api.core.ports import JSONObject

RUN_KEYS = ("datasource_info", "datasource_type", "input_data", "datasource_node_id")
TEMPLATES = Model("PipelineTemplates", {"pipeline_templates": fields.List(fields.Raw)})
DATA_SOURCES = Model("DataSourcePlugins", {"result": fields.List(fields.Raw)})
RUN_LOG = Model("PipelineRunLog", {key: fields.Raw(nullable=True) for key in RUN_KEYS})
MODELS = (TEMPLATES, DATA_SOURCES, RUN_LOG)


def render_no_run() -> JSONObject:
    """Return the log of a document that no pipeline made."""
    return dict.fromkeys(RUN_KEYS)
