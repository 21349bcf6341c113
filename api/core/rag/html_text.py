"""Web pages to Markdown: headings, lists and tables stay, what surrounds the content goes."""

import re

from api.core.rag import charsets

DECLARED = re.compile(
    rb"""<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)
HEAD_BYTES = 4096
# CSS selectors: no text of the page, what surrounds it on every page of a site, and what does not show.
DROPPED = (
    "script, style, template, noscript, svg, iframe, object, canvas, video, audio, img, picture",
    "nav, [role='navigation'], button, select, option, input, textarea, dialog",
    "[hidden], [style*='display:none'], [style*='display: none']",
)


def decode(data: bytes) -> str:
    """Return the source of a page, in the encoding it declares or whatever it is."""
    declared = DECLARED.search(data[:HEAD_BYTES])
    return charsets.decode(data, declared[1].decode("ascii") if declared else None)


def to_markdown(html: str) -> str:
    """Return the content of a page as Markdown; links and images are their texts."""
    from bs4 import BeautifulSoup  # takes a while to load; only some formats hold HTML
    from markdownify import MarkdownConverter

    page = BeautifulSoup(html, "lxml")
    for tag in page.select(", ".join(DROPPED)):
        tag.decompose()
    converter = MarkdownConverter(
        heading_style="atx", bullets="-", strip=["a"], escape_asterisks=False, escape_underscores=False
    )
    text: str = converter.convert_soup(page)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()
