"""External knowledge APIs, and the datasets searched through them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.dataset import DATASET_MODEL, NEW_DATASET, NewDatasetIn, render_dataset
from api.controllers.schemas.external_api import (
    EXTERNAL_ANSWER,
    EXTERNAL_ANSWER_MODEL,
    EXTERNAL_API,
    EXTERNAL_API_MODEL,
    EXTERNAL_FOUND_MODEL,
    EXTERNAL_LIST,
    EXTERNAL_PAGE_MODEL,
    EXTERNAL_SEARCH,
    EXTERNAL_USE_MODEL,
    MODELS,
    ExternalAnswerIn,
    ExternalAPIIn,
    ExternalListIn,
    ExternalSearchIn,
    render_external_api,
    render_found,
    render_records,
)
from api.controllers.schemas.fields import render_page
from api.principal import Principal
from api.runtime import Session
from api.services import dataset_views, datasets, external_answers, external_apis, external_search

ns = Namespace("external_knowledge", path="/", description="Knowledge that other services keep")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/datasets/external-knowledge-api")
class ExternalAPIs(Resource):
    """The external knowledge APIs of the workspace."""

    @ns.expect(EXTERNAL_LIST)
    @ns.response(200, "One page of them, keys masked.", EXTERNAL_PAGE_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List external knowledge APIs, newest first."""
        asked = parse(EXTERNAL_LIST, ExternalListIn)
        views, total = external_apis.load_external_apis(
            session, principal, keyword=asked.keyword, page=asked.page, limit=asked.limit
        )
        return render(render_page([render_external_api(view) for view in views], total, asked))

    @ns.expect(EXTERNAL_API)
    @ns.response(201, "The API.", EXTERNAL_API_MODEL)
    @knowledge(may_edit=True)
    def post(self, principal: Principal) -> Response:
        """Connect an external knowledge API, once it has answered to its key."""
        asked = parse(EXTERNAL_API, ExternalAPIIn)
        view = external_apis.create_external_api(
            runtime(),
            principal,
            name=asked.name,
            description=asked.description or "",
            endpoint=asked.settings.endpoint,
            api_key=asked.settings.api_key,
        )
        return render(render_external_api(view), 201)


@ns.route("/datasets/external-knowledge-api/<api_id>")
class OneExternalAPI(Resource):
    """One external knowledge API."""

    @ns.response(200, "The API, its key masked.", EXTERNAL_API_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, api_id: str) -> Response:
        """Show an external knowledge API."""
        return render(render_external_api(external_apis.get_external_api(session, principal, api_id)))

    @ns.expect(EXTERNAL_API)
    @ns.response(200, "The API as it is now.", EXTERNAL_API_MODEL)
    @knowledge(may_edit=True)
    def patch(self, principal: Principal, api_id: str) -> Response:
        """Replace what is known of an external knowledge API; a masked key stays."""
        asked = parse(EXTERNAL_API, ExternalAPIIn)
        view = external_apis.update_external_api(
            runtime(),
            principal,
            api_id,
            name=asked.name,
            description=asked.description,
            endpoint=asked.settings.endpoint,
            api_key=asked.settings.api_key,
        )
        return render(render_external_api(view))

    @ns.response(204, "Deleted.")
    @ns.response(409, "Datasets are searched through it.")
    @knowledge(may_edit=True)
    @transactional
    def delete(self, session: Session, principal: Principal, api_id: str) -> Response:
        """Forget an external knowledge API that no dataset uses."""
        external_apis.delete_external_api(session, principal, api_id)
        return Response(status=204)


@ns.route("/datasets/external-knowledge-api/<api_id>/use-check")
class ExternalUse(Resource):
    """Whether datasets are searched through an external API."""

    @ns.response(200, "How many are.", EXTERNAL_USE_MODEL)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal, api_id: str) -> Response:
        """Tell how many datasets are searched through an external API."""
        count = len(external_apis.get_external_api(session, principal, api_id).bindings)
        return render({"is_using": count > 0, "count": count})


@ns.route("/datasets/external")
class ExternalDatasets(Resource):
    """Datasets searched through an external API."""

    @ns.expect(NEW_DATASET)
    @ns.response(201, "The dataset.", DATASET_MODEL)
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make a dataset that another service keeps."""
        wanted = parse(NEW_DATASET, NewDatasetIn).wanted
        made = datasets.create_dataset(runtime(), session, principal, wanted, "external")
        view = dataset_views.get_dataset(runtime(), session, principal, made.id)
        return render(render_dataset(view, base_url()), 201)


@ns.route("/datasets/<dataset_id>/external-hit-testing")
class ExternalHitTesting(Resource):
    """What the service of an external dataset finds for a query."""

    @ns.expect(EXTERNAL_SEARCH)
    @ns.response(200, "What it finds, best first.", EXTERNAL_FOUND_MODEL)
    @knowledge()
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Search an external dataset, as it is set up or as the request says."""
        asked = parse(EXTERNAL_SEARCH, ExternalSearchIn)
        found = external_search.hit_test_external(
            runtime(), principal, dataset_id, asked.query, asked.external_retrieval_model
        )
        return render(render_found(asked.query, found))


@ns.route("/test/retrieval")
class RetrievalTest(Resource):
    """A dataset as an external knowledge service, to try clients of that protocol with."""

    @ns.expect(EXTERNAL_ANSWER)
    @ns.response(200, "What the dataset finds, best first.", EXTERNAL_ANSWER_MODEL)
    @knowledge()
    def post(self, principal: Principal) -> Response:
        """Search a dataset by the External Knowledge API."""
        asked = parse(EXTERNAL_ANSWER, ExternalAnswerIn)
        found = external_answers.answer(
            runtime(),
            principal,
            asked.knowledge_id,
            asked.query,
            asked.retrieval_setting,
            asked.metadata_condition,
        )
        return render(render_records(found))
