"""Judgements of an app's messages as a file: what is asked for, and its two formats."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import orjson

from api.controllers.http.parsing import Boolean, Choice, parser, query_field
from api.controllers.schemas.usage import Day
from api.services.feedback_exports import FeedbackChoice, FeedbackExport, FeedbackRecord

CSV, JSON = "csv", "json"
EXPORT_QUERY = parser(
    query_field("from_source", Choice(("user", "admin")), help="Whose: end users', or the team's."),
    query_field("rating", Choice(("like", "dislike"))),
    query_field("has_comment", Boolean(is_text=True), help="Only those with words, or only those without."),
    query_field("start_date", Day(), help="The first day, in the time zone of the account."),
    query_field("end_date", Day(), help="The last day."),
    query_field("format", Choice((CSV, JSON)), help="csv when absent."),
)
CONTENT_TYPES = {CSV: "text/csv; charset=utf-8", JSON: "application/json"}
COLUMNS = (
    "feedback_id",
    "app_name",
    "app_id",
    "conversation_id",
    "conversation_name",
    "message_id",
    "user_query",
    "ai_response",
    "feedback_rating",
    "feedback_rating_raw",
    "feedback_comment",
    "feedback_source",
    "feedback_date",
    "message_date",
    "from_account_name",
    "from_end_user_id",
    "has_comment",
)
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell may begin with that a spreadsheet would work out."""
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackExportIn:
    """Which judgements are wanted, and how."""

    from_source: str | None = None
    rating: str | None = None
    has_comment: bool | None = None
    start_date: date | None = None
    end_date: date | None = None
    format: str = CSV

    def to_choice(self) -> FeedbackChoice:
        """Return which judgements are wanted."""
        return FeedbackChoice(
            source=self.from_source,
            rating=self.rating,
            has_comment=self.has_comment,
            first_day=self.start_date,
            last_day=self.end_date,
        )


def render_export(export: FeedbackExport, form: str) -> Iterator[bytes]:
    """Yield the file of judgements, page by page."""
    return _render_json(export) if form == JSON else _render_csv(export)


def _render_csv(export: FeedbackExport) -> Iterator[bytes]:
    yield (",".join(COLUMNS) + "\r\n").encode()
    for page in export.pages:
        text = io.StringIO()
        writer = csv.writer(text)
        for record in page:
            row = _render_record(export, record)
            writer.writerow(_as_text(row[column]) for column in COLUMNS)
        if page:
            yield text.getvalue().encode()


def _render_json(export: FeedbackExport) -> Iterator[bytes]:
    yield b'{"feedback_data":['
    count = 0
    for page in export.pages:
        text = orjson.dumps([_render_record(export, record) for record in page])[1:-1]
        if text:
            yield b"," + text if count else text
        count += len(page)
    about = {
        "app_id": export.app_id,
        "export_date": datetime.now(UTC).isoformat(timespec="seconds"),
        "total_records": count,
    }
    yield b'],"export_info":' + orjson.dumps(about) + b"}"


def _render_record(export: FeedbackExport, record: FeedbackRecord) -> Mapping[str, str]:
    return {
        "feedback_id": record.id,
        "app_name": export.app_name,
        "app_id": export.app_id,
        "conversation_id": record.conversation_id,
        "conversation_name": record.conversation_name,
        "message_id": record.message_id,
        "user_query": record.query,
        "ai_response": record.answer,
        "feedback_rating": "👍" if record.rating == "like" else "👎",
        "feedback_rating_raw": record.rating,
        "feedback_comment": record.comment,
        "feedback_source": record.source,
        "feedback_date": record.judged_at.strftime(TIME_FORMAT),
        "message_date": record.asked_at.strftime(TIME_FORMAT),
        "from_account_name": record.account_name,
        "from_end_user_id": record.end_user_id,
        "has_comment": "Yes" if record.comment.strip() else "No",
    }


def _as_text(value: str) -> str:
    """Return a cell that a spreadsheet shows as it is: what strangers wrote may look like a formula."""
    return f"'{value}" if value.startswith(FORMULAS) else value
