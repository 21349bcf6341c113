"""Narrows a search to the documents whose metadata meet conditions, which name fields by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.core.rag.metadata_filter import MetadataFilter, Stored
from api.core.rag.metadata_prompt import FieldType
from api.core.rag.metadata_prompt import MetadataField as Field
from api.core.rag.passage import Source
from api.models.dataset import MetadataField
from api.models.document import Document

DOCUMENT_NAME = "document_name"
TYPES: Mapping[str, FieldType] = {"string": "string", "number": "number", "time": "time"}


def load_fields(session: Session, tenant_id: str, dataset_ids: Sequence[str]) -> list[Field]:
    """Return what can be asked about the documents of some datasets: their names, and the fields given."""
    rows = session.execute(
        select(MetadataField.name, MetadataField.type)
        .where(MetadataField.tenant_id == tenant_id, MetadataField.dataset_id.in_(dataset_ids))
        .order_by(MetadataField.name)
    )
    known = {row.name: TYPES[row.type] for row in rows}
    return [Field(DOCUMENT_NAME, "string"), *(Field(name, kind) for name, kind in known.items())]


def narrow(session: Session, source: Source, dataset_id: str, chosen: MetadataFilter | None) -> Source:
    """Return the source with only the documents that meet the conditions; as it is without any."""
    if chosen is None:
        return source
    names = {
        row.id: row.name
        for row in session.execute(
            select(MetadataField.id, MetadataField.name).where(
                MetadataField.tenant_id == source.tenant_id, MetadataField.dataset_id == dataset_id
            )
        )
    }
    rows = session.execute(
        select(Document.id, Document.name, Document.doc_metadata).where(
            Document.tenant_id == source.tenant_id, Document.dataset_id == dataset_id
        )
    )
    met = frozenset(row.id for row in rows if chosen.matches(_named(row.name, row.doc_metadata, names)))
    return replace(source, documents=met)


def _named(
    document_name: str, values: Mapping[str, Stored] | None, names: Mapping[str, str]
) -> dict[str, Stored]:
    """Return a document's metadata by the names of the fields, its own name among them."""
    known = {names[key]: value for key, value in (values or {}).items() if key in names}
    return {DOCUMENT_NAME: document_name, **known}
