"""Doors to single nodes of a draft: run one alone, look at what it did last."""

from typing import ClassVar

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas import flow_run
from api.controllers.schemas.flow_run import render_node_run
from api.controllers.schemas.workflow import NODE_RUN, FlowRunIn
from api.principal import Principal, Role
from api.services import single_runs

ns = Namespace("node_runs", path="/", description="Single nodes of a draft")
ns.add_model(flow_run.NODE_RUN.name, flow_run.NODE_RUN)
NO_NODE = "There is no such app, it has no draft yet, or the draft has no such node."


@ns.route("/apps/<app_id>/workflows/draft/nodes/<string:node_id>/run")
class NodeRun(Resource):
    """One node alone."""

    @ns.expect(NODE_RUN)
    @ns.response(200, "What the node did, also where it failed.", flow_run.NODE_RUN)
    @ns.response(400, "A bad parameter, or files that may not be used.")
    @ns.response(404, NO_NODE)
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str, node_id: str) -> Response:
        """Run one node with what tests have left and what the request gives."""
        ask = parse(NODE_RUN, FlowRunIn).to_ask()
        log = single_runs.run_alone(runtime(), principal, app_id, node_id, ask)
        done = sse.execution_of(log, node_id)
        row = single_runs.last_execution(runtime(), principal, app_id, node_id, execution_id=done)
        return render(render_node_run(row))


@ns.route("/apps/<app_id>/workflows/draft/nodes/<string:node_id>/last-run")
class LastRun(Resource):
    """What a node did last."""

    @ns.response(200, "What it did when the account last ran it, alone or in a test.", flow_run.NODE_RUN)
    @ns.response(404, "There is no such app, or the account has not run the node.")
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str, node_id: str) -> Response:
        """Return what a node did last."""
        row = single_runs.last_execution(runtime(), principal, app_id, node_id)
        return render(render_node_run(row))


@ns.route("/apps/<app_id>/workflows/draft/iteration/nodes/<string:node_id>/run")
class IterationRun(Resource):
    """One iteration alone."""

    kind: ClassVar = "iteration"

    @ns.expect(NODE_RUN)
    @ns.doc(produces=swagger.STREAM_ONLY)
    @ns.response(200, "The events of its rounds as they come.")
    @ns.response(400, "A bad parameter, or files that may not be used.")
    @ns.response(404, NO_NODE)
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str, node_id: str) -> Response:
        """Run all rounds of one container, and nothing else, and stream what happens."""
        ask = parse(NODE_RUN, FlowRunIn).to_ask()
        log = single_runs.run_alone(runtime(), principal, app_id, node_id, ask, kind=self.kind)
        return sse.stream(log, sse.Audience.of_request())


@ns.route("/apps/<app_id>/advanced-chat/workflows/draft/iteration/nodes/<string:node_id>/run")
class ChatflowIterationRun(IterationRun):
    """One iteration of a chatflow alone."""


@ns.route("/apps/<app_id>/workflows/draft/loop/nodes/<string:node_id>/run")
class LoopRun(IterationRun):
    """One loop alone."""

    kind: ClassVar = "loop"


@ns.route("/apps/<app_id>/advanced-chat/workflows/draft/loop/nodes/<string:node_id>/run")
class ChatflowLoopRun(LoopRun):
    """One loop of a chatflow alone."""
