"""Documents attached to messages, as text for the prompt.

Each is extracted apart from the server, with no connection held. The text of an
upload is kept beside its bytes and goes with them, so that later turns only
read it. What is at an address is read each time: it may be another thing then.
"""

import io
import logging
import tempfile
from collections.abc import Mapping, Sequence
from email.message import Message as Header
from functools import partial
from typing import BinaryIO, cast

from api.core.apps.spec import Document
from api.core.http import Cancelled
from api.core.parallel import run_all
from api.core.ports import Cancel
from api.core.rag import extractors  # noqa: F401  # fills EXTRACTORS
from api.core.rag.extraction import EXTRACTORS, ExtractionFailed
from api.errors import AppError, InvalidRequest, NotFound, Unavailable
from api.runtime import Runtime
from api.services import files
from api.services.file_kinds import FILE_TYPES, HEAD_BYTES, TEXT, Kind, extension_of
from api.services.files import REMOTE, AttachedFile

logger = logging.getLogger(__name__)

MAX_TEXT_BYTES = 8 * 1024 * 1024
"""More than fits any prompt."""
MAX_EARLIER = 10
MAX_THREADS = 4
IN_MEMORY_BYTES = 1024 * 1024
# What an earlier message brought is worth less of a wait.
FETCH_EARLIER_S = 10.0

BY_MIME_TYPE: Mapping[str, str] = {
    known.mime_type: extension
    for extension, known in reversed(list(FILE_TYPES.items()))
    if known.kind is Kind.DOCUMENT
}


def text_key(storage_key: str) -> str:
    """Return the key under which the text of a stored file is kept."""
    return f"{storage_key}.txt"


def load_documents(
    runtime: Runtime, attached: Sequence[AttachedFile], earlier: Sequence[AttachedFile], cancel: Cancel
) -> tuple[Document, ...]:
    """Return the documents among the files of a message, then those of earlier ones, latest first.

    A file named twice comes once; of earlier ones, ten at most. None at all when
    ``cancel`` is set. Raises InvalidRequest for a document of the message that
    gives no text, EgressDenied, and Unavailable; an earlier one is left out.
    """
    own = {_name_of(file): partial(_load_own, runtime, file) for file in attached if _is_document(file)}
    before = {_name_of(file): partial(_load_earlier, runtime, file) for file in earlier if _is_document(file)}
    calls = [*own.values(), *[before[name] for name in before if name not in own][:MAX_EARLIER]]
    try:
        found = run_all(calls, cancel, max_threads=MAX_THREADS)
    except (AppError, Cancelled):
        if cancel.is_set():
            return ()
        raise
    return tuple(document for document in found if document is not None)


def read_text(runtime: Runtime, file: AttachedFile, cancel: Cancel) -> str:
    """Return a document's text, whoever asks; no more of it than fits any prompt.

    Raises ExtractionFailed, InvalidRequest, EgressDenied, Unavailable, Cancelled.
    """
    return _load(runtime, file, cancel, fetch_s=files.FETCH_TOTAL_S).text


def _is_document(file: AttachedFile) -> bool:
    return file.type == Kind.DOCUMENT


def _name_of(file: AttachedFile) -> str:
    """Return what tells a file from others."""
    return str(file.upload_file_id or file.url)


def _load_own(runtime: Runtime, file: AttachedFile, cancel: Cancel) -> Document | None:
    try:
        return _load(runtime, file, cancel, fetch_s=files.FETCH_TOTAL_S)
    except ExtractionFailed as exc:
        message = f"The file {file.name!r} cannot be read: {exc.message}"
        raise InvalidRequest(message, field="files") from exc


def _load_earlier(runtime: Runtime, file: AttachedFile, cancel: Cancel) -> Document | None:
    try:
        document = _load(runtime, file, cancel, fetch_s=FETCH_EARLIER_S)
    except (InvalidRequest, NotFound) as exc:
        if not cancel.is_set():
            logger.info("earlier document not read: %s", exc.code, extra={"file": file.upload_file_id})
        return None
    return Document(name=document.name, text=document.text, is_cut=document.is_cut, is_earlier=True)


def _load(runtime: Runtime, file: AttachedFile, cancel: Cancel, *, fetch_s: float) -> Document:
    if file.transfer_method == REMOTE:
        text = _read_address(runtime, file, cancel, fetch_s)
    else:
        text = _read_upload(runtime, file, cancel)
    kept = text[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
    return Document(name=file.name, text=kept, is_cut=len(text) > MAX_TEXT_BYTES)


def _read_upload(runtime: Runtime, file: AttachedFile, cancel: Cancel) -> bytes:
    """Return the beginning of an upload's text: the kept one, or one extracted now and kept."""
    bytes_key = str(file.storage_key)
    if runtime.storage.exists(text_key(bytes_key)):
        with runtime.storage.open(text_key(bytes_key)) as kept:
            return kept.read(MAX_TEXT_BYTES + 1)
    with runtime.storage.open(bytes_key) as content:
        text = _extract(runtime, content, file.extension, cancel)
    try:
        runtime.storage.put(text_key(bytes_key), io.BytesIO(text))
    except Unavailable as exc:
        logger.warning("text of a document not kept: %s", exc.code, extra={"file": file.upload_file_id})
    return text


def _read_address(runtime: Runtime, file: AttachedFile, cancel: Cancel, fetch_s: float) -> bytes:
    """Return the text of what is at an address."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as fetched:
        content = cast("BinaryIO", fetched)  # which it is but for its declared type
        headers = files.fetch(runtime, file, Kind.DOCUMENT, content, cancel, total_s=fetch_s)
        content.seek(0)
        extension = _find_extension(file, headers, content.read(HEAD_BYTES))
        content.seek(0)
        return _extract(runtime, content, extension, cancel)


def _find_extension(file: AttachedFile, headers: Mapping[str, str], head: bytes) -> str:
    """Return what a fetched file is, where its first bytes agree.

    That is what its name says; where that is no name of a file, or the script
    that made it, what came with it does.
    """
    named = FILE_TYPES.get(file.extension)
    is_firm = named is not None and named.content is not TEXT
    for extension in (file.extension,) if is_firm else (file.extension, _told_extension(headers)):
        known = FILE_TYPES.get(extension)
        if known is not None and known.content.match(head):
            return extension
    raise InvalidRequest(f"File validation failed for file: {file.name}", field="files")


def _told_extension(headers: Mapping[str, str]) -> str:
    """Return the extension of the name an answer gives its body, else that of its type, else nothing."""
    told = Header()
    for name in ("content-disposition", "content-type"):
        if name in headers:
            told[name] = headers[name]
    extension = extension_of(told.get_filename() or "")
    if extension in FILE_TYPES or "content-type" not in headers:
        return extension
    return BY_MIME_TYPE.get(told.get_content_type(), "")


def _extract(runtime: Runtime, content: BinaryIO, extension: str, cancel: Cancel) -> bytes:
    """Return the text of a document; one of an extension of its own that is plain text is read as such."""
    known = FILE_TYPES.get(extension)
    if extension not in EXTRACTORS and known is not None and known.content is TEXT:
        extension = "txt"
    return runtime.extractor.extract(content, extension, cancel=cancel).encode("utf-8", "replace")
