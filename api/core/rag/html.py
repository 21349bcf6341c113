"""HTML to Markdown: what a reader of the page would read, its title and where its links lead.

Boundary: bytes or text in, text out; fetches nothing and runs no script. Takes
any bytes: what cannot be laid out as Markdown comes as plain lines.
"""

import codecs
import re
from dataclasses import dataclass

from api.core.rag.charsets import text_codec

HEAD_BYTES = 4096
DECLARED_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTMLText:
    """What a page says. ``links`` are absolute where the page's address was given, in order, each once."""

    title: str
    description: str
    markdown: str
    links: tuple[str, ...]


def html_to_markdown(
    html: bytes | str, *, url: str = "", charset: str | None = None, only_main_content: bool = False
) -> HTMLText:
    """Return the Markdown of a page; relative links become absolute by its ``url``.

    ``charset`` is what the HTTP header declares, believed only where it fits.
    ``only_main_content`` leaves out what surrounds the content: menus, header,
    footer, asides. Takes time in proportion to the page, whatever it holds:
    a fifth of a second to three seconds for a megabyte.
    """
    from api.core.rag import html_layout  # bs4, lxml, markdownify: 10 MB that only readers of HTML need

    text = html if isinstance(html, str) else decode_html(html, charset)
    title, description, markdown, links = html_layout.lay_out(text, url, only_main_content=only_main_content)
    return HTMLText(title=title, description=description, markdown=markdown, links=links)


def decode_html(data: bytes, charset: str | None = None) -> str:
    """Return the text of a page: by its mark, as UTF-8, as declared (header, then page), or as guessed.

    Never fails: bytes that fit nowhere become U+FFFD.
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    found = DECLARED_CHARSET.search(data[:HEAD_BYTES])
    for declared in ("utf-8", charset, found and found[1].decode("ascii", "replace")):
        text = _decode_as(declared, data) if declared else None
        if text is not None:
            return text
    from charset_normalizer import from_bytes  # only for pages that declare nothing that fits

    best = from_bytes(data).best()
    return data.decode(best.encoding if best else "utf-8", "replace")


def _decode_as(declared: str, data: bytes) -> str | None:
    """Return the text if there is such an encoding and the bytes are in it."""
    encoding = text_codec(declared)
    try:
        return data.decode(encoding) if encoding else None
    except UnicodeError:
        return None
