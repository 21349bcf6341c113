"""The console's pages around apps: those to use, prompts to begin with, whether an app is traced."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.explore import (
    INSTALL,
    INSTALLED,
    INSTALLED_APPS,
    PIN,
    PROMPT_TEMPLATE,
    RECOMMENDED_APPS,
    TEMPLATE,
    TRACE,
    TRACING,
    InstalledIn,
    InstallIn,
    PinIn,
    TemplateIn,
    TraceIn,
    render_installed,
)
from api.controllers.schemas.fields import RESULT, render_success
from api.core.apps.prompt_templates import prompt_template
from api.principal import Principal, Role
from api.runtime import Session
from api.services import app_tracing, installed_apps

NOT_USED = "There is no such app, or its page is closed."

ns = Namespace("explore", path="/", description="Apps to use, prompts to begin with, tracing")


@ns.route("/explore/apps")
class RecommendedApps(Resource):
    """Apps of others to begin with."""

    @ns.response(200, "The catalogue; it is empty.", RECOMMENDED_APPS)
    @console()
    def get(self, principal: Principal) -> Response:
        """List the catalogue of apps: this server brings none and asks no other for it."""
        del principal
        return render({"recommended_apps": [], "categories": []})


@ns.route("/installed-apps")
class InstalledApps(Resource):
    """Apps the workspace can use."""

    @ns.expect(INSTALLED)
    @ns.response(200, "The apps whose page is open, newest first.", INSTALLED_APPS)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the apps of the workspace that can be used."""
        asked = parse(INSTALLED, InstalledIn)
        found = installed_apps.load_installed(runtime(), session, principal, app_id=asked.app_id or None)
        may_edit, address = principal.role >= Role.EDITOR, base_url()
        shown = [render_installed(item, may_edit=may_edit, base_url=address) for item in found]
        return render({"installed_apps": shown})

    @ns.expect(INSTALL)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "It can be used.", RESULT)
    @ns.response(404, NOT_USED)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Have an app of the workspace among those it uses, where all are whose page is open."""
        installed_apps.check_installed(session, principal, parse(INSTALL, InstallIn).app_id)
        return render(render_success())


@ns.route("/installed-apps/<installed_id>")
class InstalledApp(Resource):
    """One app the workspace can use."""

    @ns.expect(PIN)
    @ns.response(200, "Done.", RESULT)
    @ns.response(404, NOT_USED)
    @console(Role.EDITOR)
    @transactional
    def patch(self, session: Session, principal: Principal, installed_id: str) -> Response:
        """Put an app above the others, or back among them."""
        asked = parse(PIN, PinIn)
        installed_apps.pin_app(session, principal, installed_id, is_pinned=asked.is_pinned)
        return render(render_success())

    @ns.response(400, "It is the workspace's own, and there as long as its page is open.")
    @ns.response(404, NOT_USED)
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, installed_id: str) -> Response:
        """Refuse to take away an app of the workspace's own: close its page, or delete it."""
        installed_apps.check_uninstalled(session, principal, installed_id)
        return Response(status=204)


@ns.route("/app/prompt-templates")
class PromptTemplates(Resource):
    """Prompts to begin with."""

    @ns.expect(TEMPLATE)
    @ns.response(200, "The prompt.", PROMPT_TEMPLATE)
    @console()
    def get(self, principal: Principal) -> Response:
        """Return the prompt an app begins with whose prompt is written in full."""
        del principal
        asked = parse(TEMPLATE, TemplateIn)
        return render(prompt_template(asked.app_kind, asked.model_mode, has_context=asked.has_context))


@ns.route("/apps/<app_id>/trace")
class Trace(Resource):
    """Whether an app is traced."""

    @ns.response(200, "Whether it is, and by what.", TRACING)
    @ns.response(404, "There is no such app.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Tell whether an app's runs are traced."""
        is_traced = app_tracing.check_traced(session, principal, app_id)
        return render({"enabled": is_traced, "tracing_provider": None})

    @ns.expect(TRACE)
    @ns.response(200, "Switched.", RESULT)
    @ns.response(400, "No tracing service is configured: trace_config_not_exist.")
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Switch the tracing of an app's runs."""
        asked = parse(TRACE, TraceIn)
        app_tracing.set_traced(session, principal, app_id, is_traced=asked.enabled)
        return render(render_success())
