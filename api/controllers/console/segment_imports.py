"""Imports of segments from tables: started, watched."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.segment_import import IMPORT, IMPORT_MODEL, ImportIn, render_import
from api.principal import Principal
from api.runtime import Session
from api.services import segment_imports

ns = Namespace("segment_imports", path="/", description="Imports of segments")
ns.add_model(IMPORT_MODEL.name, IMPORT_MODEL)


@ns.route("/datasets/<string:dataset_id>/documents/<string:document_id>/segments/batch_import")
class SegmentImports(Resource):
    """Imports into a document."""

    @ns.expect(IMPORT)
    @ns.response(200, "The import, waiting for a worker.", IMPORT_MODEL)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Add the rows of an uploaded CSV to a document as segments."""
        asked = parse(IMPORT, ImportIn)
        view = segment_imports.start_import(
            runtime(), session, principal, dataset_id, document_id, asked.upload_file_id
        )
        return render(render_import(view))

    @ns.response(200, "The latest import.", IMPORT_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Tell how far the latest import into a document is."""
        return render(render_import(segment_imports.get_latest(session, principal, dataset_id, document_id)))


@ns.route("/datasets/batch_import_status/<string:import_id>")
class ImportStatus(Resource):
    """One import."""

    @ns.response(200, "How far it is.", IMPORT_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, import_id: str) -> Response:
        """Tell how far an import is."""
        return render(render_import(segment_imports.get_import(session, principal, import_id)))
