"""The same plugins as Dify's console asks for them: installed ones, uploads, changes."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console, installer
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas.plugin import (
    INSTALLATION_ID,
    PACKAGE_FORM,
    PLUGIN_CHANGE,
    PLUGIN_CHOICES,
    PLUGIN_IDS,
    PLUGIN_PAGE,
    PLUGIN_QUERY,
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
from api.principal import Principal
from api.runtime import Session
from api.services import plugins

PLUGIN = "/workspaces/current/plugin"
REFUSED = "The workspace lets others do this: permission/fetch tells whom."
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
    @ns.response(403, REFUSED)
    @ns.response(400, UNUSABLE)
    @ns.response(413, "The package is too large: file_too_large.")
    @takes_files
    @installer()
    def post(self, principal: Principal) -> Response:
        """Upload a package, to be installed by its identifier."""
        found = plugins.upload(runtime(), principal, sent_file("pkg"))
        return render(render_upload(found, base_url()))


@ns.route(f'{PLUGIN}/install/<any("pkg","marketplace"):origin>')
class PluginInstall(Resource):
    """Installed packages."""

    @ns.expect(PLUGIN_CHOICES)
    @ns.response(200, "All of them are installed; there is no task to wait for.")
    @ns.response(403, REFUSED)
    @ns.response(400, UNUSABLE)
    @installer()
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
    @ns.response(403, REFUSED)
    @ns.response(400, UNUSABLE)
    @installer()
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
    @ns.response(200, "Removed, with what is configured of its tools and models.")
    @ns.response(403, REFUSED)
    @installer()
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
