"""Documents come in and are replaced: from a form's file, from an upload made before, from a text.

The bytes are stored first, then one transaction writes what knows of them and
asks for the indexing, so that a document without its file cannot be.
"""

import hashlib
import io
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain, count

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from api.core.ports import Cancel
from api.core.rag import extractors  # noqa: F401  # fills EXTRACTORS
from api.core.rag.extraction import EXTRACTORS
from api.errors import Conflict, InvalidRequest, Unsupported
from api.models.base import new_id, utc_now
from api.models.dataset import Dataset, ProcessRuleRow
from api.models.document import Document
from api.models.file import UploadFile
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import document_settings, file_kinds, idempotency, indexing, uploads
from api.services.access import FileNotFound, access_document, access_file, is_id
from api.services.document_settings import DocumentSettings
from api.services.documents import DocumentView, check_mutable, get_view, open_dataset, to_views
from api.services.files import ATTACHABLE
from api.services.uploads import IncomingFile, StoredFile

INDEXABLE = tuple(sorted(EXTRACTORS))
UPLOAD = "upload_file"
MAX_DATASET_NAME_CHARS = 40
PREVIEW_CHARS = 3000
PREVIEW_TOTAL_S = 60.0


class FileInUse(Conflict):
    """The upload has become a document already."""


@dataclass(frozen=True, slots=True)
class Added:
    """Documents that came in together, and their dataset."""

    dataset: Dataset
    views: Sequence[DocumentView]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What of a document is to be another; None stays as it is.

    A new content without a rule of its own is processed by the document's present one.
    """

    file: IncomingFile | None = None
    name: str | None = None
    settings: DocumentSettings = field(default_factory=DocumentSettings)


def to_text_file(name: str, text: str) -> IncomingFile:
    """Return a text as the file it is kept as."""
    data = text.encode("utf-8", "replace")
    stem = "".join(char for char in name if char not in file_kinds.NOT_IN_NAMES).strip(" .") or "text"
    return IncomingFile(
        name=f"{stem}.txt",
        content=io.BytesIO(data),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def check_indexable(name: str) -> None:
    """Raise Unsupported for a file whose text is not read."""
    if file_kinds.extension_of(file_kinds.clean_name(name)) not in EXTRACTORS:
        raise Unsupported(f"File type not allowed; documents are: {', '.join(INDEXABLE)}.")


def upload(
    runtime: Runtime,
    principal: Principal,
    sent: IncomingFile,
    *,
    is_document: bool,
    claim: idempotency.Claim | None = None,
) -> StoredFile:
    """Store a member's file; one that is to become a document must be of a kind whose text is read."""
    if is_document:
        check_indexable(file_kinds.accept_name(sent.name).text)
    return uploads.create_upload(runtime, principal, sent, claim)


def create_from_file(
    runtime: Runtime,
    principal: Principal,
    dataset_id: str,
    sent: IncomingFile,
    settings: DocumentSettings,
    *,
    name: str | None = None,
    original_document_id: str | None = None,
    claim: idempotency.Claim | None = None,
) -> DocumentView:
    """Add a document to a dataset, or replace its document ``original_document_id``, which keeps its id.

    A repeated claim gives the document of the first time. Raises NotFound,
    Forbidden, ArchivedDocument, Unsupported for a file whose text is not read, and InvalidRequest.
    """
    with runtime.reading() as session:  # so that nothing is stored for a request that is refused
        dataset = open_dataset(session, principal, dataset_id, may_edit=True)
        document_settings.check_rule(runtime, settings)
        if original_document_id is not None:
            check_mutable(access_document(session, principal, dataset, original_document_id))
    upload = _to_upload(principal, sent)
    with uploads.storing(runtime, upload, sent.content), runtime.transaction() as session:
        first = _first_document(runtime, session, principal, dataset_id, claim)
        if first is None:
            session.add(upload)
            dataset = _take_turn(session, principal, dataset_id)
            rule = document_settings.settle(runtime, session, principal, dataset, settings, UPLOAD)
            if original_document_id is None:
                made = _to_document(session, principal, dataset, rule, settings, batch=new_batch())
                _fill(made, upload, name)
                session.add(made)
                indexing.request_indexing(runtime, session, made)
            else:
                made = access_document(session, principal, dataset, original_document_id)
                _replace(runtime, session, made, upload, name, rule)
            _keep_first(runtime, session, claim, made)
            return get_view(session, principal, made)
        view = get_view(session, principal, first)
    runtime.storage.delete(upload.storage_key)
    return view


def create_from_uploads(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    dataset_id: str,
    file_ids: Sequence[str],
    settings: DocumentSettings,
    *,
    original_document_id: str | None = None,
    name: str | None = None,
) -> Added:
    """Make a document of each of the caller's uploads, all of one batch; or replace one by the only one.

    Raises FileNotFound, FileInUse, Unsupported, ArchivedDocument and InvalidRequest.
    """
    if not file_ids:
        raise InvalidRequest("Name at least one uploaded file.", field="file_ids", fault="too_short")
    dataset = _take_turn(session, principal, dataset_id)
    rule = document_settings.settle(runtime, session, principal, dataset, settings, UPLOAD)
    if original_document_id is not None:
        document = check_mutable(access_document(session, principal, dataset, original_document_id))
        if len(file_ids) != 1:
            raise InvalidRequest("One file replaces a document.", field="file_ids")
        is_same = document.source.get("upload_file_id") == file_ids[0]
        upload = None if is_same else take_upload(session, principal, file_ids[0])
        _replace(runtime, session, document, upload, name, rule)
        return Added(dataset, to_views(session, dataset, [document]))
    batch = new_batch()
    made = []
    for file_id in dict.fromkeys(file_ids):
        document = _to_document(session, principal, dataset, rule, settings, batch=batch)
        _fill(document, take_upload(session, principal, file_id), name)
        session.add(document)
        indexing.request_indexing(runtime, session, document)
        made.append(document)
    return Added(dataset, to_views(session, dataset, made))


def create_dataset(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    file_ids: Sequence[str],
    settings: DocumentSettings,
) -> Added:
    """Make a dataset of uploads, named after the first of them; raises what adding them does."""
    name = access_file(session, principal, file_ids[0]).name if file_ids else ""
    dataset = Dataset(
        tenant_id=principal.tenant_id,
        name=_free_name(session, principal, name),
        created_by=principal.id,
        updated_by=principal.id,
    )
    session.add(dataset)
    session.flush()
    return create_from_uploads(runtime, session, principal, dataset.id, file_ids, settings)


def _free_name(session: Session, principal: Principal, wanted: str) -> str:
    """Return a name for a dataset that no other of the workspace has, at most 40 characters."""
    base = wanted[:MAX_DATASET_NAME_CHARS]
    taken = set(
        session.scalars(
            select(Dataset.name).where(
                Dataset.tenant_id == principal.tenant_id, Dataset.name.startswith(base[:30], autoescape=True)
            )
        )
    )
    candidates = chain([base], (f"{base[:30]} {number}" for number in count(2)))
    return next(name for name in candidates if name not in taken)


def replace_content(
    runtime: Runtime, principal: Principal, dataset_id: str, document_id: str, change: Replacement
) -> DocumentView:
    """Give a document another content, name or rule; it is indexed anew where content or rule is another.

    Raises NotFound, Forbidden, ArchivedDocument, Unsupported and InvalidRequest.
    """
    with runtime.reading() as session:
        dataset = open_dataset(session, principal, dataset_id, may_edit=True)
        check_mutable(access_document(session, principal, dataset, document_id))
        rule = document_settings.check_rule(runtime, change.settings)
    upload: UploadFile | None = None
    stored: AbstractContextManager[None] = nullcontext()
    if change.file is not None:
        upload = _to_upload(principal, change.file)
        stored = uploads.storing(runtime, upload, change.file.content)
    with stored, runtime.transaction() as session:
        dataset = open_dataset(session, principal, dataset_id, may_edit=True)
        document = access_document(session, principal, dataset, document_id)
        if change.settings.doc_form not in (None, document.doc_form):
            message = f"The documents of this dataset have the form {document.doc_form!r}."
            raise InvalidRequest(message, field="doc_form")
        document.doc_language = change.settings.doc_language or document.doc_language
        has_rule = change.settings.process_rule is not None
        row = document_settings.add_rule(session, principal, dataset, rule) if has_rule else None
        if upload is None and row is None:
            document.name = change.name or document.name
            return get_view(session, principal, document)
        if upload is not None:
            session.add(upload)
        _replace(runtime, session, document, upload, change.name, row)
        return get_view(session, principal, document)


def new_batch() -> str:
    """Return the name of documents that come in together: the instant and six digits."""
    return f"{utc_now():%Y%m%d%H%M%S}{secrets.randbelow(1_000_000):06}"


def take_upload(session: Session, principal: Principal, file_id: str) -> UploadFile:
    """Take an upload of the caller for a document; raises FileNotFound, FileInUse, Unsupported."""
    upload = access_file(session, principal, file_id)
    check_indexable(upload.name)
    if upload.attached_at is None and upload.created_at < utc_now() - ATTACHABLE:
        raise FileNotFound("The upload has expired; upload the file again.")
    taken = session.scalars(
        update(UploadFile)
        .where(
            UploadFile.tenant_id == principal.tenant_id,
            UploadFile.id == upload.id,
            UploadFile.attached_at.is_(None),
        )
        .values(attached_at=utc_now())
        .returning(UploadFile)
    ).one_or_none()
    if taken is None:
        raise FileInUse(f"The file {upload.name!r} belongs to a document already; upload it again.")
    return taken


def read_preview(runtime: Runtime, principal: Principal, file_id: str) -> str:
    """Return the beginning of an upload's text, as its uploader sees it; raises FileNotFound, Unsupported."""
    with runtime.reading() as session:
        upload = access_file(session, principal, file_id)
    check_indexable(upload.name)
    with runtime.storage.open(upload.storage_key) as content:
        text = runtime.extractor.extract(content, upload.extension, cancel=Cancel(PREVIEW_TOTAL_S))
    return text[:PREVIEW_CHARS]


def _to_upload(principal: Principal, sent: IncomingFile) -> UploadFile:
    name = file_kinds.accept_name(sent.name)
    check_indexable(name.text)
    row = uploads.to_row(principal, sent)
    row.attached_at = row.created_at
    return row


def _take_turn(session: Session, principal: Principal, dataset_id: str) -> Dataset:
    """Return the dataset, its row held, so that those who add documents follow one another."""
    if is_id(dataset_id):
        session.execute(
            update(Dataset)
            .where(Dataset.tenant_id == principal.tenant_id, Dataset.id == dataset_id.lower())
            .values(updated_at=utc_now())
            .execution_options(synchronize_session=False)
        )
    dataset = open_dataset(session, principal, dataset_id, may_edit=True)
    session.refresh(dataset)
    return dataset


def _first_document(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    dataset_id: str,
    claim: idempotency.Claim | None,
) -> Document | None:
    """Return the document that an earlier request with the same claim made."""
    first = None if claim is None else idempotency.take(session, claim)
    if first is None:
        return None
    _, document_id = idempotency.first_answer(runtime, first)
    dataset = open_dataset(session, principal, dataset_id, may_edit=True)
    return access_document(session, principal, dataset, document_id.decode())


def _keep_first(
    runtime: Runtime, session: Session, claim: idempotency.Claim | None, document: Document
) -> None:
    if claim is not None:
        idempotency.keep_answer(runtime, session, claim, 200, document.id.encode())


def _to_document(
    session: Session,
    principal: Principal,
    dataset: Dataset,
    rule: ProcessRuleRow,
    settings: DocumentSettings,
    *,
    batch: str,
) -> Document:
    """Return a new document at the end of its dataset, still without its source."""
    here = (Document.tenant_id == dataset.tenant_id, Document.dataset_id == dataset.id)
    last = session.scalar(select(func.max(Document.position)).where(*here))
    return Document(
        id=new_id(),
        tenant_id=principal.tenant_id,
        dataset_id=dataset.id,
        position=(last or 0) + 1,
        data_source_type=UPLOAD,
        process_rule_id=rule.id,
        batch=batch,
        created_from="web" if principal.kind is ActorKind.ACCOUNT else "api",
        created_by=principal.id,
        doc_form=str(dataset.doc_form),
        doc_language=settings.doc_language or "English",
    )


def _fill(document: Document, upload: UploadFile, name: str | None) -> None:
    document.source = {"upload_file_id": upload.id}
    document.name = name or upload.name


def _replace(
    runtime: Runtime,
    session: Session,
    document: Document,
    upload: UploadFile | None,
    name: str | None,
    rule: ProcessRuleRow | None,
) -> None:
    """Give a document another file or rule, as its next version; its old file goes by the hourly purge."""
    if upload is not None:
        session.execute(
            update(UploadFile)
            .where(
                UploadFile.tenant_id == document.tenant_id,
                UploadFile.id == document.source.get("upload_file_id"),
            )
            .values(attached_at=None)
            .execution_options(synchronize_session=False)
        )
        _fill(document, upload, name)
    document.name = name or document.name
    if rule is not None:
        document.process_rule_id = rule.id
    document.batch = new_batch()
    indexing.restart(runtime, session, document)
