"""What plugins show of themselves: pictures, and what to read first."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.console.tool_credentials import ICON_HEADERS
from api.controllers.http.auth import console
from api.controllers.http.door import public, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.plugin import (
    ASSET_QUERY,
    ICON_QUERY,
    README_QUERY,
    AssetIn,
    IconIn,
    ReadmeIn,
)
from api.principal import Principal
from api.services import plugin_files

PLUGIN = "/workspaces/current/plugin"
PICTURES = ["image/svg+xml", "image/png", "image/jpeg", "image/webp"]

ns = Namespace("plugin_files", path="/", description="Pictures and words of plugins")


@ns.route(f"{PLUGIN}/icon")
class PluginIcon(Resource):
    """The picture of a plugin."""

    @ns.expect(ICON_QUERY)
    @ns.produces(PICTURES)
    @ns.response(200, "The picture.")
    @public
    def get(self) -> Response:
        """Fetch a plugin's picture, whose name lists of plugins give."""
        asked = parse(ICON_QUERY, IconIn)
        icon = plugin_files.get_icon(runtime(), asked.tenant_id, asked.filename)
        return Response(icon.content, headers=ICON_HEADERS, content_type=icon.mime_type)


@ns.route(f"{PLUGIN}/asset")
class PluginAsset(Resource):
    """Another picture of a plugin."""

    @ns.expect(ASSET_QUERY)
    @ns.produces(PICTURES)
    @ns.response(200, "The picture.")
    @ns.response(404, "There is no such plugin, or it has no such picture.")
    @console()
    def get(self, principal: Principal) -> Response:
        """Fetch a picture that lies in a package's ``_assets``."""
        asked = parse(ASSET_QUERY, AssetIn)
        found = plugin_files.get_asset(runtime(), principal, asked.plugin_unique_identifier, asked.file_name)
        return Response(found.content, headers=ICON_HEADERS, content_type=found.mime_type)


@ns.route(f"{PLUGIN}/readme")
class PluginReadme(Resource):
    """What a plugin tells people to read."""

    @ns.expect(README_QUERY)
    @ns.response(200, "Its README, as Markdown; empty where it has none.")
    @ns.response(404, "There is no such plugin.")
    @console()
    def get(self, principal: Principal) -> Response:
        """Show a package's README, in the language asked for where there is one."""
        asked = parse(README_QUERY, ReadmeIn)
        text = plugin_files.get_readme(runtime(), principal, asked.plugin_unique_identifier, asked.language)
        return render({"readme": text})
