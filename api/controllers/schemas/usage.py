"""What models were used for: the rows of the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import UUID, parser, query_field
from api.controllers.schemas.fields import PageIn, page_fields, render_page
from api.core.ports import JSONObject, JSONValue
from api.errors import InvalidRequest
from api.services.ledger import LedgerRow


class Day:
    """A day as ``YYYY-MM-DD``."""

    __schema__ = {"type": "string", "format": "date"}  # noqa: RUF012  # restx reads it off the instance

    def __call__(self, value: object) -> date:
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise InvalidRequest("The value must be a day as YYYY-MM-DD", fault="invalid_format") from None


USAGE_QUERY = parser(
    query_field("start", Day()),
    query_field("end", Day()),
    query_field("app_id", UUID(may_be_blank=True)),
    query_field("dataset_id", UUID(may_be_blank=True)),
    *page_fields(),
)
USAGE_ROW = Model(
    "UsageRow",
    {
        "date": fields.String(example="2026-11-27", description="The day, in UTC."),
        "app_id": fields.String(nullable=True, description="Null where it was for no app."),
        "dataset_id": fields.String(
            nullable=True, description="The dataset that was indexed or searched in a test."
        ),
        "key_id": fields.String(nullable=True, description="The API key, null where none was used."),
        "end_user_id": fields.String(
            nullable=True, description="The end user, or the account in the console; null for none."
        ),
        "provider": fields.String,
        "model": fields.String,
        "calls": fields.Integer,
        "prompt_tokens": fields.Integer,
        "completion_tokens": fields.Integer,
        "total_tokens": fields.Integer,
        "total_price": fields.String(example="0.0012500000"),
        "currency": fields.String(example="USD"),
    },
)
USAGE = Model(
    "UsageDays",
    {
        "data": fields.List(fields.Nested(USAGE_ROW)),
        "total": fields.Integer,
        "page": fields.Integer,
        "limit": fields.Integer,
        "has_more": fields.Boolean,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageIn(PageIn):
    """Which rows of the ledger are asked for; both days are included."""

    start: date | None = None
    end: date | None = None
    app_id: str | None = None
    dataset_id: str | None = None


def render_usage(rows: Sequence[LedgerRow], total: int, asked: UsageIn) -> JSONObject:
    """Return one page of the ledger."""
    data: list[JSONValue] = [_render_row(row) for row in rows]
    return render_page(data, total, asked)


def _render_row(row: LedgerRow) -> JSONObject:
    return {
        "date": row.day.isoformat(),
        "app_id": row.app_id,
        "dataset_id": row.dataset_id,
        "key_id": row.key_id,
        "end_user_id": row.actor_id,
        "provider": row.provider,
        "model": row.model,
        "calls": row.calls,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "total_tokens": row.prompt_tokens + row.completion_tokens,
        "total_price": f"{row.total_price:f}",
        "currency": row.currency,
    }
