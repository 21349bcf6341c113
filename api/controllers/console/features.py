"""What the workspace may do and have by its plan."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import limits
from api.controllers.http.auth import console
from api.controllers.http.door import render, transactional
from api.controllers.schemas.feature import ALLOWANCE, FEATURES, SHARE, render_features
from api.principal import Principal, Role
from api.runtime import Session
from api.services import plans

ns = Namespace("features", path="/", description="What the workspace may do and have")
for model in (SHARE, ALLOWANCE, FEATURES):
    ns.add_model(model.name, model)


@ns.route("/features")
class Features(Resource):
    """The workspace's plan."""

    @ns.response(200, "Plan, limits, and what is used of them.", FEATURES)
    @console(Role.DATASET_OPERATOR)
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Tell the workspace's plan, its limits, and what is used of them."""
        usage = plans.load_usage(session, principal.tenant_id)
        return render(render_features(usage, limits.count_of_day(principal.tenant_id, usage.plan)))
