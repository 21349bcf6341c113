"""PDF documents with text in them; pictures of text are not read."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, BinaryIO

from api.core.rag.extraction import ExtractionFailed, extractor

if TYPE_CHECKING:
    from pypdf import PdfReader

# What ends a PDF; with it pypdf looks for the objects itself where the table of them is missing.
TRAILER = b"\nstartxref\n0\n%%EOF\n"
# Pairs of letters that fonts draw as one, which nobody searches for as such.
LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
CJK_WRAP = re.compile(f"(?<=[{CJK}])\n(?=[{CJK}])")
FULL_LINE = 0.75


@extractor("pdf")
def extract(file: BinaryIO) -> str:
    """Return the text of the pages, an empty line between them.

    Pages that cannot be read do not take the others along: a line in their
    place says so, to the owner of the document and to whoever asks it.
    """
    from pypdf import PasswordType, PdfReader  # takes a while to load
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    try:
        reader = PdfReader(_with_trailer(file))
        if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
            raise ExtractionFailed("The PDF is encrypted; save it without a password.")
        pages = [_read_page(reader, index) for index in range(len(reader.pages))]
    except (FileNotDecryptedError, DependencyError) as exc:
        raise ExtractionFailed("The PDF is encrypted in a way that cannot be read.") from exc
    except PyPdfError as exc:
        raise ExtractionFailed(f"The PDF is damaged ({exc}); print it to a new PDF.") from exc
    if any(page is None for page in pages) and not any(page and page.strip() for page in pages):
        raise ExtractionFailed("No page of the PDF can be read; print it to a new PDF.")
    text = "\n\n".join(_with_notes(pages))
    if not text:
        raise ExtractionFailed(
            "The PDF holds no text, only pictures; run text recognition (OCR) on it first."
        )
    return text


def _read_page(reader: "PdfReader", index: int) -> str | None:
    """Return the text of a page, counted from 0; None where it cannot be read."""
    from pypdf.errors import DependencyError, FileNotDecryptedError  # loaded by then

    try:
        return reader.pages[index].extract_text().translate(LIGATURES)
    except (FileNotDecryptedError, DependencyError, MemoryError):
        raise  # the other pages would end alike
    except Exception:  # noqa: BLE001  # pypdf raises anything on a broken page
        return None


def _with_notes(pages: Sequence[str | None]) -> Iterator[str]:
    """Yield the texts of pages, and a note in the place of some in a row that cannot be read."""
    for is_bad, group in groupby(enumerate(pages, 1), key=lambda page: page[1] is None):
        numbers, texts = zip(*group, strict=True)
        if not is_bad:
            yield from (_join_lines(text.strip()) for text in texts if text.strip())
        elif len(numbers) == 1:
            yield f"[Page {numbers[0]} could not be read.]"
        else:
            yield f"[Pages {numbers[0]} to {numbers[-1]} could not be read.]"


def _with_trailer(file: BinaryIO) -> BinaryIO:
    """Return the file, or its content completed where it was cut or written without its end."""
    data = file.read()
    file.seek(0)
    return file if b"startxref" in data else BytesIO(data + TRAILER)


def _join_lines(page: str) -> str:
    """Return a page with the lines of Chinese and Japanese paragraphs joined, whose words would be cut."""
    lines = page.split("\n")
    full = max(map(len, lines)) * FULL_LINE
    joined = [lines[0]]
    for before, line in pairwise(lines):
        if len(before) >= full and CJK_WRAP.search(f"{before[-1:]}\n{line[:1]}"):
            joined[-1] += line
        else:
            joined.append(line)
    return "\n".join(joined)
