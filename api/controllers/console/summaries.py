"""Summaries of segments: asked for, watched."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.summary import MODELS, REPORT_MODEL, SUMMARIES, SummariesIn, render_report
from api.principal import Principal
from api.runtime import Session
from api.services import summaries

ns = Namespace("summaries", path="/", description="Summaries of segments")
for model in (*MODELS, RESULT):
    ns.add_model(model.name, model)

DOCUMENTS = "/datasets/<string:dataset_id>/documents"


@ns.route(f"{DOCUMENTS}/generate-summary")
class Summaries(Resource):
    """Summaries of the segments of documents."""

    @ns.expect(SUMMARIES)
    @ns.response(200, "They are being written.", RESULT)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal, dataset_id: str) -> Response:
        """Have a model summarise the segments of documents, all or none."""
        asked = parse(SUMMARIES, SummariesIn)
        summaries.request_summaries(runtime(), session, principal, dataset_id, asked.ids)
        return render(render_success())


@ns.route(f"{DOCUMENTS}/<string:document_id>/summary-status")
class SummaryStatus(Resource):
    """Where the summaries of a document stand."""

    @ns.response(200, "How many there are, and each.", REPORT_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Tell which segments of a document have their summary."""
        return render(render_report(summaries.load_report(session, principal, dataset_id, document_id)))
