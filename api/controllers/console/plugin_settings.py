"""Who of the workspace may install plugins, and how they are upgraded."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.plugin_settings import (
    PERMISSION,
    PREFERENCES,
    PreferencesIn,
    render_permission,
    render_preferences,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import plugin_settings
from api.services.plugin_settings import Permission

PLUGIN = "/workspaces/current/plugin"

ns = Namespace("plugin_settings", path="/", description="What a workspace sets for its plugins")


@ns.route(f"{PLUGIN}/permission/fetch")
class PluginPermission(Resource):
    """Who may install plugins."""

    @ns.response(200, "Who may.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Tell who may install plugins; at first, administrators."""
        known = plugin_settings.load_preferences(session, principal.tenant_id)
        return render(render_permission(known.permission))


@ns.route(f"{PLUGIN}/permission/change")
class PluginPermissionChange(Resource):
    """Others who may install plugins."""

    @ns.expect(PERMISSION)
    @ns.response(200, "Set.")
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Say who may install, change and remove plugins."""
        plugin_settings.save_permission(session, principal, parse(PERMISSION, Permission))
        return render({"success": True})


@ns.route(f"{PLUGIN}/preferences/fetch")
class PluginPreferences(Resource):
    """Who may install plugins, and how they are upgraded."""

    @ns.response(200, "Who may, and how they are.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Tell who may install plugins, and that none is upgraded unasked."""
        return render(render_preferences(plugin_settings.load_preferences(session, principal.tenant_id)))


@ns.route(f"{PLUGIN}/preferences/change")
class PluginPreferencesChange(Resource):
    """Other preferences."""

    @ns.expect(PREFERENCES)
    @ns.response(200, "Set.")
    @ns.response(400, "Upgrades that nobody asks for, which are not made here: bad_request.")
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Say who may install plugins, and how they are upgraded."""
        asked = parse(PREFERENCES, PreferencesIn)
        plugin_settings.save_preferences(session, principal, asked.to_preferences())
        return render({"success": True})
