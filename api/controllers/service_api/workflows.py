"""Doors of workflow apps: run, look at a run, read its events again, stop it, list what ran."""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import claim, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.chat import USER, UserIn
from api.controllers.schemas.fields import RESULT
from api.controllers.schemas.workflow_run import (
    EVENTS_QUERY,
    LOGS,
    LOGS_QUERY,
    RUN,
    RUN_ANSWER,
    RUN_DETAIL,
    EventsQuery,
    LogsQuery,
    RunIn,
    render_logs,
    render_public_run,
)
from api.core.apps.flow import FlowSpec
from api.runtime import Session
from api.services import flow_events, flow_runs, flows, generation, workflow_runs
from api.services.asks import Ask
from api.services.flow_call import FlowCall
from api.services.flow_runs import check_workflow_mode
from api.services.tokens import KeyCaller

ns = Namespace("workflows", path="/", description="Runs of workflow apps")
BAD = "A bad parameter, an app of another mode, or nothing published."


def _run(caller: KeyCaller, flow: FlowSpec, run: RunIn) -> Response:
    """Start a run of a version and answer with it."""
    principal = caller.end_user(run.user)
    ask = Ask(
        query="",
        inputs=run.inputs or {},
        files=run.files or (),
        key_id=caller.key_id,
        invoke_from=caller.invoke_from,
        claim=claim(principal.tenant_id, principal.id),
        is_watched=run.response_mode == "streaming",
        may_be_spoken=run.read_aloud,
    )
    call = FlowCall(runtime=runtime(), app=caller.app, flow=flow, principal=principal, ask=ask)
    return sse.respond(flow_runs.generate_flow(call), run.response_mode, run.on_disconnect, principal)


@ns.route("/workflows/run")
class WorkflowRuns(Resource):
    """Runs of the published workflow."""

    @ns.expect(RUN)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM, params=swagger.RUN_HEADERS)
    @ns.response(200, "How the run ended, also where it failed; or its events as they come.", RUN_ANSWER)
    @ns.response(400, BAD)
    @app_key("workflow", has_guests=True)
    def post(self, caller: KeyCaller) -> Response:
        """Run the app's workflow, streamed or whole."""
        check_workflow_mode(caller.app)
        run = parse(RUN, RunIn)
        return _run(caller, flows.published_flow(runtime(), caller.app), run)


@ns.route("/workflows/<string:workflow_id>/run")
class WorkflowVersionRuns(Resource):
    """Runs of one version of the workflow."""

    @ns.expect(RUN)
    @ns.doc(produces=swagger.ANSWER_OR_STREAM, params=swagger.RUN_HEADERS)
    @ns.response(200, "How the run ended, also where it failed; or its events as they come.", RUN_ANSWER)
    @ns.response(400, BAD)
    @ns.response(404, "The app has no such version.")
    @app_key("workflow")
    def post(self, caller: KeyCaller, workflow_id: str) -> Response:
        """Run a chosen published version, streamed or whole."""
        check_workflow_mode(caller.app)
        run = parse(RUN, RunIn)
        return _run(caller, flows.chosen_flow(runtime(), caller.app, workflow_id), run)


@ns.route("/workflows/run/<string:workflow_run_id>")
class WorkflowRun(Resource):
    """One run."""

    @ns.response(200, "The run as it stands.", RUN_DETAIL)
    @ns.response(404, "The app has no such run.")
    @app_key()
    def get(self, caller: KeyCaller, workflow_run_id: str) -> Response:
        """Return how a run of the app stands, or ended."""
        found = workflow_runs.get_run_of_app(runtime(), caller.app, workflow_run_id)
        return render(render_public_run(found, str(request.blueprint)))


@ns.route("/workflows/tasks/<string:task_id>/stop")
class WorkflowStop(Resource):
    """Stopping one run."""

    @ns.expect(USER)
    @ns.response(200, "Stopped; also where there was nothing to stop.", RESULT)
    @ns.response(400, "The app is of another mode.")
    @app_key("workflow", has_guests=True)
    def post(self, caller: KeyCaller, task_id: str) -> Response:
        """Stop the run. Always succeeds."""
        check_workflow_mode(caller.app)
        principal = caller.end_user(parse(USER, UserIn).user)
        generation.stop(runtime(), principal, caller.app.id, task_id)
        return render({"result": "success"})


@ns.route("/workflow/<string:workflow_run_id>/events")
class WorkflowEvents(Resource):
    """The events of one run."""

    @ns.expect(EVENTS_QUERY)
    @ns.doc(produces=swagger.STREAM_ONLY, params=swagger.RESUME_HEADERS)
    @ns.response(200, "The events, each with its number.")
    @ns.response(404, "The caller has no such run, or its events are no longer kept.")
    @app_key(has_guests=True)
    def get(self, caller: KeyCaller, workflow_run_id: str) -> Response:
        """Stream a run's events from the start, or after Last-Event-ID, until ten minutes past its end."""
        query = parse(EVENTS_QUERY, EventsQuery)
        principal = caller.end_user(query.user)
        log = flow_events.find_events(
            runtime(), principal, caller.app, workflow_run_id, goes_on=query.continue_on_pause
        )
        return sse.resume(log)


@ns.route("/workflows/logs")
class WorkflowLogs(Resource):
    """What ran."""

    @ns.expect(LOGS_QUERY)
    @ns.response(200, "A page of runs, newest first.", LOGS)
    @ns.response(400, "A bad parameter.")
    @app_key()
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """List the runs that were not tests, newest first."""
        query = parse(LOGS_QUERY, LogsQuery)
        page = workflow_runs.load_logs(session, caller.app, query.to_filter(), query.to_place())
        return render(render_logs(page, page=query.page, limit=query.limit))
