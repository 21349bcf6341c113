"""The same plugins as Dify's console asks for them: installed ones, uploads, permissions."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.console.tool_credentials import ICON_HEADERS
from api.controllers.http.auth import console
from api.controllers.http.door import base_url, public, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas.plugin import (
    ICON_QUERY,
    INSTALLATION_ID,
    NO_UPGRADES,
    ONLY_ADMINS,
    PACKAGE_FORM,
    PLUGIN_CHANGE,
    PLUGIN_CHOICES,
    PLUGIN_IDS,
    PLUGIN_PAGE,
    PLUGIN_QUERY,
    IconIn,
    InstallationIn,
    PluginChangeIn,
    PluginIdsIn,
    PluginIn,
    PluginListIn,
    PluginsIn,
    render_installed,
    render_manifest,
    render_upload,
    render_versions,
)
from api.errors import BadRequest, NotFound
from api.principal import Principal, Role
from api.runtime import Session
from api.services import plugins

PLUGIN = "/workspaces/current/plugin"
UNUSABLE = "The package cannot be used, or a newer version is installed: bad_request, limit_exceeded."

ns = Namespace("plugin_packages", path="/", description="Plugins, as Dify's console asks for them")


@ns.route(f"{PLUGIN}/list")
class InstalledPlugins(Resource):
    """The installed plugins."""

    @ns.expect(PLUGIN_PAGE)
    @ns.response(200, "A page of them.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List installed plugins, those that were installed last first."""
        asked = parse(PLUGIN_PAGE, PluginListIn)
        found = plugins.load_installed(session, principal)
        start = (asked.page - 1) * asked.page_size
        page = render_installed(found[start : start + asked.page_size], base_url())
        return render({"plugins": page, "total": len(found)})


@ns.route(f"{PLUGIN}/list/installations/ids")
class NamedPlugins(Resource):
    """Some of the installed plugins."""

    @ns.expect(PLUGIN_IDS)
    @ns.response(200, "Those of them that are installed.")
    @console()
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Look up installed plugins by their ids."""
        asked = parse(PLUGIN_IDS, PluginIdsIn)
        found = plugins.load_installed(session, principal)
        named = [each for each in found if each.name.plugin_id in asked.plugin_ids]
        return render({"plugins": render_installed(named, base_url())})


@ns.route(f"{PLUGIN}/list/latest-versions")
class LatestVersions(Resource):
    """The newest versions of plugins."""

    @ns.expect(PLUGIN_IDS)
    @ns.response(200, "The newest version of each, null where it is not known.")
    @console()
    def post(self, principal: Principal) -> Response:
        """Look up the newest versions of plugins."""
        asked = parse(PLUGIN_IDS, PluginIdsIn)
        found = plugins.load_latest(runtime(), principal, asked.plugin_ids)
        return render(render_versions(asked.plugin_ids, found))


@ns.route(f"{PLUGIN}/upload/pkg")
class PluginUpload(Resource):
    """A package on its way in."""

    @ns.expect(PACKAGE_FORM)
    @ns.response(200, "The package is here and may be installed.")
    @ns.response(400, UNUSABLE)
    @ns.response(413, "The package is too large: file_too_large.")
    @takes_files
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Upload a package, to be installed by its identifier."""
        found = plugins.upload(runtime(), principal, sent_file("pkg"))
        return render(render_upload(found, base_url()))


@ns.route(f'{PLUGIN}/install/<any("pkg","marketplace"):origin>')
class PluginInstall(Resource):
    """Installed packages."""

    @ns.expect(PLUGIN_CHOICES)
    @ns.response(200, "All of them are installed; there is no task to wait for.")
    @ns.response(400, UNUSABLE)
    @console(Role.ADMIN)
    def post(self, principal: Principal, origin: str) -> Response:
        """Install packages, uploaded ones or those of the server's index."""
        del origin
        for identifier in parse(PLUGIN_CHOICES, PluginsIn).plugin_unique_identifiers:
            plugins.install(runtime(), principal, identifier)
        return render({"all_installed": True, "task_id": ""})


@ns.route(f"{PLUGIN}/upgrade/marketplace")
class PluginChange(Resource):
    """Another version of an installed plugin."""

    @ns.expect(PLUGIN_CHANGE)
    @ns.response(200, "It is installed; there is no task to wait for.")
    @ns.response(400, UNUSABLE)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Install another version in the place of the one that is installed."""
        asked = parse(PLUGIN_CHANGE, PluginChangeIn)
        plugins.upgrade(
            runtime(), principal, asked.original_plugin_unique_identifier, asked.new_plugin_unique_identifier
        )
        return render({"all_installed": True, "task_id": ""})


@ns.route(f"{PLUGIN}/uninstall")
class PluginUninstall(Resource):
    """A plugin that is not wanted any more."""

    @ns.expect(INSTALLATION_ID)
    @ns.response(200, "Removed, with the credentials of its tools.")
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Remove an installed plugin."""
        asked = parse(INSTALLATION_ID, InstallationIn)
        plugins.uninstall(runtime(), session, principal, asked.plugin_installation_id)
        return render({"success": True})


@ns.route(f"{PLUGIN}/fetch-manifest")
class PluginManifest(Resource):
    """What a plugin says of itself."""

    @ns.expect(PLUGIN_QUERY)
    @ns.response(200, "Its manifest.")
    @console()
    def get(self, principal: Principal) -> Response:
        """Show what a package says of itself."""
        found = plugins.get_offer(
            runtime(), principal, parse(PLUGIN_QUERY, PluginIn).plugin_unique_identifier
        )
        return render(render_manifest(found, principal.tenant_id, base_url()))


@ns.route(f"{PLUGIN}/icon")
class PluginIcon(Resource):
    """The picture of a plugin."""

    @ns.expect(ICON_QUERY)
    @ns.produces(["image/svg+xml", "image/png", "image/jpeg", "image/webp"])
    @ns.response(200, "The picture.")
    @public
    def get(self) -> Response:
        """Fetch a plugin's picture, whose name lists of plugins give."""
        asked = parse(ICON_QUERY, IconIn)
        icon = plugins.get_icon(runtime(), asked.tenant_id, asked.filename)
        return Response(icon.content, headers=ICON_HEADERS, content_type=icon.mime_type)


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
        raise NotFound(f"There is no task {task_id[:100]!r}; a plugin is installed when its answer comes.")


@ns.route(f"{PLUGIN}/tasks/delete_all")
class PluginTasksRemoval(Resource):
    """No installations under way any more."""

    @ns.response(200, "There are none.")
    @console(Role.ADMIN)
    def post(self, _principal: Principal) -> Response:
        """Forget all installations under way."""
        return render({"success": True})


@ns.route(f"{PLUGIN}/permission/fetch")
class PluginPermission(Resource):
    """Who may install plugins."""

    @ns.response(200, "Who may.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """Tell who may install plugins: administrators, and nobody may debug one."""
        return render(ONLY_ADMINS)


@ns.route(f"{PLUGIN}/preferences/fetch")
class PluginPreferences(Resource):
    """Who may install plugins, and how they are upgraded."""

    @ns.response(200, "Who may, and how they are.")
    @console()
    def get(self, _principal: Principal) -> Response:
        """Tell who may install plugins, and that none is upgraded unasked."""
        return render({"permission": ONLY_ADMINS, "auto_upgrade": NO_UPGRADES})


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
