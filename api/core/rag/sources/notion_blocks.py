"""Notion's blocks to Markdown.

Boundary: pure; the tree of blocks has been read (notion.py). What must stay
true: a type that is not known here still gives its text and what is in it.
Shapes: Notion's API reference, "Block" and "Rich text".
"""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, model_validator

LIST_TYPES = frozenset({"bulleted_list_item", "numbered_list_item", "to_do"})
LINK_TYPES = ("bookmark", "embed", "link_preview", "image", "video", "file", "pdf", "audio")
HEADINGS = {"heading_1": "# ", "heading_2": "## ", "heading_3": "### "}


class Annotations(BaseModel):
    """How a span of text looks."""

    bold: bool = False
    italic: bool = False
    strikethrough: bool = False
    code: bool = False


class RichText(BaseModel):
    """A span of text that looks the same throughout."""

    type: str = "text"
    plain_text: str = ""
    href: str | None = None
    annotations: Annotations = Annotations()


class Icon(BaseModel):
    """The sign of a callout; pictures have no emoji."""

    emoji: str | None = None


class Link(BaseModel):
    """Where a file lies outside Notion."""

    url: str = ""


class Content(BaseModel):
    """What blocks hold under the name of their type, all types together; each has some of it."""

    rich_text: list[RichText] = []
    caption: list[RichText] = []
    cells: list[list[RichText]] = []
    icon: Icon | None = None
    external: Link | None = None
    url: str = ""
    name: str = ""
    title: str = ""
    language: str = ""
    expression: str = ""
    checked: bool = False


class Block(BaseModel):
    """A block; ``children`` are filled by whoever reads them."""

    id: str
    type: str
    has_children: bool = False
    content: Content = Content()
    children: list["Block"] = []

    @model_validator(mode="before")
    @classmethod
    def _name_content(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = {name: data[name] for name in ("id", "type", "has_children") if name in data}
        return {**known, "content": data.get(data.get("type")) or {}}


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return blocks that follow each other as Markdown; items of one list are not set apart."""
    pieces: list[str] = []
    number, last = 0, ""
    for block in blocks:
        number = number + 1 if block.type == "numbered_list_item" else 0
        if not (text := _render(block, number)):
            continue
        if pieces:
            pieces.append("\n" if block.type == last and last in LIST_TYPES else "\n\n")
        pieces.append(text)
        last = block.type
    return "".join(pieces)


def to_text(spans: Sequence[RichText]) -> str:
    """Return spans without their looks."""
    return "".join(span.plain_text for span in spans)


def _render(block: Block, number: int) -> str:
    match block.type:
        case "bulleted_list_item":
            return _item("- ", block)
        case "numbered_list_item":
            return _item(f"{number}. ", block)
        case "to_do":
            return _item("- [x] " if block.content.checked else "- [ ] ", block)
        case kind:
            return RENDERERS.get(kind, _flow)(block)


def _flow(block: Block) -> str:
    """Return a block's text and below it what it holds."""
    text = _styled(block.content.rich_text).strip()
    if text and block.type in HEADINGS:
        text = HEADINGS[block.type] + " ".join(text.split())
    if block.content.icon and block.content.icon.emoji:
        text = f"{block.content.icon.emoji} {text}"
    return "\n\n".join(filter(None, (text, to_markdown(block.children))))


def _item(marker: str, block: Block) -> str:
    """Return an item of a list, what it holds indented below it."""
    indent = " " * (2 if marker.startswith("-") else len(marker))
    inner = to_markdown(block.children)
    text = "\n".join(filter(None, (_styled(block.content.rich_text).strip(), inner)))
    return marker + text.replace("\n", f"\n{indent}")


def _quoted(block: Block) -> str:
    return "\n".join(f"> {line}".rstrip() for line in _flow(block).splitlines())


def _fenced(block: Block) -> str:
    code, language = to_text(block.content.rich_text), block.content.language
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}{'' if language == 'plain text' else language}\n{code}\n{fence}"


def _table(block: Block) -> str:
    """Return a table; Markdown knows none without a header, so the first row is it."""
    rows = [
        "| "
        + " | ".join(_styled(cell).replace("|", "\\|").replace("\n", " ") for cell in row.content.cells)
        + " |"
        for row in block.children
        if row.type == "table_row"
    ]
    if not rows:
        return ""
    columns = len(block.children[0].content.cells)
    return "\n".join([rows[0], "|" + " --- |" * columns, *rows[1:]])


def _link(block: Block) -> str:
    """Return a link, or the words alone where a file lies with Notion, whose addresses expire in an hour."""
    content = block.content
    label = _styled(content.caption).strip() or content.name
    url = content.url or (content.external.url if content.external else "")
    return f"[{label or url}]({url})" if url else label


def _styled(spans: Sequence[RichText]) -> str:
    return "".join(map(_span, spans))


def _span(span: RichText) -> str:
    text = span.plain_text
    inner = text.strip()
    if not inner:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    if span.type == "equation":
        inner = f"${inner}$"
    looks = span.annotations
    for is_on, mark in (
        (looks.code, "`"),
        (looks.bold, "**"),
        (looks.italic, "*"),
        (looks.strikethrough, "~~"),
    ):
        inner = f"{mark}{inner}{mark}" if is_on else inner
    if span.href and span.href.startswith(("http://", "https://", "mailto:")):
        inner = f"[{inner}]({span.href})"
    return before + inner + after


RENDERERS: dict[str, Callable[[Block], str]] = {
    "quote": _quoted,
    "callout": _quoted,
    "code": _fenced,
    "equation": lambda block: f"$$\n{block.content.expression}\n$$",
    "divider": lambda _: "---",
    "table": _table,
    "child_page": lambda block: block.content.title,
    "child_database": lambda block: block.content.title,
    **dict.fromkeys(LINK_TYPES, _link),
}
"""By type; what is not among them is text, and below it what it holds."""
