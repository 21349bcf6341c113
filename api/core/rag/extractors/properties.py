"""Java properties: text with its Unicode escapes resolved."""

import re
from typing import BinaryIO

from api.core.rag import charsets
from api.core.rag.extraction import extractor

ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


@extractor("properties")
def extract(file: BinaryIO) -> str:
    """Return the text, escaped UTF-16 units as the characters they stand for."""
    return ESCAPES.sub(_resolve, charsets.decode(file.read()))


def _resolve(escapes: re.Match[str]) -> str:
    units = bytes.fromhex(escapes[0].replace("\\u", ""))
    return units.decode("utf-16-be", "replace")
