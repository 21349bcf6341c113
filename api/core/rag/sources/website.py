"""Reads the pages of a website, link by link from a start page.

Boundary: HTTP and HTML in, Markdown out; no JavaScript, no cookies. What must
stay true: every page that was tried is either given or told with the reason;
known addresses, pages, time and bytes are all bounded.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from api.core.egress import EgressDenied
from api.core.http import HTTPClient, HTTPFailure
from api.core.ports import Cancel, Offload
from api.core.rag.html import HTMLText, decode_html, html_to_markdown
from api.core.rag.sources.addresses import clean_url, may_be_page, page_key
from api.core.rag.sources.site import Fetched, PageFailure, Site
from api.core.rag.waiting import within
from api.errors import CrawlFailed, InvalidRequest

CONVERT_TIMEOUT_S = 20.0
MAX_KNOWN = 10_000
MAX_TAGS = 100_000
"""A tree of more would take above 200 MB."""

HTML_TYPES = frozenset({"", "text/html", "application/xhtml+xml"})

Ending = Literal["complete", "limit", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlOptions:
    """How far a crawl goes. ``max_depth`` counts links from the start page, which is at 0.

    ``includes`` and ``excludes`` are globs of paths (``/blog/*``; ``*`` crosses
    slashes): a page is given, and its links followed, where one of the former
    (if there are any) and none of the latter fits. The start page's links are
    followed in any case. ``delay_s`` lies between two requests; robots.txt may
    ask for more, up to 10 s.
    """

    limit: int = 10
    max_depth: int = 2
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    only_main_content: bool = True
    use_sitemap: bool = False
    total_s: float = 300.0
    max_page_bytes: int = 2 * 1024 * 1024
    delay_s: float = 0.2

    def wants(self, url: str) -> bool:
        """Tell whether the page at a clean address is one to be given."""
        path = unquote(urlsplit(url).path)
        is_included = not self.includes or any(_fits(path, pattern) for pattern in self.includes)
        return is_included and not any(_fits(path, pattern) for pattern in self.excludes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page that was read. ``url`` is where it was found at last, after redirects.

    ``known`` is how many pages the crawl will give as far as it can tell now,
    those before this one included.
    """

    url: str
    title: str
    description: str
    markdown: str
    known: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSkipped:
    """A page that was found and is not given; ``message`` is a sentence that says why."""

    url: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlEnded:
    """The last event of a crawl: how many pages were given and skipped, and what ended it."""

    pages: int
    skipped: int
    reason: Ending


CrawlEvent: TypeAlias = Page | PageSkipped | CrawlEnded


def check_start(url: str) -> str:
    """Return the clean address of a page to start from. Raises InvalidRequest where it is none."""
    start = clean_url(url)
    if start is None:
        raise InvalidRequest(f"{url!r} is not the address of a web page.", field="url")
    return start


def crawl(
    start_url: str, options: CrawlOptions, http: HTTPClient, cancel: Cancel, offload: Offload
) -> Iterator[CrawlEvent]:
    """Yield the pages of the site of ``start_url``, breadth first, and what was skipped; then the end.

    When the total time is used up, the crawl ends with what it has. Raises
    InvalidRequest where the address is none, EgressDenied, CrawlFailed when the
    start page or robots.txt cannot be read, Cancelled when ``cancel`` is set.
    """
    start = check_start(start_url)
    with within(options.total_s, cancel) as bounded:
        site = Site(start, http, bounded, delay_s=options.delay_s, max_page_bytes=options.max_page_bytes)
        yield from _Crawl(site, options, bounded, offload).run(start)


class _Crawl:
    """One crawl under way: what it has found and what it has given."""

    def __init__(self, site: Site, options: CrawlOptions, cancel: Cancel, offload: Offload) -> None:
        self._site = site
        self._options = options
        self._cancel = cancel
        self._offload = offload
        self._queue: deque[tuple[str, int]] = deque()
        self._known: set[str] = set()
        self._digests: dict[bytes, str] = {}
        self._pages = 0
        self._skipped = 0

    def run(self, start: str) -> Iterator[CrawlEvent]:
        if (page := self._open(start)) is not None:
            yield page
        while self._queue and self._pages < self._options.limit and not self._cancel.is_overdue():
            url, depth = self._queue[0]
            event = None if self._site.was_tried(url) else self._visit(url, depth)
            if event is not None or not self._cancel.is_overdue():
                self._queue.popleft()
            if event is not None:
                yield event
        yield CrawlEnded(pages=self._pages, skipped=self._skipped, reason=self._ending())

    def _ending(self) -> Ending:
        if not self._queue:
            return "complete"
        return "limit" if self._pages >= self._options.limit else "time"

    def _open(self, start: str) -> Page | None:
        """Read the start page; None where it is read for its links alone."""
        self._known.add(page_key(start))
        try:
            fetched = self._site.fetch(start, may_move=True)
            self._known.add(page_key(fetched.url))
            text = self._convert(fetched)
            self._add_links(text.links, 1)
            if self._options.use_sitemap and self._options.max_depth:
                self._add_links(self._site.sitemap_links(fetched.url), 1)
            return self._accept(fetched.url, text) if self._options.wants(fetched.url) else None
        except (PageFailure, HTTPFailure) as exc:
            raise CrawlFailed(f"{start} cannot be read. {exc}") from exc

    def _visit(self, url: str, depth: int) -> Page | PageSkipped | None:
        """Read a page and note its links; None when the crawl's time ran out over it."""
        try:
            fetched = self._site.fetch(url)
            self._check_wanted(fetched.url)
            text = self._convert(fetched)
            self._add_links(text.links, depth + 1)
            return self._accept(fetched.url, text)
        except (PageFailure, EgressDenied, HTTPFailure) as exc:
            if self._cancel.is_overdue():
                return None
            self._skipped += 1
            return PageSkipped(url=url, message=str(exc))

    def _check_wanted(self, url: str) -> None:
        if not self._options.wants(url):
            raise PageFailure(f"The page redirects to {url}, which the paths to read leave out.")

    def _accept(self, url: str, text: HTMLText) -> Page:
        if not text.markdown:
            raise PageFailure("The page has no text; what a page makes by JavaScript cannot be read.")
        digest = hashlib.sha256(text.markdown.encode()).digest()
        if (first := self._digests.setdefault(digest, url)) != url:
            raise PageFailure(f"The page says the same as {first}.")
        self._pages += 1
        return Page(
            url=url,
            title=text.title or url,
            description=text.description,
            markdown=text.markdown,
            known=min(self._options.limit, self._pages + len(self._queue)),
        )

    def _add_links(self, links: tuple[str, ...], depth: int) -> None:
        if depth > self._options.max_depth:
            return
        for link in links:
            url = clean_url(link)
            if url is None or page_key(url) in self._known or len(self._known) >= MAX_KNOWN:
                continue
            if may_be_page(url) and self._options.wants(url) and self._site.has(url):
                self._known.add(page_key(url))
                self._queue.append((url, depth))

    def _convert(self, fetched: Fetched) -> HTMLText:
        """Return what a page says, worked out off the event loop."""
        if fetched.kind not in HTML_TYPES:
            return _plain(decode_html(fetched.content, fetched.charset))
        if fetched.content.count(b"<") > MAX_TAGS:
            raise PageFailure(f"The page is made of more than {MAX_TAGS} tags.")
        work = partial(
            html_to_markdown,
            fetched.content,
            url=fetched.url,
            charset=fetched.charset,
            only_main_content=self._options.only_main_content,
        )
        try:
            return self._offload.call(work, timeout_s=CONVERT_TIMEOUT_S)
        except TimeoutError as exc:
            raise PageFailure(f"The page could not be laid out within {CONVERT_TIMEOUT_S:.0f} s.") from exc


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern if pattern.startswith(("/", "*")) else f"/{pattern}")


def _plain(text: str) -> HTMLText:
    """Return a page that is text already; its first heading is its title."""
    headings = (line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#"))
    return HTMLText(title=next(headings, ""), description="", markdown=text.strip(), links=())
