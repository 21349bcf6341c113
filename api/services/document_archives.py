"""Files of several documents as one ZIP, made while it is sent.

All that can be refused is refused before the first byte; what a client names
only chooses rows, never paths within the archive.
"""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import RawIOBase
from pathlib import PurePosixPath

from api.errors import NotFound
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services.access import FileNotFound, access_document
from api.services.documents import open_dataset, to_views

CHUNK_BYTES = 64 * 1024
FASTEST = 1
"""Most documents are compressed already, and the rest should not hold up others."""


class _Outbox(RawIOBase):
    """Where the archive is written: a stream that cannot seek, emptied between two pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes are written here
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def stream_archive(
    runtime: Runtime, principal: Principal, dataset_id: str, document_ids: Sequence[str]
) -> Iterator[bytes]:
    """Return the pieces of a ZIP with the files of documents, each under its own name.

    Raises NotFound for a dataset or document that is not there, FileNotFound
    for one that was made of no file or whose file is lost, Forbidden.
    """
    with runtime.reading() as session:
        dataset = open_dataset(session, principal, dataset_id)
        asked = dict.fromkeys(text.lower() for text in document_ids)
        rows = [access_document(session, principal, dataset, document_id) for document_id in asked]
        uploads = [view.upload for view in to_views(session, dataset, rows)]
    files = [upload for upload in uploads if upload is not None]
    if len(files) < len(rows):
        raise FileNotFound("Only uploaded-file documents can be downloaded as ZIP.")
    for file in files:
        if not runtime.storage.exists(file.storage_key):
            raise NotFound(f"The file {file.name!r} is gone; upload it again.")
    return _pieces(runtime, dict(zip(_apart([file.name for file in files]), files, strict=True)))


def _apart(names: Sequence[str]) -> list[str]:
    """Return the names, those that come again with a number before their extension."""
    taken: set[str] = set()
    apart = []
    for name in names:
        path, number, chosen = PurePosixPath(name), 1, name
        while chosen.casefold() in taken:
            number += 1
            chosen = f"{path.stem} ({number}){path.suffix}"
        taken.add(chosen.casefold())
        apart.append(chosen)
    return apart


def _pieces(runtime: Runtime, files: dict[str, UploadFile]) -> Iterator[bytes]:
    outbox = _Outbox()
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_DEFLATED, compresslevel=FASTEST) as archive:
        for name, file in files.items():
            info = zipfile.ZipInfo(name, file.created_at.timetuple()[:6])
            info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, file.size_bytes
            with closing(runtime.storage.open(file.storage_key)) as content, archive.open(info, "w") as entry:
                while chunk := content.read(CHUNK_BYTES):
                    entry.write(chunk)
                    yield outbox.take()
    yield outbox.take()
