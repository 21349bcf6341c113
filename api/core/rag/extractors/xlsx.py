"""Excel workbooks."""

from collections.abc import Iterator
from datetime import datetime, time
from typing import TYPE_CHECKING, BinaryIO

from api.core.rag import tables, zip_limits
from api.core.rag.extraction import extractor

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet


@extractor("xlsx")
def extract(file: BinaryIO) -> str:
    """Return a heading for each sheet and a line for each row, every value with the name of its column."""
    import openpyxl  # takes a while to load

    with zip_limits.open_zip(file):
        pass
    workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
    parts = []
    for sheet in workbook.worksheets:
        sheet.reset_dimensions()  # which some programs write wrong
        if records := "\n".join(tables.to_records(_rows(sheet))):
            parts.append(f"# {sheet.title}\n\n{records}")
    return "\n\n".join(parts)


def _rows(sheet: "ReadOnlyWorksheet") -> Iterator[list[str]]:
    for row in sheet.iter_rows(values_only=True):
        yield [_shown(value) for value in row]


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case _:
            return str(value)
