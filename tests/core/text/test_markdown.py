import pytest

from api.core.text.markdown import Kind, blocks, fences


def read(text: str) -> list[tuple[str, Kind, int]]:
    return [(text[block.start : block.end], block.kind, block.level) for block in blocks(text)]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("# Title", 1),
        ("###### Deep", 6),
        ("####### Seven", 0),
        ("#hashtag", 0),
        ("#", 0),
        ("第三章 算法", 1),
        ("第12节", 2),
        ("第三章的内容很多。", 0),
        ("= Game =", 1),
        ("= = Plot = =", 2),
        ("== Plot ==", 2),
        ("= 1 + 1", 0),
        ("Title\n=====", 1),
        ("Title\n---", 2),
        ("# " + "long " * 60, 0),
    ],
)
def test_blocks_line_is_a_heading_of_its_level(line: str, level: int) -> None:
    kind = Kind.HEADING if level else Kind.LINE

    assert read(f"\n\n  {line}  \n") == [(line.strip(), kind, level)]


def test_blocks_document_gives_its_parts_in_order() -> None:
    text = "# A\n\ntext\n\n---\n| a | b |\n```py\n# no heading\n\nx = 1\n```\nend"

    assert read(text) == [
        ("# A", Kind.HEADING, 1),
        ("text", Kind.LINE, 0),
        ("---", Kind.LINE, 0),
        ("| a | b |", Kind.ROW, 0),
        ("```py\n# no heading\n\nx = 1\n```", Kind.CODE, 0),
        ("end", Kind.LINE, 0),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```\na\n```", ["```\na\n```"]),
        ("~~~\n```\n~~~", ["~~~\n```\n~~~"]),
        ("````\n```\n````", ["````\n```\n````"]),
        ("  ```js\na\n  ```\nb", ["```js\na\n  ```"]),
        ("```\nnever closed", []),
        ("```inline``` code\n```\na\n```", ["```\na\n```"]),
    ],
)
def test_fences_text_gives_its_closed_ones(text: str, code: list[str]) -> None:
    assert [text[start:end] for start, end in fences(text)] == code
