import time

import pytest

from api.core.rag.sources.robots import Robots
from tests.waiting import assert_quick


@pytest.mark.parametrize(
    ("rules", "target", "expected"),
    [
        ("", "/", True),
        ("Disallow: /", "/", False),
        ("Disallow:", "/", True),
        ("Disallow: /a", "/ab", False),
        ("Disallow: /a", "/A", True),
        ("Disallow: /a/", "/a", True),
        ("Disallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("Allow: /a/b\nDisallow: /a", "/a/b/c", True),
        ("Disallow: /a\nAllow: /a", "/a", True),
        ("Disallow: *.pdf", "/x/y.pdf?z", False),
        ("Disallow: *.pdf$", "/x/y.pdf?z", True),
        ("Disallow: /a*b$", "/ab", False),
        ("Disallow: /a*ab$", "/ab", True),
        ("Disallow: /$", "/", False),
        ("Disallow: /$", "/a", True),
        ("Disallow: /a$", "/a", False),
        ("Disallow: /*?", "/a?b", False),
        ("Disallow: /*x*y", "/ayxb", True),
        ("Disallow: /%7Eann/%e4%bd%a0", "/~ann/你", False),
        ("Disallow: /你", "/%E4%BD%A0", False),
    ],
)
def test_allows_follows_the_standard(rules: str, target: str, expected: bool) -> None:
    assert Robots.parse(f"User-agent: *\n{rules}", "Slipway").allows(target) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("User-agent: slipway\nDisallow: /a\n\nUser-agent: *\nDisallow: /", True),
        ("User-agent: *\nDisallow:\n\nUser-agent: SLIPWAY\nDisallow: /", False),
        ("User-agent: Slipway\nUser-agent: Other\nDisallow: /", False),
        ("User-agent: Other\nDisallow: /", True),
        ("User-agent: Slipway\nDisallow: /x\n\nUser-agent: Slipway\nDisallow: /", False),
        ("User-agent: Slipway\nSitemap: http://a.example/\nUser-agent: Other\nDisallow: /", False),
        ("Disallow: /", True),
        ("\ufeffuser-AGENT : *  # all\r\n disallow :/ # none", False),
    ],
)
def test_parse_finds_the_rules_for_its_name(text: str, expected: bool) -> None:
    assert Robots.parse(text, "Slipway").allows("/page") is expected


def test_parse_reads_delay_and_sitemaps() -> None:
    robots = Robots.parse(
        "Sitemap: http://a.example/1\nUser-agent: *\nCrawl-delay: 2.5\nSitemap: http://a.example/2", "Slipway"
    )
    assert robots.crawl_delay_s == 2.5
    assert robots.sitemaps == ("http://a.example/1", "http://a.example/2")


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", ""])
def test_parse_delay_that_is_none_is_ignored(value: str) -> None:
    assert Robots.parse(f"User-agent: *\nCrawl-delay: {value}", "Slipway").crawl_delay_s == 0.0


def test_allows_hostile_pattern_takes_no_time() -> None:
    robots = Robots.parse("User-agent: *\nDisallow: /" + "*a" * 1000 + "b", "Slipway")
    started = time.process_time()
    assert robots.allows("/" + "a" * 2000)
    assert_quick(time.process_time() - started, 0.5)
