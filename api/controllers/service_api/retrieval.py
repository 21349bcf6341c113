"""Searches of a dataset with a dataset key; one door under two names."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import dataset_key
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.external_api import render_hits
from api.controllers.schemas.retrieval import HIT_TEST_MODEL, MODELS, RETRIEVE, RetrieveIn
from api.principal import Principal
from api.services import external_search

ns = Namespace("retrieval", path="/", description="Searches of knowledge")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/datasets/<string:dataset_id>/retrieve")
class Retrieval(Resource):
    """What a dataset finds for a query."""

    @ns.expect(RETRIEVE)
    @ns.response(200, "The segments found, best first; the records of an external dataset.", HIT_TEST_MODEL)
    @dataset_key()
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Search a dataset, as it is set up or as the request says."""
        asked = parse(RETRIEVE, RetrieveIn)
        found = external_search.hit_test_anywhere(runtime(), principal, dataset_id, asked.query, asked.asked)
        return render(render_hits(asked.query, found))


@ns.route("/datasets/<string:dataset_id>/hit-testing")
class HitTesting(Retrieval):
    """The same under the name consoles know."""
