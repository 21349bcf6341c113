"""Servers of tools (MCP) of the workspace."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.mcp_server import (
    MODELS,
    NEW_SERVER,
    SERVER_CHANGE,
    SERVER_CHOICE,
    SERVER_MODEL,
    ServerIdIn,
    ServerIn,
    render_server,
)
from api.controllers.schemas.tool import TOOL_MODEL
from api.principal import Principal, Role
from api.runtime import Session
from api.services import mcp_servers

MCP = "/workspaces/current/tool-provider/mcp"
UNREACHABLE = "The server cannot be asked, or it lets nobody in: invalid_param, egress_denied."

ns = Namespace("mcp_servers", path="/", description="Servers of tools (MCP)")
for model in (*MODELS, RESULT, TOOL_MODEL):
    ns.add_model(model.name, model)


@ns.route(MCP)
class MCPServer(Resource):
    """A server of tools."""

    @ns.expect(NEW_SERVER)
    @ns.response(200, "The server with its tools.", SERVER_MODEL)
    @ns.response(400, UNREACHABLE)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Use a server; it is asked for its tools first."""
        given = parse(NEW_SERVER, ServerIn).to_server()
        return render(render_server(mcp_servers.create_server(runtime(), principal, given)))

    @ns.expect(SERVER_CHANGE)
    @ns.response(200, "It is so now.", RESULT)
    @ns.response(400, UNREACHABLE)
    @console(Role.ADMIN)
    def put(self, principal: Principal) -> Response:
        """Change a server; it is asked again where its address or headers change."""
        asked = parse(SERVER_CHANGE, ServerIn)
        mcp_servers.update_server(runtime(), principal, asked.provider_id, asked.to_server())
        return render(render_success())

    @ns.expect(SERVER_CHOICE)
    @ns.response(200, "Forgotten.", RESULT)
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal) -> Response:
        """Forget a server and its tools."""
        mcp_servers.delete_server(session, principal, parse(SERVER_CHOICE, ServerIdIn).provider_id)
        return render(render_success())


@ns.route(f"{MCP}/auth")
class MCPAuthorization(Resource):
    """Whether a server lets us in."""

    @ns.expect(SERVER_CHOICE)
    @ns.response(200, "It does; its tools were asked for.", RESULT)
    @ns.response(400, UNREACHABLE)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Try the stored headers of a server."""
        mcp_servers.refresh_tools(runtime(), principal, parse(SERVER_CHOICE, ServerIdIn).provider_id)
        return render(render_success())


@ns.route(f"{MCP}/tools/<provider_id>")
class MCPTools(Resource):
    """The tools of a server."""

    @ns.response(200, "The server with its tools.", SERVER_MODEL)
    @console()
    def get(self, principal: Principal, provider_id: str) -> Response:
        """Show a server with the tools it had when it was last asked."""
        return render(render_server(mcp_servers.get_server(runtime(), principal, provider_id)))


@ns.route(f"{MCP}/update/<provider_id>")
class MCPRefresh(Resource):
    """The tools of a server, as they are now."""

    @ns.response(200, "The server with its tools.", SERVER_MODEL)
    @ns.response(400, UNREACHABLE)
    @console(Role.ADMIN)
    def get(self, principal: Principal, provider_id: str) -> Response:
        """Ask a server for its tools again."""
        return render(render_server(mcp_servers.refresh_tools(runtime(), principal, provider_id)))
