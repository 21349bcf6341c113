"""Pipelines of knowledge, which there are none of: lists for consoles that ask, empty."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, transactional
from api.controllers.schemas.pipeline import DATA_SOURCES, MODELS, RUN_LOG, TEMPLATES, render_no_run
from api.principal import Principal
from api.runtime import Session
from api.services import documents

ns = Namespace("pipelines", path="/", description="Pipelines of knowledge")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/rag/pipeline/templates")
class Templates(Resource):
    """Templates of pipelines."""

    @ns.response(200, "None.", TEMPLATES)
    @knowledge()
    def get(self, principal: Principal) -> Response:
        """List templates of pipelines."""
        del principal
        return render({"pipeline_templates": []})


@ns.route("/auth/plugin/datasource/list")
class DataSources(Resource):
    """Plugins that documents come from."""

    @ns.response(200, "None.", DATA_SOURCES)
    @knowledge()
    def get(self, principal: Principal) -> Response:
        """List plugins that documents come from."""
        del principal
        return render({"result": []})


@ns.route("/datasets/<string:dataset_id>/documents/<string:document_id>/pipeline-execution-log")
class RunLog(Resource):
    """How a pipeline made a document."""

    @ns.response(200, "Nothing: no pipeline made it.", RUN_LOG)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Tell which pipeline made a document."""
        documents.open_document(session, principal, dataset_id, document_id)
        return render(render_no_run())
