"""The test of a dataset's retrieval; one door under two names."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.retrieval import HIT_TEST_MODEL, MODELS, RETRIEVE, RetrieveIn, render_hit_test
from api.principal import Principal
from api.services import retrieval

ns = Namespace("retrieval", path="/", description="Tests of retrieval")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/datasets/<string:dataset_id>/retrieve")
class Retrieval(Resource):
    """What a dataset finds for a query."""

    @ns.expect(RETRIEVE)
    @ns.response(200, "The segments found, best first.", HIT_TEST_MODEL)
    @knowledge()
    def post(self, principal: Principal, dataset_id: str) -> Response:
        """Search a dataset, as it is set up or as the request says."""
        asked = parse(RETRIEVE, RetrieveIn)
        found = retrieval.hit_test(runtime(), principal, dataset_id, asked.query, asked.retrieval_model)
        return render(render_hit_test(found))


@ns.route("/datasets/<string:dataset_id>/hit-testing")
class HitTesting(Retrieval):
    """The same under the name consoles know."""
