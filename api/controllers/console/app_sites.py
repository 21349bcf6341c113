"""An app's site as its editors set it, and the smaller changes of an app: name, icon, a copy."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import console
from api.controllers.http.door import base_url, claim, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.app import APP_DETAIL_MODEL, render_app_detail, render_site
from api.controllers.schemas.app_site import (
    COPY,
    ICON_CHANGE,
    RENAME,
    SITE_CHANGES,
    SITE_DETAIL,
    IconIn,
    NameIn,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import app_copies, app_sites, apps
from api.services.app_copies import CopyChanges
from api.services.app_sites import SiteChanges

ns = Namespace("app_sites", path="/", description="Sites of apps, copies of apps")
NO_APP = "There is no such app."


@ns.route("/apps/<app_id>/copy")
class AppCopies(Resource):
    """Copies of an app."""

    @ns.expect(COPY)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(201, "The copy.", APP_DETAIL_MODEL)
    @ns.response(404, NO_APP)
    @console(Role.EDITOR)
    def post(self, principal: Principal, app_id: str) -> Response:
        """Copy an app with its configuration or its draft; nothing of the copy is published."""
        once = claim(principal.tenant_id, principal.id)
        made = app_copies.copy_app(runtime(), principal, app_id, parse(COPY, CopyChanges), once)
        with runtime().reading() as session:
            return render(_detail(session, principal, made), 201)


@ns.route("/apps/<app_id>/name")
class AppName(Resource):
    """An app's name."""

    @ns.expect(RENAME)
    @ns.response(200, "The app as it is now.", APP_DETAIL_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Rename an app."""
        asked = parse(RENAME, NameIn)
        apps.update_app(runtime(), session, principal, app_id, {"name": asked.name})
        return render(_detail(session, principal, app_id))


@ns.route("/apps/<app_id>/icon")
class AppIcon(Resource):
    """An app's icon."""

    @ns.expect(ICON_CHANGE)
    @ns.response(200, "The app as it is now.", APP_DETAIL_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Give an app another icon."""
        asked = parse(ICON_CHANGE, IconIn)
        changes: apps.AppChanges = {
            "icon": asked.icon,
            "icon_background": asked.icon_background,
            "icon_type": asked.icon_type,
        }
        apps.update_app(runtime(), session, principal, app_id, changes)
        return render(_detail(session, principal, app_id))


@ns.route("/apps/<app_id>/site")
class AppSite(Resource):
    """How an app presents itself."""

    @ns.expect(SITE_CHANGES)
    @ns.response(200, "The site as it is now.", SITE_DETAIL)
    @ns.response(404, NO_APP)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Change what the body names of a site; everything else stays."""
        app_sites.update_site(session, principal, app_id, parse(SITE_CHANGES, SiteChanges))
        return _site(session, principal, app_id)


@ns.route("/apps/<app_id>/site/access-token-reset")
class AppSiteCode(Resource):
    """The public code of a site."""

    @ns.response(200, "The site with its new code.", SITE_DETAIL)
    @ns.response(404, NO_APP)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Give a site another public code; its old address ends."""
        app_sites.reset_code(session, principal, app_id)
        return _site(session, principal, app_id)


def _site(session: Session, principal: Principal, app_id: str) -> Response:
    return render(render_site(apps.get_app(runtime(), session, principal, app_id), base_url()))


def _detail(session: Session, principal: Principal, app_id: str) -> object:
    return render_app_detail(apps.get_app(runtime(), session, principal, app_id), base_url())
