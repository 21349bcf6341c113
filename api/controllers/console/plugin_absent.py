"""What Dify's console asks of plugins that this server does not have: told so, or an empty list."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console, installer
from api.controllers.http.door import render
from api.errors import BadRequest, NotFound
from api.principal import Principal, Role

WORKSPACE = "/workspaces/current"
PLUGIN = f"{WORKSPACE}/plugin"
NO_TASK = "There is no task {!r}; a plugin is installed when its answer comes."
ELSEWHERE = (
    "This server fetches no packages from there; upload them, or have the operator put them into the index."
)

ns = Namespace("plugin_absent", path="/", description="What plugins do not have here")


@ns.route(f"{PLUGIN}/tasks")
class PluginTasks(Resource):
    """Installations that take a while: there are none, for an answer comes when a plugin is installed."""

    @ns.response(200, "None.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """List installations under way."""
        return render({"tasks": []})


@ns.route(f"{PLUGIN}/tasks/<task_id>")
class PluginTask(Resource):
    """One of them."""

    @ns.response(404, "There is none.")
    @console()
    def get(self, _principal: Principal, task_id: str) -> Response:
        """Look at an installation under way."""
        raise NotFound(NO_TASK.format(task_id[:100]))


@ns.route(f"{PLUGIN}/tasks/<task_id>/delete")
class PluginTaskRemoval(Resource):
    """One of them that is not wanted any more."""

    @ns.response(404, "There is none.")
    @console(Role.ADMIN)
    def post(self, _principal: Principal, task_id: str) -> Response:
        """Forget an installation under way."""
        raise NotFound(NO_TASK.format(task_id[:100]))


@ns.route(f"{PLUGIN}/tasks/<task_id>/delete/<path:identifier>")
class PluginTaskPart(Resource):
    """What one of them does about one package."""

    @ns.response(404, "There is none.")
    @console(Role.ADMIN)
    def post(self, _principal: Principal, task_id: str, identifier: str) -> Response:
        """Forget one package of an installation under way."""
        del identifier
        raise NotFound(NO_TASK.format(task_id[:100]))


@ns.route(f"{PLUGIN}/tasks/delete_all")
class PluginTasksRemoval(Resource):
    """No installations under way any more."""

    @ns.response(200, "There are none.")
    @console(Role.ADMIN)
    def post(self, _principal: Principal) -> Response:
        """Forget all installations under way."""
        return render({"success": True})


@ns.route(f'{PLUGIN}/<any("upload","install","upgrade"):change>/<any("github","bundle"):origin>')
class PluginFromElsewhere(Resource):
    """Packages from where this server does not go."""

    @ns.response(400, "They are not fetched: bad_request.")
    @installer()
    def post(self, _principal: Principal, **_place: str) -> Response:
        """Refuse: packages are uploaded one by one, or come from the server's index."""
        raise BadRequest(ELSEWHERE)


@ns.route(f"{PLUGIN}/marketplace/pkg")
class PluginMarketplace(Resource):
    """A package of a marketplace."""

    @ns.response(400, "It is not fetched: bad_request.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """Refuse: there is no marketplace but the server's index."""
        raise BadRequest(ELSEWHERE)


@ns.route(f"{PLUGIN}/parameters/dynamic-options")
class PluginOptions(Resource):
    """Choices of a parameter that a plugin makes up as it goes."""

    @ns.response(200, "None: a plugin with such parameters is not taken.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """List the choices of a parameter."""
        return render({"options": []})


@ns.route(f"{PLUGIN}/debugging-key")
class PluginDebugging(Resource):
    """A way in for plugins that run elsewhere, which this server does not have."""

    @ns.response(400, "There is none: bad_request.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """Refuse: plugins run here, as packages."""
        raise BadRequest("Plugins are not debugged from elsewhere; upload a package instead.")


@ns.route("/workspaces/current/triggers")
class PluginTriggers(Resource):
    """Triggers that plugins bring, which those that run here do not."""

    @ns.response(200, "None.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """List providers of triggers."""
        return render([])


@ns.route("/workspaces/current/endpoints/list")
class PluginEndpoints(Resource):
    """Addresses that plugins serve, which those that run here do not."""

    @ns.response(200, "None.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """List addresses that plugins serve."""
        return render({"endpoints": [], "total": 0, "has_more": False})


@ns.route(f"{WORKSPACE}/endpoints/list/plugin")
class EndpointsOfPlugin(Resource):
    """Addresses that one plugin serves, which those that run here do not."""

    @ns.response(200, "None.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """List addresses that a plugin serves."""
        return render({"endpoints": [], "total": 0, "has_more": False})


@ns.route(f'{WORKSPACE}/endpoints/<any("create","update","delete","enable","disable"):change>')
class PluginEndpointChange(Resource):
    """An address that a plugin serves."""

    @ns.response(400, "There are none: bad_request.")
    @console(Role.ADMIN)
    def post(self, _principal: Principal, change: str) -> Response:
        """Refuse: plugins serve no addresses here."""
        raise BadRequest(f"There is nothing to {change}: plugins that run here serve no addresses.")
