"""Doors to the triggers of an app's workflow: look, switch, find an address, try out."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import sse, swagger
from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.trigger import (
    ENABLE,
    TRIGGER,
    TRIGGER_RUN,
    TRIGGERS,
    WEBHOOK,
    WEBHOOK_QUERY,
    EnableIn,
    NodeIn,
    render_trigger,
    render_webhook,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import trigger_runs, triggers
from api.services.workflows import access_flow_app

ns = Namespace("triggers", path="/", description="Triggers of workflows")
for model in (TRIGGER, TRIGGERS, WEBHOOK):
    ns.add_model(model.name, model)


@ns.route("/apps/<app_id>/triggers")
class Triggers(Resource):
    """The triggers of an app."""

    @ns.response(200, "Those of the published workflow.", TRIGGERS)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List the triggers of the published workflow."""
        app = access_flow_app(session, principal, app_id)
        return render({"data": [render_trigger(row) for row in triggers.load_triggers(session, app)]})


@ns.route("/apps/<app_id>/trigger-enable")
class TriggerEnable(Resource):
    """The switch of a trigger."""

    @ns.expect(ENABLE)
    @ns.response(200, "The trigger.", TRIGGER)
    @ns.response(404, "There is no such app, or it has no such trigger.")
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Switch a trigger on or off."""
        asked = parse(ENABLE, EnableIn)
        app = access_flow_app(session, principal, app_id)
        row = triggers.enable_trigger(session, app, asked.trigger_id, is_enabled=asked.enable_trigger)
        return render(render_trigger(row))


@ns.route("/apps/<app_id>/workflows/triggers/webhook")
class Webhook(Resource):
    """The addresses of a webhook."""

    @ns.expect(WEBHOOK_QUERY)
    @ns.response(200, "The webhook.", WEBHOOK)
    @ns.response(404, "There is no such app, or no such webhook is drawn or published.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Return the addresses of a node's webhook."""
        app = access_flow_app(session, principal, app_id)
        row = triggers.get_webhook(session, app, parse(WEBHOOK_QUERY, NodeIn).node_id)
        return render(render_webhook(row, base_url()))


@ns.route("/apps/<app_id>/workflows/draft/trigger/run")
class TriggerRun(Resource):
    """Tests of the draft from a trigger on."""

    @ns.expect(TRIGGER_RUN)
    @ns.doc(produces=swagger.STREAM_ONLY)
    @ns.response(200, "The events of the run as they come.")
    @ns.response(400, "The draft has no such trigger, or its webhook was never called.")
    @ns.response(404, "There is no such app, or it has no draft yet.")
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Run the draft as if a trigger had fired; a webhook with the request it got last."""
        node_id = parse(TRIGGER_RUN, NodeIn).node_id
        log = trigger_runs.run_drawn(runtime(), principal, app_id, node_id)
        return sse.stream(log, sse.Audience.of_request())
