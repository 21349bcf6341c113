"""Word documents: headings, lists and tables in the order of the document, then what stands around it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from api.core.rag import tables, zip_limits
from api.core.rag.extraction import ExtractionFailed, extractor

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
NOTES = ("footnotes", "endnotes", "comments", "header", "footer")
SPACES = {f"{WORD}tab": "\t", f"{WORD}br": "\n", f"{WORD}cr": "\n", f"{WORD}noBreakHyphen": "-"}
TEXTS = {f"{WORD}t", f"{MATH}t"}
LEVEL = re.compile(r"heading ([1-9])")
MAX_HEADING = 6


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph style means here: a heading's level (0: none), or an item of a list."""

    level: int
    is_item: bool


@extractor("docx")
def extract(file: BinaryIO) -> str:
    """Return the document as Markdown. Text that was deleted under revision is left out."""
    from docx import Document  # takes a while to load
    from docx.opc.exceptions import PackageNotFoundError

    with zip_limits.open_zip(file):
        pass
    try:
        document = Document(file)
    except (KeyError, ValueError, PackageNotFoundError) as exc:
        raise ExtractionFailed(
            "The file is damaged or no Word document; open it in Word and save it as docx."
        ) from exc
    styles = _styles(document)
    blocks = [*_blocks(document.element.body, styles)]
    for notes in _notes(document):
        blocks += _blocks(notes, styles)
    return "\n\n".join(blocks)


def _styles(document: "Document") -> dict[str, _Style]:
    """Return what the styles mean, by their ids."""
    found = {}
    for style in document.styles.element.iter(f"{WORD}style"):
        name = style.find(f"{WORD}name")
        title = "" if name is None else name.get(f"{WORD}val", "").lower()
        heading = LEVEL.fullmatch(title)
        level = int(heading[1]) if heading else int(title == "title")
        found[style.get(f"{WORD}styleId", "")] = _Style(level, title.startswith("list "))
    return found


def _notes(document: "Document") -> Iterator["_Element"]:
    """Yield the roots of footnotes, endnotes, comments, headers and footers."""
    from lxml import etree  # python-docx has loaded it; but keeps most of these parts as bytes

    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for relation in document.part.rels.values():
        if relation.reltype.rpartition("/")[2] in NOTES and not relation.is_external:
            yield etree.fromstring(relation.target_part.blob, parser)


def _blocks(container: "_Element", styles: dict[str, _Style]) -> Iterator[str]:
    """Yield paragraphs and tables, each as Markdown, looking into content controls and notes."""
    for child in container.iterchildren("*"):
        if child.tag == f"{WORD}p":
            yield from _paragraph(child, styles)
        elif child.tag == f"{WORD}tbl":
            yield from filter(None, [tables.to_markdown(_rows(child))])
        elif child.tag != f"{WORD}sectPr":
            yield from _blocks(child, styles)


def _paragraph(paragraph: "_Element", styles: dict[str, _Style]) -> Iterator[str]:
    """Yield a paragraph, and after it the blocks of the text boxes anchored in it."""
    boxes: list[_Element] = []
    text = "".join(_texts(paragraph, boxes)).strip()
    if text:
        yield _mark(paragraph, styles) + text
    for box in boxes:
        yield from _blocks(box, styles)


def _texts(element: "_Element", boxes: list["_Element"]) -> Iterator[str]:
    """Yield the pieces of text below an element; ``boxes`` collects the text boxes met on the way."""
    for child in element.iterchildren("*"):
        if child.tag in TEXTS:
            yield child.text or ""
        elif child.tag in SPACES:
            yield SPACES[child.tag]
        elif child.tag == f"{WORD}txbxContent":
            boxes.append(child)
        elif child.tag not in (FALLBACK, f"{WORD}pPr", f"{WORD}rPr"):
            yield from _texts(child, boxes)
        if child.tag == f"{WORD}p":  # one of a table's cell
            yield " "


def _mark(paragraph: "_Element", styles: dict[str, _Style]) -> str:
    """Return what Markdown puts before a paragraph of its kind."""
    style_id = paragraph.find(f"{WORD}pPr/{WORD}pStyle")
    style = styles.get("" if style_id is None else style_id.get(f"{WORD}val", ""), _Style(0, is_item=False))
    if style.level:
        return "#" * min(style.level, MAX_HEADING) + " "
    if style.is_item or paragraph.find(f"{WORD}pPr/{WORD}numPr") is not None:
        return "- "
    return ""


def _rows(table: "_Element") -> Iterator[list[str]]:
    """Yield the cells of each row, with all the text in them."""
    for row in table.iter(f"{WORD}tr"):
        if next(row.iterancestors(f"{WORD}tbl")) is table:
            yield [_cell(cell) for cell in row.iterchildren(f"{WORD}tc", f"{WORD}sdt")]


def _cell(cell: "_Element") -> str:
    boxes: list[_Element] = []
    text = "".join(_texts(cell, boxes))
    return " ".join([text, *map(_cell, boxes)])
