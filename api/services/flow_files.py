"""The files of a workflow's run: uploads and addresses as values, and what nodes read and keep of them."""

import io
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from api.core.apps.config import FileUpload, FormItem
from api.core.ports import Cancel, JSONObject, JSONValue
from api.core.rag.extraction import ExtractionFailed
from api.core.workflow.variables import FILE_IDENTITY, FILE_MARK, is_file
from api.core.workflow.work import NodeFailed
from api.errors import AppError, InvalidRequest, NotFound
from api.models.base import new_id, utc_now
from api.models.file import UploadFile
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import attached_documents, file_kinds, files, uploads
from api.services.access import is_id
from api.services.file_kinds import Kind
from api.services.files import FILE_KINDS, LOCAL, MAX_LISTED, REMOTE, AttachedFile

KINDS = (Kind.IMAGE, Kind.AUDIO, Kind.VIDEO)


def to_value(runtime: Runtime, tenant_id: str, file: AttachedFile) -> JSONObject:
    """Return a file as variables hold it. Its address is signed and lasts a while; its id lasts."""
    url = file.url
    if file.upload_file_id is not None:
        url = files.sign_url(runtime, file.upload_file_id, base_url=runtime.limits.public_url.rstrip("/"))
    return {
        FILE_MARK: FILE_IDENTITY,
        "id": file.upload_file_id,
        "tenant_id": tenant_id,
        "type": file.type,
        "transfer_method": file.transfer_method,
        "remote_url": file.url,
        "related_id": file.upload_file_id,
        "filename": file.name,
        "extension": f".{file.extension}" if file.extension else "",
        "mime_type": file.mime_type,
        "size": file.size_bytes if file.size_bytes is not None else -1,
        "url": url,
    }


def attach_values(
    runtime: Runtime, session: Session, principal: Principal, form: tuple[FormItem, ...], given: JSONObject
) -> JSONObject:
    """Return what was filled into a form with the files among it as variables hold them.

    Raises InvalidRequest for a file that is none, or not the caller's.
    """
    values = dict(given)
    for item in form:
        if item.kind not in FILE_KINDS or not given.get(item.variable):
            continue
        attached = files.attach_inputs(session, principal, (item,), given)
        listed: list[JSONValue] = [to_value(runtime, principal.tenant_id, file) for file in attached]
        values[item.variable] = listed if item.kind == "file-list" else next(iter(listed), None)
    return values


def from_client(runtime: Runtime, session: Session, principal: Principal, value: JSONValue) -> JSONValue:
    """Return a value as variables hold it: where it is a file that a client names, or a list of them.

    Files as variables hold them may come back so. Raises InvalidRequest.
    """
    entries = value if isinstance(value, list) else [value]
    if not entries or not all(isinstance(entry, dict) and "transfer_method" in entry for entry in entries):
        return value
    if len(entries) > MAX_LISTED:
        raise InvalidRequest(f"A list has at most {MAX_LISTED} files", field="inputs", fault="too_long")
    policy = FileUpload(enabled=True, number_limits=len(entries))
    named = tuple(_as_named(entry) for entry in entries if isinstance(entry, dict))
    found: list[JSONValue] = [
        to_value(runtime, principal.tenant_id, file)
        for file in files.attach(session, principal, policy, named)
    ]
    return found if isinstance(value, list) else next(iter(found), None)


def _as_named(entry: JSONObject) -> JSONObject:
    """Return a file as clients name it."""
    if not is_file(entry):
        return entry
    named = {key: entry.get(key) for key in ("type", "transfer_method", "remote_url")}
    return {**named, "upload_file_id": entry.get("related_id")}


@dataclass(frozen=True, slots=True)
class FlowFiles:
    """What nodes do with files, for one principal's run of one app."""

    runtime: Runtime
    principal: Principal
    app_id: str

    def read(self, file: JSONObject, cancel: Cancel) -> bytes:
        """Return a file's bytes. Raises NodeFailed where it is gone, foreign or too large, Cancelled."""
        content = io.BytesIO()
        try:
            attached = self._attached(file)
            if attached.transfer_method != REMOTE:
                with self.runtime.storage.open(str(attached.storage_key)) as stored:
                    return stored.read()
            kind = Kind(attached.type) if attached.type in set(Kind) else Kind.DOCUMENT
            files.fetch(self.runtime, attached, kind, content, cancel, total_s=files.FETCH_TOTAL_S)
        except AppError as exc:
            raise NodeFailed(exc.message, error_type="FileError") from exc
        return content.getvalue()

    def text(self, file: JSONObject, cancel: Cancel) -> str:
        """Return a document's text. Raises NodeFailed with a sentence for its owner, Cancelled."""
        try:
            return attached_documents.read_text(self.runtime, self._attached(file), cancel)
        except (AppError, ExtractionFailed) as exc:
            raise NodeFailed(exc.message, error_type="ExtractionError") from exc

    def save(self, name: str, mime_type: str, content: bytes) -> JSONObject:
        """Keep bytes a node received, and return the file's value."""
        mime_type = mime_type.partition(";")[0].strip().lower() or "application/octet-stream"
        clean = file_kinds.clean_name(name)[: file_kinds.MAX_NAME_CHARS] or "file"
        if not file_kinds.extension_of(clean):
            clean += mimetypes.guess_extension(mime_type) or ".bin"
        now = utc_now()
        row = UploadFile(
            id=new_id(),
            created_at=now,
            attached_at=now,
            tenant_id=self.principal.tenant_id,
            app_id=self.app_id,
            storage_key=uploads.new_storage_key(self.principal.tenant_id, now),
            name=clean,
            extension=file_kinds.extension_of(clean),
            mime_type=mime_type,
            kind=next((kind for kind in KINDS if mime_type.startswith(f"{kind}/")), Kind.DOCUMENT).value,
            size_bytes=len(content),
            sha256=sha256(content).hexdigest(),
            created_by=self.principal.id,
            created_by_role=self.principal.kind.value,
        )
        value = to_value(self.runtime, row.tenant_id, _to_attached(row))
        with uploads.storing(self.runtime, row, io.BytesIO(content)), self.runtime.transaction() as session:
            session.add(row)
        return value

    def own(self, values: Sequence[JSONObject]) -> list[JSONObject]:
        """Return files anew that come from a workflow, whose caller or code may have made their values up.

        One statement. Raises InvalidRequest for one that is neither the caller's own nor at an address.
        """
        if len(values) > MAX_LISTED:
            raise InvalidRequest(f"A list has at most {MAX_LISTED} files", fault="too_long")
        uploads = self._uploads(map(_id_of, values), UploadFile.created_by == self.principal.id)
        attached = [
            files.to_remote(value) if value.get("transfer_method") == REMOTE else uploads.get(_id_of(value))
            for value in values
        ]
        found = [file for file in attached if file is not None]
        if len(found) < len(values):
            raise InvalidRequest("Invalid upload file")
        return [to_value(self.runtime, self.principal.tenant_id, file) for file in found]

    def _attached(self, file: Mapping[str, JSONValue]) -> AttachedFile:
        """Return the file behind a value: one of this app's, or one at an address. Raises NotFound.

        Not another end user's: a value may come from the caller, who may have made it up.
        """
        if file.get("transfer_method") == REMOTE:
            return AttachedFile(
                type=str(file.get("type")),
                transfer_method=REMOTE,
                name=str(file.get("filename") or "file"),
                url=str(file.get("remote_url") or file.get("url")),
            )
        file_id = _id_of(file)
        found = self._uploads([file_id], *self._not_of_others()).get(file_id)
        if found is None:
            raise NotFound(f"The file {str(file.get('filename'))[:100]!r} is not there any more.")
        return found

    def _not_of_others(self) -> tuple[ColumnElement[bool], ...]:
        """Return what an end user's run may read: the user's files, and those of the app's team."""
        if self.principal.kind is not ActorKind.END_USER:
            return ()
        is_own = UploadFile.created_by == self.principal.id
        return (or_(is_own, UploadFile.created_by_role == ActorKind.ACCOUNT.value),)

    def _uploads(self, ids: Iterable[str], *conditions: ColumnElement[bool]) -> dict[str, AttachedFile]:
        """Return the uploads of this app, or of none, that some ids name."""
        known = {file_id for file_id in ids if is_id(file_id)}
        if not known:
            return {}
        query = select(UploadFile).where(
            UploadFile.tenant_id == self.principal.tenant_id,
            or_(UploadFile.app_id == self.app_id, UploadFile.app_id.is_(None)),
            UploadFile.id.in_(known),
            *conditions,
        )
        with self.runtime.reading() as session:
            return {row.id: _to_attached(row) for row in session.scalars(query)}


def _id_of(file: Mapping[str, JSONValue]) -> str:
    return str(file.get("related_id") or file.get("id")).lower()


def _to_attached(row: UploadFile) -> AttachedFile:
    return AttachedFile(
        type=row.kind,
        transfer_method=LOCAL,
        name=row.name,
        upload_file_id=row.id,
        mime_type=row.mime_type,
        size_bytes=row.size_bytes,
        storage_key=row.storage_key,
    )
