"""The strategies by which agents of workflows work."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render
from api.controllers.schemas.agent_provider import AGENT_PROVIDER, PROVIDER, render_provider
from api.errors import NotFound
from api.principal import Principal

ns = Namespace("agent_providers", path="/workspaces/current", description="Strategies of agents")


@ns.route("/agent-providers")
class AgentProviders(Resource):
    """Who brings strategies."""

    @ns.response(200, "The one provider there is.", [AGENT_PROVIDER])
    @console()
    def get(self, principal: Principal) -> Response:
        """List the providers of strategies."""
        del principal
        return render([render_provider()])


@ns.route("/agent-provider/<path:name>")
class AgentProvider(Resource):
    """One who brings strategies."""

    @ns.response(200, "Its strategies.", AGENT_PROVIDER)
    @ns.response(404, "There is no such provider.")
    @console()
    def get(self, principal: Principal, name: str) -> Response:
        """Show a provider of strategies."""
        del principal
        if name not in (PROVIDER, PROVIDER.rsplit("/", 1)[-1]):
            raise NotFound("There is no such provider of agent strategies.")
        return render(render_provider())
