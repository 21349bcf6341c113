"""Documents nobody here wrote, where they are at hand: text or a reason, and the words that were expected."""

import re
from collections import Counter
from pathlib import Path

import pytest

from api.backends.extraction import Backend
from api.core.ports import Cancel
from api.core.rag.extraction import ExtractionFailed
from tests.conftest import make_settings
from tests.core.rag.documents import read
from tests.real_documents import DOCS, KINDS, Real, load_documents

MIN_RECALL = 0.95
MEASURED = ("pdf", "docx", "html", "xlsx", "pptx", "txt")
# Chinese and Japanese have no spaces: there a character counts as a word.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # libraries complain about the documents of others
    pytest.mark.skipif(not DOCS.exists(), reason="the real documents are not beside this repository"),
]


def words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.lower()))


def recall(text: str, reference: str) -> float:
    """Return the share of the reference's words, repetitions counted, that the text has."""
    expected = words(reference)
    return (words(text) & expected).total() / max(expected.total(), 1)


def outcome(document: Real) -> tuple[str, str]:
    """Return the text and the reason why there is none; one of them is empty."""
    try:
        return read(document.path.read_bytes(), document.extension), ""
    except ExtractionFailed as failed:
        return "", failed.message


@pytest.mark.parametrize("kind", KINDS)
def test_real_documents_end_with_text_or_a_reason(kind: str) -> None:
    outcomes = {document: outcome(document) for document in load_documents(kind)}
    silent = [document.path.name for document, (text, reason) in outcomes.items() if not text and not reason]
    locked = [
        document.path.name
        for document, (text, _reason) in outcomes.items()
        if document.expect == "password" and text
    ]
    assert outcomes
    assert silent == locked == []
    recalls = [
        recall(text, document.reference.read_text(encoding="utf-8"))
        for document, (text, _reason) in outcomes.items()
        if document.reference and document.expect == "text"
    ]
    if kind in MEASURED:
        mean = sum(recalls) / len(recalls)
        print(f"{kind}: word recall {mean:.4f} of {len(recalls)} documents")  # noqa: T201 - the figure is the point
        assert mean >= MIN_RECALL


@pytest.mark.parametrize("extension", sorted({*MEASURED, "csv", "doc", "eml", "epub", "msg", "xls", "xml"}))
def test_smallest_real_document_of_a_format_ends_alike_in_its_child(extension: str, tmp_path: Path) -> None:
    of_format = [found for found in load_documents(extension) if found.extension == extension]
    smallest = min(of_format, key=lambda found: found.path.stat().st_size)
    extractor = Backend.from_settings(make_settings(tmp_path))
    with smallest.path.open("rb") as content:
        try:
            found = extractor.extract(content, extension, cancel=Cancel()), ""
        except ExtractionFailed as failed:
            found = "", failed.message
    assert found == outcome(smallest)
