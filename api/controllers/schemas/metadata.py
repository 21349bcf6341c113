"""Metadata of documents on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_restx import fields

from api.controllers.http.model import Model
from api.controllers.http.parsing import Boolean, Choice, Items, Object, Text, json_field, parser
from api.core.ports import JSONObject
from api.services.built_in_fields import BUILT_IN, FieldType
from api.services.metadata import FieldValue, FieldView, Operation

NAME = json_field(
    "name", Text(min_length=1, max_length=255, is_trimmed=True), required=True, help="Unique in the dataset."
)
ID = Text(min_length=1, max_length=36)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldIn:
    """A new field."""

    name: str
    type: FieldType


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNameIn:
    """Another name of a field."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesIn:
    """Values for documents."""

    operation_data: Sequence[Operation]


def _operation(value: object) -> Operation:
    """Return the values of one document."""
    said = Object()(value)
    values = Items(item=_value)(said.get("metadata_list") or [])
    return Operation(
        document_id=ID(said.get("document_id")),
        values=[each for each in values if isinstance(each, FieldValue)],
        is_partial=Boolean()(said.get("partial_update", False)),
    )


def _value(value: object) -> FieldValue:
    said = Object()(value)
    return FieldValue(id=ID(said.get("id")), value=said.get("value"))


_operation.__schema__ = {"type": "object"}  # type: ignore[attr-defined]  # read by restx

FIELD = parser(NAME, json_field("type", Choice(("string", "number", "time")), required=True))
FIELD_NAME = parser(NAME)
VALUES = parser(
    json_field(
        "operation_data",
        Items(item=_operation),
        required=True,
        help="[{document_id, metadata_list: [{id, name, value}], partial_update}]",
    )
)
FIELD_MODEL = Model("MetadataField", {"id": fields.String, "type": fields.String, "name": fields.String})
COUNTED_MODEL = FIELD_MODEL.clone("CountedMetadataField", {"count": fields.Integer})
FIELDS_MODEL = Model(
    "MetadataFields",
    {
        "doc_metadata": fields.List(fields.Nested(COUNTED_MODEL)),
        "built_in_field_enabled": fields.Boolean,
    },
)
BUILT_IN_MODEL = Model("BuiltInField", {"name": fields.String, "type": fields.String})
BUILT_INS_MODEL = Model("BuiltInFields", {"fields": fields.List(fields.Nested(BUILT_IN_MODEL))})
MODELS = (FIELD_MODEL, COUNTED_MODEL, FIELDS_MODEL, BUILT_IN_MODEL, BUILT_INS_MODEL)


def render_field(field: FieldView) -> JSONObject:
    """Return a field with its count of documents."""
    row = field.field
    return {"id": row.id, "type": row.type, "name": row.name, "count": field.count}


def render_built_in() -> JSONObject:
    """Return the fields every document has."""
    return {"fields": [{"name": name, "type": kind} for name, kind in BUILT_IN.items()]}
