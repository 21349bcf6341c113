"""Web pages."""

from typing import BinaryIO

from api.core.rag import html_text
from api.core.rag.extraction import extractor


@extractor("html htm")
def extract(file: BinaryIO) -> str:
    """Return the content of the page as Markdown."""
    return html_text.to_markdown(html_text.decode(file.read()))
