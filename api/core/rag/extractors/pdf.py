"""PDF documents with text in them; pictures of text are not read."""

import re
import unicodedata
from io import BytesIO
from itertools import pairwise
from typing import BinaryIO

from api.core.rag.extraction import ExtractionFailed, extractor

# What ends a PDF; with it pypdf looks for the objects itself where the table of them is missing.
TRAILER = b"\nstartxref\n0\n%%EOF\n"
# Pairs of letters that fonts draw as one, which nobody searches for as such.
LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
CJK_WRAP = re.compile(f"(?<=[{CJK}])\n(?=[{CJK}])")
FULL_LINE = 0.75


@extractor("pdf")
def extract(file: BinaryIO) -> str:
    """Return the text of the pages, an empty line between them."""
    from pypdf import PasswordType, PdfReader  # takes a while to load
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    try:
        reader = PdfReader(_with_trailer(file))
        if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
            raise ExtractionFailed("The PDF is encrypted; save it without a password.")
        pages = [page.extract_text().translate(LIGATURES) for page in reader.pages]
    except (FileNotDecryptedError, DependencyError) as exc:
        raise ExtractionFailed("The PDF is encrypted in a way that cannot be read.") from exc
    except PyPdfError as exc:
        raise ExtractionFailed(f"The PDF is damaged ({exc}); print it to a new PDF.") from exc
    text = "\n\n".join(_join_lines(page.strip()) for page in pages if page.strip())
    if not text:
        raise ExtractionFailed(
            "The PDF holds no text, only pictures; run text recognition (OCR) on it first."
        )
    return text


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
