"""Workspaces one has joined."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import public, render, runtime, transactional
from api.controllers.http.operator_keys import is_sent
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import PageIn
from api.controllers.schemas.workspace import (
    ALL_WORKSPACES,
    CHANGED_WORKSPACE,
    SWITCH,
    SWITCHED,
    WORKSPACE,
    WORKSPACE_ITEM,
    WORKSPACE_LISTED,
    WORKSPACE_NAME,
    WORKSPACE_PAGE,
    WORKSPACE_PERMISSION,
    WORKSPACES,
    SwitchIn,
    WorkspaceNameIn,
    render_all,
    render_permission,
    render_workspace,
    render_workspaces,
)
from api.errors import Unauthorized
from api.principal import Principal, Role
from api.runtime import Session
from api.services import tenants, workspace_control

ns = Namespace("workspaces", path="/", description="Workspaces")
for model in (
    WORKSPACE,
    WORKSPACE_ITEM,
    WORKSPACES,
    SWITCHED,
    CHANGED_WORKSPACE,
    WORKSPACE_PERMISSION,
    WORKSPACE_LISTED,
    WORKSPACE_PAGE,
):
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

    @ns.expect(WORKSPACE_NAME)
    @ns.response(201, "The workspace, which is the current one now.", CHANGED_WORKSPACE)
    @console(Role.OWNER)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make another workspace, whose owner one is."""
        asked = parse(WORKSPACE_NAME, WorkspaceNameIn)
        made = tenants.create_own_tenant(runtime(), session, principal, asked.name)
        return render({"result": "success", "tenant": render_workspace(made)}, 201)


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


@ns.route("/workspaces/switch")
class Switch(Resource):
    """Going from one workspace to another."""

    @ns.expect(SWITCH)
    @ns.response(200, "The workspace one is in now.", SWITCHED)
    @ns.response(400, "Not joined, or suspended: invalid_param.")
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make another workspace one has joined the current one."""
        entered = tenants.switch_tenant(session, principal, parse(SWITCH, SwitchIn).tenant_id)
        return render({"result": "success", "new_tenant": render_workspace(entered)})


@ns.route("/workspaces/info")
class WorkspaceInfo(Resource):
    """What the workspace is called."""

    @ns.expect(WORKSPACE_NAME)
    @ns.response(200, "The workspace as it is now.", CHANGED_WORKSPACE)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Rename the workspace."""
        asked = parse(WORKSPACE_NAME, WorkspaceNameIn)
        changed = tenants.rename_tenant(session, principal, asked.name)
        return render({"result": "success", "tenant": render_workspace(changed)})


@ns.route("/workspaces/current/permission")
class Permission(Resource):
    """What one may do with the workspace itself."""

    @ns.response(200, "Whether one may invite, and hand it over.", WORKSPACE_PERMISSION)
    @member
    def get(self, principal: Principal) -> Response:
        """Tell what one's role lets one do with the workspace itself."""
        return render(render_permission(principal))


@ns.route("/all-workspaces")
class AllWorkspaces(Resource):
    """The workspaces of the installation."""

    @ns.expect(ALL_WORKSPACES)
    @ns.response(200, "A page of them, the newest first.", WORKSPACE_PAGE)
    @ns.response(401, "The key is not ADMIN_API_KEY, or none is set.")
    @public
    @transactional
    def get(self, session: Session) -> Response:
        """List all workspaces, for programs of the operator."""
        check_operator()
        asked = parse(ALL_WORKSPACES, PageIn)
        listed, total = workspace_control.load_page(session, page=asked.page, limit=asked.limit)
        return render(render_all(listed, total, asked))


def check_operator() -> None:
    """Raise Unauthorized unless the request carries the operator's key."""
    if not is_sent(runtime().limits.admin_api_key):
        raise Unauthorized("This needs the ADMIN_API_KEY as a Bearer token.")
