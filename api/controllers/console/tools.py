"""Tools of the workspace: their providers, built in and own."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.mcp_server import render_choice, render_server
from api.controllers.schemas.tool import (
    KINDS,
    LABEL_MODEL,
    MODELS,
    PROVIDER_LIST,
    PROVIDER_MODEL,
    ProviderListIn,
    render_builtin,
    render_custom,
    render_labels,
)
from api.controllers.schemas.workflow_tool import render_flow_provider
from api.core.ports import JSONValue
from api.principal import Principal
from api.services import custom_tools, mcp_servers, tools, workflow_tools

ns = Namespace("tools", path="/", description="Tools, built in and own")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/workspaces/current/tool-providers")
class ToolProviders(Resource):
    """The providers of tools."""

    @ns.expect(PROVIDER_LIST)
    @ns.response(200, "The providers, without their tools.", [PROVIDER_MODEL])
    @console()
    def get(self, principal: Principal) -> Response:
        """List providers of tools, built-in ones first."""
        asked = parse(PROVIDER_LIST, ProviderListIn)
        return render(_listed(principal, (asked.type,) if asked.type else KINDS, with_tools=False))


@ns.route(f"/workspaces/current/tools/<any({','.join(KINDS)}):kind>")
class ToolsOfKind(Resource):
    """The tools of one kind of providers."""

    @ns.response(200, "The providers with their tools.", [PROVIDER_MODEL])
    @console()
    def get(self, principal: Principal, kind: str) -> Response:
        """List providers of one kind with their tools."""
        return render(_listed(principal, (kind,), with_tools=True))


@ns.route("/workspaces/current/tool-labels")
class ToolLabels(Resource):
    """The words tools are sorted by."""

    @ns.response(200, "The words.", [LABEL_MODEL])
    @console()
    def get(self, _principal: Principal) -> Response:
        """List the words tools are sorted by."""
        return render(render_labels())


def _listed(principal: Principal, kinds: tuple[str, ...], *, with_tools: bool) -> list[JSONValue]:
    found: list[JSONValue] = []
    if "builtin" in kinds:
        for provider, credentials in tools.load_builtin(runtime(), principal):
            found.append(render_builtin(provider, credentials, base_url(), with_tools=with_tools))
    if "api" in kinds:
        views = custom_tools.load_providers(runtime(), principal, with_tools=with_tools)
        found += [render_custom(view) for view in views]
    if "workflow" in kinds:
        flows = workflow_tools.load_tools(runtime(), principal, with_tools=with_tools)
        found += [render_flow_provider(flow) for flow in flows]
    if "mcp" in kinds:
        servers = mcp_servers.load_servers(runtime(), principal, with_tools=with_tools)
        found += [render_choice(view) if with_tools else render_server(view) for view in servers]
    return found
