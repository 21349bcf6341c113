"""What kind of work a document is, and what is told of it by names instead of ids.

The older way of describing documents: a type beside names and values. The names
become fields of the dataset, so that there is one kind of metadata, which
searches can ask about.
"""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.ports import JSONValue
from api.errors import InvalidRequest
from api.models.dataset import MetadataField
from api.principal import Principal
from api.services import metadata
from api.services.documents import check_mutable, open_document
from api.services.metadata import FieldValue, Operation

TYPES = (
    "book",
    "web_page",
    "paper",
    "social_media_post",
    "wikipedia_entry",
    "personal_document",
    "business_document",
    "im_chat_log",
    "synced_from_notion",
    "synced_from_github",
    "others",
)


def describe(
    session: Session,
    principal: Principal,
    dataset_id: str,
    document_id: str,
    doc_type: str,
    values: Mapping[str, JSONValue],
) -> None:
    """Say what a document is; ``values`` by the names of fields are all it has from now on.

    A name that is no field of the dataset yet becomes one, for texts. Raises
    NotFound, Forbidden, ArchivedDocument, Duplicate for a built-in name, and
    InvalidRequest for a value that is not of its field's type.
    """
    document = check_mutable(open_document(session, principal, dataset_id, document_id, may_edit=True))
    document.doc_type = doc_type
    named = select(MetadataField.name, MetadataField.id).where(
        MetadataField.tenant_id == principal.tenant_id, MetadataField.dataset_id == document.dataset_id
    )
    ids: dict[str, str] = {row.name: row.id for row in session.execute(named)}
    for name in values:
        if name not in ids:
            row = metadata.create_field(session, principal, dataset_id, name=name, kind="string")
            ids[name] = row.id
    given = [FieldValue(id=ids[name], value=value) for name, value in values.items()]
    told = Operation(document_id=document_id, values=given)
    try:
        metadata.update_values(session, principal, dataset_id, [told])
    except InvalidRequest as exc:
        raise InvalidRequest(exc.message, field="doc_metadata", fault=exc.fault) from exc
