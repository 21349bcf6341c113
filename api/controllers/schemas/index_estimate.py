"""Estimates of indexing on the wire."""

from dataclasses import dataclass
from typing import Any

from flask_restx import Model, fields

from api.controllers.http.parsing import UUID, json_field, parser
from api.controllers.schemas.document import INFO_LIST, SettingsIn, settings_fields
from api.core.ports import JSONObject
from api.services.index_estimates import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateIn(SettingsIn):
    """Uploads and how they would be processed; the dataset they are meant for makes no difference."""

    info_list: dict[str, Any]
    dataset_id: str | None = None

    @property
    def file_ids(self) -> list[str]:
        """The uploads."""
        return list(self.info_list["file_info_list"]["file_ids"])


ESTIMATE_OF = parser(
    json_field("info_list", INFO_LIST, required=True),
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
