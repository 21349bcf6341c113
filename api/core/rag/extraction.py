"""How a document format joins, and what an extractor may say when it cannot serve.

An extractor is one function in one file under ``extractors/``. It reads the
whole file it is given (seekable, at its beginning) and returns text: headings
as Markdown ``#`` lines, paragraphs apart by an empty line, so that a splitter
can respect them. It runs in a child process of its own (extract_child.py) and
may therefore be as slow or as hungry as the limits there allow, but opens no
other file and no connection.
"""

from collections.abc import Callable
from typing import BinaryIO, TypeAlias, TypeVar

from api.errors import InvalidRequest

Extract: TypeAlias = Callable[[BinaryIO], str]
"""Return the text of a document. Raises ExtractionFailed where the reason is known."""

E = TypeVar("E", bound=Extract)

EXTRACTORS: dict[str, Extract] = {}
"""By extension, in lower case without its dot; filled by importing ``extractors``."""


class ExtractionFailed(InvalidRequest):
    """A document gives no text; the message says why and what its owner can do."""


def extractor(extensions: str) -> Callable[[E], E]:
    """Register a function for file extensions, given as words: ``"html htm"``."""

    def register(extract: E) -> E:
        EXTRACTORS.update(dict.fromkeys(extensions.split(), extract))
        return extract

    return register
