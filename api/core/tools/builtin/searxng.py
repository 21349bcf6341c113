"""SearXNG: a search of the web through an instance of the workspace's own."""

from collections.abc import Iterator
from urllib.parse import urlencode

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from api.core.model_runtime.types import CredentialField
from api.core.ports import JSONObject
from api.core.tools.provider import provide
from api.core.tools.tool import (
    JSONMessage,
    TextMessage,
    ToolContext,
    ToolFailed,
    ToolMessage,
    ToolParameter,
    ToolProviderSchema,
    ToolSchema,
    Words,
)

MAX_RESULTS = 20
KINDS = (
    ("general", Words("Page", "网页")),
    ("news", Words("News", "新闻")),
    ("images", Words("Pictures", "图片")),
    ("science", Words("Science", "科学")),
    ("it", Words("IT", "信息技术")),
)

SEARXNG = provide(
    ToolProviderSchema(
        id="searxng",
        label=Words("SearXNG", "SearXNG"),
        description=Words(
            "Searches the web through a SearXNG instance, or what answers as one does.",
            "通过 SearXNG 兼容的服务搜索网络。",
        ),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#3050FF"'
        ' stroke-width="2" stroke-linecap="round"><circle cx="10" cy="10" r="6"/>'
        '<path d="M15 15l6 6"/></svg>',
        labels=("search",),
        credential_fields=(
            CredentialField(
                variable="searxng_base_url",
                label="SearXNG base URL",
                label_zh="SearXNG 地址",
                is_required=True,
                placeholder="https://searx.example.com",
                is_address=True,
            ),
        ),
    )
)


class Result(BaseModel):
    """One thing found, as the instance tells it."""

    model_config = ConfigDict(extra="ignore")

    title: str | None = None
    url: str
    content: str | None = None
    img_src: str | None = None


class Answer(BaseModel):
    """What the instance found, best first."""

    model_config = ConfigDict(extra="ignore")

    results: list[Result] = []


@SEARXNG.tool(
    ToolSchema(
        name="searxng_search",
        label=Words("Web search", "SearXNG 搜索"),
        description=Words("Searches the web.", "搜索网络。"),
        llm_description="Searches the web and returns titles, addresses and extracts of what it finds.",
        parameters=(
            ToolParameter(
                name="query",
                label=Words("Query", "查询语句"),
                human_description=Words("What to search for.", "搜索内容。"),
                llm_description="The words to search for.",
                is_required=True,
            ),
            ToolParameter(
                name="search_type",
                label=Words("Type", "搜索类型"),
                human_description=Words("What to search.", "搜索的类别。"),
                type="select",
                form="form",
                default="general",
                options=KINDS,
            ),
            ToolParameter(
                name="max_results",
                label=Words("Results", "结果数量"),
                human_description=Words("How many results to give at most.", "最多返回的结果数。"),
                type="number",
                form="form",
                default=10,
                minimum=1,
                maximum=MAX_RESULTS,
            ),
        ),
    )
)
def searxng_search(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    """Yield what was found, as text and as JSON."""
    limit = int(str(arguments["max_results"]).partition(".")[0])
    found = _search(str(arguments["query"]), str(arguments["search_type"]), context)[:limit]
    lines = (
        f"{result.title or result.url}\n{result.url}\n{result.content or ''}".strip() for result in found
    )
    yield TextMessage("\n\n".join(lines) or "Nothing was found.")
    yield JSONMessage([result.model_dump(exclude_none=True) for result in found])


def _check(context: ToolContext) -> None:
    _search("SearXNG", "general", context)


SEARXNG.check = _check


def _search(query: str, kind: str, context: ToolContext) -> list[Result]:
    base = context.credentials.get("searxng_base_url", "").rstrip("/")
    if not base:
        raise ToolFailed("The address of a SearXNG instance is not set.", error_type="ToolCredentialsError")
    try:
        asked = urlencode({"q": query, "format": "json", "categories": kind})
    except UnicodeEncodeError as exc:
        raise ToolFailed("The query holds characters that are no text.") from exc
    reply = context.http.request(
        "GET",
        f"{base}/search?{asked}",
        cancel=context.cancel,
        max_bytes=context.max_text_bytes,
        follow=True,
        timeouts=context.timeouts,
    )
    if reply.status != 200:
        raise ToolFailed(f"SearXNG answers with status {reply.status}; its JSON format may be switched off.")
    try:
        return Answer.model_validate(orjson.loads(reply.content)).results
    except (orjson.JSONDecodeError, ValidationError) as exc:
        raise ToolFailed("SearXNG answers with something else than its JSON format.") from exc
