"""Documents come in and are replaced one by one: from a form's file, from a text.

Those that come in together are made by document_batches.py, of whatever
document_origins.py knows; what both share is at the end here.

The bytes are stored first, then one transaction writes what knows of them and
asks for the indexing, so that a document without its file cannot be.
"""

import hashlib
import io
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from api.core.ports import Cancel
from api.errors import InvalidRequest
from api.models.base import new_id, utc_now
from api.models.dataset import Dataset, ProcessRuleRow
from api.models.document import Document
from api.models.file import UploadFile
from api.principal import ActorKind, Principal
from api.runtime import Runtime
from api.services import document_files, document_settings, file_kinds, idempotency, indexing, plans, uploads
from api.services.access import access_document, access_file, is_id
from api.services.document_origins import UPLOAD, Start, check_indexable, to_upload_start
from api.services.document_settings import DocumentSettings
from api.services.documents import DocumentView, check_mutable, get_view, open_dataset
from api.services.plans import Quota
from api.services.uploads import IncomingFile, StoredFile

PREVIEW_CHARS = 3000
PREVIEW_TOTAL_S = 60.0


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
            dataset = take_turn(session, principal, dataset_id)
            rule = document_settings.settle(runtime, session, principal, dataset, settings, UPLOAD)
            start = to_upload_start(upload)
            if original_document_id is None:
                (made,) = add_documents(
                    runtime, session, principal, dataset, rule, starts=[start], settings=settings, name=name
                )
            else:
                made = access_document(session, principal, dataset, original_document_id)
                replace(runtime, session, made, start, name=name, rule=rule)
            _keep_first(runtime, session, claim, made)
            return get_view(session, principal, made)
        view = get_view(session, principal, first)
    runtime.storage.delete(upload.storage_key)
    return view


def replace_content(
    runtime: Runtime, principal: Principal, dataset_id: str, document_id: str, change: Replacement
) -> DocumentView:
    """Give a document another content, name or rule; it is indexed anew where content or rule is another.

    Raises NotFound, Forbidden, ArchivedDocument, Unsupported and InvalidRequest.
    """
    with runtime.reading() as session:
        dataset = open_dataset(session, principal, dataset_id, may_edit=True)
        document = check_mutable(access_document(session, principal, dataset, document_id))
        if change.file is not None and document.data_source_type != UPLOAD:
            raise InvalidRequest("The document follows its page; sync it, or replace it by another page.")
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
        start = None if upload is None else to_upload_start(upload)
        replace(runtime, session, document, start, name=change.name, rule=row)
        return get_view(session, principal, document)


def new_batch() -> str:
    """Return the name of documents that come in together: the instant and six digits."""
    return f"{utc_now():%Y%m%d%H%M%S}{secrets.randbelow(1_000_000):06}"


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


def take_turn(session: Session, principal: Principal, dataset_id: str) -> Dataset:
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


def add_documents(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    dataset: Dataset,
    rule: ProcessRuleRow,
    *,
    starts: Sequence[Start],
    settings: DocumentSettings,
    name: str | None = None,
) -> list[Document]:
    """Put new documents, all of one batch, at the end of a dataset that is held, and have them indexed.

    Raises QuotaReached where the workspace's plan has no room for them.
    """
    plans.check_room(session, principal.tenant_id, Quota.DOCUMENTS, wanted=len(starts))
    if dataset.indexing_technique == "high_quality":
        plans.check_room(session, principal.tenant_id, Quota.VECTOR_MB)
    here = (Document.tenant_id == dataset.tenant_id, Document.dataset_id == dataset.id)
    last = session.scalar(select(func.max(Document.position)).where(*here)) or 0
    batch = new_batch()
    made = [
        Document(
            id=new_id(),
            tenant_id=principal.tenant_id,
            dataset_id=dataset.id,
            position=position,
            name=name or start.name,
            source=start.source,
            data_source_type=str(dataset.data_source_type),
            process_rule_id=rule.id,
            batch=batch,
            created_from="web" if principal.kind is ActorKind.ACCOUNT else "api",
            created_by=principal.id,
            doc_form=str(dataset.doc_form),
            doc_language=settings.doc_language or "English",
        )
        for position, start in enumerate(starts, last + 1)
    ]
    session.add_all(made)
    for document in made:
        indexing.request_indexing(runtime, session, document)
    return made


def replace(
    runtime: Runtime,
    session: Session,
    document: Document,
    start: Start | None,
    *,
    name: str | None = None,
    rule: ProcessRuleRow | None = None,
) -> None:
    """Give a document another text or rule, as its next version.

    Its old file goes by the hourly purge; it keeps its name unless ``name`` is given or the text is
    that of another thing.
    """
    if start is not None:
        release_file(session, document)
        document.source = start.source
    document.name = name or (document.name if start is None else start.name)
    if rule is not None:
        document.process_rule_id = rule.id
    document.batch = new_batch()
    indexing.restart(runtime, session, document)


def release_file(session: Session, document: Document) -> None:
    """Leave the file a document was made of to the hourly purge, unless another is made of it too."""
    file_id = document.source.get("upload_file_id")
    if file_id is None or document_files.find_shared(
        session, document.tenant_id, [file_id], besides=[document.id]
    ):
        return
    session.execute(
        update(UploadFile)
        .where(
            UploadFile.tenant_id == document.tenant_id,
            UploadFile.id == file_id,
        )
        .values(attached_at=None)
        .execution_options(synchronize_session=False)
    )
