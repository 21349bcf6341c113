"""The tree of a page to Markdown; imported by api/core/rag/html.py when the first page is read.

What must stay true: the time a page takes grows with its size alone. The tree
is walked without recursion and never changed, and pages nested or cut up beyond
any layout come as plain lines.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from urllib.parse import urljoin

from bs4 import BeautifulSoup, Tag
from bs4.element import CData, NavigableString, PageElement
from markdownify import MarkdownConverter

XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*>")
BLANK_LINES = re.compile(r"\n\s*\n\s*\n+")
LINE_END_SPACES = re.compile(r"[ \t]+$", re.MULTILINE)
SURROGATES = re.compile("[\ud800-\udfff]")

MAX_DEPTH = 100
MAX_NODES = 100_000
MIN_MAIN_SHARE = 0.3
"""Of the page's text: a smaller ``main`` or ``article`` is a teaser, not the page's content."""

# What a reader of the page does not read.
UNREAD = frozenset(
    {"script", "style", "noscript", "template", "head", "svg", "canvas", "iframe", "object", "embed"}
    | {"audio", "video", "button", "input", "select", "textarea", "dialog"}
)
AROUND_CONTENT = frozenset({"nav", "aside", "footer"})
ROLES_AROUND_CONTENT = frozenset({"navigation", "banner", "contentinfo", "complementary", "search"})
PERMALINK_SIGNS = frozenset({"", "#", "¶", "§", "🔗"})
LINK_SCHEMES = ("http:", "https:", "mailto:")

LeavesOut: TypeAlias = Callable[[Tag], bool]


def lay_out(html: str, url: str, *, only_main_content: bool) -> tuple[str, str, str, tuple[str, ...]]:
    """Return title, description, Markdown and links of a page; see html.py."""
    # The parser ends at a zero character, takes an XML declaration for XML, and warns of text without tags.
    html = XML_DECLARATION.sub("", html.replace("\0", ""))
    soup = BeautifulSoup(f"<html>{SURROGATES.sub('', html)}", "lxml")
    base = soup.find("base", href=True)
    base_url = _join(url, str(base["href"])) if base else url
    hrefs = (str(anchor["href"]) for anchor in soup.find_all(["a", "area"], href=True))
    links = dict.fromkeys(link for href in hrefs if (link := _join(base_url, href)))
    markdown = _to_markdown(soup, base_url, only_main_content=only_main_content)
    return _title(soup), _meta(soup, "description"), markdown, tuple(links)


def _join(base_url: str, href: str) -> str:
    """Return the address a link leads to; ``""`` for one that is no URL."""
    try:
        return urljoin(base_url, href.strip())
    except ValueError:
        return ""


def _title(soup: BeautifulSoup) -> str:
    for tag in (soup.title, soup.h1):
        if tag and (text := " ".join(tag.get_text().split())):
            return text
    return _meta(soup, "title")


def _meta(soup: BeautifulSoup, name: str) -> str:
    tag = soup.find("meta", attrs={"name": name}) or soup.find("meta", attrs={"property": f"og:{name}"})
    return " ".join(str(tag.get("content", "")).split()) if tag else ""


def _to_markdown(soup: BeautifulSoup, base_url: str, *, only_main_content: bool) -> str:
    root: Tag = soup.body or soup
    if _is_beyond_layout(root):
        markdown = "\n".join(_texts(root, _is_unread))
    else:
        leaves_out = _is_around if only_main_content else _is_unread
        content = _main_of(root) if only_main_content else root
        markdown = _Converter(base_url, leaves_out).convert_soup(content)
    markdown = LINE_END_SPACES.sub("", markdown.replace("\N{NO-BREAK SPACE}", " "))
    return BLANK_LINES.sub("\n\n", markdown).strip()


def _is_beyond_layout(root: Tag) -> bool:
    return any(
        count > MAX_NODES or depth > MAX_DEPTH for count, (_, depth) in enumerate(_walk(root, _is_unread))
    )


def _main_of(root: Tag) -> Tag:
    """Return the element that holds the page's content: the only one of its kind, with most of the text."""
    mains = [tag for tag in root.find_all(True) if tag.name == "main" or tag.get("role") == "main"]
    found = mains or root.find_all("article")
    if len(found) != 1:
        return root
    whole, part = (sum(map(len, _texts(tag, _is_around))) for tag in (root, found[0]))
    return found[0] if part >= MIN_MAIN_SHARE * whole else root


def _texts(root: Tag, leaves_out: LeavesOut) -> Iterator[str]:
    """Yield the pieces of text a reader sees, stripped; none is empty."""
    for node, _ in _walk(root, leaves_out):
        if type(node) in (NavigableString, CData) and (text := str(node).strip()):
            yield text


def _walk(root: Tag, leaves_out: LeavesOut) -> Iterator[tuple[PageElement, int]]:
    """Yield what is in an element with its depth, in the page's order, but not what is left out."""
    stack: list[tuple[PageElement, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        if isinstance(node, Tag):
            children = (
                each for each in reversed(node.contents) if not isinstance(each, Tag) or not leaves_out(each)
            )
            stack.extend((child, depth + 1) for child in children)


def _is_unread(tag: Tag) -> bool:
    return tag.name in UNREAD or "hidden" in tag.attrs or tag.get("aria-hidden") == "true"


def _is_around(tag: Tag) -> bool:
    """Tell whether an element surrounds the content; an article's own header is part of it."""
    if _is_unread(tag) or tag.name in AROUND_CONTENT or tag.get("role") in ROLES_AROUND_CONTENT:
        return True
    return tag.name == "header" and tag.find_parent(["main", "article"]) is None


MAX_START_DIGITS = 9
"""Of the number a list begins with, as browsers read it; thousands of digits are no number to Python."""


class _Converter(MarkdownConverter):
    """Markdown of a tree, but for what is left out; numbers and rows are counted once, not once for each."""

    def __init__(self, base_url: str, leaves_out: LeavesOut) -> None:
        super().__init__(
            heading_style="ATX",
            bullets="-",
            escape_asterisks=False,
            escape_underscores=False,
            code_language_callback=_code_language,
        )
        self._base_url = base_url
        self._leaves_out = leaves_out
        self._items: Counter[int] = Counter()
        self._rows: Counter[int] = Counter()

    def process_tag(self, node: Tag, parent_tags: Any = None) -> str:
        is_root = not parent_tags
        if not is_root and self._leaves_out(node):
            return ""
        return str(super().process_tag(node, parent_tags=parent_tags))  # type: ignore[misc]  # not in its stub

    def convert_a(self, el: Tag, text: str, parent_tags: Any) -> str:
        """Make links absolute; of one that leads nowhere the text stays, of a heading's own nothing."""
        href = str(el.get("href", "#"))
        link = _join(self._base_url, href)
        if href.startswith("#") or not link.startswith(LINK_SCHEMES) or "_noformat" in parent_tags:
            return "" if text.strip() in PERMALINK_SIGNS else text
        label = " ".join(text.split())
        before, after = (" " if each.isspace() else "" for each in (text[:1], text[-1:]))
        return f"{before}[{label}]({link}){after}" if label else ""

    def convert_img(self, el: Tag, text: str, parent_tags: Any) -> str:  # noqa: ARG002  # the library's shape
        """Return the words for an image."""
        return str(el.get("alt") or "")

    def convert_li(self, el: Tag, text: str, parent_tags: Any) -> str:
        if el.parent is None or el.parent.name != "ol":
            return str(super().convert_li(el, text, parent_tags))  # type: ignore[misc]  # not in its stub
        start = str(el.parent.get("start", ""))
        first = int(start) if start.isdecimal() and len(start) <= MAX_START_DIGITS else 1
        bullet = f"{self._items[id(el.parent)] + first}. "
        self._items[id(el.parent)] += 1
        return bullet + text.strip().replace("\n", "\n" + " " * len(bullet)) + "\n"

    def convert_td(self, el: Tag, text: str, parent_tags: Any) -> str:  # noqa: ARG002  # the library's shape
        return f" {' '.join(text.split())} |"

    convert_th = convert_td

    def convert_tr(self, el: Tag, text: str, parent_tags: Any) -> str:  # noqa: ARG002  # the library's shape
        """Return a row, underlined if it is its table's first."""
        table = id(el.find_parent("table"))
        self._rows[table] += 1
        columns = sum(isinstance(child, Tag) and child.name in ("td", "th") for child in el.children)
        underline = f"|{' --- |' * columns}\n" if self._rows[table] == 1 else ""
        return f"|{text}\n{underline}"


def _code_language(pre: Tag) -> str:
    """Return the language of a block of code, named by its class as HTML suggests."""
    for tag in (pre, pre.code):
        for name in tag.get_attribute_list("class") if tag else ():
            if str(name).startswith("language-"):
                return str(name).removeprefix("language-")
    return ""
