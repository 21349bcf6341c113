"""Apps of the workspace: listed, made, shown, changed, deleted; their API and page switched on and off."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import base_url, render, render_tagged, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.app import (
    API_SWITCH,
    APP,
    APP_CHANGES,
    APP_DETAIL_MODEL,
    APP_LIST,
    APP_MODEL,
    APP_PAGE_MODEL,
    SITE_SWITCH,
    APISwitchIn,
    AppIn,
    AppListIn,
    SiteSwitchIn,
    render_app,
    render_app_detail,
)
from api.controllers.schemas.fields import render_page
from api.principal import Principal, Role
from api.runtime import Session
from api.services import apps

ns = Namespace("apps", path="/", description="Apps of the workspace")
for model in (APP_MODEL, APP_DETAIL_MODEL, APP_PAGE_MODEL):
    ns.add_model(model.name, model)


@ns.route("/apps")
class Apps(Resource):
    """The apps of the workspace."""

    @ns.expect(APP_LIST)
    @ns.response(200, "One page of apps.", APP_PAGE_MODEL)
    @console()
    def get(self, principal: Principal) -> Response:
        """List apps, newest first."""
        asked = parse(APP_LIST, AppListIn)
        with runtime().autocommit() as connection:
            views, total = apps.load_apps(
                runtime(), connection, principal, asked.chosen, page=asked.page, limit=asked.limit
            )
        address = base_url()
        return render_tagged(render_page([render_app(view, address) for view in views], total, asked))

    @ns.expect(APP)
    @ns.response(201, "The app.", APP_DETAIL_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make an app that answers at once."""
        asked = parse(APP, AppIn)
        app = apps.create_app(
            runtime(),
            session,
            principal,
            name=asked.name,
            mode=asked.mode,
            description=asked.description,
            icon_type=asked.icon_type,
            icon=asked.icon,
            icon_background=asked.icon_background,
        )
        view = apps.get_app(runtime(), session, principal, app.id)
        return render(render_app_detail(view, base_url()), 201)


@ns.route("/apps/<app_id>")
class App(Resource):
    """One app."""

    @ns.response(200, "The app.", APP_DETAIL_MODEL)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Show an app with its site."""
        view = apps.get_app(runtime(), session, principal, app_id)
        return render_tagged(render_app_detail(view, base_url()))

    @ns.expect(APP_CHANGES)
    @ns.response(200, "The app as it is now.", APP_DETAIL_MODEL)
    @console(Role.EDITOR)
    @transactional
    def put(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Change what the body names; everything else stays."""
        return _change(session, principal, app_id, parse(APP_CHANGES, apps.AppChanges))

    @ns.response(200, "Deleted.")
    @console(Role.EDITOR)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Delete an app with all that hangs on it; this cannot be undone."""
        apps.delete_app(runtime(), session, principal, app_id)
        return render({"result": "success"})


@ns.route("/apps/<app_id>/site-enable")
class SiteSwitch(Resource):
    """Whether the app's page is open."""

    @ns.expect(SITE_SWITCH)
    @ns.response(200, "The app as it is now.", APP_DETAIL_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Open or close the app's page."""
        asked = parse(SITE_SWITCH, SiteSwitchIn)
        return _change(session, principal, app_id, {"enable_site": asked.enable_site})


@ns.route("/apps/<app_id>/api-enable")
class APISwitch(Resource):
    """Whether the app's keys open anything."""

    @ns.expect(API_SWITCH)
    @ns.response(200, "The app as it is now.", APP_DETAIL_MODEL)
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Switch the app's API on or off."""
        asked = parse(API_SWITCH, APISwitchIn)
        return _change(session, principal, app_id, {"enable_api": asked.enable_api})


def _change(session: Session, principal: Principal, app_id: str, changes: apps.AppChanges) -> Response:
    apps.update_app(runtime(), session, principal, app_id, changes)
    view = apps.get_app(runtime(), session, principal, app_id)
    return render(render_app_detail(view, base_url()))
