from typing import Any

import pytest

from api.core.ports import JSONValue
from api.core.rag.sources import notion_properties
from api.core.rag.sources.notion_blocks import Block, to_markdown


def span(text: str, *looks: str, href: str | None = None, kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "plain_text": text, "href": href, "annotations": dict.fromkeys(looks, True)}


def block(kind: str, text: str = "", *children: Block, **content: Any) -> Block:
    made = Block.model_validate(
        {
            "object": "block",
            "id": "x",
            "type": kind,
            kind: {"rich_text": [span(text)] if text else [], **content},
        }
    )
    made.children = list(children)
    return made


def row(*cells: str) -> Block:
    return block("table_row", cells=[[span(cell)] for cell in cells])


TO_DO = block("to_do", "c", checked=True)
NUMBERS = [{"type": "number", "number": 1}, {"type": "title", "title": [span("t")]}]


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([block("heading_1", "A"), block("heading_2", "B")], "# A\n\n## B"),
        ([block("heading_3", "C\nD")], "### C D"),
        ([block("paragraph", "a"), block("paragraph"), block("paragraph", "b")], "a\n\nb"),
        ([block("bulleted_list_item", "a"), block("bulleted_list_item", "b")], "- a\n- b"),
        (
            [
                block("numbered_list_item", "a"),
                block("numbered_list_item", "b"),
                block("paragraph", "p"),
                block("numbered_list_item", "c"),
            ],
            "1. a\n2. b\n\np\n\n1. c",
        ),
        (
            [
                block("bulleted_list_item", "a", block("numbered_list_item", "b", TO_DO)),
                block("bulleted_list_item", "d"),
            ],
            "- a\n  1. b\n     - [x] c\n- d",
        ),
        ([block("to_do", "a", checked=False), block("to_do", "b", checked=True)], "- [ ] a\n- [x] b"),
        ([block("quote", "a\nb", block("paragraph", "c"))], "> a\n> b\n>\n> c"),
        ([block("callout", "note", icon={"type": "emoji", "emoji": "💡"})], "> 💡 note"),
        ([block("callout", "note", icon={"type": "external", "external": {"url": "x"}})], "> note"),
        ([block("code", "x = 1", language="python")], "```python\nx = 1\n```"),
        ([block("code", "```\nx", language="plain text")], "````\n```\nx\n````"),
        ([block("equation", expression="e=mc^2")], "$$\ne=mc^2\n$$"),
        ([block("divider"), block("breadcrumb"), block("table_of_contents"), block("unsupported")], "---"),
        ([block("toggle", "more", block("paragraph", "inside"))], "more\n\ninside"),
        ([block("heading_2", "more", block("paragraph", "inside"))], "## more\n\ninside"),
        (
            [block("column_list", "", block("column", "", TO_DO), block("column", "", TO_DO))],
            "- [x] c\n\n- [x] c",
        ),
        ([block("synced_block", "", block("paragraph", "s"))], "s"),
        ([block("a_type_of_tomorrow", "text", block("paragraph", "inside"))], "text\n\ninside"),
        (
            [block("table", "", row("h|1", "h\n2"), row("a", "b"))],
            "| h\\|1 | h 2 |\n| --- | --- |\n| a | b |",
        ),
        ([block("table")], ""),
        ([block("child_page", title="Sub"), block("child_database", title="Base")], "Sub\n\nBase"),
        ([block("bookmark", url="https://a.example/", caption=[span("cap")])], "[cap](https://a.example/)"),
        ([block("embed", url="https://a.example/")], "[https://a.example/](https://a.example/)"),
        (
            [block("image", type="external", external={"url": "https://a.example/i"})],
            "[https://a.example/i](https://a.example/i)",
        ),
        ([block("file", type="file", file={"url": "https://signed"}, name="report.pdf")], "report.pdf"),
        ([block("image", type="file", file={"url": "https://signed"})], ""),
    ],
)
def test_to_markdown_renders_every_kind_of_block(blocks: list[Block], expected: str) -> None:
    assert to_markdown(blocks) == expected


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([span("a "), span("bold ", "bold"), span("b")], "a **bold** b"),
        ([span("x", "bold", "italic", "strikethrough")], "~~***x***~~"),
        ([span("f(x)", "code", "bold")], "**`f(x)`**"),
        ([span("here", href="https://a.example/")], "[here](https://a.example/)"),
        ([span("page", href="/0123456789abcdef")], "page"),
        ([span("u", "underline"), span("c", "color")], "uc"),
        ([span("a"), span("x^2", kind="equation")], "a$x^2$"),
        ([span("@Ann", kind="mention"), span("  ", "bold"), span(".")], "@Ann  ."),
    ],
)
def test_to_markdown_keeps_looks_of_text(spans: list[dict[str, Any]], expected: str) -> None:
    assert to_markdown([block("paragraph", rich_text=spans)]) == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("title", [span("A "), span("b")], "A b"),
        ("rich_text", [span("a\nb")], "a b"),
        ("number", 3.5, "3.5"),
        ("number", 0, "0"),
        ("number", None, ""),
        ("select", {"name": "red"}, "red"),
        ("select", None, ""),
        ("status", {"name": "Done"}, "Done"),
        ("multi_select", [{"name": "a"}, {"name": "b"}], "a, b"),
        ("people", [{"name": "Ann"}, {"object": "user"}], "Ann"),
        ("files", [{"name": "f.pdf"}], "f.pdf"),
        ("date", {"start": "2026-01-01", "end": None}, "2026-01-01"),
        ("date", {"start": "2026-01-01", "end": "2026-02-01"}, "2026-01-01 to 2026-02-01"),
        ("checkbox", True, "yes"),
        ("checkbox", False, "no"),
        ("url", "https://a.example/", "https://a.example/"),
        ("unique_id", {"prefix": "TASK", "number": 7}, "TASK-7"),
        ("unique_id", {"prefix": None, "number": 7}, "7"),
        ("formula", {"type": "string", "string": "f"}, "f"),
        ("formula", {"type": "boolean", "boolean": True}, "yes"),
        ("rollup", {"type": "array", "array": NUMBERS}, "1, t"),
        ("created_by", {"name": "Ann"}, "Ann"),
        ("created_time", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("relation", [{"id": "x"}], ""),
        ("select", ["not", "a", "dict"], ""),
        ("multi_select", "not a list", ""),
        ("a_type_of_tomorrow", {"x": 1}, ""),
    ],
)
def test_to_text_reads_every_kind_of_property(kind: str, value: JSONValue, expected: str) -> None:
    assert notion_properties.to_text({"id": "p", "type": kind, kind: value}) == expected


def test_to_text_of_something_else_is_empty() -> None:
    assert notion_properties.to_text(["x"]) == ""


def test_title_of_finds_the_title_under_any_name() -> None:
    properties: dict[str, JSONValue] = {
        "Tags": {"type": "multi_select", "multi_select": []},
        "Aufgabe": {"type": "title", "title": [span("T")]},
    }
    assert notion_properties.title_of(properties) == "T"
    assert notion_properties.title_of({}) == ""
