"""Addresses of web pages: which are the same page, which belong to the same site.

Pure; RFC 3986 says what may be normalised, and the names of tracking parameters
are those their makers publish.
"""

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL_CHARS = 2048
TRACKING = re.compile(
    r"utm_\w+|gclid|gbraid|wbraid|dclid|fbclid|msclkid|yclid|igshid|mc_cid|mc_eid|_hsenc|_hsmi|ref_src"
)
RESERVED_CODE = re.compile("%(23|25|2f|3b|3f)", re.IGNORECASE)
IN_PATH = "/:@!$&'()*+,;=~-._"
IN_QUERY = IN_PATH + "?[]%"

# Files by name that are no text a page could hold; others are known by their type once they answer.
NO_PAGE = re.compile(
    r"\.(7z|avi|bmp|bz2|css|dmg|docx?|eot|epub|exe|gif|gz|ico|iso|jar|jpe?g|js|json|m4a|mov|mp3|mp4|mpe?g|msi|"
    r"og[gv]|otf|pdf|png|pptx?|rar|rss|svg|tar|tgz|tiff?|ttf|wav|web[mp]|whl|woff2?|xlsx?|xml|xz|zip)$",
    re.IGNORECASE,
)


def clean_url(url: str) -> str | None:
    """Return the address without fragment, credentials, default port, tracking; None if it is no page's."""
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
        if scheme not in DEFAULT_PORTS or not host or len(url) > MAX_URL_CHARS:
            return None
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()
    except ValueError:  # UnicodeError among them
        return None
    netloc = host if port in (None, DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    return urlunsplit((scheme, netloc, _path(parts.path), _query(parts.query), ""))


def site_of(url: str) -> str:
    """Return the host of a clean address, with its port where that is not the default."""
    return urlsplit(url).netloc


def is_sibling(site: str, other: str) -> bool:
    """Tell whether two sites differ by a leading ``www.`` at most."""
    return site.removeprefix("www.") == other.removeprefix("www.")


def target_of(url: str) -> str:
    """Return path and query of a clean address, as robots.txt speaks of them."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def page_key(url: str) -> str:
    """Return what addresses share that differ in scheme, final slash or order of parameters alone."""
    parts = urlsplit(url)
    query = "&".join(sorted(parts.query.split("&")))
    return f"{parts.netloc}{parts.path.rstrip('/')}?{query}"


def may_be_page(url: str) -> bool:
    """Tell whether a clean address does not end like that of a picture, an archive and so on."""
    return NO_PAGE.search(urlsplit(url).path) is None


def _path(path: str) -> str:
    """Return the path with the same characters encoded alike, but for those whose code has a meaning."""
    try:
        plain = unquote(path, errors="strict")
    except UnicodeDecodeError:
        plain = None
    if plain is None or RESERVED_CODE.search(path):
        return quote(path, safe=f"{IN_PATH}%")
    return quote(plain, safe=IN_PATH) or "/"


def _query(query: str) -> str:
    """Return the query without what only tells whence a visitor came; untouched if it holds none of that."""
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not TRACKING.fullmatch(name)]
    return quote(query, safe=IN_QUERY) if len(kept) == len(pairs) else urlencode(kept)
