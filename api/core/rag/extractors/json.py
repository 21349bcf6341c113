"""JSON: indented, with its escapes resolved, so that lines are short and words are whole."""

import json
from typing import BinaryIO

from api.core.rag import charsets
from api.core.rag.extraction import extractor


@extractor("json")
def extract(file: BinaryIO) -> str:
    """Return the document indented; as it is where it is no single JSON value (JSON lines, comments)."""
    text = charsets.decode(file.read())
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
