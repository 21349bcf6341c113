"""The files documents are made of: whether one is still needed by another document."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.models.document import Document

FILE_ID = Document.source["upload_file_id"].as_string()


def find_shared(
    session: Session, tenant_id: str, file_ids: Collection[str], *, besides: Collection[str]
) -> set[str]:
    """Return those files of a workspace that documents other than ``besides`` are made of too."""
    if not file_ids:
        return set()
    query = select(FILE_ID).where(
        Document.tenant_id == tenant_id, FILE_ID.in_(file_ids), Document.id.not_in(besides)
    )
    return set(session.scalars(query))
