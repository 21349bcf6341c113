"""Rows of a CSV text as people send it: any usual delimiter, a byte order mark, quotes over lines.

Boundary: pure. What cannot be read is an error that names its row.
"""

import csv
import io
import re
from collections.abc import Iterator

from api.errors import InvalidRequest

_QUOTED = re.compile(r'"[^"]*+"')


def read_rows(text: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV text, separated by commas, semicolons or tabs.

    Raises InvalidRequest, with the row's number counted from 1, for what is no CSV.
    """
    text = text.removeprefix("\ufeff")
    unquoted = _QUOTED.sub("", text.lstrip().partition("\n")[0])
    delimiter = next((mark for mark in "\t,;" if mark in unquoted), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number = 0
    while True:
        number += 1
        try:
            row = next(reader, None)
        except csv.Error as exc:
            message = f"Row {number} of the table cannot be read: {exc}."
            raise InvalidRequest(message, field="file", fault="invalid_format") from exc
        if row is None:
            return
        yield row
