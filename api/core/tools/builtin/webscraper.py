"""Web page reader: the page at an address as Markdown."""

from collections.abc import Iterator
from functools import partial

from api.core.http import HTTPReply
from api.core.http_parts import charset, mime_type
from api.core.ports import JSONObject
from api.core.rag.html import HTMLText, decode_html, html_to_markdown
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

MAX_PAGE_BYTES = 2 * 1024 * 1024
MAX_TAGS = 100_000
"""A tree of more would take above 200 MB."""

HTML_TYPES = frozenset({"", "text/html", "application/xhtml+xml"})

WEBSCRAPER = provide(
    ToolProviderSchema(
        id="webscraper",
        label=Words("Web page reader", "网页爬虫"),
        description=Words("Reads the text of web pages.", "读取网页正文。"),
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#1570EF"'
        ' stroke-width="2" stroke-linecap="round"><circle cx="12" cy="12" r="9"/>'
        '<path d="M3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18"/></svg>',
        labels=("search", "productivity"),
    )
)


@WEBSCRAPER.tool(
    ToolSchema(
        name="webscraper",
        label=Words("Read a web page", "网页爬虫"),
        description=Words("Reads the page at an address as Markdown.", "读取网页并转换为 Markdown。"),
        llm_description="Fetches the web page at a URL and returns its text as Markdown.",
        parameters=(
            ToolParameter(
                name="url",
                label=Words("URL", "网页链接"),
                human_description=Words("The address of the page.", "网页地址。"),
                llm_description="The http or https address of the page.",
                is_required=True,
            ),
            ToolParameter(
                name="user_agent",
                label=Words("User agent", "User Agent"),
                human_description=Words("What to call itself.", "请求使用的 User-Agent。"),
                form="form",
                default="",
            ),
            ToolParameter(
                name="only_main_content",
                label=Words("Only the main content", "仅正文"),
                human_description=Words("Leave out menus, header and footer.", "去除导航、页眉与页脚。"),
                type="boolean",
                form="form",
                default=True,
            ),
        ),
    )
)
def webscraper(arguments: JSONObject, context: ToolContext) -> Iterator[ToolMessage]:
    """Yield what a page says, and its title and address."""
    agent = str(arguments["user_agent"]).strip()
    reply = context.http.request(
        "GET",
        str(arguments["url"]).strip(),
        cancel=context.cancel,
        max_bytes=MAX_PAGE_BYTES,
        headers={"user-agent": agent} if agent else None,
        follow=True,
        timeouts=context.timeouts,
    )
    if not 200 <= reply.status < 300:
        raise ToolFailed(f"The page is answered with status {reply.status}.")
    page = _read(reply, context, is_main=bool(arguments["only_main_content"]))
    if not page.markdown.strip():
        raise ToolFailed("The page has no text; what a page makes by JavaScript cannot be read.")
    yield TextMessage(page.markdown)
    yield JSONMessage({"title": page.title, "description": page.description, "url": reply.url})


def _read(reply: HTTPReply, context: ToolContext, *, is_main: bool) -> HTMLText:
    kind, encoding = mime_type(reply.headers), charset(reply.headers)
    if kind not in HTML_TYPES:
        if not kind.startswith("text/") and not kind.endswith(("json", "xml", "yaml")):
            raise ToolFailed(f"The address leads to a file of type {kind}, which is no page.")
        text = decode_html(reply.content, encoding).replace("\0", "")
        return HTMLText(title="", description="", markdown=text, links=())
    if reply.content.count(b"<") > MAX_TAGS:
        raise ToolFailed(f"The page is made of more than {MAX_TAGS:,} tags.")
    work = partial(
        html_to_markdown, reply.content, url=reply.url, charset=encoding, only_main_content=is_main
    )
    return context.offload.call(work, timeout_s=context.cancel.remaining_s())
