"""Texts that were read elsewhere (pages of websites, of Notion), kept as Markdown files of their documents.

So a document is indexed, estimated and downloaded from its file, wherever it
came from, and never depends on the site being there. No client wrote these
files, so that their names and contents are not checked as uploads are.
"""

import hashlib
import io
from typing import BinaryIO

from api.models.base import new_id, utc_now
from api.models.file import UploadFile
from api.principal import ActorKind
from api.services import file_kinds, uploads

EXTENSION = "md"
MAX_NAME_CHARS = 255


def to_name(title: str, otherwise: str) -> str:
    """Return a title as a document's name: one line of at most 255 characters; ``otherwise`` for a blank."""
    name = " ".join(file_kinds.clean_name(title).split())[:MAX_NAME_CHARS].strip()
    return name or otherwise[:MAX_NAME_CHARS]


def to_file(tenant_id: str, created_by: str, name: str, markdown: str) -> tuple[UploadFile, BinaryIO]:
    """Return the row of a text that is about to be stored, and its bytes."""
    data = _encode(markdown)
    now = utc_now()
    kind = file_kinds.FILE_TYPES[EXTENSION]
    stem = "".join(char for char in name if char not in file_kinds.NOT_IN_NAMES).strip(" .") or "page"
    row = UploadFile(
        id=new_id(),
        created_at=now,
        tenant_id=tenant_id,
        app_id=None,
        storage_key=uploads.new_storage_key(tenant_id, now),
        name=f"{stem[: file_kinds.MAX_NAME_CHARS - len(EXTENSION) - 1]}.{EXTENSION}",
        extension=EXTENSION,
        mime_type=kind.mime_type,
        kind=kind.kind.value,
        size_bytes=len(data),
        sha256=digest(markdown),
        created_by=created_by,
        created_by_role=ActorKind.ACCOUNT.value,
        attached_at=now,
    )
    return row, io.BytesIO(data)


def digest(markdown: str) -> str:
    """Return the SHA-256 of a text as it is kept, by which a change is seen."""
    return hashlib.sha256(_encode(markdown)).hexdigest()


def _encode(markdown: str) -> bytes:
    return markdown.encode("utf-8", "replace")
