"""Excel workbooks of the format before 2007."""

from datetime import datetime, time
from typing import BinaryIO

from api.core.rag import ole, tables
from api.core.rag.extraction import ExtractionFailed, extractor


@extractor("xls")
def extract(file: BinaryIO) -> str:
    """Return a heading for each sheet and a line for each row, every value with the name of its column."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError  # native; only this format

    ole.open_ole(file)  # calamine reads ZIP archives too, and those have limits of their own
    file.seek(0)
    try:
        workbook = CalamineWorkbook.from_filelike(file)
        sheets = [(name, workbook.get_sheet_by_name(name).to_python()) for name in workbook.sheet_names]
    except PasswordError as exc:
        raise ExtractionFailed("The workbook is encrypted; save it without a password.") from exc
    except CalamineError as exc:
        raise ExtractionFailed(f"The workbook is damaged ({exc}); save it again, as xlsx.") from exc
    parts = []
    for name, rows in sheets:
        if records := "\n".join(tables.to_records([_shown(value) for value in row] for row in rows)):
            parts.append(f"# {name}\n\n{records}")
    return "\n\n".join(parts)


def _shown(value: object) -> str:
    match value:
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case _:
            return str(value)
