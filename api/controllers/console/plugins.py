"""Plugins of the workspace: which there are, and installing, changing and removing them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console, installer
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.plugin import (
    INSTALL_ID,
    INSTALL_MODEL,
    MODELS,
    PLUGIN_CHANGE,
    PLUGIN_CHOICE,
    PLUGIN_LIST,
    PLUGIN_LIST_MODEL,
    InstallIdIn,
    PluginChangeIn,
    PluginIn,
    PluginListIn,
    render_install,
    render_offers,
)
from api.principal import Principal
from api.runtime import Session
from api.services import accounts, plugins

PLUGINS = "/workspaces/current/plugins"
UNUSABLE = "The package cannot be used, or a newer version is installed: bad_request, limit_exceeded."

ns = Namespace("plugins", path="/", description="Plugins")
for model in (*MODELS, RESULT):
    ns.add_model(model.name, model)


@ns.route(PLUGINS)
class Plugins(Resource):
    """The plugins there are."""

    @ns.expect(PLUGIN_LIST)
    @ns.response(200, "A page of them.", PLUGIN_LIST_MODEL)
    @console()
    def get(self, principal: Principal) -> Response:
        """List plugins that may be installed or are, each in its newest version."""
        asked = parse(PLUGIN_LIST, PluginListIn)
        with runtime().reading() as session:
            language = accounts.get_profile(runtime(), session, principal).interface_language
        found = plugins.load_offers(runtime(), principal, category=asked.category, search=asked.search)
        return render(render_offers(found, asked, principal.tenant_id, language, base_url()))


@ns.route(f"{PLUGINS}/install")
class NewPlugin(Resource):
    """An installed plugin."""

    @ns.expect(PLUGIN_CHOICE)
    @ns.response(200, "It is installed.", INSTALL_MODEL)
    @ns.response(400, UNUSABLE)
    @installer()
    def post(self, principal: Principal) -> Response:
        """Install a plugin, in the place of an older version; once is as good as twice."""
        asked = parse(PLUGIN_CHOICE, PluginIn)
        return render(render_install(plugins.install(runtime(), principal, asked.plugin_unique_identifier)))


@ns.route(f"{PLUGINS}/upgrade")
class PluginUpgrade(Resource):
    """Another version of an installed plugin."""

    @ns.expect(PLUGIN_CHANGE)
    @ns.response(200, "It is installed.", INSTALL_MODEL)
    @ns.response(400, UNUSABLE)
    @installer()
    def post(self, principal: Principal) -> Response:
        """Install another version in the place of the one that is installed."""
        asked = parse(PLUGIN_CHANGE, PluginChangeIn)
        found = plugins.upgrade(
            runtime(), principal, asked.original_plugin_unique_identifier, asked.new_plugin_unique_identifier
        )
        return render(render_install(found))


@ns.route(f"{PLUGINS}/uninstall")
class PluginRemoval(Resource):
    """A plugin that is not wanted any more."""

    @ns.expect(INSTALL_ID)
    @ns.response(200, "Removed, with what is configured of its tools and models.", RESULT)
    @installer()
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Remove an installed plugin."""
        plugins.uninstall(runtime(), session, principal, parse(INSTALL_ID, InstallIdIn).install_id)
        return render(render_success())
