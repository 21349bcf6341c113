"""Files at addresses: looked at, and fetched to be kept as uploads of whoever asks.

No connection is held while the address is waited for, and nothing is stored of
an answer that is refused or cut off.
"""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO, Literal, cast
from urllib.parse import unquote, urlsplit

from api.core.http import HTTPFailure, HTTPResponse
from api.core.ports import Cancel
from api.errors import InvalidRequest, TooLarge
from api.principal import Principal
from api.runtime import Runtime
from api.services import file_kinds, idempotency, uploads
from api.services.file_kinds import FILE_TYPES
from api.services.uploads import IncomingFile, StoredFile

LOOK_TOTAL_S = 20.0
MAX_DIGITS = 18
"""A length of more is no length: no file is as large, and JSON has no number for it."""
FETCH_TOTAL_S = 120.0
SPOOL_MEMORY_BYTES = 256 * 1024
MB = 1024 * 1024
UNKNOWN_TYPE = "application/octet-stream"
NO_HEAD = (403, 404, 405, 501)
"""What servers say to HEAD that would answer a GET."""
FILENAME = re.compile(r"""filename\*=(?:UTF-8|utf-8)'[^']*'([^;]+)|filename="?([^";]+)"?""")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """What an address says of its file; ``size_bytes`` is 0 where it does not say."""

    mime_type: str
    size_bytes: int


def look_at(runtime: Runtime, url: str) -> RemoteFile:
    """Return what a file at an address is; raises InvalidRequest or EgressDenied."""
    cancel = Cancel(LOOK_TOTAL_S)
    try:
        for method in ("HEAD", "GET"):
            with runtime.http.stream(method, check_address(url), cancel=cancel, follow=True) as response:
                if method == "HEAD" and response.status in NO_HEAD:
                    continue
                _check_status(response)
                length = response.headers.get("content-length", "")
                is_size = length.isascii() and length.isdigit() and len(length) <= MAX_DIGITS
                size_bytes = int(length) if is_size else 0
                return RemoteFile(mime_type=_type_of(response.headers), size_bytes=size_bytes)
    except HTTPFailure as exc:
        raise _fault(f"The address could not be read: {exc}") from exc
    raise AssertionError("a GET is always answered")


def fetch(
    runtime: Runtime, principal: Principal, url: str, claim: idempotency.Claim | None = None
) -> StoredFile:
    """Keep the file at an address as an upload of the caller, within 120 s and the limit of its kind.

    Raises InvalidRequest, EgressDenied, TooLarge, and for what it is whatever
    an upload raises.
    """
    cancel = Cancel(FETCH_TOTAL_S)
    with tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES) as content:
        try:
            with runtime.http.stream("GET", check_address(url), cancel=cancel, follow=True) as response:
                _check_status(response)
                name = _name_of(response)
                file_kinds.accept_name(name)
                max_bytes = file_kinds.max_bytes(runtime.limits.max_file_bytes, name)
                size_bytes, sha256 = _copy(response, content, max_bytes)
        except HTTPFailure as exc:
            raise _fault(f"The file could not be fetched: {exc}") from exc
        content.seek(0)
        sent = IncomingFile(
            name=name, content=cast("BinaryIO", content), size_bytes=size_bytes, sha256=sha256
        )
        return uploads.create_upload(runtime, principal, sent, claim)


def check_address(url: str) -> str:
    """Return an address without surrounding space; raises InvalidRequest for what is none."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise _fault("The url must be an http(s) address without a password in it.", "invalid_format")
    return parts.geturl()


def _check_status(response: HTTPResponse) -> None:
    if response.status != 200:
        raise _fault(f"The address answers with status {response.status}.")


def _type_of(headers: Mapping[str, str]) -> str:
    """Return the media type an answer has, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() or UNKNOWN_TYPE


def _name_of(response: HTTPResponse) -> str:
    """Return what the file is called: by its server or its address, with the end of its type."""
    named = FILENAME.search(response.headers.get("content-disposition", ""))
    last = (
        unquote(named[1] or named[2]) if named else unquote(PurePosixPath(urlsplit(response.url).path).name)
    )
    name = "".join(char for char in last if char not in file_kinds.NOT_IN_NAMES).strip(" .") or "file"
    if file_kinds.extension_of(name) in FILE_TYPES:
        return name
    mime_type = _type_of(response.headers)
    fitting = (extension for extension, known in FILE_TYPES.items() if known.mime_type == mime_type)
    extension = next(fitting, None)
    return f"{name}.{extension}" if extension else name


def _copy(response: HTTPResponse, content: IO[bytes], max_bytes: int) -> tuple[int, str]:
    """Copy a body, counting and hashing; raises TooLarge as soon as it is."""
    size_bytes, digest = 0, hashlib.sha256()
    for piece in response.iter_bytes():
        size_bytes += len(piece)
        if size_bytes > max_bytes:
            raise TooLarge(f"File size exceeds the limit of {max_bytes / MB:g} MB.")
        digest.update(piece)
        content.write(piece)
    return size_bytes, digest.hexdigest()


def _fault(
    message: str, fault: Literal["invalid_value", "invalid_format"] = "invalid_value"
) -> InvalidRequest:
    return InvalidRequest(message, field="url", fault=fault)
