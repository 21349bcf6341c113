"""Comma separated values, and those separated by semicolons, tabs or bars."""

import csv
from io import StringIO
from typing import BinaryIO

from api.core.rag import charsets, tables
from api.core.rag.extraction import ExtractionFailed, extractor

DELIMITERS = ",;\t|"
SAMPLE_CHARS = 16 * 1024


@extractor("csv")
def extract(file: BinaryIO) -> str:
    """Return a line for each row, every value with the name of its column."""
    text = charsets.decode(file.read())
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        return "\n".join(
            tables.to_records(csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text)))
        )
    except csv.Error as exc:
        raise ExtractionFailed(f"The file is not a table of separated values: {exc}.") from exc
    finally:
        csv.field_size_limit(limit)  # it is the whole process's, and others read tables too


def _delimiter(text: str) -> str:
    """Return the sign that splits the first lines into equally many values, more than one."""
    sample = text[:SAMPLE_CHARS]

    def rank(delimiter: str) -> tuple[bool, int]:
        rows = [len(row) for row in csv.reader(StringIO(sample, newline=""), delimiter=delimiter) if row][:20]
        return bool(rows) and min(rows[:-1] or rows) > 1, max(rows, default=0)

    return max(DELIMITERS, key=rank)
