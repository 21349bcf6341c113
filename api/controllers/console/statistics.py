"""Doors to the statistics of an app, day by day."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.statistic import STATISTIC, STATISTIC_DAYS, StatisticIn
from api.principal import Principal, Role
from api.runtime import Session
from api.services import statistics

ns = Namespace("statistics", path="/apps/<string:app_id>", description="Statistics of apps")
ns.add_model(STATISTIC_DAYS.name, STATISTIC_DAYS)
OF_MESSAGES = {"name": {"enum": list(statistics.OF_MESSAGES)}}
OF_RUNS = {"name": {"enum": list(statistics.OF_RUNS)}}


@ns.route(
    f"/statistics/<any({', '.join(map(repr, statistics.OF_MESSAGES))}):name>", doc={"params": OF_MESSAGES}
)
class MessageStatistic(Resource):
    """What was said."""

    @ns.expect(STATISTIC)
    @ns.response(200, "A figure for each day.", STATISTIC_DAYS)
    @ns.response(400, "A bad time.")
    @ns.response(404, "There is no such app, or its mode has no such statistic.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, name: str) -> Response:
        """Return a statistic of an app's messages; tests do not count."""
        asked = parse(STATISTIC, StatisticIn)
        days = statistics.of_messages(session, principal, app_id, name, start=asked.start, end=asked.end)
        return render({"data": days})


@ns.route(
    f"/workflow/statistics/<any({', '.join(map(repr, statistics.OF_RUNS))}):name>", doc={"params": OF_RUNS}
)
class RunStatistic(Resource):
    """What ran."""

    @ns.expect(STATISTIC)
    @ns.response(200, "A figure for each day.", STATISTIC_DAYS)
    @ns.response(400, "A bad time.")
    @ns.response(404, "There is no such app.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, name: str) -> Response:
        """Return a statistic of the runs of an app's workflow; tests do not count."""
        asked = parse(STATISTIC, StatisticIn)
        days = statistics.of_runs(session, principal, app_id, name, start=asked.start, end=asked.end)
        return render({"data": days})
