"""Estimates of indexing on the wire."""

from dataclasses import dataclass
from typing import Any

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, json_field, parser
from api.controllers.schemas.document import SettingsIn, settings_fields
from api.controllers.schemas.document_origin import INFO_LIST, NOTION_LIST, to_notion_pages, to_origin
from api.core.ports import JSONObject
from api.services.document_origins import Origin
from api.services.index_estimates import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateIn(SettingsIn):
    """What documents would be made of, and how; the dataset they are meant for makes no difference."""

    info_list: dict[str, Any]
    dataset_id: str | None = None

    @property
    def origin(self) -> Origin:
        """The same for the service; raises InvalidRequest where the list of its type is missing."""
        return to_origin(self.info_list)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotionEstimateIn(SettingsIn):
    """The same of pages of Notion alone."""

    notion_info_list: tuple[dict[str, Any], ...]
    dataset_id: str | None = None

    @property
    def origin(self) -> Origin:
        """The same for the service."""
        return to_notion_pages(self.notion_info_list)


ESTIMATE_OF = parser(
    json_field("info_list", INFO_LIST, required=True),
    json_field("dataset_id", UUID(may_be_blank=True), nullable=True),
    *settings_fields(),
)
NOTION_ESTIMATE_OF = parser(
    json_field("notion_info_list", NOTION_LIST, required=True),
    json_field("dataset_id", UUID(may_be_blank=True), nullable=True),
    *settings_fields(),
)
ESTIMATE = Model(
    "IndexingEstimate",
    {
        "total_segments": fields.Integer,
        "tokens": fields.Integer,
        "preview": fields.List(fields.Raw, description="The first 10."),
        "qa_preview": fields.List(fields.Raw),
    },
)


def render_estimate(estimate: Estimate) -> JSONObject:
    """Return an estimate with the first passages, or the first questions and answers."""
    return {
        "total_segments": estimate.total_segments,
        "tokens": estimate.tokens,
        "preview": [
            {"content": passage.text, "child_chunks": list(passage.children), "summary": None}
            for passage in estimate.preview
        ],
        "qa_preview": [{"question": pair.text, "answer": pair.answer} for pair in estimate.pairs],
    }
