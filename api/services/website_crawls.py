"""Crawls of websites: started, watched while they run, their pages kept for a day to make documents of.

What a crawl found is no row: it lies in the cache under the workspace's id, and
who wants a page for longer makes a document of it.
"""

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson
from sqlalchemy.orm import Session

from api.core.ports import Cancel, JSONObject, Queue
from api.core.rag.sources.website import (
    CrawlEnded,
    CrawlEvent,
    CrawlOptions,
    Page,
    PageSkipped,
    check_start,
    crawl,
)
from api.errors import AppError, CrawlFailed, InvalidRequest, NotFound, RateLimited
from api.models.base import new_id, utc_now
from api.principal import Principal
from api.runtime import Runtime
from api.services.jobs import Job, Lease, enqueue_on_commit

PROVIDERS = ("firecrawl", "jinareader", "watercrawl", "slipway")
"""The names a console asks by: whichever it is, our own crawler reads, and needs no key."""

KEPT_S = 86_400.0
TOTAL_S = 300.0
SILENT_S = 2 * TOTAL_S
MAX_LIMIT = 200
MAX_DEPTH = 10
MAX_ACTIVE = 3
MAX_TEXT_CHARS = 16_000_000
MAX_TOLD = 50

Status = Literal["active", "completed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlRequest:
    """What the console asks for. ``includes`` and ``excludes`` are globs of paths, comma separated."""

    url: str
    crawl_sub_pages: bool = True
    only_main_content: bool = True
    includes: str = ""
    excludes: str = ""
    limit: int = 10
    max_depth: int = 2
    use_sitemap: bool = False

    def to_options(self) -> CrawlOptions:
        """Return the request as the crawler knows it."""
        return CrawlOptions(
            limit=self.limit if self.crawl_sub_pages else 1,
            max_depth=self.max_depth if self.crawl_sub_pages else 0,
            includes=_globs(self.includes) if self.crawl_sub_pages else (),
            excludes=_globs(self.excludes) if self.crawl_sub_pages else (),
            only_main_content=self.only_main_content,
            use_sitemap=self.use_sitemap,
            total_s=TOTAL_S,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawledPage:
    """A page a crawl found."""

    source_url: str
    title: str
    description: str
    markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlState:
    """How far a crawl is: ``current`` pages are read of the ``total`` it will have as far as it can tell.

    ``message`` is why it failed, or why it is completed without being complete.
    ``skipped`` are pairs of address and reason, at most 50. ``time_consuming``
    is in seconds, ``touched_at`` Unix time.
    """

    status: Status = "active"
    current: int = 0
    total: int = 0
    time_consuming: float = 0.0
    message: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    touched_at: float = 0.0


def start_crawl(
    runtime: Runtime, session: Session, principal: Principal, provider: str, request: CrawlRequest
) -> str:
    """Start a crawl with the caller's transaction; return the id to watch it by.

    Raises InvalidRequest for what cannot be asked, RateLimited while three of
    the workspace's crawls are under way.
    """
    _check(provider, request)
    crawl_id = new_id()
    if not runtime.cache.take(_places(principal.tenant_id), crawl_id, MAX_ACTIVE, SILENT_S):
        message = f"{MAX_ACTIVE} websites are being read for this workspace; wait until one is done."
        raise RateLimited(message, retry_after_s=30)
    _save(runtime, principal.tenant_id, crawl_id, CrawlState(total=request.to_options().limit))
    payload: JSONObject = {"crawl_id": crawl_id, **asdict(request)}
    enqueue_on_commit(
        runtime, session, Job.CRAWL_WEBSITE, payload, tenant_id=principal.tenant_id, queue=Queue.CRAWLS
    )
    return crawl_id


def get_crawl(
    runtime: Runtime, principal: Principal, crawl_id: str
) -> tuple[CrawlState, tuple[CrawledPage, ...]]:
    """Return how far a crawl of the workspace is, with its pages once it is completed. Raises NotFound."""
    state = _load(runtime, principal.tenant_id, crawl_id)
    if state.status == "active" and utc_now().timestamp() - state.touched_at > SILENT_S:
        message = "The website was not read within ten minutes: the workers are busy or stopped. Start again."
        return replace(state, status="failed", message=message), ()
    return state, load_pages(runtime, principal.tenant_id, crawl_id) if state.status == "completed" else ()


def take_pages(runtime: Runtime, tenant_id: str, crawl_id: str, urls: Sequence[str]) -> list[CrawledPage]:
    """Return some pages of a completed crawl, each once, in the order asked.

    Raises InvalidRequest for one the crawl did not find, NotFound after a day.
    """
    found = {page.source_url: page for page in load_pages(runtime, tenant_id, crawl_id)}
    for url in urls:
        if url not in found:
            raise InvalidRequest(f"The crawl found no page {url!r}.", field="urls")
    return [found[url] for url in dict.fromkeys(urls)]


def load_pages(runtime: Runtime, tenant_id: str, crawl_id: str) -> tuple[CrawledPage, ...]:
    """Return the pages of a completed crawl, in the order they were found. Raises NotFound after a day."""
    packed = runtime.cache.get(f"{_key(tenant_id, crawl_id)}:pages")
    if packed is None:
        raise _not_found()
    return tuple(CrawledPage(**page) for page in orjson.loads(zlib.decompress(packed)))


def read_page(runtime: Runtime, url: str, *, only_main_content: bool, cancel: Cancel) -> CrawledPage:
    """Return one page as it is now; for a document that is to follow its page. Raises CrawlFailed."""
    options = CrawlOptions(limit=1, max_depth=0, only_main_content=only_main_content, total_s=TOTAL_S)
    for event in crawl(url, options, runtime.http, cancel, runtime.offload):
        if isinstance(event, Page):
            return _to_page(event)
    raise CrawlFailed(f"{url} was not read in time.")


def run_crawl(runtime: Runtime, lease: Lease) -> None:
    """Run the job of a crawl; what stands in its way becomes its state, for whoever watches.

    An attempt that must end early leaves the crawl to the next one, which begins anew.
    """
    values: dict[str, Any] = {key: lease.payload[key] for key in CrawlRequest.__dataclass_fields__}
    try:
        _follow(runtime, lease, CrawlRequest(**values))
    except AppError as exc:
        lease.check()
        _end(runtime, lease, exc.message)
    runtime.cache.give(_places(lease.tenant_id), _crawl_id(lease))


def give_up_crawl(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Tell whoever watches a crawl that it failed for good."""
    message = "Reading the website was interrupted again and again; start again."
    _end(runtime, lease, error.message if isinstance(error, AppError) else message)
    runtime.cache.give(_places(lease.tenant_id), _crawl_id(lease))


def _end(runtime: Runtime, lease: Lease, message: str) -> None:
    _save(runtime, lease.tenant_id, _crawl_id(lease), CrawlState(status="failed", message=message))


def _crawl_id(lease: Lease) -> str:
    return str(lease.payload["crawl_id"])


def _follow(runtime: Runtime, lease: Lease, request: CrawlRequest) -> None:
    """Read the website, noting each step in its state, and keep what was found."""
    started = time.monotonic()
    tenant_id, crawl_id, options = lease.tenant_id, _crawl_id(lease), request.to_options()
    state = CrawlState(total=options.limit)
    pages: list[CrawledPage] = []
    left_chars = MAX_TEXT_CHARS
    for event in crawl(request.url, options, runtime.http, lease.cancel, runtime.offload):
        lease.check()
        if isinstance(event, Page):
            left_chars -= len(event.markdown)
            if left_chars < 0:
                message = f"The crawl has its {MAX_TEXT_CHARS} characters; read the rest apart."
                state = _tell(state, event.url, message)
                break
            pages.append(_to_page(event))
        state = _advance(state, event, len(pages))
        _save(runtime, tenant_id, crawl_id, replace(state, time_consuming=time.monotonic() - started))
    packed = zlib.compress(orjson.dumps(pages))
    runtime.cache.set(f"{_key(tenant_id, crawl_id)}:pages", packed, KEPT_S)
    seconds = round(time.monotonic() - started, 2)
    done = replace(state, status="completed", current=len(pages), total=len(pages), time_consuming=seconds)
    _save(runtime, tenant_id, crawl_id, done)


def _advance(state: CrawlState, event: CrawlEvent, pages: int) -> CrawlState:
    """Return the state after an event, ``pages`` having been read by then."""
    match event:
        case Page():
            return replace(state, current=pages, total=event.known)
        case PageSkipped(url=url, message=message):
            return _tell(state, url, message)
        case CrawlEnded(reason="time"):
            message = f"After {TOTAL_S:.0f} seconds the crawl ended with what it had; there are more pages."
            return replace(state, message=message)
        case CrawlEnded():
            return state


def _check(provider: str, request: CrawlRequest) -> None:
    """Raise InvalidRequest for a provider or numbers that are not ours."""
    if provider not in PROVIDERS:
        message = (
            f"Websites are read by Slipway's own crawler; provider must be one of: {', '.join(PROVIDERS)}."
        )
        raise InvalidRequest(message, field="provider", fault="invalid_choice")
    check_start(request.url)
    for field, value, lowest, highest in (
        ("limit", request.limit, 1, MAX_LIMIT),
        ("max_depth", request.max_depth, 0, MAX_DEPTH),
    ):
        if not lowest <= value <= highest:
            message = f"{field} must be from {lowest} to {highest}."
            raise InvalidRequest(message, field=field, fault="out_of_range")


def _globs(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _to_page(page: Page) -> CrawledPage:
    return CrawledPage(
        source_url=page.url, title=page.title, description=page.description, markdown=page.markdown
    )


def _tell(state: CrawlState, url: str, message: str) -> CrawlState:
    return replace(state, skipped=(*state.skipped, (url, message))[:MAX_TOLD])


def _places(tenant_id: str) -> str:
    return f"crawls:{tenant_id}"


def _key(tenant_id: str, crawl_id: str) -> str:
    return f"crawl:{tenant_id}:{crawl_id}"


def _save(runtime: Runtime, tenant_id: str, crawl_id: str, state: CrawlState) -> None:
    touched = replace(state, touched_at=utc_now().timestamp())
    runtime.cache.set(_key(tenant_id, crawl_id), orjson.dumps(touched), KEPT_S)


def _load(runtime: Runtime, tenant_id: str, crawl_id: str) -> CrawlState:
    stored = runtime.cache.get(_key(tenant_id, crawl_id))
    if stored is None:
        raise _not_found()
    values: Mapping[str, Any] = orjson.loads(stored)
    return CrawlState(**{**values, "skipped": tuple(map(tuple, values["skipped"]))})


def _not_found() -> NotFound:
    return NotFound("There is no such crawl, or it is older than a day; start a new one.")
