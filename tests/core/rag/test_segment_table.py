"""Segments in a table: which column, which rows, which faults."""

import pytest

from api.core.rag.segment_table import parse_segments_csv
from api.errors import InvalidRequest


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        ("One.\nTwo.\n", ["One.", "Two."]),
        ("segment content\nOne.\n", ["One."]),
        ("\ufeff分段内容\n一。\n\n二。", ["一。", "二。"]),
        ("id,Content\n1,One.\n2,Two.", ["One.", "Two."]),
        ("id;content\n1;One, or two.", ["One, or two."]),
        ('"One,\nover two lines"\n" Two "', ["One,\nover two lines", "Two"]),
        ("One.,note\nTwo.,note", ["One.", "Two."]),
        ("content\ncontent\n", ["content"]),
    ],
)
def test_texts_of_a_table(table: str, texts: list[str]) -> None:
    assert parse_segments_csv(table) == texts


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "no segments"),
        ("content\n", "no segments"),
        ("id,content\n1,One.\n2,", "Row 3 .* no content"),
        ("id,content\n1", "Row 2 .* no content"),
        ("x" * 200_000, "Row 1 .* cannot be read"),
    ],
)
def test_table_with_a_fault_names_its_row(table: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_segments_csv(table)
