"""Documents nobody here wrote, where they are at hand: beside this repository, or where TEST_DOCS says."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(os.environ.get("TEST_DOCS", Path(__file__).parents[2] / "shared/data/docs"))
SAMPLED = 3
KINDS = [
    "pdf",
    "docx",
    "html",
    "xlsx",
    "pptx",
    "txt",
    "csv",
    "doc",
    "eml",
    "epub",
    "json",
    "md",
    "msg",
    "xls",
    "xml",
    "odt",
    "rst",
]


@dataclass(frozen=True, slots=True)
class Real:
    """One document of the manifest."""

    path: Path
    extension: str
    expect: str
    reference: Path | None


def load_documents(kind: str) -> list[Real]:
    """Return the documents of a kind, as the manifest has them."""
    manifest = DOCS / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return [
        Real(
            path=DOCS / row["file"],
            extension=row["file"].rpartition(".")[2],
            expect=row["expect"],
            reference=DOCS / row["reference"] if row["reference"] else None,
        )
        for row in rows
        if row["kind"] == kind
    ]


def sample(kind: str) -> list[Real]:
    """Return the smallest few documents of a kind; all of them where TEST_DOCS asks for the long run."""
    found = sorted(load_documents(kind), key=lambda document: document.path.stat().st_size)
    return found if "TEST_DOCS" in os.environ else found[:SAMPLED]
