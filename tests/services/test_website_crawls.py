"""Crawls as the console sees them: started, watched, kept; and what they refuse."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from api.core.ports import Cancel, Tick
from api.core.rag.sources import site
from api.errors import CrawlFailed, InvalidRequest, NotFound, RateLimited
from api.models.job import JobRow
from api.runtime import Runtime
from api.services import website_crawls
from api.services.jobs import MAX_ATTEMPTS, LeaseLost
from api.services.website_crawls import CrawledPage, CrawlRequest, CrawlState
from api.tasks.registry import run_job
from tests.core.rag.sources.sites import Content, html, http_client, hurried, links, website
from tests.factories import Owner, make_owner
from tests.servers import Reply, Seen
from tests.waiting import wait_until


class IdleQueue:
    """A queue that wakes nobody: the test is the worker. ``asked`` are the queues that jobs were put in."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def enqueue(self, job_id: str, *, queue: str, delay_s: float = 0.0) -> None:
        self.asked.append(queue)

    def start(self, run: Callable[[str], None], ticks: Sequence[Tick]) -> None: ...

    def drain(self) -> None: ...

    def stop(self, timeout_s: float) -> bool:
        return True


@pytest.fixture
def reaching(runtime: Runtime) -> Iterator[Runtime]:
    """The runtime, but that its calls reach loopback, its jobs wait for the test and its crawls not long."""
    with http_client() as http, hurried():
        yield replace(runtime, http=http, queue=IdleQueue())


def start(runtime: Runtime, owner: Owner, request: CrawlRequest, provider: str = "slipway") -> str:
    with runtime.transaction() as session:
        return website_crawls.start_crawl(runtime, session, owner.principal, provider, request)


def work(runtime: Runtime, owner: Owner) -> None:
    """Run the workspace's jobs."""
    with runtime.transaction() as session:
        ids = session.scalars(select(JobRow.id).where(JobRow.tenant_id == owner.tenant_id)).all()
    for job_id in ids:
        run_job(runtime, job_id)


def crawl(
    runtime: Runtime, owner: Owner, pages: Mapping[str, Content], **request: object
) -> tuple[CrawlState, tuple[CrawledPage, ...]]:
    with website(pages) as server:
        crawl_id = start(runtime, owner, CrawlRequest(url=f"{server.url}/", **request))  # type: ignore[arg-type]  # a table
        work(runtime, owner)
    return website_crawls.get_crawl(runtime, owner.principal, crawl_id)


SITE: dict[str, Content] = {
    "/": "start" + links("/a", "/docs/b", "/gone"),
    "/a": "text of a" + links("/c"),
    "/docs/b": "text of b",
    "/c": "text of c",
}


def test_crawl_waits_in_a_queue_where_it_holds_up_no_short_job(reaching: Runtime, owner: Owner) -> None:
    start(reaching, owner, CrawlRequest(url="http://example.com"))
    assert isinstance(reaching.queue, IdleQueue)
    assert reaching.queue.asked == ["crawls"]


def test_crawl_is_active_then_completed_with_its_pages(reaching: Runtime, owner: Owner) -> None:
    with website(SITE) as server:
        crawl_id = start(reaching, owner, CrawlRequest(url=server.url, limit=9))
        state, pages = website_crawls.get_crawl(reaching, owner.principal, crawl_id)
        assert (state.status, state.current, state.total, pages) == ("active", 0, 9, ())
        work(reaching, owner)
        state, pages = website_crawls.get_crawl(reaching, owner.principal, crawl_id)
        assert (state.status, state.current, state.total, state.message) == ("completed", 4, 4, "")
        assert state.time_consuming > 0
        assert state.skipped == ((f"{server.url}/gone", "The site answered with status 404."),)
        assert [page.source_url.removeprefix(server.url) for page in pages] == ["/", "/a", "/docs/b", "/c"]
        assert pages[2] == CrawledPage(
            source_url=f"{server.url}/docs/b", title="Page /docs/b", description="", markdown="text of b"
        )
        assert website_crawls.load_pages(reaching, owner.tenant_id, crawl_id) == pages


@pytest.mark.parametrize(
    ("request_", "titles"),
    [
        ({"crawl_sub_pages": False, "includes": "/x"}, ["/"]),
        ({"limit": 2}, ["/", "/a"]),
        ({"max_depth": 0}, ["/"]),
        ({"includes": "docs/*, /c"}, ["/docs/b"]),
        ({"excludes": "/docs/*, /a ,"}, ["/"]),
    ],
)
def test_crawl_goes_as_far_as_asked(
    reaching: Runtime, owner: Owner, request_: dict[str, object], titles: list[str]
) -> None:
    _, pages = crawl(reaching, owner, SITE, **request_)
    assert [page.title for page in pages] == [f"Page {title}" for title in titles]


def test_crawl_that_fails_says_why(reaching: Runtime, owner: Owner) -> None:
    state, pages = crawl(reaching, owner, {})
    assert (state.status, pages) == ("failed", ())
    assert state.message.endswith("cannot be read. The site answered with status 404.")


def test_crawl_of_a_private_address_is_an_error_for_who_watches(runtime: Runtime, owner: Owner) -> None:
    with website(SITE) as server:
        crawl_id = start(runtime, owner, CrawlRequest(url=server.url))

        def state() -> CrawlState:
            return website_crawls.get_crawl(runtime, owner.principal, crawl_id)[0]

        wait_until(lambda: state().status != "active")
        found = state()
        assert server.seen == []
    assert (found.status, "not allowed" in found.message) == ("failed", True)


def test_crawl_out_of_time_is_completed_and_says_so(
    reaching: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = itertools.count(1)

    def pause(_delay_s: float, cancel: Cancel) -> None:
        if next(pauses) == 6:  # the time is over
            cancel.deadline = time.monotonic()

    monkeypatch.setattr(site, "pause", pause)
    endless: dict[str, Content] = {f"/{n}": f"page {n} {links(f'/{n + 1}')}" for n in range(100)}
    state, pages = crawl(reaching, owner, {"/": links("/0"), **endless}, limit=100, max_depth=10)
    assert state.status == "completed"
    assert "there are more pages" in state.message
    assert 0 < len(pages) < 11


def test_crawl_of_too_much_text_keeps_what_fits(
    reaching: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(website_crawls, "MAX_TEXT_CHARS", 1000)
    state, pages = crawl(reaching, owner, {"/": "x" * 900 + links("/a"), "/a": "y" * 200})
    assert [len(page.markdown) for page in pages] == [pytest.approx(930, abs=30)]
    assert "read the rest apart" in state.skipped[0][1]


def test_crawl_whose_lease_is_lost_stops_at_once_and_leaves_its_state_to_the_next(
    reaching: Runtime, owner: Owner
) -> None:
    def cut_off(seen: Seen) -> Reply:
        for cancel in reaching.live_jobs.values():
            cancel.set(LeaseLost("another worker has it"))
        return html("text of a" + links("/b"))

    with website({"/": "start" + links("/a"), "/a": cut_off, "/b": "text of b"}) as server:
        crawl_id = start(reaching, owner, CrawlRequest(url=server.url))
        work(reaching, owner)
        asked = [seen.target for seen in server.seen]
    state, pages = website_crawls.get_crawl(reaching, owner.principal, crawl_id)
    assert asked == ["/robots.txt", "/", "/a"]
    assert (state.status, state.current, pages) == ("active", 1, ())


def test_crawl_interrupted_for_good_is_failed_and_gives_its_place_back(
    reaching: Runtime, owner: Owner
) -> None:
    ids = [start(reaching, owner, CrawlRequest(url="https://a.example/")) for _ in range(3)]
    with reaching.transaction() as session:
        session.execute(
            update(JobRow).where(JobRow.tenant_id == owner.tenant_id).values(failures=MAX_ATTEMPTS)
        )
    work(reaching, owner)
    states = [website_crawls.get_crawl(reaching, owner.principal, crawl_id)[0] for crawl_id in ids]
    assert {state.status for state in states} == {"failed"}
    assert "again and again" in states[0].message
    start(reaching, owner, CrawlRequest(url="https://a.example/"))


# Refusals


@pytest.mark.parametrize("provider", ["firecrawl", "jinareader", "watercrawl"])
def test_start_by_any_name_the_console_knows_reads_with_our_crawler(
    reaching: Runtime, owner: Owner, provider: str
) -> None:
    with website(SITE) as server:
        crawl_id = start(reaching, owner, CrawlRequest(url=server.url, limit=1), provider)
        work(reaching, owner)
    assert website_crawls.get_crawl(reaching, owner.principal, crawl_id)[0].status == "completed"


@pytest.mark.parametrize("provider", ["scrapy", ""])
def test_start_other_provider_is_refused(reaching: Runtime, owner: Owner, provider: str) -> None:
    with pytest.raises(InvalidRequest, match="own crawler; provider must be one of: firecrawl") as caught:
        start(reaching, owner, CrawlRequest(url="https://a.example/"), provider)
    assert caught.value.field == "provider"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (CrawlRequest(url="a.example"), "url"),
        (CrawlRequest(url="https://a.example/", limit=0), "limit"),
        (CrawlRequest(url="https://a.example/", limit=201), "limit"),
        (CrawlRequest(url="https://a.example/", max_depth=11), "max_depth"),
        (CrawlRequest(url="https://a.example/", max_depth=-1), "max_depth"),
    ],
)
def test_start_what_cannot_be_asked_is_refused(
    reaching: Runtime, owner: Owner, request_: CrawlRequest, field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        start(reaching, owner, request_)
    assert caught.value.field == field


def test_start_fourth_crawl_waits_until_one_is_done(reaching: Runtime, owner: Owner) -> None:
    with website(SITE) as server:
        request = CrawlRequest(url=server.url, limit=1)
        for _ in range(3):
            start(reaching, owner, request)
        with pytest.raises(RateLimited, match="3 websites are being read"):
            start(reaching, owner, request)
        start(reaching, make_owner(reaching), request)
        work(reaching, owner)
        start(reaching, owner, request)


def test_get_crawl_is_its_workspaces_alone(reaching: Runtime, owner: Owner) -> None:
    crawl_id = start(reaching, owner, CrawlRequest(url="https://a.example/"))
    stranger = make_owner(reaching)
    with pytest.raises(NotFound, match="no such crawl"):
        website_crawls.get_crawl(reaching, stranger.principal, crawl_id)
    with pytest.raises(NotFound):
        website_crawls.load_pages(reaching, owner.tenant_id, crawl_id)


def test_get_crawl_nobody_works_on_is_an_error_in_the_end(
    reaching: Runtime, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl_id = start(reaching, owner, CrawlRequest(url="https://a.example/"))
    monkeypatch.setattr(website_crawls, "SILENT_S", -1.0)
    state, _ = website_crawls.get_crawl(reaching, owner.principal, crawl_id)
    assert state.status == "failed"
    assert "workers are busy or stopped" in state.message


# A single page


def test_read_page_gives_the_page_as_it_is_now(reaching: Runtime) -> None:
    with website(SITE) as server:
        page = website_crawls.read_page(
            reaching, f"{server.url}/docs/b", only_main_content=True, cancel=Cancel(30)
        )
    assert (page.title, page.markdown) == ("Page /docs/b", "text of b")


def test_read_page_that_is_gone_fails(reaching: Runtime) -> None:
    with website(SITE) as server, pytest.raises(CrawlFailed, match="status 404"):
        website_crawls.read_page(reaching, f"{server.url}/gone", only_main_content=False, cancel=Cancel(30))
