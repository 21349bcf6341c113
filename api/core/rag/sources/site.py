"""Fetches from one website as a guest should: by its robots.txt, with pauses, never beyond it.

What must stay true: nothing is fetched that robots.txt forbids or that lies on
another site, through redirects too; no page takes longer than 30 s.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from html import unescape
from re import IGNORECASE
from re import compile as regex
from urllib.parse import urljoin

from api import __version__
from api.core.http import HTTPClient, HTTPFailure, HTTPResponse, Timeouts
from api.core.ports import Cancel
from api.core.rag.sources.addresses import clean_url, is_sibling, page_key, site_of, target_of
from api.core.rag.sources.robots import Robots
from api.core.rag.waiting import pause, within
from api.errors import CrawlFailed

logger = logging.getLogger(__name__)

AGENT = "Slipway"
HEADERS = {
    "user-agent": f"{AGENT}/{__version__}",
    "accept": "text/html,application/xhtml+xml,text/markdown;q=0.9,text/plain;q=0.8,*/*;q=0.1",
}
TIMEOUTS = Timeouts(connect_s=10.0, first_byte_s=15.0, idle_s=10.0)
PAGE_TOTAL_S = 30.0
MAX_CRAWL_DELAY_S = 10.0
MAX_REDIRECTS = 5
MAX_ROBOTS_BYTES = 512 * 1024
MAX_SITEMAP_BYTES = 5 * 1024 * 1024
MAX_SITEMAPS = 5

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PAGE_TYPES = frozenset(
    {"", "text/html", "application/xhtml+xml", "text/markdown", "text/x-markdown", "text/plain"}
)
SITEMAP_LOC = regex(r"<loc>\s*(?:<!\[CDATA\[)?\s*([^<\]]+?)\s*(?:\]\]>)?\s*</loc>", IGNORECASE)


class PageFailure(Exception):
    """A page cannot be given; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was found at an address. ``kind`` is the media type, ``charset`` what the header declares."""

    url: str
    kind: str
    charset: str | None
    content: bytes


class Site:
    """The website of a start page, and how far reading it has come. ``delay_s`` lies between two requests."""

    def __init__(
        self, start_url: str, http: HTTPClient, cancel: Cancel, *, delay_s: float, max_page_bytes: int
    ) -> None:
        self._name = site_of(start_url)
        self._http = http
        self._cancel = cancel
        self._delay_s = delay_s
        self._max_page_bytes = max_page_bytes
        self._robots: Robots | None = None
        self._tried: set[str] = set()
        self._has_asked = False

    def fetch(self, url: str, *, may_move: bool = False) -> Fetched:
        """Return what is at a clean address, after redirects within the site.

        ``may_move`` lets a redirect from ``example.com`` to ``www.example.com``
        (or back) make that the site. Raises PageFailure, HTTPFailure, Cancelled,
        EgressDenied; CrawlFailed when robots.txt cannot be read.
        """
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url, may_move=may_move)
            self._tried.add(page_key(url))
            with self._get(url) as response:
                location = response.headers.get("location")
                if response.status not in REDIRECTS or not location:
                    return _take(url, response, self._max_page_bytes)
            url = self._redirected(url, location)
        raise PageFailure(f"The page redirects more than {MAX_REDIRECTS} times.")

    def was_tried(self, url: str) -> bool:
        """Tell whether a page was fetched, or was passed on the way of a redirect."""
        return page_key(url) in self._tried

    def has(self, url: str) -> bool:
        """Tell whether a clean address is on this site and may be read; known once a page was fetched."""
        return site_of(url) == self._name and self._robots is not None and self._robots.allows(target_of(url))

    def sitemap_links(self, url: str) -> tuple[str, ...]:
        """Return what the sitemaps of the site of ``url`` list, at most five of them, each up to 5 MiB.

        Those robots.txt names, else ``/sitemap.xml``. They are hints: one that
        cannot be read holds none.
        """
        assert self._robots is not None
        queue = [urljoin(url, each) for each in self._robots.sitemaps or ("/sitemap.xml",)][:MAX_SITEMAPS]
        links: list[str] = []
        tried = 0
        while queue and tried < MAX_SITEMAPS:
            tried += 1
            text = self._read_sitemap(queue.pop(0))
            found = [unescape(loc) for loc in SITEMAP_LOC.findall(text)]
            if "<sitemapindex" in text:
                queue += found[:MAX_SITEMAPS]
            else:
                links += found
        return tuple(links)

    def _read_sitemap(self, address: str) -> str:
        url = clean_url(address)
        if url is None or not self.has(url):
            return ""
        try:
            with self._get(url) as response:
                return (
                    response.read(MAX_SITEMAP_BYTES).decode("utf-8", "replace")
                    if response.status == 200
                    else ""
                )
        except HTTPFailure as exc:
            logger.info("no sitemap read: %s", type(exc).__name__)
            return ""

    def _check(self, url: str, *, may_move: bool) -> None:
        """Raise PageFailure for an address of another site, or one that robots.txt forbids."""
        name = site_of(url)
        if name != self._name:
            if not may_move or not is_sibling(name, self._name):
                raise PageFailure(
                    f"The page redirects to another site, {name}; start a crawl there to read it."
                )
            self._name, self._robots = name, None
        if self._robots is None:
            self._robots = self._load_robots(url)
            self._delay_s = max(self._delay_s, min(self._robots.crawl_delay_s, MAX_CRAWL_DELAY_S))
        if not self._robots.allows(target_of(url)):
            raise PageFailure(f"The site's robots.txt does not let {AGENT} read the page.")

    def _load_robots(self, url: str) -> Robots:
        """Return the site's rules; none without a robots.txt. One that breaks forbids all (RFC 9309)."""
        with self._get(urljoin(url, "/robots.txt"), follow=True) as response:
            if response.status >= 500:
                raise CrawlFailed(
                    f"{self._name} answered with status {response.status} when asked for its robots.txt, "
                    "without which nothing may be read; try again later."
                )
            is_there = response.status == 200
            text = response.read_start(MAX_ROBOTS_BYTES).decode("utf-8", "replace") if is_there else ""
        return Robots.parse(text, AGENT)

    @contextlib.contextmanager
    def _get(self, url: str, *, follow: bool = False) -> Iterator[HTTPResponse]:
        """Give the answer of an address, after a pause if another was asked before."""
        if self._has_asked:
            pause(self._delay_s, self._cancel)
        self._has_asked = True
        with (
            within(PAGE_TOTAL_S, self._cancel) as bounded,
            self._http.stream(
                "GET", url, cancel=bounded, headers=HEADERS, timeouts=TIMEOUTS, follow=follow
            ) as it,
        ):
            yield it

    def _redirected(self, url: str, location: str) -> str:
        """Return where a redirect leads, unless that was read already or is no page."""
        try:
            target = clean_url(urljoin(url, location))
        except ValueError:
            target = None
        if target is None:
            raise PageFailure("The page redirects to something that is no web page.")
        if self.was_tried(target) and page_key(target) != page_key(url):
            raise PageFailure(f"The page redirects to {target}, which was tried already.")
        return target


def _take(url: str, response: HTTPResponse, max_bytes: int) -> Fetched:
    """Read an answer that is a page of text. Raises PageFailure, HTTPFailure."""
    if response.status != 200:
        raise PageFailure(f"The site answered with status {response.status}.")
    header = Message()
    header["content-type"] = response.headers.get("content-type", "")
    kind = header.get_content_type() if header["content-type"] else ""
    if kind not in PAGE_TYPES:
        raise PageFailure(f"The page is of type {kind!r}; only HTML and plain text are read.")
    charset = header.get_content_charset()
    return Fetched(url=url, kind=kind, charset=charset, content=response.read(max_bytes))
