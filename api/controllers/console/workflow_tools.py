"""Workflows that are offered as tools."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.tool import TOOL_MODEL
from api.controllers.schemas.workflow_tool import (
    FLOW_TOOL_CHANGE,
    FLOW_TOOL_CHOICE,
    FLOW_TOOL_MODEL,
    FLOW_TOOL_QUERY,
    MODELS,
    NEW_FLOW_TOOL,
    FlowToolIdIn,
    FlowToolIn,
    FlowToolQuery,
    render_flow_tool,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import workflow_tools

WORKFLOW = "/workspaces/current/tool-provider/workflow"

ns = Namespace("workflow_tools", path="/", description="Workflows as tools")
for model in (*MODELS, RESULT, TOOL_MODEL):
    ns.add_model(model.name, model)


@ns.route(f"{WORKFLOW}/create")
class NewWorkflowTool(Resource):
    """A new tool of a workflow."""

    @ns.expect(NEW_FLOW_TOOL)
    @ns.response(200, "Offered.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Offer the published workflow of an app as a tool."""
        asked = parse(NEW_FLOW_TOOL, FlowToolIn)
        workflow_tools.create_tool(runtime(), principal, asked.workflow_app_id, asked.to_tool())
        return render(render_success())


@ns.route(f"{WORKFLOW}/update")
class WorkflowToolChange(Resource):
    """A changed tool of a workflow."""

    @ns.expect(FLOW_TOOL_CHANGE)
    @ns.response(200, "It is so now.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Change a tool, and bring it to the workflow's published version."""
        asked = parse(FLOW_TOOL_CHANGE, FlowToolIn)
        workflow_tools.update_tool(runtime(), principal, asked.workflow_tool_id, asked.to_tool())
        return render(render_success())


@ns.route(f"{WORKFLOW}/delete")
class WorkflowToolDeletion(Resource):
    """A forgotten tool of a workflow."""

    @ns.expect(FLOW_TOOL_CHOICE)
    @ns.response(200, "Forgotten.", RESULT)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Offer a workflow as a tool no more."""
        asked = parse(FLOW_TOOL_CHOICE, FlowToolIdIn)
        workflow_tools.delete_tool(session, principal, asked.workflow_tool_id)
        return render(render_success())


@ns.route(f"{WORKFLOW}/get")
class WorkflowTool(Resource):
    """A tool of a workflow."""

    @ns.expect(FLOW_TOOL_QUERY)
    @ns.response(200, "The tool.", FLOW_TOOL_MODEL)
    @console()
    def get(self, principal: Principal) -> Response:
        """Show a tool by its own id, or by that of its app."""
        asked = parse(FLOW_TOOL_QUERY, FlowToolQuery)
        found = workflow_tools.get_tool(
            runtime(), principal, tool_id=asked.workflow_tool_id, app_id=asked.workflow_app_id
        )
        return render(render_flow_tool(found))


@ns.route(f"{WORKFLOW}/tools")
class ToolsOfWorkflow(Resource):
    """The tool of a workflow, as tools are listed."""

    @ns.expect(FLOW_TOOL_QUERY)
    @ns.response(200, "The one tool.", [TOOL_MODEL])
    @console()
    def get(self, principal: Principal) -> Response:
        """List the tool of a workflow."""
        asked = parse(FLOW_TOOL_QUERY, FlowToolQuery)
        found = workflow_tools.get_tool(
            runtime(), principal, tool_id=asked.workflow_tool_id, app_id=asked.workflow_app_id
        )
        return render([render_flow_tool(found)["tool"]])
