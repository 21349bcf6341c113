"""What the shapes of many resources share: times on the wire, pages of a list, the plain success."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Field, Integer
from api.controllers.schemas.shapes import Capped
from api.core.ports import JSONObject, JSONValue

Link = Callable[[str], str]
"""Gives the address an uploaded file can be fetched at, by its id."""

MAX_PAGE = 99_999
MAX_LIMIT = 100


class AnyJSON(fields.Raw):
    """A value of any JSON type, null too; what flask-restx calls raw, it describes as an object."""

    __schema_type__ = None


RESULT = Model("Result", {"result": fields.String(example="success")})


class AnyValue(fields.Raw):
    """A value that is not always of one type; its description says when it is of which."""

    __schema_type__ = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageIn:
    """Which page of a list is asked for, counted from 1, and how many items it holds (1..100)."""

    page: int
    limit: int


def page_fields(default_limit: int = 20) -> tuple[Field, Field]:
    """Return the query parameters ``page`` and ``limit``, to be spread into ``parser(…)``."""
    return (
        Field("page", type=Integer(minimum=1, maximum=MAX_PAGE, is_text=True), location="args", default=1),
        Field(
            "limit",
            type=Integer(minimum=1, maximum=MAX_LIMIT, is_text=True),
            location="args",
            default=default_limit,
        ),
    )


def capped_page_fields(default_limit: int = 20) -> tuple[Field, Field]:
    """Return the same for lists that take a larger ``limit`` as the largest there is."""
    limit = Field("limit", type=Capped(), location="args", default=default_limit, help="At most 100.")
    return page_fields()[0], limit


def split_commas(texts: Sequence[str]) -> list[str]:
    """Return the members of a list that comes as a repeated parameter, with commas, or both."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def render_page(data: Sequence[JSONValue], total: int, page: PageIn) -> JSONObject:
    """Return the envelope of one page; ``total`` counts the items of all pages."""
    return {
        "data": list(data),
        "total": total,
        "page": page.page,
        "limit": page.limit,
        "has_more": page.page * page.limit < total,
    }


def to_unix(instant: datetime | None) -> int | None:
    """Return an aware instant in whole Unix seconds; None stays None."""
    return None if instant is None else int(instant.timestamp())


def to_iso(instant: datetime) -> str:
    """Return an aware instant in UTC as RFC 3339 writes it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def render_success() -> JSONObject:
    """Return the answer of a change that has nothing else to tell."""
    return {"result": "success"}
