"""Tables as text: rows that can be found one by one, and Markdown for tables within prose."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile

MAX_TITLES = 5


def to_records(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield each row of a sheet as ``"header":"value";…``; the first filled row is the header.

    A row is then understood without the others, however the text is split.
    Rows of one cell above a wider header are titles and come as they are, and
    so does a row without any others. Empty cells are left out.
    """
    filled = (row for row in map(_clean, rows) if any(row))
    lead = list(islice(filled, MAX_TITLES + 1))
    titles = list(takewhile(lambda row: sum(map(bool, row)) == 1, lead))
    if len(titles) == len(lead):
        titles.clear()
    yield from ("".join(row) for row in titles)
    header, *rest = lead[len(titles) :] or [[]]
    is_alone = True
    for row in chain(rest, filled):
        is_alone = False
        yield ";".join(_to_pair(header, index, value) for index, value in enumerate(row) if value)
    if is_alone and header:
        yield ";".join(f'"{value}"' for value in header if value)


def to_markdown(rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose header is the first row; ``""`` for one without any text."""
    cleaned = [[cell.replace("|", "\\|") for cell in _clean(row)] for row in rows]
    if not any(map(any, cleaned)):
        return ""
    width = max(map(len, cleaned))
    lines = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in cleaned]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def _clean(row: Sequence[str]) -> list[str]:
    return [" ".join(cell.split()) for cell in row]


def _to_pair(header: Sequence[str], index: int, value: str) -> str:
    name = header[index] if index < len(header) else ""
    return f'"{name}":"{value}"' if name else f'"{value}"'
