"""XML: its texts in document order, each with the name of its element."""

from collections.abc import Iterator
from typing import BinaryIO

from api.core.rag import html_text, safe_xml
from api.core.rag.extraction import extractor


@extractor("xml")
def extract(file: BinaryIO) -> str:
    """Return one line for each text and attribute: ``name: text``."""
    return "\n".join(_lines(file))


def _lines(file: BinaryIO) -> Iterator[str]:
    from lxml import etree  # loaded by now

    for event, element in etree.iterwalk(safe_xml.parse(file), events=("start", "end"), tag="*"):
        name = element.tag.rpartition("}")[2]
        if event == "end":
            yield from filter(None, [_shown(element.tail)])
            continue
        for attribute, value in element.attrib.items():
            yield f"{name} {attribute.rpartition('}')[2]}: {value}"
        if text := _shown(element.text):
            yield f"{name}: {text}"


def _shown(text: str | None) -> str:
    """Return a text without its markup: feeds carry HTML as text."""
    stripped = (text or "").strip()
    return html_text.to_markdown(stripped) if "</" in stripped else " ".join(stripped.split())
