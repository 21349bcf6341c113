"""Texts and PDF files to index, of the words of this repository's docs; equal seeds give equal texts."""

import random
import re
import zlib
from collections.abc import Iterator
from functools import cache

from tests.bench.processes import ROOT

PARAGRAPH_SENTENCES = 24
LINES_A_PAGE = 42
LINE_CHARS = 78
RARE_SHARE = 0.03
SYLLABLES = ("ba", "der", "kin", "lo", "mar", "nes", "or", "pul", "sa", "tri", "ven", "zo")


def make_text(size_bytes: int, *, seed: int) -> bytes:
    """Return a text of about so many bytes: sentences of English words in paragraphs of some 2,000."""
    sentences = _sentences(seed)
    paragraphs, size = [], 0
    while size < size_bytes:
        paragraphs.append(" ".join(next(sentences) for _ in range(PARAGRAPH_SENTENCES)))
        size += len(paragraphs[-1]) + 2
    return "\n\n".join(paragraphs).encode("ascii")[:size_bytes]


def make_passages(count: int, *, seed: int) -> Iterator[str]:
    """Yield so many texts of about 450 characters."""
    sentences = _sentences(seed)
    for _ in range(count):
        yield " ".join(next(sentences) for _ in range(5))


def make_query(number: int) -> str:
    """Return six words to search for, others for another number."""
    return " ".join(random.Random(number).choices(_words(), k=6))


def make_pdf(pages: int, *, seed: int) -> bytes:
    """Return a PDF file of so many pages of text, one compressed stream a page."""
    words = (word for sentence in _sentences(seed) for word in sentence.split(" "))
    objects = [
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Count %d /Kids [%s]>>"
        % (pages, b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(pages))),
        b"<</Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding>>",
    ]
    for number in range(pages):
        content = zlib.compress(_page(words))
        objects += [
            b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources <</Font <</F1 3 0 R>>>>>>" % (5 + 2 * number),
            b"<</Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream" % (len(content), content),
        ]
    return _assemble(objects)


def _page(words: Iterator[str]) -> bytes:
    lines = []
    for _ in range(LINES_A_PAGE):
        line = next(words)
        while len(line) < LINE_CHARS:
            line += f" {next(words)}"
        lines.append(f"({line}) Tj T*")
    return f"BT /F1 11 Tf 15 TL 60 740 Td\n{' '.join(lines)}\nET".encode("ascii")


def _assemble(objects: list[bytes]) -> bytes:
    """Return the file of numbered objects, with the table that tells where each of them is."""
    file = bytearray(b"%PDF-1.4\n")
    places = []
    for number, value in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    file += b"trailer\n<</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(file)


def _sentences(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    known = _words()
    while True:
        words = chance.choices(known, k=chance.randint(8, 22))
        if chance.random() < RARE_SHARE * len(words):
            words[chance.randrange(len(words))] = "".join(chance.choices(SYLLABLES, k=4))
        yield f"{' '.join(words).capitalize()}."


@cache
def _words() -> list[str]:
    """Return the words of the docs as they run: common ones are drawn as often as they are written."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return re.findall(r"[a-z]{2,}", " ".join(page.read_text(encoding="utf-8") for page in pages))
