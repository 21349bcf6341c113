"""Workspaces one has joined."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, transactional
from api.controllers.schemas.workspace import (
    WORKSPACE,
    WORKSPACE_ITEM,
    WORKSPACES,
    render_workspace,
    render_workspaces,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import tenants

ns = Namespace("workspaces", path="/", description="Workspaces")
for model in (WORKSPACE, WORKSPACE_ITEM, WORKSPACES):
    ns.add_model(model.name, model)
member = console(Role.DATASET_OPERATOR)


@ns.route("/workspaces")
class Workspaces(Resource):
    """The workspaces one has joined."""

    @ns.response(200, "All of them, in the order of joining.", WORKSPACES)
    @member
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the workspaces one has joined."""
        return render(render_workspaces(tenants.load_workspaces(session, principal)))


@ns.route("/workspaces/current")
class CurrentWorkspace(Resource):
    """The workspace one is in."""

    @ns.response(200, "The workspace.", WORKSPACE)
    @member
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Show the workspace one is in."""
        return render(render_workspace(tenants.get_workspace(session, principal)))

    @ns.response(200, "The workspace.", WORKSPACE)
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Show the workspace one is in; the web console asks by POST."""
        return render(render_workspace(tenants.get_workspace(session, principal)))
