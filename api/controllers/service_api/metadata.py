"""Metadata fields of datasets, and the values of their documents."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import dataset_key
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.metadata import (
    BUILT_INS_MODEL,
    FIELD,
    FIELD_MODEL,
    FIELD_NAME,
    FIELDS_MODEL,
    MODELS,
    VALUES,
    FieldIn,
    FieldNameIn,
    ValuesIn,
    render_built_in,
    render_field,
)
from api.principal import Principal
from api.runtime import Session
from api.services import metadata
from api.services.access import access_dataset

ns = Namespace("metadata", path="/", description="Metadata of documents")
for model in (*MODELS, RESULT):
    ns.add_model(model.name, model)


@ns.route("/datasets/<dataset_id>/metadata")
class Fields(Resource):
    """The metadata fields of a dataset."""

    @ns.response(200, "The fields.", FIELDS_MODEL)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List a dataset's fields, and say whether the built-in ones are shown."""
        found, is_enabled = metadata.load_fields(session, principal, dataset_id)
        return render(
            {"doc_metadata": [render_field(each) for each in found], "built_in_field_enabled": is_enabled}
        )

    @ns.expect(FIELD)
    @ns.response(201, "The field.", FIELD_MODEL)
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Give a dataset a field."""
        asked = parse(FIELD, FieldIn)
        row = metadata.create_field(session, principal, dataset_id, name=asked.name, kind=asked.type)
        return render({"id": row.id, "type": row.type, "name": row.name}, 201)


@ns.route("/datasets/<dataset_id>/metadata/<field_id>")
class Field(Resource):
    """One metadata field."""

    @ns.expect(FIELD_NAME)
    @ns.response(200, "The field as it is now.", FIELD_MODEL)
    @dataset_key()
    @transactional
    def patch(self, session: Session, principal: Principal, dataset_id: str, field_id: str) -> Response:
        """Give a field another name."""
        name = parse(FIELD_NAME, FieldNameIn).name
        row = metadata.rename_field(session, principal, dataset_id, field_id, name)
        return render({"id": row.id, "type": row.type, "name": row.name})

    @ns.response(204, "Deleted.")
    @dataset_key()
    @transactional
    def delete(self, session: Session, principal: Principal, dataset_id: str, field_id: str) -> Response:
        """Delete a field with all its values."""
        metadata.delete_field(session, principal, dataset_id, field_id)
        return Response(status=204)


@ns.route("/datasets/metadata/built-in")
class BuiltInFields(Resource):
    """The fields every document has."""

    @ns.response(200, "The fields.", BUILT_INS_MODEL)
    @dataset_key()
    def get(self, principal: Principal) -> Response:
        """List the fields every document has."""
        del principal
        return render(render_built_in())


@ns.route("/datasets/<dataset_id>/metadata/built-in")
class DatasetBuiltInFields(Resource):
    """The fields every document of a dataset has."""

    @ns.response(200, "The fields.", BUILT_INS_MODEL)
    @dataset_key()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """List the fields every document of a dataset has."""
        access_dataset(session, principal, dataset_id)
        return render(render_built_in())


@ns.route("/datasets/<dataset_id>/metadata/built-in/enable")
class BuiltInShown(Resource):
    """Built-in fields shown."""

    @ns.response(200, "Shown.", RESULT)
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Show the built-in fields of a dataset's documents."""
        metadata.switch_built_in(session, principal, dataset_id, is_enabled=True)
        return render(render_success())


@ns.route("/datasets/<dataset_id>/metadata/built-in/disable")
class BuiltInHidden(Resource):
    """Built-in fields hidden."""

    @ns.response(200, "Hidden.", RESULT)
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Hide the built-in fields of a dataset's documents."""
        metadata.switch_built_in(session, principal, dataset_id, is_enabled=False)
        return render(render_success())


@ns.route("/datasets/<dataset_id>/documents/metadata")
class Values(Resource):
    """Metadata of many documents."""

    @ns.expect(VALUES)
    @ns.response(200, "Set.", RESULT)
    @dataset_key()
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Set the metadata of many documents, all or none."""
        metadata.update_values(session, principal, dataset_id, parse(VALUES, ValuesIn).operation_data)
        return render(render_success())
