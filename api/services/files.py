"""Stored files: attached to messages, shown to models, given back to clients, and forgotten.

The bytes lie in the storage backend under a key made here; a client's name is
for display only. Only who uploaded a file may attach or fetch it; a signed
address stands for that right, for one file, one disposition and a few minutes.
"""

import base64
import hmac
import io
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, Literal, cast
from urllib.parse import unquote, urlencode, urlsplit

from pydantic import ValidationError
from sqlalchemy import ColumnElement, delete, false, or_, select, update
from sqlalchemy.orm import Session

from api.core.apps.config import FileUpload, FormItem
from api.core.http import BodyTooLarge, Cancelled, HTTPFailure, HTTPResponse
from api.core.model_runtime.types import ImagePart
from api.core.ports import Cancel, JSONObject
from api.core.rag.waiting import within
from api.errors import Forbidden, InvalidRequest
from api.models.base import utc_now
from api.models.file import UploadFile
from api.principal import Principal
from api.runtime import Runtime
from api.services import file_kinds
from api.services.access import FileNotFound, access_file, is_id, own_files
from api.services.file_kinds import FILE_TYPES, HEAD_BYTES, Kind

REMOTE, LOCAL, TOOL = "remote_url", "local_file", "tool_file"
IMAGE, CUSTOM = "image", "custom"
TYPES = (*Kind, CUSTOM)
FILE_KINDS = ("file", "file-list")  # variables of a form whose values are files
URL_KEY = "file-urls"
MAX_LISTED = 100
"""Files that one variable holds; no policy allows more."""
ROWS_PER_BATCH = 500
FETCH_TOTAL_S = 60.0
# The purge comes hourly and what it removes is older than a day at most; no message takes what it may remove.
ATTACHABLE = timedelta(hours=22)
KEPT_UNATTACHED = timedelta(hours=23)


class FileAccessDenied(Forbidden):
    """The signature of a file's address is wrong, or it has expired."""

    code = "file_access_denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file to be given out; whoever takes it closes ``content``."""

    name: str
    mime_type: str
    is_shown: bool
    size_bytes: int
    sha256: str
    content: BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedFile:
    """A file of a message, as the message keeps it: an upload of ours, or an address.

    ``mime_type`` and ``size_bytes`` of an address are not known before it is read.
    """

    type: str
    transfer_method: str
    name: str
    url: str | None = None
    upload_file_id: str | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
    storage_key: str | None = None

    @property
    def extension(self) -> str:
        """The extension of the name, in lower case without a dot."""
        return file_kinds.extension_of(self.name)

    def to_row(self) -> JSONObject:
        """Return what the message's row stores."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: JSONObject) -> "AttachedFile":
        """Return the file that ``to_row`` stored."""
        return cls(**cast("dict[str, Any]", row))


def attach(
    session: Session, principal: Principal, policy: FileUpload, entries: tuple[JSONObject, ...]
) -> tuple[AttachedFile, ...]:
    """Return the files a message names, checked against its app's policy; nothing where that takes none.

    One statement for all uploads, none when there are none; it also marks them
    as used. Raises InvalidRequest. Wire: docs/wire/files.md#attaching.
    """
    if not policy.is_on:
        return ()
    named = [entry for entry in entries if _names_a_file(entry)]
    _check_count(policy, len(named))
    ids = {_upload_id(entry) for entry in named if entry["transfer_method"] == LOCAL}
    uploads = _take_uploads(session, principal, ids) if ids else {}
    attached = tuple(_to_attached(entry, uploads) for entry in named)
    _check_policy(policy, attached)
    return attached


def attach_inputs(
    session: Session, principal: Principal, form: tuple[FormItem, ...], inputs: JSONObject
) -> tuple[AttachedFile, ...]:
    """Return the files that the variables of a form hold, checked as those of a message are.

    Raises InvalidRequest naming the variable whose value is no file.
    """
    attached: tuple[AttachedFile, ...] = ()
    for item in form:
        value = inputs.get(item.variable)
        if item.kind not in FILE_KINDS or not value:
            continue
        entries = cast("list[JSONObject]", value if isinstance(value, list) else [value])
        if not all(_names_a_file(entry) for entry in entries):
            message = f"{item.variable} in input form must be a file"
            raise InvalidRequest(message, field=item.variable, fault="invalid_type")
        attached += attach(session, principal, _policy_of(item, len(entries)), tuple(entries))
    return attached


def _policy_of(item: FormItem, count: int) -> FileUpload:
    """Return which files a variable takes, as many as ``count``, which is at most MAX_LISTED."""
    if count > MAX_LISTED:
        message = f"{item.variable} in input form must be at most {MAX_LISTED} files"
        raise InvalidRequest(message, field=item.variable, fault="too_long")
    drawn = {**(item.model_extra or {}), "enabled": True, "number_limits": count}
    try:
        return FileUpload.model_validate(drawn)
    except ValidationError as exc:
        message = f"{item.variable} in input form is drawn with rules for its files that are none"
        raise InvalidRequest(message, field=item.variable) from exc


def _names_a_file(entry: JSONObject) -> bool:
    """Tell whether an entry is more than the empty slot some clients send; they are skipped."""
    method = entry.get("transfer_method")
    return bool(method) and (method != REMOTE or bool(entry.get("url") or entry.get("remote_url")))


def _check_count(policy: FileUpload, count: int) -> None:
    """Raise InvalidRequest for more files than the app takes; without a number of its own, that of images."""
    limit = (policy.enabled and policy.number_limits) or policy.image.number_limits
    if count > limit:
        what = "files" if policy.enabled else "image files"
        raise InvalidRequest(f"Number of {what} exceeds the maximum limit {limit}", field="files")


def _upload_id(entry: JSONObject) -> str:
    file_id = entry.get("upload_file_id")
    if not isinstance(file_id, str) or not is_id(file_id):
        raise InvalidRequest("Invalid upload file id format", field="files", fault="invalid_format")
    return file_id.lower()


def _take_uploads(session: Session, principal: Principal, ids: Collection[str]) -> dict[str, UploadFile]:
    """Mark uploads as used and return them by id; raises InvalidRequest where one is not the caller's own.

    One not used in time is about to be removed and counts as gone.
    """
    now = utc_now()
    is_there = or_(UploadFile.attached_at.is_not(None), UploadFile.created_at > now - ATTACHABLE)
    found = session.scalars(
        update(UploadFile)
        .where(*own_files(principal), UploadFile.id.in_(ids), is_there)
        .values(attached_at=now)
        .returning(UploadFile)
    ).all()
    if len(found) < len(ids):
        raise InvalidRequest("Invalid upload file", field="files")
    return {row.id: row for row in found}


def _to_attached(entry: JSONObject, uploads: Mapping[str, UploadFile]) -> AttachedFile:
    method = entry["transfer_method"]
    if method == LOCAL:
        upload = uploads[_upload_id(entry)]
        return AttachedFile(
            type=_type_of(entry, upload.kind),
            transfer_method=LOCAL,
            name=upload.name,
            upload_file_id=upload.id,
            mime_type=upload.mime_type,
            size_bytes=upload.size_bytes,
            storage_key=upload.storage_key,
        )
    if method == REMOTE:
        return to_remote(entry)
    # No tool has made a file yet, so none of theirs is anybody's.
    known = "Invalid upload file" if method == TOOL else f"transfer_method must be {REMOTE} or {LOCAL}"
    raise InvalidRequest(known, field="files")


def to_remote(entry: JSONObject) -> AttachedFile:
    """Return a file at an address; it is read when the model needs it. Raises InvalidRequest."""
    url = entry.get("url") or entry.get("remote_url")
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise InvalidRequest(
            "The url of a file must be an http(s) address without a password in it",
            field="files",
            fault="invalid_format",
        )
    name = file_kinds.clean_name(PurePosixPath(unquote(parts.path)).name)[: file_kinds.MAX_NAME_CHARS]
    known = FILE_TYPES.get(file_kinds.extension_of(name))
    return AttachedFile(
        type=_type_of(entry, known.kind if known else CUSTOM),
        transfer_method=REMOTE,
        name=name or parts.netloc,
        url=parts.geturl(),
        mime_type=known.mime_type if known else None,
    )


def _type_of(entry: JSONObject, detected: str) -> str:
    """Return the declared type of a file; the detected one where none is declared, or "custom"."""
    declared = entry.get("type") or CUSTOM
    if declared not in TYPES:
        raise InvalidRequest(
            f"The type of a file must be one of: {', '.join(TYPES)}", field="files", fault="invalid_choice"
        )
    return detected if declared == CUSTOM else str(declared)


def _check_policy(policy: FileUpload, attached: Sequence[AttachedFile]) -> None:
    """Raise InvalidRequest for too many images, or for a file of a sort the app does not take."""
    limit = policy.image.number_limits
    if policy.image.enabled and sum(file.type == IMAGE for file in attached) > limit:
        raise InvalidRequest(f"Number of image files exceeds the maximum limit {limit}", field="files")
    for file in attached:
        if not (_takes_method(policy, file) and _takes_type(policy, file)):
            raise InvalidRequest(f"File validation failed for file: {file.name}", field="files")


def still_taken(policy: FileUpload, attached: Sequence[AttachedFile]) -> tuple[AttachedFile, ...]:
    """Return those of files attached before that the app would take today; none where it takes no files."""
    if not policy.is_on:
        return ()
    return tuple(file for file in attached if _takes_method(policy, file) and _takes_type(policy, file))


def _takes_method(policy: FileUpload, file: AttachedFile) -> bool:
    if (
        policy.image.enabled
        and file.type == IMAGE
        and file.transfer_method not in policy.image.transfer_methods
    ):
        return False
    methods = policy.allowed_file_upload_methods
    return not (policy.enabled and methods) or file.transfer_method in methods


def _takes_type(policy: FileUpload, file: AttachedFile) -> bool:
    """Tell whether the app takes a file's type, or, where it lists extensions of its own, its extension."""
    if not policy.enabled:
        return file.type == IMAGE
    types = policy.allowed_file_types
    if not types or file.type in types:
        return True
    extensions = {name.lower().removeprefix(".") for name in policy.allowed_file_extensions or ()}
    return CUSTOM in types and file.extension in extensions


def load_images(
    runtime: Runtime,
    attached: Sequence[AttachedFile],
    *,
    detail: Literal["low", "high"],
    cancel: Cancel,
) -> tuple[ImagePart, ...]:
    """Return the images among the files as bytes, so that a model on this machine sees them too.

    Those read so far when ``cancel`` is set. Raises InvalidRequest for an image
    that cannot be read or is none, EgressDenied for an address that may not be.
    """
    images = []
    for file in attached:
        if file.type != IMAGE:
            continue
        try:
            data = _read_image(runtime, file, cancel)
        except Cancelled:
            break
        found = file_kinds.find_raster_type(data[:HEAD_BYTES])
        if found is None:
            raise InvalidRequest(f"File validation failed for file: {file.name}", field="files")
        images.append(ImagePart(mime_type=found.mime_type, data=data, detail=detail))
    return tuple(images)


def _read_image(runtime: Runtime, file: AttachedFile, cancel: Cancel) -> bytes:
    if file.transfer_method == REMOTE:
        image = io.BytesIO()
        fetch(runtime, file, Kind.IMAGE, image, cancel, total_s=FETCH_TOTAL_S)
        return image.getvalue()
    with runtime.storage.open(str(file.storage_key)) as content:
        return content.read()


def fetch(
    runtime: Runtime, file: AttachedFile, kind: Kind, into: IO[bytes], cancel: Cancel, *, total_s: float
) -> Mapping[str, str]:
    """Write the bytes at a file's address, as many as a file of its kind may have; return the headers.

    Raises InvalidRequest where they cannot be had, EgressDenied, and Cancelled.
    """
    try:
        with (
            within(total_s, cancel) as fetching,
            runtime.http.stream("GET", str(file.url), cancel=fetching, follow=True) as response,
        ):
            if response.status != 200:
                raise InvalidRequest(
                    f"The file {file.name!r} could not be fetched: status {response.status}.", field="files"
                )
            _copy(response, into, runtime.limits.max_file_bytes[kind])
            return response.headers
    except HTTPFailure as exc:
        raise InvalidRequest(f"The file {file.name!r} could not be fetched: {exc}", field="files") from exc


def _copy(response: HTTPResponse, into: IO[bytes], max_bytes: int) -> None:
    size_bytes = 0
    for piece in response.iter_bytes():
        size_bytes += len(piece)
        if size_bytes > max_bytes:
            raise BodyTooLarge(f"it has more than {max_bytes} bytes.")
        into.write(piece)


def open_own(runtime: Runtime, principal: Principal, file_id: str) -> Download:
    """Return a file for whoever uploaded it; raises FileNotFound for any other."""
    with runtime.transaction() as session:
        row = access_file(session, principal, file_id)
    return _to_download(runtime, row)


def open_signed(
    runtime: Runtime, file_id: str, *, timestamp: str, nonce: str, sign: str, is_attachment: bool
) -> Download:
    """Return a file for whoever holds its signed address; raises FileAccessDenied, FileNotFound.

    The signature stands for the uploader, so no workspace is asked for.
    """
    expected = _sign(runtime, file_id, timestamp, nonce, is_attachment=is_attachment)
    if not hmac.compare_digest(expected.encode(), sign.encode()) or not _is_fresh(runtime, timestamp):
        raise FileAccessDenied("The address of the file is not valid, or no longer.")
    with runtime.transaction() as session:
        row = session.get(UploadFile, file_id)
    if row is None:
        raise FileNotFound("The requested file was not found.")
    return _to_download(runtime, row)


def _to_download(runtime: Runtime, row: UploadFile) -> Download:
    known = FILE_TYPES.get(row.extension)
    return Download(
        name=row.name,
        mime_type=row.mime_type,
        is_shown=known is not None and known.is_shown,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        content=runtime.storage.open(row.storage_key),
    )


def sign_url(runtime: Runtime, file_id: str, *, base_url: str, is_attachment: bool = False) -> str:
    """Return an address that gives one file to anyone, for ``limits.files_url_ttl_s`` seconds."""
    timestamp, nonce = str(_now_s()), secrets.token_hex(16)
    query = {
        "timestamp": timestamp,
        "nonce": nonce,
        "sign": _sign(runtime, file_id, timestamp, nonce, is_attachment=is_attachment),
        **({"as_attachment": "true"} if is_attachment else {}),
    }
    return f"{base_url}/files/{file_id}/file-preview?{urlencode(query)}"


def sign_icon(runtime: Runtime, file_id: str) -> str:
    """Return a signed address of an app's icon; relative to this server where it has no PUBLIC_URL."""
    return sign_url(runtime, file_id, base_url=runtime.limits.public_url.rstrip("/"))


def _sign(runtime: Runtime, file_id: str, timestamp: str, nonce: str, *, is_attachment: bool) -> str:
    text = f"file-preview|{file_id}|{timestamp}|{nonce}|{is_attachment}"
    digest = hmac.digest(runtime.vault.derive(URL_KEY), text.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode()


def _is_fresh(runtime: Runtime, timestamp: str) -> bool:
    """Tell whether an instant we signed is young enough."""
    return _now_s() - int(timestamp) <= runtime.limits.files_url_ttl_s


def _now_s() -> int:
    return int(utc_now().timestamp())


def check_icon(session: Session, principal: Principal, file_id: str, *, field: str = "icon") -> None:
    """Mark a console upload as used for a picture; raises InvalidRequest unless it is an image there."""
    marked = update(UploadFile).where(*_image(principal, file_id)).values(attached_at=utc_now())
    _check_image(session.scalar(marked.returning(UploadFile.id)), field)


def check_image(session: Session, principal: Principal, file_id: str, *, field: str) -> None:
    """Raise InvalidRequest unless a file is an image that was uploaded in the console of the workspace."""
    _check_image(session.scalar(select(UploadFile.id).where(*_image(principal, file_id))), field)


def _check_image(found: str | None, field: str) -> None:
    if found is None:
        raise InvalidRequest(f"Parameter {field!r} must be the id of an uploaded image", field=field)


def _image(principal: Principal, file_id: str) -> tuple[ColumnElement[bool], ...]:
    if not is_id(file_id):
        return (false(),)
    return (
        UploadFile.tenant_id == principal.tenant_id,
        UploadFile.app_id.is_(None),
        UploadFile.id == file_id.lower(),
        UploadFile.kind == Kind.IMAGE,
    )


def purge_unattached(runtime: Runtime) -> None:
    """Remove uploads no message used for 23 hours, in batches: first the bytes, then their rows."""
    while _purge_batch(runtime):
        pass


def _purge_batch(runtime: Runtime) -> bool:
    """Remove one batch; True when there may be more."""
    is_over = (UploadFile.attached_at.is_(None), UploadFile.created_at < utc_now() - KEPT_UNATTACHED)
    with runtime.transaction() as session:
        found = session.execute(
            select(UploadFile.id, UploadFile.storage_key).where(*is_over).limit(ROWS_PER_BATCH)
        ).all()
    for row in found:
        runtime.storage.delete(row.storage_key)
    with runtime.transaction() as session:
        session.execute(delete(UploadFile).where(UploadFile.id.in_([row.id for row in found])))
    return len(found) == ROWS_PER_BATCH
