"""Metadata of documents: a dataset's fields, and the values its documents carry, by the id of the field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.core.ports import JSONValue
from api.core.rag.metadata_filter import to_number, to_seconds
from api.errors import Duplicate, InvalidRequest
from api.models.dataset import Dataset, MetadataField
from api.models.document import Document
from api.principal import Principal
from api.services.access import (
    DocumentNotFound,
    access_dataset,
    access_metadata_field,
    check_may_edit,
    is_id,
)
from api.services.built_in_fields import BUILT_IN, FieldType
from api.services.constraints import is_duplicate

MAX_VALUE_CHARS = 5000
MAX_EXACT = 2**53
"""Up to here every whole number is the same on every client."""
MAX_SECONDS = 253_402_300_799
"""The end of the year 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """A field, and how many documents have a value of it."""

    field: MetadataField
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """A value for a field, which is named by its id."""

    id: str
    value: JSONValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The values of one document: all it has from now on, or with ``is_partial`` in addition."""

    document_id: str
    values: Sequence[FieldValue]
    is_partial: bool = False


def load_fields(session: Session, principal: Principal, dataset_id: str) -> tuple[list[FieldView], bool]:
    """Return a dataset's fields, oldest first, and whether the built-in ones are on; two statements."""
    dataset = access_dataset(session, principal, dataset_id)
    fields = session.scalars(
        _fields(principal, dataset).order_by(MetadataField.created_at, MetadataField.id)
    ).all()
    counts = dict.fromkeys((field.id for field in fields), 0)
    if fields:
        carried = session.scalars(
            select(Document.doc_metadata).where(
                Document.tenant_id == principal.tenant_id,
                Document.dataset_id == dataset.id,
                Document.doc_metadata.is_not(None),
            )
        )
        for values in carried:
            for field_id in values or ():
                if field_id in counts:
                    counts[field_id] += 1
    return [
        FieldView(field=field, count=counts[field.id]) for field in fields
    ], dataset.built_in_field_enabled


def create_field(
    session: Session, principal: Principal, dataset_id: str, *, name: str, kind: FieldType
) -> MetadataField:
    """Give a dataset a field; raises Forbidden, NotFound, Duplicate, also for a built-in name."""
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    row = MetadataField(
        tenant_id=principal.tenant_id,
        dataset_id=dataset.id,
        type=kind,
        name=name,
        created_by=principal.id,
        updated_by=principal.id,
    )
    session.add(row)
    _flush_name(session, name)
    return row


def rename_field(
    session: Session, principal: Principal, dataset_id: str, field_id: str, name: str
) -> MetadataField:
    """Give a field another name; documents keep their values. Raises Forbidden, NotFound, Duplicate."""
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    row = access_metadata_field(session, principal, dataset, field_id)
    row.name, row.updated_by = name, principal.id
    _flush_name(session, name)
    return row


def delete_field(session: Session, principal: Principal, dataset_id: str, field_id: str) -> None:
    """Delete a field; values of it no longer count. Raises Forbidden, NotFound."""
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    session.delete(access_metadata_field(session, principal, dataset, field_id))
    session.flush()


def switch_built_in(session: Session, principal: Principal, dataset_id: str, *, is_enabled: bool) -> None:
    """Show the built-in fields of a dataset's documents, or not; raises Forbidden, NotFound."""
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    dataset.built_in_field_enabled, dataset.updated_by = is_enabled, principal.id


def update_values(
    session: Session, principal: Principal, dataset_id: str, operations: Sequence[Operation]
) -> None:
    """Set the values of many documents, all or none.

    A null takes a value away. Raises Forbidden, NotFound for a dataset or
    document, InvalidRequest for a field that is not the dataset's or a value
    that is not of its type.
    """
    check_may_edit(principal)
    dataset = access_dataset(session, principal, dataset_id)
    types = {field.id: field.type for field in session.scalars(_fields(principal, dataset))}
    documents = _lock_documents(session, principal, dataset, operations)
    for operation in operations:
        document = documents.get(operation.document_id.lower())
        if document is None:
            raise DocumentNotFound("Document Not Exists.")
        values: dict[str, Any] = dict(document.doc_metadata or {}) if operation.is_partial else {}
        for given in operation.values:
            field_id = given.id.lower()
            if field_id not in types:
                raise _fault(f"The dataset has no metadata field {given.id[:36]!r}")
            values[field_id] = _check_value(types[field_id], given.value)
        document.doc_metadata = {key: value for key, value in values.items() if value is not None}
    session.flush()


def _lock_documents(
    session: Session, principal: Principal, dataset: Dataset, operations: Sequence[Operation]
) -> dict[str, Document]:
    """Return the documents by id, locked in order of id, so that two such changes do not mix or block."""
    ids = [operation.document_id.lower() for operation in operations if is_id(operation.document_id)]
    found = session.scalars(
        select(Document)
        .where(
            Document.tenant_id == principal.tenant_id,
            Document.dataset_id == dataset.id,
            Document.id.in_(ids),
        )
        .order_by(Document.id)
        .with_for_update()
    )
    return {document.id: document for document in found}


def _check_value(kind: str, value: JSONValue) -> JSONValue:
    """Return a value as it is kept: text, a number, or a time in seconds since 1970; a blank is none."""
    if value is None or value == "":
        return None
    if kind == "string":
        if not isinstance(value, str) or len(value) > MAX_VALUE_CHARS:
            raise _fault(f"A value of the type string is a text of at most {MAX_VALUE_CHARS} characters")
        return value
    read = to_number(value) if kind == "number" else to_seconds(value)
    if read is None or (kind == "time" and abs(read) > MAX_SECONDS):
        raise _fault(f"{str(value)[:64]!r} is not a {kind}")
    return int(read) if read.is_integer() and abs(read) <= MAX_EXACT else read


def _fault(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="operation_data")


def _fields(principal: Principal, dataset: Dataset) -> Select[MetadataField]:
    return select(MetadataField).where(
        MetadataField.tenant_id == principal.tenant_id, MetadataField.dataset_id == dataset.id
    )


def _flush_name(session: Session, name: str) -> None:
    message = "The dataset has a metadata field of this name already."
    if name in BUILT_IN:
        raise Duplicate(message, field="name")
    try:
        session.flush()
    except IntegrityError as exc:
        if is_duplicate(exc, "metadata_fields", "dataset_id", "name"):
            raise Duplicate(message, field="name") from exc
        raise
