import contextlib
import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from api import __version__
from api.backends.offload import Backend as Offload
from api.core.egress import EgressDenied, EgressPolicy
from api.core.http import Cancelled, HTTPClient
from api.core.ports import Cancel
from api.core.rag.sources.website import CrawlEnded, CrawlEvent, CrawlOptions, Page, PageSkipped, crawl
from api.errors import CrawlFailed, InvalidRequest
from tests.core.rag.sources.sites import PATIENT, Content, html, http_client, links, website
from tests.offloads import BusyOffload
from tests.servers import Reply, ScriptedServer, Seen, Step
from tests.waiting import assert_quick

NO_DELAY = CrawlOptions(limit=50, max_depth=5, delay_s=0.0)


@pytest.fixture
def http() -> Iterator[HTTPClient]:
    with http_client() as client:
        yield client


def run(http: HTTPClient, url: str, options: CrawlOptions = NO_DELAY) -> list[CrawlEvent]:
    return list(crawl(url, options, http, Cancel(20), Offload()))


def crawl_site(
    pages: dict[str, Content], options: CrawlOptions = NO_DELAY, start: str = "/"
) -> list[CrawlEvent]:
    with http_client() as http, website(pages) as server:
        return run(http, server.url + start, options)


def paths(events: list[CrawlEvent]) -> list[str]:
    """Return the paths of the pages, in order."""
    return ["/" + event.url.split("/", 3)[3] for event in events if isinstance(event, Page)]


def skipped(events: list[CrawlEvent]) -> dict[str, str]:
    return {
        "/" + event.url.split("/", 3)[3]: event.message for event in events if isinstance(event, PageSkipped)
    }


def ended(events: list[CrawlEvent]) -> CrawlEnded:
    assert isinstance(events[-1], CrawlEnded)
    return events[-1]


# What is read


def test_crawl_follows_links_breadth_first_and_tells_the_end() -> None:
    events = crawl_site({"/": links("/a", "b"), "/a": "A" + links("/a/deep"), "/b": "B", "/a/deep": "deep"})
    assert paths(events) == ["/", "/a", "/b", "/a/deep"]
    assert events[-1] == CrawlEnded(pages=4, skipped=0, reason="complete")


def test_crawl_page_has_title_description_and_markdown_with_absolute_links(http: HTTPClient) -> None:
    head = '<title> The\n title </title><meta name="description" content="What it is about">'
    body = '<h1>Head</h1><p>Some <b>bold</b> text and <a href="next">more</a>.</p><script>x()</script>'
    page = Reply(headers={"Content-Type": "text/html"}, body=f"<head>{head}</head>{body}".encode())
    with website({"/docs/": page}) as server:
        found = run(http, f"{server.url}/docs/#part", CrawlOptions(limit=1))[0]
        assert found == Page(
            url=f"{server.url}/docs/",
            title="The title",
            description="What it is about",
            markdown=f"# Head\n\nSome **bold** text and [more]({server.url}/docs/next).",
            known=1,
        )


def test_crawl_known_counts_up_to_the_limit() -> None:
    pages: dict[str, Content] = {"/": links("/a", "/b"), "/a": "a" + links("/c"), "/b": "b", "/c": "c"}
    events = crawl_site(pages, CrawlOptions(limit=4, delay_s=0))
    assert [event.known for event in events if isinstance(event, Page)] == [3, 4, 4, 4]
    events = crawl_site(pages, CrawlOptions(limit=2, delay_s=0))
    assert [event.known for event in events if isinstance(event, Page)] == [2, 2]


def test_crawl_waits_between_two_requests() -> None:
    started = time.monotonic()
    crawl_site({"/": links("/a"), "/a": "text"}, CrawlOptions(delay_s=0.1))
    assert time.monotonic() - started >= 0.2


def test_crawl_markdown_and_plain_text_are_read_as_they_are() -> None:
    text = Reply(headers={"Content-Type": "text/markdown; charset=utf-8"}, body="# Über\n\n* a_b".encode())
    events = crawl_site({"/": links("/notes"), "/notes": text})
    page = events[1]
    assert isinstance(page, Page)
    assert (page.title, page.markdown) == ("Über", "# Über\n\n* a_b")


@pytest.mark.parametrize(
    ("kind", "encoding", "meta"),
    [
        ("text/html", "utf-8", ""),
        ("text/html; charset=iso-8859-1", "utf-8", ""),
        ("text/html; charset=utf-8", "gbk", '<meta charset="gb2312">'),
        ("text/html; charset=no-such", "gbk", '<meta charset="gbk">'),
        ("text/html; charset=gb2312", "gb18030", ""),
        ("text/html", "utf-16", ""),
        ("text/html; charset=big5", "big5", ""),
    ],
)
def test_crawl_wrongly_declared_charset_does_not_garble(kind: str, encoding: str, meta: str) -> None:
    content = f"<html><head>{meta}<title>頁面</title></head><body><p>中文內容</p></body></html>".encode(
        encoding
    )
    (page, _) = crawl_site({"/": Reply(headers={"Content-Type": kind}, body=content)})
    assert isinstance(page, Page)
    assert (page.title, page.markdown) == ("頁面", "中文內容")


# Limits


def test_crawl_stops_at_the_limit_and_asks_for_no_more(http: HTTPClient) -> None:
    endless = {f"/{n}": f"page {n} {links(f'/{n + 1}')}" for n in range(100)}
    with website(endless) as server:
        events = run(http, f"{server.url}/0", CrawlOptions(limit=4, max_depth=99, delay_s=0))
        assert ended(events) == CrawlEnded(pages=4, skipped=0, reason="limit")
        assert len(server.seen) == 1 + 4  # robots.txt


@pytest.mark.parametrize(("max_depth", "expected"), [(0, ["/"]), (1, ["/", "/a"]), (2, ["/", "/a", "/b"])])
def test_crawl_depth_counts_links_from_the_start(max_depth: int, expected: list[str]) -> None:
    pages: dict[str, Content] = {
        "/": links("/a"),
        "/a": "a" + links("/b"),
        "/b": "b" + links("/c"),
        "/c": "c",
    }
    events = crawl_site(pages, CrawlOptions(limit=9, max_depth=max_depth, delay_s=0))
    assert paths(events) == expected
    assert ended(events).reason == "complete"


def test_crawl_site_that_makes_up_pages_without_end_ends() -> None:
    numbers = itertools.count()

    def trap(_: Seen) -> Reply:
        number = next(numbers)
        return html(f"day {number} {links(f'/cal?day={number}', f'/cal?day={number + 100}')}")

    with http_client() as http, ScriptedServer(trap) as server:
        events = run(http, server.url, CrawlOptions(limit=20, max_depth=10_000, delay_s=0))
    assert ended(events).pages <= 20


def test_crawl_keeps_no_more_than_ten_thousand_addresses_in_mind() -> None:
    many = "".join(f'<a href="/{n}">x</a>' for n in range(12_000))
    with http_client() as http, website({"/": many}) as server:
        options = CrawlOptions(limit=20_000, max_depth=1)
        page = next(crawl(server.url, options, http, Cancel(20), Offload()))
    assert isinstance(page, Page)
    assert page.known == 10_000


@pytest.mark.parametrize("others", [("/other",), ()])
def test_crawl_slow_site_ends_in_time_with_what_it_has(http: HTTPClient, others: tuple[str, ...]) -> None:
    slow = Reply(headers={"Content-Type": "text/html"}, steps=itertools.repeat(0.02))
    with website({"/": "start" + links("/slow", *others), "/slow": slow, "/other": "x"}) as server:
        started = time.monotonic()
        events = run(http, server.url, CrawlOptions(delay_s=0, total_s=2.0))
        assert_quick(time.monotonic() - started, 4.0)
    assert paths(events) == ["/"]
    assert ended(events) == CrawlEnded(pages=1, skipped=0, reason="time")


def test_crawl_start_page_that_never_answers_fails_in_time(http: HTTPClient) -> None:
    with (
        website({"/": Reply(delay_s=30)}) as server,
        pytest.raises(CrawlFailed, match=r"cannot be read\. 127\.0\.0\.1:\d+ did not answer in time"),
    ):
        run(http, server.url, CrawlOptions(total_s=1.0, delay_s=0))


def test_crawl_huge_page_is_told_and_the_rest_goes_on() -> None:
    huge = Reply(headers={"Content-Type": "text/html"}, steps=itertools.repeat(b"<p>more</p>" * 1000))
    options = CrawlOptions(max_page_bytes=100_000, delay_s=0)
    events = crawl_site({"/": links("/huge", "/small"), "/huge": huge, "/small": "small"}, options)
    assert paths(events) == ["/", "/small"]
    assert "sent more than 100000 bytes" in skipped(events)["/huge"]
    assert ended(events) == CrawlEnded(pages=2, skipped=1, reason="complete")


def test_crawl_delay_lies_between_requests(http: HTTPClient) -> None:
    at: list[float] = []

    def timed(seen: Seen) -> Reply:
        at.append(time.monotonic())
        return Reply(status=404) if "robots" in seen.target else html(f"{seen.target} {links('/b')}")

    with ScriptedServer(timed) as server:
        run(http, server.url, CrawlOptions(delay_s=0.05, max_depth=1))
    assert [later - sooner >= 0.05 for sooner, later in itertools.pairwise(at)] == [True, True]


def test_crawl_page_of_countless_tags_is_told() -> None:
    events = crawl_site({"/": links("/tags"), "/tags": "<i>x" * 100_001})
    assert "more than 100000 tags" in skipped(events)["/tags"]


def test_crawl_redirect_out_of_the_paths_wanted_is_told() -> None:
    moved = Reply(status=302, headers={"Location": "/other"})
    options = CrawlOptions(includes=("/docs/*",), delay_s=0)
    events = crawl_site({"/": links("/docs/a"), "/docs/a": moved, "/other": "x"}, options)
    assert paths(events) == []
    assert "leave out" in skipped(events)["/docs/a"]


def test_crawl_busy_machine_skips_what_it_cannot_lay_out(http: HTTPClient) -> None:
    with website({"/": "x"}) as server, pytest.raises(CrawlFailed, match="laid out"):
        list(crawl(server.url, NO_DELAY, http, Cancel(30), BusyOffload()))


# Which addresses are pages


def test_crawl_loop_reads_each_page_once(http: HTTPClient) -> None:
    with website({"/": links("/a", "/"), "/a": "a" + links("/b"), "/b": "b" + links("/a", "/")}) as server:
        assert paths(run(http, server.url)) == ["/", "/a", "/b"]
        assert len(server.seen) == 1 + 3


def test_crawl_spellings_of_one_address_are_one_page(http: HTTPClient) -> None:
    spellings = [
        "/a",
        "/a/",
        "/a#x",
        "/a?utm_source=mail&fbclid=1",
        "/./b/../a",
        "/%61",
        " /a ",
        "?q=1&p=2",
        "?p=2&q=1",
    ]
    with website({"/": links(*spellings), "/a": "a", "/?q=1&p=2": "q"}) as server:
        assert paths(run(http, server.url)) == ["/", "/a", "/?q=1&p=2"]
        assert len(server.seen) == 1 + 3


def test_crawl_other_hosts_schemes_and_files_are_not_asked(http: HTTPClient) -> None:
    with website({"/": "other"}) as other:
        targets = [
            other.url,
            f"http://localhost:{other.port}/",
            "mailto:a@b.c",
            "javascript:x()",
            "ftp://x/",
            "http://[::1",
            "http://x:99999/",
            "//",
            "/logo.PNG",
            "/doc.pdf",
            "tel:1",
        ]
        with website({"/": "start" + links(*targets)}) as server:
            events = run(http, server.url)
            assert paths(events) == ["/"]
            assert ended(events).skipped == 0
            assert len(server.seen) == 2
        assert other.seen == []


def test_crawl_base_element_decides_where_links_lead() -> None:
    body = f'<base href="/docs/">{links("one")}'
    assert paths(crawl_site({"/": body, "/docs/one": "1", "/one": "no"})) == ["/", "/docs/one"]


def test_crawl_same_text_at_two_addresses_is_given_once() -> None:
    events = crawl_site({"/": links("/a", "/a?print=1"), "/a": "text", "/a?print=1": "text"})
    assert paths(events) == ["/", "/a"]
    assert "says the same as http" in skipped(events)["/a?print=1"]


@pytest.mark.parametrize(
    ("includes", "excludes", "expected"),
    [
        (("/blog/*",), (), ["/blog/1", "/blog/de/2"]),
        (("blog/*",), ("/blog/de/*",), ["/blog/1"]),
        ((), ("/blog/*", "/"), ["/about", "/%C3%BCber"]),
        (("/über",), (), ["/%C3%BCber"]),
    ],
)
def test_crawl_globs_choose_pages(
    includes: tuple[str, ...], excludes: tuple[str, ...], expected: list[str]
) -> None:
    pages: dict[str, Content] = {
        "/": links("/blog/1", "/blog/de/2", "/about", "/über"),
        "/blog/1": "1",
        "/blog/de/2": "2",
        "/about": "about",
        "/%C3%BCber": "ü",
    }
    options = CrawlOptions(includes=includes, excludes=excludes, delay_s=0)
    assert paths(crawl_site(pages, options)) == expected


def test_crawl_hostile_glob_takes_no_time() -> None:
    options = CrawlOptions(includes=("/" + "*a" * 40 + "b",), delay_s=0)
    started = time.monotonic()
    crawl_site({"/": links("/" + "a" * 1500)}, options)
    assert_quick(time.monotonic() - started, 1.0)


# Robots and sitemaps


def test_crawl_robots_rules_are_obeyed_by_name(http: HTTPClient) -> None:
    robots = Reply(
        body=b"User-agent: *\nDisallow: /\n\nUser-agent: Other\nUser-agent: slipway\n"
        b"Disallow: /private\nAllow: /private/open # yes\nDisallow: /*.cgi$\nDisallow: /*?session="
    )
    targets = ["/private", "/private/open", "/x.cgi", "/x.cgi/y", "/p?session=1"]
    pages: dict[str, Content] = {
        **{target: target for target in targets},
        "/": links(*targets),
        "/robots.txt": robots,
    }
    with website(pages) as server:
        assert paths(run(http, server.url)) == ["/", "/private/open", "/x.cgi/y"]
        assert {seen.headers["user-agent"] for seen in server.seen} == {f"Slipway/{__version__}"}


def test_crawl_robots_forbids_the_start_page(http: HTTPClient) -> None:
    with website({"/robots.txt": Reply(body=b"User-agent: *\nDisallow: /"), "/": "x"}) as server:
        with pytest.raises(CrawlFailed, match=r"robots\.txt does not let Slipway"):
            run(http, server.url)
        assert [seen.target for seen in server.seen] == ["/robots.txt"]


def test_crawl_robots_forbids_a_redirects_target(http: HTTPClient) -> None:
    pages: dict[str, Content] = {
        "/robots.txt": Reply(body=b"User-agent: *\nDisallow: /secret"),
        "/": links("/a"),
        "/a": Reply(status=302, headers={"Location": "/secret"}),
        "/secret": "x",
    }
    with website(pages) as server:
        events = run(http, server.url)
        assert "/secret" not in [seen.target for seen in server.seen]
    assert "robots.txt" in skipped(events)["/a"]


def test_crawl_broken_robots_reads_nothing(http: HTTPClient) -> None:
    with website({"/robots.txt": Reply(status=503), "/": "x"}) as server:
        with pytest.raises(CrawlFailed, match=r"status 503 when asked for its robots\.txt"):
            run(http, server.url)
        assert len(server.seen) == 1


def test_crawl_robots_that_makes_no_sense_forbids_nothing() -> None:
    robots = Reply(body=b"\xff\xfeDisallow: /\nUser-agent: *\nCrawl-delay: soon\nDisallow:\nNonsense\nAllow")
    assert paths(crawl_site({"/robots.txt": robots, "/": "x"})) == ["/"]


def test_crawl_robots_delay_is_honoured(http: HTTPClient) -> None:
    robots = Reply(body=b"User-agent: *\nCrawl-delay: 0.1")
    with website({"/robots.txt": robots, "/": links("/a"), "/a": "a"}) as server:
        started = time.monotonic()
        run(http, server.url)
        assert time.monotonic() - started >= 0.2


def test_crawl_sitemap_adds_pages_nothing_links_to(http: HTTPClient) -> None:
    def answer(seen: Seen) -> Reply:
        root = f"http://{seen.headers['host']}"
        index = f"<sitemapindex><sitemap><loc>{root}/map2</loc></sitemap></sitemapindex>"
        urls = f"<urlset><url><loc> {root}/hidden?a=1&amp;b=2 </loc></url><url><loc>http://x.y/</loc></url></urlset>"
        replies = {
            "/robots.txt": Reply(body=f"Sitemap: {root}/map1".encode()),
            "/": html("start"),
            "/map1": Reply(body=index.encode()),
            "/map2": Reply(body=urls.encode()),
            "/hidden?a=1&b=2": html("hidden"),
        }
        return replies.get(seen.target, Reply(status=404))

    with ScriptedServer(answer) as server:
        assert paths(run(http, server.url)) == ["/"]
        assert paths(run(http, server.url, CrawlOptions(use_sitemap=True, delay_s=0))) == [
            "/",
            "/hidden?a=1&b=2",
        ]


def test_crawl_sitemap_that_is_missing_or_broken_is_no_failure() -> None:
    options = CrawlOptions(use_sitemap=True, delay_s=0)
    assert paths(crawl_site({"/": "x"}, options)) == ["/"]
    elsewhere = Reply(body=b"Sitemap: http://127.0.0.1:1/map\nSitemap: mailto:x")
    assert paths(crawl_site({"/": "x", "/robots.txt": elsewhere}, options)) == ["/"]
    broken = Reply(steps=[b"<urlset>", Step.DROP])
    assert paths(crawl_site({"/": "x", "/sitemap.xml": broken}, options)) == ["/"]


# Redirects


def test_crawl_redirect_within_the_site_gives_the_final_address_once() -> None:
    moved = Reply(status=301, headers={"Location": "/new"})
    events = crawl_site({"/": links("/old", "/new"), "/old": moved, "/new": "new"})
    assert paths(events) == ["/", "/new"]


def test_crawl_redirect_to_another_site_is_told_and_not_followed(http: HTTPClient) -> None:
    with website({"/": "elsewhere"}) as other:
        away = Reply(status=302, headers={"Location": f"{other.url}/"})
        with website({"/": links("/away"), "/away": away}) as server:
            events = run(http, server.url)
            assert "another site" in skipped(events)["/away"]
            with pytest.raises(CrawlFailed, match=f"another site, 127.0.0.1:{other.port}"):
                run(http, f"{server.url}/away")
        assert other.seen == []


def test_crawl_start_may_move_to_www(http: HTTPClient) -> None:
    with website({}) as server:
        moved = Reply(status=301, headers={"Location": f"http://www.site.example:{server.port}/"})

        def answer(seen: Seen) -> Reply:
            if seen.target == "/robots.txt":
                return Reply(status=404)
            return html("home") if seen.headers["host"].startswith("www.") else moved

        server.then(answer)
        policy = EgressPolicy(allow_private=True)
        with contextlib.closing(HTTPClient(policy, PATIENT, resolve=lambda *_: ["127.0.0.1"])) as client:
            events = run(client, f"http://site.example:{server.port}/")
        assert isinstance(events[0], Page)
        assert events[0].url == f"http://www.site.example:{server.port}/"
        assert [seen.target for seen in server.seen] == ["/robots.txt", "/", "/robots.txt", "/"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/loop", "more than 5 times"),
        ("/", "tried already"),
        ("ftp://x/", "no web page"),
        ("http://[::1", "no web page"),
    ],
)
def test_crawl_redirect_that_leads_nowhere_is_told(location: str, message: str) -> None:
    events = crawl_site({"/": links("/loop"), "/loop": Reply(status=302, headers={"Location": location})})
    assert message in skipped(events)["/loop"]


def test_crawl_private_address_is_denied_unseen() -> None:
    with website({"/": "x"}) as server, contextlib.closing(HTTPClient(EgressPolicy(), PATIENT)) as strict:
        with pytest.raises(EgressDenied):
            run(strict, server.url)
        assert server.seen == []


def test_crawl_redirect_into_the_private_network_never_arrives() -> None:
    with website({"/": "secret"}) as hidden:
        pages: dict[str, Content] = {"/": Reply(status=302, headers={"Location": f"{hidden.url}/"})}
        with website(pages) as server:
            policy = EgressPolicy.parse(f"127.0.0.1:{server.port}")
            with contextlib.closing(HTTPClient(policy, PATIENT)) as client, pytest.raises(CrawlFailed):
                run(client, server.url)
        assert hidden.seen == []


# Failures


def test_crawl_failing_pages_are_told_and_the_rest_goes_on() -> None:
    pages: dict[str, Content] = {
        "/": links("/gone", "/broken", "/pdf", "/empty", "/good"),
        "/broken": Reply(headers={"Content-Type": "text/html"}, steps=[b"<p>", Step.DROP]),
        "/pdf": Reply(headers={"Content-Type": "application/pdf"}, body=b"%PDF"),
        "/empty": '<div id="root"></div><script>render()</script>',
        "/good": "good",
    }
    events = crawl_site(pages)
    assert paths(events) == ["/", "/good"]
    told = skipped(events)
    assert "status 404" in told["/gone"]
    assert "broke off" in told["/broken"]
    assert "application/pdf" in told["/pdf"]
    assert "JavaScript" in told["/empty"]
    assert ended(events) == CrawlEnded(pages=2, skipped=4, reason="complete")


def test_crawl_site_out_of_reach_fails_with_its_address(http: HTTPClient) -> None:
    with website({}) as server:
        url = server.url
    with pytest.raises(CrawlFailed, match=r"cannot be read\. No connection to"):
        run(http, url)


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a.b/", "file:///etc/passwd", "http://", "http://[::1", "http://a:b/"]
)
def test_crawl_address_that_is_no_page_is_refused(http: HTTPClient, url: str) -> None:
    with pytest.raises(InvalidRequest, match="not the address of a web page"):
        run(http, url)


@pytest.mark.parametrize(
    "body",
    [
        "<div>" * 10_000 + "deep",
        "<blockquote>" * 400 + "deep",
        "<ul><li>" * 400 + "deep",
        "deep &#xD800; &#0; \0 <![CDATA[ x ]]> <?php ?>",
        "<table>" * 100 + "<tr><td>deep",
        "<a href='/x'>" * 5000 + "deep",
    ],
)
def test_crawl_hostile_page_gives_its_text(body: str) -> None:
    (page, _) = crawl_site({"/": body}, CrawlOptions(limit=1, delay_s=0))
    assert isinstance(page, Page)
    assert "deep" in page.markdown


# Cancel


def stop_when(arrived: threading.Event, cancel: Cancel) -> None:
    def stop() -> None:
        arrived.wait(30)
        cancel.set()

    threading.Thread(target=stop, daemon=True).start()


def test_crawl_cancel_ends_a_blocked_read_at_once(http: HTTPClient) -> None:
    arrived = threading.Event()

    def hang(_: Seen) -> Reply:
        arrived.set()
        return Reply(headers={"Content-Type": "text/html"}, steps=[b"<p>x", Step.HANG])

    with website({"/": links("/hang"), "/hang": hang}) as server:
        cancel = Cancel(20)
        events = crawl(server.url, NO_DELAY, http, cancel, Offload())
        assert isinstance(next(events), Page)
        stop_when(arrived, cancel)
        started = time.monotonic()
        with pytest.raises(Cancelled):
            next(events)
        assert_quick(time.monotonic() - started, 2)


def test_crawl_cancel_ends_a_pause_at_once(http: HTTPClient) -> None:
    with website({"/robots.txt": Reply(body=b"User-agent: *\nCrawl-delay: 9"), "/": "x"}) as server:
        cancel = Cancel(20)
        threading.Timer(0.1, cancel.set).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            list(crawl(server.url, NO_DELAY, http, cancel, Offload()))
        assert_quick(time.monotonic() - started, 2)
