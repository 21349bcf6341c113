"""Services of the workspace's own that apps ask while they run."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.api_extension import (
    EXTENSION,
    EXTENSION_MODEL,
    MODULE,
    MODULE_MODEL,
    ExtensionIn,
    ModuleIn,
    render_extension,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import api_extensions

ns = Namespace("extensions", path="/", description="Services that apps ask while they run")
UNUSABLE = "The service does not answer a ping, or the name is taken."
NOT_THERE = "There is no such extension."


@ns.route("/api-based-extension")
class Extensions(Resource):
    """The API-based extensions of the workspace."""

    @ns.response(200, "All of them, newest first, keys masked.", [EXTENSION_MODEL])
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List API-based extensions."""
        return render([render_extension(view) for view in api_extensions.load_extensions(session, principal)])

    @ns.expect(EXTENSION)
    @ns.response(201, "The extension, its key masked.", EXTENSION_MODEL)
    @ns.response(400, UNUSABLE)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Connect a service, once it has answered a ping."""
        asked = parse(EXTENSION, ExtensionIn)
        view = api_extensions.create_extension(
            runtime(), principal, name=asked.name, endpoint=asked.api_endpoint, api_key=asked.api_key
        )
        return render(render_extension(view), 201)


@ns.route("/api-based-extension/<extension_id>")
class Extension(Resource):
    """One API-based extension."""

    @ns.response(200, "The extension, its key masked.", EXTENSION_MODEL)
    @ns.response(404, NOT_THERE)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, extension_id: str) -> Response:
        """Show an API-based extension."""
        return render(render_extension(api_extensions.get_extension(session, principal, extension_id)))

    @ns.expect(EXTENSION)
    @ns.response(200, "The extension as it is now.", EXTENSION_MODEL)
    @ns.response(400, UNUSABLE)
    @ns.response(404, NOT_THERE)
    @console(Role.ADMIN)
    def post(self, principal: Principal, extension_id: str) -> Response:
        """Replace what is known of a service; a masked key stays."""
        asked = parse(EXTENSION, ExtensionIn)
        view = api_extensions.update_extension(
            runtime(),
            principal,
            extension_id,
            name=asked.name,
            endpoint=asked.api_endpoint,
            api_key=asked.api_key,
        )
        return render(render_extension(view))

    @ns.response(204, "Deleted.")
    @ns.response(404, NOT_THERE)
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, extension_id: str) -> Response:
        """Forget a service; apps that ask it fail from then on."""
        api_extensions.delete_extension(session, principal, extension_id)
        return Response(status=204)


@ns.route("/code-based-extension")
class CodeExtensions(Resource):
    """Extensions that are part of a server's own code."""

    @ns.expect(MODULE)
    @ns.response(200, "The module, and no extension of it.", MODULE_MODEL)
    @console()
    def get(self, principal: Principal) -> Response:
        """List the extensions of a module by code: this server has none."""
        del principal
        return render({"module": parse(MODULE, ModuleIn).module, "data": []})
