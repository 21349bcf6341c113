"""Doors to apps as files: exported as YAML, imported from it."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import console
from api.controllers.http.door import claim, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.app_file import (
    DEPENDENCIES,
    EXPORT,
    EXPORTED,
    IMPORT,
    IMPORTED,
    NEED,
    STATUS_CODES,
    ExportIn,
    render_import,
)
from api.principal import Principal, Role
from api.services import app_exports, app_imports
from api.services.app_imports import AppFile

ns = Namespace("app_files", path="/", description="Apps as files")
for model in (EXPORTED, NEED, IMPORTED, DEPENDENCIES):
    ns.add_model(model.name, model)


@ns.route("/apps/<app_id>/export")
class Export(Resource):
    """An app as a file."""

    @ns.expect(EXPORT)
    @ns.response(200, "The app.", EXPORTED)
    @ns.response(400, "The app has no workflow yet.")
    @ns.response(404, "There is no such app, or it has no such version.")
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str) -> Response:
        """Return an app as YAML."""
        asked = parse(EXPORT, ExportIn)
        text = app_exports.export_app(
            runtime(),
            principal,
            app_id,
            workflow_id=asked.workflow_id or None,
            has_secrets=asked.include_secret,
        )
        return render({"data": text})


@ns.route("/apps/imports")
class Imports(Resource):
    """Apps from files."""

    @ns.expect(IMPORT)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "There is an app, or its draft was replaced.", IMPORTED)
    @ns.response(202, "The file is newer than this server knows; it waits to be confirmed.", IMPORTED)
    @ns.response(400, "The file is no app here; error says why.", IMPORTED)
    @console(Role.EDITOR)
    def post(self, principal: Principal) -> Response:
        """Make an app of a file, or replace an app's draft by it."""
        asked = parse(IMPORT, AppFile)
        once = claim(principal.tenant_id, principal.id)
        return _answer(app_imports.import_app(runtime(), principal, asked, once))


@ns.route("/apps/imports/<import_id>/confirm")
class Confirmation(Resource):
    """A second word on a file."""

    @ns.response(200, "There is an app.", IMPORTED)
    @ns.response(400, "There is nothing to confirm, or it is no app here.", IMPORTED)
    @console(Role.EDITOR)
    def post(self, principal: Principal, import_id: str) -> Response:
        """Import a file that waits, within ten minutes."""
        return _answer(app_imports.confirm_import(runtime(), principal, import_id))


@ns.route("/apps/imports/<app_id>/check-dependencies")
class Dependencies(Resource):
    """What an app lacks."""

    @ns.response(200, "What it uses that is not there.", DEPENDENCIES)
    @ns.response(404, "There is no such app.")
    @console(Role.EDITOR)
    def get(self, principal: Principal, app_id: str) -> Response:
        """Tell which models, tools and datasets of an app the workspace does not have."""
        lacking = app_exports.missing_of(runtime(), principal, app_id)
        return render({"leaked_dependencies": [], "missing": [need.to_json() for need in lacking]})


def _answer(done: app_imports.Import) -> Response:
    return render(render_import(done), STATUS_CODES[done.status])
