"""Narrows a search to the documents whose metadata meet conditions, which name fields by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from api.core.rag.metadata_filter import MetadataFilter, Stored
from api.core.rag.metadata_prompt import FieldType
from api.core.rag.metadata_prompt import MetadataField as Field
from api.core.rag.passage import Source
from api.models.dataset import Dataset, MetadataField
from api.models.document import Document
from api.services.built_in_fields import (
    BUILT_IN,
    DOCUMENT_NAME,
    UPLOADER,
    Described,
    load_uploaders,
    values_of,
)

TYPES: Mapping[str, FieldType] = {"string": "string", "number": "number", "time": "time"}


def load_fields(session: Session, tenant_id: str, dataset_ids: Sequence[str]) -> list[Field]:
    """Return what can be asked about the documents of some datasets: the fields built in, and those given.

    The name of a document can be asked about always, the others that are built in where they are on.
    """
    rows = session.execute(
        select(MetadataField.name, MetadataField.type)
        .where(MetadataField.tenant_id == tenant_id, MetadataField.dataset_id.in_(dataset_ids))
        .order_by(MetadataField.name)
    )
    known = {row.name: TYPES[row.type] for row in rows}
    is_on = session.scalar(
        select(
            exists().where(
                Dataset.tenant_id == tenant_id, Dataset.id.in_(dataset_ids), Dataset.built_in_field_enabled
            )
        )
    )
    shown = [name for name in BUILT_IN if is_on or name == DOCUMENT_NAME]
    return [*(Field(name, BUILT_IN[name]) for name in shown), *(Field(*each) for each in known.items())]


def narrow(session: Session, source: Source, dataset_id: str, chosen: MetadataFilter | None) -> Source:
    """Return the source with only the documents that meet the conditions; as it is without any."""
    if chosen is None:
        return source
    names = _names(session, source.tenant_id, dataset_id)
    is_on = session.scalar(select(Dataset.built_in_field_enabled).where(Dataset.id == dataset_id))
    rows = session.execute(
        select(
            Document.id,
            Document.name,
            Document.doc_metadata,
            Document.created_by,
            Document.created_at,
            Document.updated_at,
            Document.data_source_type,
        ).where(Document.tenant_id == source.tenant_id, Document.dataset_id == dataset_id)
    ).all()
    is_asked = is_on and any(condition.name == UPLOADER for condition in chosen.conditions)
    uploaders = load_uploaders(session, rows) if is_asked else {}
    met = frozenset(
        row.id
        for row in rows
        if chosen.matches(
            (values_of(row, uploaders) if is_on else {DOCUMENT_NAME: row.name}) | _given(row, names)
        )
    )
    return replace(source, documents=met)


def load_named(
    session: Session, documents: Sequence[Document], *, is_showing_built_in: bool
) -> dict[str, dict[str, Stored]]:
    """Return the metadata of documents of one dataset by the names of the fields, by document id.

    The built-in fields are among them where the dataset shows them. Asks nothing
    where there is nothing to name.
    """
    is_named = any(document.doc_metadata for document in documents)
    names = _names(session, documents[0].tenant_id, documents[0].dataset_id) if is_named else {}
    uploaders = load_uploaders(session, documents) if is_showing_built_in and documents else {}
    return {
        document.id: {
            **_given(document, names),
            **(values_of(document, uploaders) if is_showing_built_in else {}),
        }
        for document in documents
    }


def _names(session: Session, tenant_id: str, dataset_id: str) -> dict[str, str]:
    rows = session.execute(
        select(MetadataField.id, MetadataField.name).where(
            MetadataField.tenant_id == tenant_id, MetadataField.dataset_id == dataset_id
        )
    )
    return {row.id: row.name for row in rows}


def _given(document: Described, names: Mapping[str, str]) -> dict[str, Stored]:
    """Return the values that were given to a document, by the names of their fields."""
    return {names[key]: value for key, value in (document.doc_metadata or {}).items() if key in names}
