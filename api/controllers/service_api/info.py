"""Doors of an app's own description: information, parameters, tool icons, page; and its end users."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import app_key
from api.controllers.http.door import base_url, render, runtime, transactional
from api.controllers.schemas.info import END_USER, INFO, META, PARAMETERS, SITE, render_end_user, render_site
from api.runtime import Session
from api.services import app_icons, app_info, end_users
from api.services.tokens import KeyCaller

ns = Namespace("info", path="/", description="What an app tells of itself")


@ns.route("/info")
class Info(Resource):
    """Name and maker of the app."""

    @ns.response(200, "Name and maker of the app.", INFO)
    @app_key()
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """Return name, description, mode, author and tags."""
        return render(app_info.get_info(session, caller.app))


@ns.route("/parameters")
class Parameters(Resource):
    """What a client needs to build its form."""

    @ns.response(200, "Form, features and limits of the app.", PARAMETERS)
    @ns.response(400, "No usable configuration, or nothing published: app_unavailable.")
    @app_key(has_guests=True)
    def get(self, caller: KeyCaller) -> Response:
        """Return the app's form, features and limits."""
        return render(app_info.get_parameters(runtime(), caller.app))


@ns.route("/meta")
class Meta(Resource):
    """Icons of the app's tools."""

    @ns.response(200, "The icons.", META)
    @app_key(has_guests=True)
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """Return an icon for each tool of an agent app; other apps have none."""
        return render({"tool_icons": app_icons.tool_icons(session, caller.app, base_url())})


@ns.route("/site")
class Site(Resource):
    """How the app presents itself."""

    @ns.response(200, "The app's page.", SITE)
    @app_key(has_guests=True)
    @transactional
    def get(self, session: Session, caller: KeyCaller) -> Response:
        """Return the app's page settings; a guest is told more, under ``site``."""
        return render(render_site(app_info.get_site(runtime(), session, caller.app), caller, base_url()))


@ns.route("/end-users/<string:end_user_id>")
class EndUser(Resource):
    """Someone who uses the app."""

    @ns.response(200, "The end user.", END_USER)
    @app_key()
    @transactional
    def get(self, session: Session, caller: KeyCaller, end_user_id: str) -> Response:
        """Return an end user of the app, by the id that messages, uploads and feedback give."""
        item = end_users.get_end_user(session, caller.app.tenant_id, caller.app.id, end_user_id)
        return render(render_end_user(item))
