"""Documents of a dataset: shown, renamed, switched, paused, tried again, deleted.

How they come in is document_sources.py; the indexing itself is done by jobs
(index_jobs.py). What must stay true: whoever may not use the dataset learns
nothing of its documents, and an archived one is not changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from api.core.ports import JSONObject
from api.core.text.process_rule import AUTOMATIC, SUGGESTED, ProcessRule, to_form
from api.errors import BadRequest, Forbidden, InvalidRequest, NotFound
from api.models.base import utc_now
from api.models.dataset import Dataset, MetadataField, ProcessRuleRow
from api.models.document import Document
from api.models.file import UploadFile
from api.principal import ActorKind, Principal, Role
from api.runtime import Runtime
from api.services import built_in_fields, files, indexing
from api.services.access import FileNotFound, access_dataset, access_document
from api.services.index_rows import IN_PROGRESS
from api.services.summary_rows import load_summarizing, wants_summaries
from api.services.uploads import StoredFile, to_stored

MAX_BATCH = 1000
IS_SWITCHED_ON = and_(Document.enabled.is_(True), Document.archived.is_(False))
COMPLETED = Document.indexing_status == "completed"
RUNNING = and_(Document.indexing_status.in_(IN_PROGRESS), Document.indexing_status != "waiting")
BY_DISPLAY_STATUS: Mapping[str, ColumnElement[bool]] = {
    "queuing": Document.indexing_status == "waiting",
    "indexing": and_(RUNNING, Document.is_paused.is_(False)),
    "paused": (Document.indexing_status == "paused") | and_(RUNNING, Document.is_paused.is_(True)),
    "error": Document.indexing_status == "error",
    "available": and_(COMPLETED, IS_SWITCHED_ON),
    "disabled": and_(COMPLETED, Document.enabled.is_(False), Document.archived.is_(False)),
    "archived": and_(COMPLETED, Document.archived.is_(True)),
}
ORDERS: Mapping[str, tuple[ColumnElement[Any], ...]] = {
    "created_at": (Document.created_at.asc(), Document.position.asc()),
    "-created_at": (Document.created_at.desc(), Document.position.desc()),
    "hit_count": (Document.hit_count.asc(), Document.position.asc()),
    "-hit_count": (Document.hit_count.desc(), Document.position.asc()),
}
METADATA_PARTS = ("all", "only", "without")
ACTIONS = ("enable", "disable", "archive", "un_archive")


class ArchivedDocument(Forbidden):
    """An archived document is not changed."""

    code = "archived_document_immutable"


class DocumentIndexing(BadRequest):
    """What was asked has to wait until the document is indexed."""

    code = "document_indexing"


class InvalidAction(BadRequest):
    """There is no such action on documents."""

    code = "invalid_action"


class InvalidMetadata(BadRequest):
    """There is no such part of a document."""

    code = "invalid_metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentView:
    """A document with what is shown beside it.

    ``fields`` are the metadata fields of its dataset, by id; ``built_in`` the
    values of the built-in ones by name, none where the dataset does not show them.
    """

    document: Document
    upload: UploadFile | None
    fields: Mapping[str, MetadataField]
    needs_summaries: bool
    is_summarizing: bool
    built_in: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDetail(DocumentView):
    """A document as its own page shows it, with its rule and the latest one of the dataset."""

    rule: JSONObject
    dataset_rule: JSONObject


@dataclass(frozen=True, slots=True)
class IndexingStatus:
    """How far a document is on its way into the index, as its row tells."""

    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFilter:
    """Which documents to list; ``status`` is a display status."""

    keyword: str = ""
    status: str | None = None
    sort: str = "-created_at"


def open_dataset(
    session: Session, principal: Principal, dataset_id: str, *, may_edit: bool = False
) -> Dataset:
    """Return a dataset the caller may use, and with ``may_edit`` change.

    Raises NotFound, and Forbidden for a key where the dataset is closed to keys.
    """
    dataset = access_dataset(session, principal, dataset_id)
    if principal.kind is ActorKind.SERVICE and not dataset.enable_api:
        raise Forbidden("Dataset api access is not enabled.")
    if may_edit and principal.role is Role.NORMAL:
        raise Forbidden("Changing knowledge needs the role editor.")
    return dataset


def open_document(
    session: Session, principal: Principal, dataset_id: str, document_id: str, *, may_edit: bool = False
) -> Document:
    """Return a document of a dataset the caller may use; raises NotFound, Forbidden."""
    dataset = open_dataset(session, principal, dataset_id, may_edit=may_edit)
    return access_document(session, principal, dataset, document_id)


def check_mutable(document: Document) -> Document:
    """Return the document; raises ArchivedDocument."""
    if document.archived:
        raise ArchivedDocument("The archived document is not editable.")
    return document


def display_status(document: Document) -> str:
    """Return the word the console shows for where a document stands."""
    status = document.indexing_status
    if status == "completed":
        if document.archived:
            return "archived"
        return "available" if document.enabled else "disabled"
    if status in ("error", "paused"):
        return status
    if status == "waiting":
        return "queuing"
    return "paused" if document.is_paused else "indexing"


# -- shown ---------------------------------------------------------------------------------------


def load_documents(
    session: Session, principal: Principal, dataset_id: str, chosen: DocumentFilter, *, page: int, limit: int
) -> tuple[list[DocumentView], int]:
    """Return one page of a dataset's documents (from 1), and how many there are."""
    dataset = open_dataset(session, principal, dataset_id)
    query = select(Document).where(
        Document.tenant_id == principal.tenant_id, Document.dataset_id == dataset.id
    )
    if chosen.keyword:
        query = query.where(Document.name.icontains(chosen.keyword, autoescape=True))
    if chosen.status is not None:
        query = query.where(BY_DISPLAY_STATUS[chosen.status])
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = session.scalars(query.order_by(*ORDERS[chosen.sort]).limit(limit).offset((page - 1) * limit)).all()
    return to_views(session, dataset, rows), total


def to_views(session: Session, dataset: Dataset, rows: Sequence[Document]) -> list[DocumentView]:
    """Return documents of one dataset with what is shown beside them, in three statements at most."""
    ids = {row.source.get("upload_file_id") for row in rows}
    uploads = {
        upload.id: upload
        for upload in session.scalars(
            select(UploadFile).where(UploadFile.tenant_id == dataset.tenant_id, UploadFile.id.in_(ids))
        )
    }
    known = _fields(session, dataset)
    wanting = [row for row in rows if wants_summaries(dataset, row)]
    wanting_ids, summarizing = {row.id for row in wanting}, load_summarizing(session, wanting)
    is_on = dataset.built_in_field_enabled
    uploaders = built_in_fields.load_uploaders(session, rows) if is_on else {}
    return [
        DocumentView(
            document=row,
            upload=uploads.get(row.source.get("upload_file_id", "")),
            fields=known,
            needs_summaries=row.id in wanting_ids,
            is_summarizing=row.id in summarizing,
            built_in=built_in_fields.values_of(row, uploaders) if is_on else {},
        )
        for row in rows
    ]


def _fields(session: Session, dataset: Dataset) -> dict[str, MetadataField]:
    rows = session.scalars(
        select(MetadataField).where(
            MetadataField.tenant_id == dataset.tenant_id, MetadataField.dataset_id == dataset.id
        )
    )
    return {row.id: row for row in rows}


def get_view(session: Session, principal: Principal, document: Document) -> DocumentView:
    """Return a document the caller was let into, with what is shown beside it."""
    dataset = access_dataset(session, principal, document.dataset_id)
    return to_views(session, dataset, [document])[0]


def check_metadata(part: str) -> str:
    """Return which part of a document is asked for; raises InvalidMetadata."""
    if part not in METADATA_PARTS:
        raise InvalidMetadata(f"metadata must be one of: {', '.join(METADATA_PARTS)}.")
    return part


def get_detail(session: Session, principal: Principal, dataset_id: str, document_id: str) -> DocumentDetail:
    """Return a document as its own page shows it; raises NotFound, Forbidden."""
    document = open_document(session, principal, dataset_id, document_id)
    view = get_view(session, principal, document)
    return DocumentDetail(
        document=document,
        upload=view.upload,
        fields=view.fields,
        needs_summaries=view.needs_summaries,
        is_summarizing=view.is_summarizing,
        built_in=view.built_in,
        rule=_rule_of(session, document).to_json(),
        dataset_rule=_latest_rule(session, document).to_json(),
    )


def _rule_of(session: Session, document: Document) -> ProcessRule:
    row = session.get(ProcessRuleRow, document.process_rule_id) if document.process_rule_id else None
    return to_rule(row)


def _latest_rule(session: Session, document: Document) -> ProcessRule:
    return to_rule(
        session.scalars(
            select(ProcessRuleRow)
            .where(
                ProcessRuleRow.tenant_id == document.tenant_id,
                ProcessRuleRow.dataset_id == document.dataset_id,
            )
            .order_by(ProcessRuleRow.created_at.desc(), ProcessRuleRow.id)
            .limit(1)
        ).one_or_none()
    )


def to_rule(row: ProcessRuleRow | None) -> ProcessRule:
    """Return the process rule of a row; the automatic one where there is none."""
    return AUTOMATIC if row is None else ProcessRule.from_json({"mode": row.mode, "rules": row.rules})


def get_rule_form(
    runtime: Runtime, session: Session, principal: Principal, document_id: str | None
) -> JSONObject:
    """Return what the console's form begins with: the rule of a document, or the suggested one."""
    rule = SUGGESTED
    if document_id is not None:
        rule = _rule_of(session, _find_document(session, principal, document_id))
    return to_form(rule, max_tokens_limit=runtime.limits.max_segment_tokens)


def _find_document(session: Session, principal: Principal, document_id: str) -> Document:
    """Return a document by its id alone, the dataset being one the caller may use."""
    dataset_id = session.scalar(
        select(Document.dataset_id).where(
            Document.tenant_id == principal.tenant_id, Document.id == document_id
        )
    )
    return open_document(session, principal, dataset_id or "", document_id)


def load_batch(session: Session, principal: Principal, dataset_id: str, batch: str) -> list[IndexingStatus]:
    """Return the documents that came in together; raises NotFound where there are none."""
    dataset = open_dataset(session, principal, dataset_id)
    rows = session.scalars(
        select(Document)
        .where(
            Document.tenant_id == principal.tenant_id,
            Document.dataset_id == dataset.id,
            Document.batch == batch,
        )
        .order_by(Document.position)
    ).all()
    if not rows:
        raise NotFound("Documents not found.")
    return [IndexingStatus(row) for row in rows]


def get_status(session: Session, principal: Principal, dataset_id: str, document_id: str) -> IndexingStatus:
    """Return how far a document is; raises NotFound, Forbidden."""
    return IndexingStatus(open_document(session, principal, dataset_id, document_id))


def get_upload(session: Session, principal: Principal, dataset_id: str, document_id: str) -> StoredFile:
    """Return the file a document was made of; raises FileNotFound where it was made of none."""
    document = open_document(session, principal, dataset_id, document_id)
    upload = get_view(session, principal, document).upload
    if upload is None:
        raise FileNotFound("The document was not made of a file.")
    return to_stored(upload)


def sign_download(runtime: Runtime, upload: StoredFile, base_url: str, *, is_attachment: bool = True) -> str:
    """Return an address that gives a document's file to anyone for some minutes."""
    return files.sign_url(runtime, upload.id, base_url=base_url, is_attachment=is_attachment)


# -- changed -------------------------------------------------------------------------------------


def rename(
    session: Session, principal: Principal, dataset_id: str, document_id: str, name: str
) -> DocumentView:
    """Give a document another name; raises NotFound, Forbidden, ArchivedDocument."""
    document = check_mutable(open_document(session, principal, dataset_id, document_id, may_edit=True))
    document.name = name
    session.flush()
    return get_view(session, principal, document)


def delete_documents(
    runtime: Runtime, session: Session, principal: Principal, dataset_id: str, document_ids: Sequence[str]
) -> None:
    """Delete documents, all or none; they are not found by any search from that moment.

    Raises NotFound, Forbidden, ArchivedDocument.
    """
    documents = [check_mutable(document) for document in _all(session, principal, dataset_id, document_ids)]
    indexing.hold(session, documents)
    for document in documents:
        indexing.remove_document(runtime, session, document)


def process(
    runtime: Runtime,
    session: Session,
    principal: Principal,
    dataset_id: str,
    document_id: str,
    *,
    action: str,
) -> None:
    """Have a document's indexing stop at its next step (``pause``), or go on (``resume``).

    Raises InvalidAction, NotFound, Forbidden, ArchivedDocument, and
    InvalidRequest unless it is under way, or paused.
    """
    act = PROCESSING.get(action)
    if act is None:
        raise InvalidAction(f"The action must be one of: {', '.join(PROCESSING)}.")
    document = check_mutable(open_document(session, principal, dataset_id, document_id, may_edit=True))
    act(runtime, session, document)


PROCESSING = {"pause": indexing.pause, "resume": indexing.resume}


def retry(
    runtime: Runtime, session: Session, principal: Principal, dataset_id: str, document_ids: Sequence[str]
) -> None:
    """Have documents that failed tried again, others left alone; raises NotFound, ArchivedDocument."""
    for document in _all(session, principal, dataset_id, document_ids):
        indexing.retry(runtime, session, check_mutable(document))


def switch(
    session: Session, principal: Principal, dataset_id: str, document_ids: Sequence[str], action: str
) -> None:
    """Enable, disable, archive or un_archive documents, all or none; searches see it at once.

    Raises InvalidAction, NotFound, Forbidden, and DocumentIndexing for what must be indexed first.
    """
    change = SWITCHES.get(action)
    if change is None:
        raise InvalidAction(f"The action must be one of: {', '.join(ACTIONS)}.")
    for document in _all(session, principal, dataset_id, document_ids):
        if action in ("disable", "archive") and document.indexing_status in IN_PROGRESS:
            raise DocumentIndexing(f"The document {document.name!r} is being indexed, try again later.")
        for name, value in change.items():
            setattr(document, name, value)
        if action == "disable":
            document.disabled_at, document.disabled_by = utc_now(), principal.id
    session.flush()


SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "enable": {"enabled": True, "disabled_at": None, "disabled_by": None},
    "disable": {"enabled": False},
    "archive": {"archived": True},
    "un_archive": {"archived": False},
}


def _all(
    session: Session, principal: Principal, dataset_id: str, document_ids: Sequence[str]
) -> list[Document]:
    """Return documents of a dataset the caller may change, each once; raises NotFound."""
    if len(document_ids) > MAX_BATCH:
        raise InvalidRequest(
            f"At most {MAX_BATCH} documents at once.", field="document_ids", fault="too_long"
        )
    dataset = open_dataset(session, principal, dataset_id, may_edit=True)
    asked = dict.fromkeys(text.lower() for text in document_ids)
    return [access_document(session, principal, dataset, document_id) for document_id in asked]
