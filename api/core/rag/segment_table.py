"""Segments in a table: one text a row.

Boundary: pure. A text is never made up here: a row without one is an error.
"""

from collections.abc import Sequence

from api.core.rag.csv_rows import read_rows
from api.errors import InvalidRequest

_TITLES = frozenset(
    {
        "content",
        "segment content",
        "segment",
        "segments",
        "chunk content",
        "chunk",
        "chunks",
        "text",
        "内容",
        "內容",
        "分段",
        "分段内容",
        "分段內容",
        "文本",
    }
)


def parse_segments_csv(text: str) -> list[str]:
    """Return the texts of a CSV table, without surrounding space and not empty.

    The first row may name the column, in English or Chinese; otherwise it is the
    first one. Blank rows are skipped. Raises InvalidRequest, with the row's
    number counted from 1, where a row has no text.
    """
    texts: list[str] = []
    column: int | None = None
    for number, row in enumerate(read_rows(text), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if column is None:
            named = _named_column(cells)
            column = named or 0
            if named is not None:
                continue
        found = cells[column] if column < len(cells) else ""
        if not found:
            message = f"Row {number} of the table has no content."
            raise InvalidRequest(message, field="file", fault="required")
        texts.append(found)
    if not texts:
        raise InvalidRequest("The table has no segments.", field="file", fault="required")
    return texts


def _named_column(cells: Sequence[str]) -> int | None:
    """Return where the texts stand if this row names columns."""
    return next((index for index, cell in enumerate(cells) if cell.casefold() in _TITLES), None)
