"""What the workspace may do and have by its plan, and what it used models for."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import limits
from api.controllers.http.auth import console
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.feature import ALLOWANCE, FEATURES, SHARE, render_features
from api.controllers.schemas.usage import USAGE, USAGE_QUERY, USAGE_ROW, UsageIn, render_usage
from api.principal import Principal, Role
from api.runtime import Session
from api.services import ledger, plans
from api.services.ledger import LedgerFilter

ns = Namespace("features", path="/", description="What the workspace may do and have")
for model in (SHARE, ALLOWANCE, FEATURES, USAGE, USAGE_ROW):
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


@ns.route("/workspaces/current/usage")
class Usage(Resource):
    """What models were used for."""

    @ns.expect(USAGE_QUERY)
    @ns.response(200, "By day, app or dataset, key, end user and model, newest first.", USAGE)
    @console(Role.ADMIN)
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Tell what the workspace took of models, in tokens and money."""
        asked = parse(USAGE_QUERY, UsageIn)
        chosen = LedgerFilter(
            start=asked.start, end=asked.end, app_id=asked.app_id, dataset_id=asked.dataset_id
        )
        rows, total = ledger.load_usage(session, principal, chosen, page=asked.page, limit=asked.limit)
        return render(render_usage(rows, total, asked))
