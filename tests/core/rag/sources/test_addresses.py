import pytest

from api.core.rag.sources.addresses import clean_url, page_key, target_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Site.Example:80", "http://site.example/"),
        ("https://site.example:443/a#b", "https://site.example/a"),
        ("https://site.example:8443/a/", "https://site.example:8443/a/"),
        ("https://user:word@site.example/", "https://site.example/"),
        ("https://münchen.example/straße", "https://xn--mnchen-3ya.example/stra%C3%9Fe"),
        ("http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/"),
        ("http://a.example/%7Eann/%e4%bd%a0", "http://a.example/~ann/%E4%BD%A0"),
        ("http://a.example/a b%2Fc", "http://a.example/a%20b%2Fc"),
        ("http://a.example/%ff", "http://a.example/%ff"),
        ("http://a.example/?b=2&utm_source=x&a=1&gclid=y", "http://a.example/?b=2&a=1"),
        ("http://a.example/?q=a b&empty", "http://a.example/?q=a%20b&empty"),
    ],
)
def test_clean_url_normalises_what_is_the_same(url: str, expected: str) -> None:
    assert clean_url(url) == expected
    assert clean_url(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/a",
        "a.example",
        "mailto:a@b.example",
        "javascript:x",
        "http://",
        "http://[",
        "http://a:x/",
        "http://a.example:70000/",
        "http://" + "a" * 64 + ".example/",
        "http://a.example/" + "a" * 3000,
    ],
)
def test_clean_url_of_what_is_no_page_is_none(url: str) -> None:
    assert clean_url(url) is None


def test_page_key_is_shared_by_spellings_of_one_page() -> None:
    keys = {page_key(url) for url in ("http://a.example/x?b&a", "https://a.example/x/?a&b")}
    assert len(keys) == 1


def test_target_of_is_path_and_query() -> None:
    assert target_of("http://a.example/x?y") == "/x?y"
    assert target_of("http://a.example/x") == "/x"
