"""What indexing would make of documents, shown before it is done."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.index_estimate import (
    ESTIMATE,
    ESTIMATE_OF,
    NOTION_ESTIMATE_OF,
    EstimateIn,
    NotionEstimateIn,
    render_estimate,
)
from api.principal import Principal
from api.services import index_estimates

ns = Namespace("index-estimates", path="/", description="What indexing would make of documents")
ns.add_model(ESTIMATE.name, ESTIMATE)


@ns.route("/datasets/indexing-estimate")
class OriginEstimate(Resource):
    """What uploads, pages of a crawl or of Notion would become."""

    @ns.expect(ESTIMATE_OF)
    @ns.response(200, "How many segments, and the first of them.", ESTIMATE)
    @knowledge(may_edit=True)
    def post(self, principal: Principal) -> Response:
        """Estimate what documents would become."""
        asked = parse(ESTIMATE_OF, EstimateIn)
        estimate = index_estimates.estimate_origin(runtime(), principal, asked.origin, asked.settings)
        return render(render_estimate(estimate))


@ns.route("/datasets/notion-indexing-estimate")
class NotionEstimate(Resource):
    """What pages of Notion would become; the form older consoles use."""

    @ns.expect(NOTION_ESTIMATE_OF)
    @ns.response(200, "How many segments, and the first of them.", ESTIMATE)
    @knowledge(may_edit=True)
    def post(self, principal: Principal) -> Response:
        """Estimate what documents of pages of Notion would become."""
        asked = parse(NOTION_ESTIMATE_OF, NotionEstimateIn)
        estimate = index_estimates.estimate_origin(runtime(), principal, asked.origin, asked.settings)
        return render(render_estimate(estimate))


@ns.route("/datasets/<string:dataset_id>/documents/<string:document_id>/indexing-estimate")
class DocumentEstimate(Resource):
    """What a document becomes."""

    @ns.response(200, "How many segments, and the first of them.", ESTIMATE)
    @knowledge()
    def get(self, principal: Principal, dataset_id: str, document_id: str) -> Response:
        """Estimate what a document becomes by its rule."""
        estimate = index_estimates.estimate_document(runtime(), principal, dataset_id, document_id)
        return render(render_estimate(estimate))


@ns.route("/datasets/<string:dataset_id>/batch/<string:batch>/indexing-estimate")
class BatchEstimate(Resource):
    """What documents become that came in together."""

    @ns.response(200, "How many segments, and the first of them.", ESTIMATE)
    @knowledge()
    def get(self, principal: Principal, dataset_id: str, batch: str) -> Response:
        """Estimate what the documents of a batch become by their rules."""
        estimate = index_estimates.estimate_batch(runtime(), principal, dataset_id, batch)
        return render(render_estimate(estimate))
