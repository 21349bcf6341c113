"""Doors to the runs of an app's workflow: test the draft, stop, look at what ran."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT
from api.controllers.schemas.flow_run import (
    NODE_RUNS,
    RUN,
    RUN_COUNT,
    RUN_PAGE,
    render_counts,
    render_node_run,
    render_run,
    render_run_page,
    to_span,
)
from api.controllers.schemas.workflow import (
    FLOW_RUN,
    RUN_COUNTS,
    RUNS,
    FlowRunIn,
    RunCountsIn,
    RunsIn,
)
from api.controllers.schemas.workflow_run import (
    LOG,
    LOG_RUN,
    LOGS,
    LOGS_QUERY,
    LogsQuery,
    render_logs,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import debug_runs, workflow_runs, workflows

ns = Namespace("workflow_runs", path="/", description="Runs of workflows")
for model in (RESULT, RUN, RUN_PAGE, RUN_COUNT, NODE_RUNS, LOG_RUN, LOG, LOGS):
    ns.add_model(model.name, model)
NO_RUN = "There is no such app, or it has no such run."


@ns.route("/apps/<app_id>/workflows/draft/run")
class DraftRun(Resource):
    """Tests of the draft."""

    @ns.expect(FLOW_RUN)
    @ns.doc(produces=swagger.STREAM_ONLY)
    @ns.response(200, "The events of the run as they come.")
    @ns.response(400, "A bad parameter, or a draft that cannot be run.")
    @ns.response(404, "There is no such app, or it has no draft yet.")
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Run the draft and stream what happens."""
        asked = parse(FLOW_RUN, FlowRunIn)
        log = debug_runs.run_draft(
            runtime(), principal, app_id, asked.to_ask(), until=asked.until_node_id or None
        )
        return sse.stream(log, sse.Audience.of_request())


@ns.route("/apps/<app_id>/advanced-chat/workflows/draft/run")
class ChatflowDraftRun(DraftRun):
    """Tests of a chatflow's draft."""


@ns.route("/apps/<app_id>/workflow-runs/tasks/<string:task_id>/stop")
class RunStop(Resource):
    """Stopping a test."""

    @ns.response(200, "Stopped; also where there was nothing to stop.", RESULT)
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str, task_id: str) -> Response:
        """Stop a run of the app; success too where there was nothing to stop."""
        debug_runs.stop(runtime(), principal, app_id, task_id)
        return render({"result": "success"})


@ns.route("/apps/<app_id>/chat-messages/<string:task_id>/stop")
class ChatStop(RunStop):
    """Stopping a test of a chat."""


@ns.route("/apps/<app_id>/completion-messages/<string:task_id>/stop")
class CompletionStop(RunStop):
    """Stopping a test of a completion app."""


@ns.route("/apps/<app_id>/workflow-runs")
class Runs(Resource):
    """What ran."""

    @ns.expect(RUNS)
    @ns.response(200, "A page of runs, newest first.", RUN_PAGE)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List an app's runs: its tests, or with triggered_from those of its API."""
        asked = parse(RUNS, RunsIn)
        app = workflows.access_flow_app(session, principal, app_id)
        found = workflow_runs.load_runs(
            session,
            principal,
            app.id,
            last_id=asked.last_id,
            limit=asked.limit,
            status=asked.status,
            triggered_from=asked.triggered_from,
        )
        return render(render_run_page(found, asked.limit, is_chat=app.mode == "advanced-chat"))


@ns.route("/apps/<app_id>/advanced-chat/workflow-runs")
class ChatflowRuns(Runs):
    """What a chatflow ran."""


@ns.route("/apps/<app_id>/workflow-app-logs")
class WorkflowAppLogs(Resource):
    """What ran for others than the team."""

    @ns.expect(LOGS_QUERY)
    @ns.response(200, "A page of runs, newest first.", LOGS)
    @ns.response(404, "There is no such app that has workflows, or it has no run last_id.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List the runs of an app that were not tests, newest first."""
        asked = parse(LOGS_QUERY, LogsQuery)
        page = workflow_runs.load_app_logs(session, principal, app_id, asked.to_filter(), asked.to_place())
        return render(render_logs(page, page=asked.page, limit=asked.limit))


@ns.route("/apps/<app_id>/workflow-archived-logs")
class ArchivedLogs(Resource):
    """What was taken out of the log and kept elsewhere, which is nothing: old runs are removed."""

    @ns.expect(LOGS_QUERY)
    @ns.response(200, "A page without runs.", LOGS)
    @ns.response(404, "There is no such app that has workflows.")
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List archived runs: there are none."""
        asked = parse(LOGS_QUERY, LogsQuery)
        workflows.access_flow_app(session, principal, app_id)
        return render(render_logs(workflow_runs.NO_LOGS, page=asked.page, limit=asked.limit))


@ns.route("/apps/<app_id>/workflow-runs/count")
class RunCounts(Resource):
    """How many ran."""

    @ns.expect(RUN_COUNTS)
    @ns.response(200, "How many runs there are of each status.", RUN_COUNT)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Count an app's runs by status."""
        asked = parse(RUN_COUNTS, RunCountsIn)
        app = workflows.access_flow_app(session, principal, app_id)
        counts = workflow_runs.count_runs(
            session,
            principal,
            app.id,
            status=asked.status,
            triggered_from=asked.triggered_from,
            within=to_span(asked.time_range),
        )
        return render(render_counts(counts))


@ns.route("/apps/<app_id>/advanced-chat/workflow-runs/count")
class ChatflowRunCounts(RunCounts):
    """How many a chatflow ran."""


@ns.route("/apps/<app_id>/workflow-runs/<uuid:run_id>")
class Run(Resource):
    """One run."""

    @ns.response(200, "The run.", RUN)
    @ns.response(404, NO_RUN)
    @console(Role.EDITOR)
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str, run_id: object) -> Response:
        """Return a run with the graph it ran."""
        app = workflows.access_flow_app(session, principal, app_id)
        return render(render_run(workflow_runs.get_detail(session, principal, app.id, str(run_id))))


@ns.route("/apps/<app_id>/workflow-runs/<uuid:run_id>/node-executions")
class NodeExecutions(Resource):
    """What the nodes of a run did."""

    @ns.response(200, "The nodes, the latest begun first.", NODE_RUNS)
    @ns.response(404, NO_RUN)
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str, run_id: object) -> Response:
        """Return what each node of a run was given and gave."""
        with runtime().reading() as session:
            app = workflows.access_flow_app(session, principal, app_id)
            rows = workflow_runs.load_executions(session, principal, app.id, str(run_id))
        whole = [workflow_runs.with_values(runtime(), row) for row in rows]
        return render({"data": [render_node_run(row) for row in whole]})


@ns.route("/apps/<app_id>/workflow-runs/<uuid:run_id>/rerun")
class Rerun(Resource):
    """A failed run, once more."""

    @ns.doc(produces=swagger.STREAM_ONLY)
    @ns.response(200, "The events of the new run as they come.")
    @ns.response(400, "The run has not failed.")
    @ns.response(404, NO_RUN)
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str, run_id: object) -> Response:
        """Run what failed again, from where it failed; what had been done before is taken as it is."""
        log = debug_runs.rerun(runtime(), principal, app_id, str(run_id))
        return sse.stream(log, sse.Audience.of_request())
