"""The only way from a client's id to a row: tenant in the query, foreign and missing alike.

No other module may turn an id that came from outside into a row of a
workspace. A malformed id is simply one that does not exist.
"""

import uuid
from functools import cache

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, literal, or_, select
from sqlalchemy.orm import Session

from api.errors import Forbidden, NotFound
from api.models.annotation import Annotation
from api.models.app import App, EndUser
from api.models.conversation import Conversation, Message, SavedMessage
from api.models.dataset import (
    Dataset,
    DatasetMember,
    DataSourceKey,
    ExternalKnowledgeAPI,
    MetadataField,
    Tag,
)
from api.models.document import SUMMARY, ChildChunk, Document, Segment, SegmentImport
from api.models.extension import APIExtension
from api.models.file import UploadFile
from api.models.types import Id
from api.models.workflow import WorkflowRun
from api.principal import ActorKind, Principal, Role

_NOT_DELETED = ~exists().where(
    Conversation.id == Message.conversation_id, Conversation.deleted_at.is_not(None)
)
"""That the conversation of a message is not about to be removed with all its messages."""


class AppNotFound(NotFound):
    """There is no such app in the caller's workspace."""

    code = "app_not_found"


class DocumentNotFound(NotFound):
    """There is no such document in the dataset."""


class FileNotFound(NotFound):
    """There is no such file among the caller's own."""

    code = "file_not_found"


class EndUserNotFound(NotFound):
    """The app has no such end user."""

    code = "end_user_not_found"


def is_id(text: str) -> bool:
    """Tell whether a text can be one of our ids; anything else must not reach the database."""
    if len(text) != 36:
        return False
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def access_app(session: Session, principal: Principal, app_id: str) -> App:
    """Return an app of the caller's workspace; raises AppNotFound."""
    app = None
    if is_id(app_id):
        query = select(App).where(App.tenant_id == principal.tenant_id, App.id == app_id.lower())
        app = session.scalars(query).one_or_none()
    if app is None:
        raise AppNotFound("App not found.")
    return app


def access_conversation(
    session: Session, principal: Principal, app_id: str, conversation_id: str
) -> Conversation:
    """Return a conversation the caller itself holds with the app; raises NotFound."""
    row = None
    if is_id(conversation_id):
        query = select(Conversation).where(
            Conversation.tenant_id == principal.tenant_id,
            Conversation.app_id == app_id,
            Conversation.id == conversation_id.lower(),
            Conversation.deleted_at.is_(None),
            owned_by(Conversation, principal),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Conversation Not Exists.")
    return row


def access_message(session: Session, principal: Principal, app_id: str, message_id: str) -> Message:
    """Return a message the caller itself got from the app; raises NotFound."""
    row = None
    if is_id(message_id):
        query = select(Message).where(
            Message.tenant_id == principal.tenant_id,
            Message.app_id == app_id,
            Message.id == message_id.lower(),
            owned_by(Message, principal),
            _NOT_DELETED,
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Message Not Exists.")
    return row


def access_conversation_of_app(session: Session, app: App, conversation_id: str) -> Conversation:
    """Return a conversation anyone holds with an app the caller was let into; raises NotFound."""
    row = None
    if is_id(conversation_id):
        query = select(Conversation).where(
            Conversation.tenant_id == app.tenant_id,
            Conversation.app_id == app.id,
            Conversation.id == conversation_id.lower(),
            Conversation.deleted_at.is_(None),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Conversation Not Exists.")
    return row


def access_message_of_app(session: Session, app: App, message_id: str) -> Message:
    """Return a message anyone got from an app the caller was let into; raises NotFound."""
    row = None
    if is_id(message_id):
        query = select(Message).where(
            Message.tenant_id == app.tenant_id,
            Message.app_id == app.id,
            Message.id == message_id.lower(),
            _NOT_DELETED,
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Message Not Exists.")
    return row


def access_annotation(session: Session, principal: Principal, app_id: str, annotation_id: str) -> Annotation:
    """Return an annotation of an app of the caller's workspace; raises AppNotFound, NotFound."""
    app = access_app(session, principal, app_id)
    row = None
    if is_id(annotation_id):
        query = select(Annotation).where(
            Annotation.tenant_id == principal.tenant_id,
            Annotation.app_id == app.id,
            Annotation.id == annotation_id.lower(),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Annotation not found")
    return row


def access_end_user(session: Session, tenant_id: str, app_id: str, end_user_id: str) -> EndUser:
    """Return an end user of the app a key opens; raises EndUserNotFound."""
    row = None
    if is_id(end_user_id):
        query = select(EndUser).where(
            EndUser.tenant_id == tenant_id, EndUser.app_id == app_id, EndUser.id == end_user_id.lower()
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise EndUserNotFound("End user not found.")
    return row


def access_dataset(session: Session, principal: Principal, dataset_id: str) -> Dataset:
    """Return a dataset the caller may use.

    Raises NotFound for one that is not of the caller's workspace, Forbidden for
    one that its members keep to themselves, or that is closed to keys.
    """
    if is_id(dataset_id):
        named = {
            "of_tenant": principal.tenant_id,
            "of_account": principal.id,
            "dataset_id": dataset_id.lower(),
        }
        found = session.execute(_dataset_query(principal.role), named).one_or_none()
        if found is not None and found[1]:
            dataset: Dataset = found[0]
            if principal.kind is ActorKind.SERVICE and not dataset.enable_api:
                raise Forbidden("Dataset api access is not enabled.")
            return dataset
        if found is not None:
            raise Forbidden("You do not have permission to access this dataset.")
    raise NotFound("Dataset not found.")


@cache
def _dataset_query(role: Role) -> Select[Dataset, bool]:
    """Return what reads a dataset, and whether a caller of a role may use it; every search runs it."""
    may_use_it = _may_use(role, bindparam("of_account", type_=Id))
    here = and_(Dataset.tenant_id == bindparam("of_tenant"), Dataset.id == bindparam("dataset_id"))
    return select(Dataset, may_use_it).where(here)


def may_use(principal: Principal) -> ColumnElement[bool]:
    """Return the condition that a dataset is open to the caller: by its permission, or to the owner.

    A dataset operator needs to be named by each dataset it did not make.
    """
    return _may_use(principal.role, literal(principal.id, Id))


def _may_use(role: Role, account_id: ColumnElement[str]) -> ColumnElement[bool]:
    is_named = (
        select(DatasetMember.id)
        .where(DatasetMember.dataset_id == Dataset.id, DatasetMember.account_id == account_id)
        .exists()
    )
    if role is Role.DATASET_OPERATOR:
        return or_(Dataset.created_by == account_id, is_named)
    if role is Role.OWNER:
        return Dataset.id.is_not(None)
    return or_(
        Dataset.created_by == account_id,
        Dataset.permission == "all_team_members",
        and_(Dataset.permission == "partial_members", is_named),
    )


def check_may_edit(principal: Principal) -> None:
    """Raise Forbidden for a member who may only look at knowledge; dataset operators may change it."""
    if principal.role is Role.NORMAL:
        raise Forbidden("Changing knowledge needs the role editor.")


def access_external_api(session: Session, principal: Principal, api_id: str) -> ExternalKnowledgeAPI:
    """Return an external knowledge API of the caller's workspace; raises NotFound."""
    row = None
    if is_id(api_id):
        query = select(ExternalKnowledgeAPI).where(
            ExternalKnowledgeAPI.tenant_id == principal.tenant_id, ExternalKnowledgeAPI.id == api_id.lower()
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("External knowledge API not found.")
    return row


def access_data_source_key(session: Session, principal: Principal, binding_id: str) -> DataSourceKey:
    """Return a key of the caller's workspace to a source of documents; raises NotFound."""
    row = None
    if is_id(binding_id):
        query = select(DataSourceKey).where(
            DataSourceKey.tenant_id == principal.tenant_id, DataSourceKey.id == binding_id.lower()
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Data source binding not found.")
    return row


def access_api_extension(session: Session, principal: Principal, extension_id: str) -> APIExtension:
    """Return an API-based extension of the caller's workspace; raises NotFound."""
    row = None
    if is_id(extension_id):
        query = select(APIExtension).where(
            APIExtension.tenant_id == principal.tenant_id, APIExtension.id == extension_id.lower()
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("API-based extension not found.")
    return row


def access_metadata_field(
    session: Session, principal: Principal, dataset: Dataset, field_id: str
) -> MetadataField:
    """Return a metadata field of a dataset the caller was let into; raises NotFound."""
    row = None
    if is_id(field_id):
        query = select(MetadataField).where(
            MetadataField.tenant_id == principal.tenant_id,
            MetadataField.dataset_id == dataset.id,
            MetadataField.id == field_id.lower(),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Metadata field not found.")
    return row


def access_tag(session: Session, principal: Principal, tag_id: str, kind: str | None = None) -> Tag:
    """Return a tag of the caller's workspace, with ``kind`` only one of that type; raises NotFound."""
    row = None
    if is_id(tag_id):
        query = select(Tag).where(Tag.tenant_id == principal.tenant_id, Tag.id == tag_id.lower())
        if kind is not None:
            query = query.where(Tag.type == kind)
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Tag not found.")
    return row


def access_document(session: Session, principal: Principal, dataset: Dataset, document_id: str) -> Document:
    """Return a document of a dataset the caller was let into; raises DocumentNotFound."""
    row = None
    if is_id(document_id):
        query = select(Document).where(
            Document.tenant_id == principal.tenant_id,
            Document.dataset_id == dataset.id,
            Document.id == document_id.lower(),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise DocumentNotFound("Document Not Exists.")
    return row


def access_segment(session: Session, principal: Principal, document: Document, segment_id: str) -> Segment:
    """Return a segment of a document the caller was let into; raises NotFound."""
    row = None
    if is_id(segment_id):
        query = select(Segment).where(
            Segment.tenant_id == principal.tenant_id,
            Segment.document_id == document.id,
            Segment.version == document.version,
            Segment.id == segment_id.lower(),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Segment not found.")
    return row


def access_import(session: Session, principal: Principal, import_id: str) -> SegmentImport:
    """Return an import into a document whose dataset the caller may use; raises NotFound, Forbidden."""
    found = None
    if is_id(import_id):
        query = (
            select(SegmentImport, Document.dataset_id)
            .join(Document, Document.id == SegmentImport.document_id)
            .where(SegmentImport.tenant_id == principal.tenant_id, SegmentImport.id == import_id.lower())
        )
        found = session.execute(query).one_or_none()
    if found is None:
        raise NotFound("There is no such import.")
    access_dataset(session, principal, found.dataset_id)
    row: SegmentImport = found[0]
    return row


def access_child_chunk(session: Session, principal: Principal, segment: Segment, chunk_id: str) -> ChildChunk:
    """Return a child chunk of a segment the caller was let into; raises NotFound."""
    row = None
    if is_id(chunk_id):
        query = select(ChildChunk).where(
            ChildChunk.tenant_id == principal.tenant_id,
            ChildChunk.segment_id == segment.id,
            ChildChunk.type != SUMMARY,
            ChildChunk.id == chunk_id.lower(),
        )
        row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("Child chunk not found.")
    return row


def access_file(session: Session, principal: Principal, file_id: str) -> UploadFile:
    """Return a file the caller itself uploaded; raises FileNotFound."""
    row = None
    if is_id(file_id):
        query = select(UploadFile).where(*own_files(principal), UploadFile.id == file_id.lower())
        row = session.scalars(query).one_or_none()
    if row is None:
        raise FileNotFound("The requested file was not found.")
    return row


def own_files(principal: Principal) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a file was uploaded by the caller itself, for the app it speaks to."""
    return (
        UploadFile.tenant_id == principal.tenant_id,
        UploadFile.app_id == principal.app_id,
        UploadFile.created_by == principal.id,
    )


def owned_by(
    table: type[Conversation | Message | SavedMessage | WorkflowRun], principal: Principal
) -> ColumnElement[bool]:
    """Return the condition that a row was made by the caller itself."""
    if principal.kind is ActorKind.ACCOUNT:
        return table.from_account_id == principal.id
    return table.from_end_user_id == principal.id
