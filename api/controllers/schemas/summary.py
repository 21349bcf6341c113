"""Summaries of segments on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, Items, json_field, parser
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject
from api.errors import InvalidRequest
from api.services.summaries import SummaryReport, SummaryView

PREVIEW_CHARS = 100
WORDS = {None: "not_started", "waiting": "generating", "completed": "completed", "error": "error"}
"""What clients call the statuses we keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummariesIn:
    """Documents whose segments are to be summarised; both names are known."""

    document_list: Sequence[str] | None = None
    document_ids: Sequence[str] | None = None

    @property
    def ids(self) -> Sequence[str]:
        """All that are named; raises InvalidRequest for none."""
        found = [*(self.document_list or ()), *(self.document_ids or ())]
        if not found:
            message = "Parameter 'document_list' is required"
            raise InvalidRequest(message, field="document_list", fault="required")
        return found


_IDS = Items(item=UUID(), max_items=100)
SUMMARIES = parser(
    json_field("document_list", _IDS, nullable=True, help="Ids of documents, at most 100."),
    json_field("document_ids", _IDS, nullable=True, help="The same under another name."),
)
COUNTS_MODEL = Model("SummaryCounts", dict.fromkeys(WORDS.values(), fields.Integer))
SUMMARY_MODEL = Model(
    "SegmentSummary",
    {
        "segment_id": fields.String,
        "segment_position": fields.Integer,
        "status": fields.String(enum=list(WORDS.values())),
        "summary_preview": fields.String(nullable=True, description="Its first 100 characters."),
        "error": fields.String(nullable=True),
        "created_at": fields.Integer(nullable=True),
        "updated_at": fields.Integer(nullable=True),
    },
)
REPORT_MODEL = Model(
    "SummaryStatus",
    {
        "total_segments": fields.Integer,
        "summary_status": fields.Nested(COUNTS_MODEL),
        "summaries": fields.List(fields.Nested(SUMMARY_MODEL), description="Of the first 1,000 segments."),
    },
)
MODELS = (COUNTS_MODEL, SUMMARY_MODEL, REPORT_MODEL)


def render_report(report: SummaryReport) -> JSONObject:
    """Return where the summaries of a document stand."""
    return {
        "total_segments": sum(report.counts.values()),
        "summary_status": {word: report.counts.get(status, 0) for status, word in WORDS.items()},
        "summaries": [_render_summary(view) for view in report.views],
    }


def _render_summary(view: SummaryView) -> JSONObject:
    segment, summary = view.segment, view.summary
    return {
        "segment_id": segment.id,
        "segment_position": segment.position,
        "status": WORDS[segment.summary_status],
        "summary_preview": summary.content[:PREVIEW_CHARS] if summary else None,
        "error": segment.summary_error,
        "created_at": to_unix(summary.created_at) if summary else None,
        "updated_at": to_unix(summary.updated_at) if summary else None,
    }
