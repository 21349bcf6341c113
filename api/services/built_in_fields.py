"""The metadata every document has without anyone giving it: its name, who added it, when, from where.

Nothing of it is kept with the metadata: it is read from the document whenever
its dataset shows the built-in fields.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from api.models.account import Account
from api.models.document import Document

FieldType = Literal["string", "number", "time"]

DOCUMENT_NAME = "document_name"
UPLOADER = "uploader"
BUILT_IN: Mapping[str, FieldType] = {
    DOCUMENT_NAME: "string",
    UPLOADER: "string",
    "upload_date": "time",
    "last_update_date": "time",
    "source": "string",
}
SOURCES: Mapping[str, str] = {
    "upload_file": "file_upload",
    "website_crawl": "website",
    "notion_import": "notion",
}
"""What clients call the types of source where they show and filter by them."""


Described = Document | Row[Any]
"""A document, or a row with its name, created_by, created_at, updated_at and data_source_type."""


def load_uploaders(session: Session, documents: Iterable[Described]) -> dict[str, str]:
    """Return the names of those who added some documents, by the id of their account; one statement."""
    ids = {document.created_by for document in documents if document.created_by}
    rows = session.execute(select(Account.id, Account.name).where(Account.id.in_(ids)))
    return {row.id: row.name for row in rows}


def values_of(document: Described, uploaders: Mapping[str, str]) -> dict[str, str | int]:
    """Return the built-in values of a document, times in seconds since 1970; no uploader who is unknown."""
    uploader = uploaders.get(document.created_by or "")
    return {
        DOCUMENT_NAME: document.name,
        **({} if uploader is None else {UPLOADER: uploader}),
        "upload_date": int(document.created_at.timestamp()),
        "last_update_date": int(document.updated_at.timestamp()),
        "source": SOURCES.get(document.data_source_type, document.data_source_type),
    }
