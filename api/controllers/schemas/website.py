"""Crawls of websites on the wire, as Dify's console asks for them and watches them."""

from dataclasses import dataclass
from typing import Any

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Boolean, Integer, Text, json_field, parser, query_field
from api.controllers.schemas.document_origin import URL
from api.controllers.schemas.shapes import Check, Shape
from api.core.ports import JSONObject
from api.services.website_crawls import CrawledPage, CrawlRequest, CrawlState

GLOBS = Text(max_length=2000)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlIn:
    """A website to read, by whatever name the console knows the reader."""

    provider: str
    url: str
    options: dict[str, Any]

    @property
    def request(self) -> CrawlRequest:
        """The same for the service; what is blank is left to it."""
        said = {name: value for name, value in self.options.items() if value is not None}
        return CrawlRequest(url=self.url, **said)


def _count(value: object) -> int | None:
    """Return a number, which the console may send as text, or blank."""
    return None if value == "" else Integer(is_text=True)(value)


_count.__schema__ = Integer().__schema__  # type: ignore[attr-defined]  # read by restx

OPTIONS: dict[str, Check] = {
    "crawl_sub_pages": Boolean(),
    "only_main_content": Boolean(),
    "includes": GLOBS,
    "excludes": GLOBS,
    "limit": _count,
    "max_depth": _count,
    "use_sitemap": Boolean(),
}
CRAWL = parser(
    json_field("provider", Text(max_length=50), required=True),
    json_field("url", URL, required=True),
    json_field("options", Shape(optional=OPTIONS), required=True),
)
CRAWL_WATCH = parser(query_field("provider", Text(max_length=50), help="Makes no difference."))
CRAWL_STARTED = Model(
    "WebsiteCrawlStarted",
    {"status": fields.String(enum=["active"]), "job_id": fields.String},
)
CRAWL_STATE = Model(
    "WebsiteCrawl",
    {
        "status": fields.String(enum=["active", "completed", "failed"]),
        "job_id": fields.String,
        "current": fields.Integer(description="Pages read."),
        "total": fields.Integer(description="Pages there will be, as far as is known."),
        "data": fields.List(fields.Raw, description="The pages, once it is completed."),
        "time_consuming": fields.Float(description="Seconds."),
        "message": fields.String(description="Why it failed, or ended before it was complete."),
        "skipped": fields.List(
            fields.Raw, description="Pages that were left out, with the reason; at most 50."
        ),
    },
)
MODELS = (CRAWL_STARTED, CRAWL_STATE)


def render_started(crawl_id: str) -> JSONObject:
    """Return the answer to a crawl that was started."""
    return {"status": "active", "job_id": crawl_id}


def render_crawl(crawl_id: str, state: CrawlState, pages: tuple[CrawledPage, ...]) -> JSONObject:
    """Return how far a crawl is, with its pages once it is completed."""
    return {
        "status": state.status,
        "job_id": crawl_id,
        "current": state.current,
        "total": state.total,
        "data": [
            {
                "source_url": page.source_url,
                "title": page.title,
                "description": page.description,
                "markdown": page.markdown,
            }
            for page in pages
        ],
        "time_consuming": state.time_consuming,
        "message": state.message,
        "skipped": [{"url": url, "message": message} for url, message in state.skipped],
    }
