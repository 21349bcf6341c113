"""Uploads: a file on its way from a client into the storage backend.

The bytes are stored first, then the row that knows of them, so that a row
without bytes cannot be. What must stay true: the storage key is made here and
holds nothing a client wrote.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from sqlalchemy.orm import Session

from api.errors import InvalidRequest
from api.models.base import new_id, utc_now
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import end_users, file_kinds, idempotency
from api.services.access import access_file


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingFile:
    """A file as a client sent it: its own word for the name, its bytes at position 0, counted and hashed."""

    name: str
    content: BinaryIO
    size_bytes: int
    sha256: str

    @property
    def fingerprint(self) -> bytes:
        """What tells this upload from another, for idempotency."""
        return f"{self.sha256} {self.name}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """An upload that is kept, as its uploader sees it."""

    id: str
    tenant_id: str
    created_by: str
    created_at: datetime
    name: str
    extension: str
    mime_type: str
    size_bytes: int


def create_upload(
    runtime: Runtime, principal: Principal, sent: IncomingFile, claim: idempotency.Claim | None = None
) -> StoredFile:
    """Store a file for its uploader; a repeated claim gives the file of the first time.

    Raises FilenameMissing, InvalidRequest, FileExtensionBlocked or Unsupported
    for what is wrong with it, and Unavailable where it cannot be stored.
    """
    row = to_row(principal, sent)
    runtime.storage.put(row.storage_key, sent.content)
    kept = _keep(runtime, principal, row, claim)
    return to_stored(kept)


def to_stored(row: UploadFile) -> StoredFile:
    """Return what is shown of an upload."""
    return StoredFile(**{name: getattr(row, name) for name in StoredFile.__dataclass_fields__})


def to_row(principal: Principal, sent: IncomingFile) -> UploadFile:
    """Return the row of a file that is about to be stored; raises what ``create_upload`` does."""
    name = file_kinds.accept_name(sent.name)
    if not sent.size_bytes:
        raise InvalidRequest("The file is empty.", field="file", fault="too_short")
    file_kinds.check_content(name, sent.content.read(file_kinds.HEAD_BYTES))
    sent.content.seek(0)
    now = utc_now()
    return UploadFile(
        id=new_id(),
        created_at=now,
        tenant_id=principal.tenant_id,
        app_id=principal.app_id,
        storage_key=new_storage_key(principal.tenant_id, now),
        name=name.text,
        extension=name.extension,
        mime_type=name.type.mime_type,
        kind=name.type.kind.value,
        size_bytes=sent.size_bytes,
        sha256=sent.sha256,
        created_by=principal.id,
        created_by_role=principal.kind.value,
    )


def new_storage_key(tenant_id: str, now: datetime) -> str:
    """Return where in the storage a workspace's new file goes."""
    return f"uploads/{tenant_id}/{now:%Y/%m}/{new_id()}"


@contextmanager
def storing(runtime: Runtime, row: UploadFile, content: BinaryIO) -> Iterator[None]:
    """Store the bytes of a row that the block writes; they go again where it raises."""
    runtime.storage.put(row.storage_key, content)
    try:
        yield
    except BaseException:
        runtime.storage.delete(row.storage_key)
        raise


def _keep(
    runtime: Runtime, principal: Principal, row: UploadFile, claim: idempotency.Claim | None
) -> UploadFile:
    """Write the row of stored bytes; the bytes go again where it is not this row that is kept."""
    kept = None
    try:
        with runtime.transaction() as session:
            found = _insert(runtime, session, principal, row, claim)
        kept = found
    finally:
        if kept is not row:
            runtime.storage.delete(row.storage_key)
    return found


def _insert(
    runtime: Runtime, session: Session, principal: Principal, row: UploadFile, claim: idempotency.Claim | None
) -> UploadFile:
    """Write the row, or return the one of an earlier request with the same claim."""
    if claim is not None:
        first = idempotency.take(session, claim)
        if first is not None:
            _, file_id = idempotency.first_answer(runtime, first)
            return access_file(session, principal, file_id.decode())
        # The id is enough of an answer: it is told anew from the row, with a signature that works.
        idempotency.keep_answer(runtime, session, claim, 201, row.id.encode())
    end_users.remember_end_user(runtime, session, principal)
    session.add(row)
    return row
