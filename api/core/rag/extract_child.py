"""The program that reads one document: bounded by itself, so that no document can hurt the server.

Started by api/backends/extraction.py with the document on standard input and
its extension and limits as arguments; writes the text, or the sentence that
says why there is none, to standard output. What must stay true: it imports
little before its limits hold, and takes nothing from its environment.
"""

import logging
import os
import resource
import sys
import warnings
from typing import BinaryIO

from api.core.rag import extractors as extractors  # noqa: PLC0414  # importing it fills EXTRACTORS
from api.core.rag.extraction import EXTRACTORS, ExtractionFailed
from api.core.rag.zip_limits import ZIP_MAGIC

MB = 1024 * 1024
EXIT_REFUSED = 3
NICENESS = 10
MAX_OPEN_FILES = 64
NEWER = {"doc": "docx", "xls": "xlsx", "ppt": "pptx"}
"""Formats of ZIP archives, by the older extensions that Office opens them under too."""


def main(extension: str, memory_mb: int, cpu_s: int, max_text_mb: int) -> int:
    """Extract standard input to standard output; return the exit code."""
    _limit(memory_mb, cpu_s, max_text_mb)
    with os.fdopen(os.dup(1), "wb") as output, os.fdopen(os.dup(0), "rb") as document:
        os.dup2(2, 1)  # what a library prints is not part of the text
        try:
            encoded = _encode(read_document(document, extension), max_text_mb)
        except ExtractionFailed as refusal:
            output.write(refusal.message.encode())
            return EXIT_REFUSED
        except MemoryError:
            output.write(f"Reading the document takes more than {memory_mb} MB of memory; split it.".encode())
            return EXIT_REFUSED
        output.write(encoded)
    return 0


def read_document(document: BinaryIO, extension: str) -> str:
    """Return a document's text. Raises ExtractionFailed where it has none, MemoryError at the limit."""
    head = document.read(len(ZIP_MAGIC))
    document.seek(0)
    extract = EXTRACTORS.get(NEWER.get(extension, extension) if head == ZIP_MAGIC else extension)
    if extract is None:
        raise ExtractionFailed(f"Files of the extension {extension!r} cannot be read.")
    if not head:
        raise ExtractionFailed("The file is empty.")
    try:
        text = extract(document)
    except (ExtractionFailed, MemoryError):
        raise
    except Exception as exc:  # libraries raise anything on hostile input
        raise ExtractionFailed(
            f"The {extension} file is damaged or unusual ({type(exc).__name__}); "
            "open it in the program that made it and save it again."
        ) from exc
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()
    if not text:
        raise ExtractionFailed("The file holds no text.")
    return text


def _encode(text: str, max_text_mb: int) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > max_text_mb * MB:
        raise ExtractionFailed(f"The document holds more than {max_text_mb} MB of text; split it.")
    return encoded


def _limit(memory_mb: int, cpu_s: int, max_text_mb: int) -> None:
    """Bound what this process may take, and let the server's own work go first."""
    os.nice(NICENESS)
    for limit, value in (
        (resource.RLIMIT_AS, memory_mb * MB),
        (resource.RLIMIT_FSIZE, max_text_mb * MB),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(
        resource.RLIMIT_CPU, (cpu_s, cpu_s + 1)
    )  # were both equal, the end would be a bare SIGKILL
    # Warnings of libraries are about the documents of others.
    warnings.simplefilter("ignore")
    logging.disable()
    # openpyxl loads it where it can, for values no file holds; it takes a fifth of a second.
    sys.modules["numpy"] = None  # type: ignore[assignment]  # the import system's way to say: not there


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:5])))
