"""Keys of the public API: those of one app, and those of the whole workspace."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import render, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.api_key import (
    APP_KEY,
    KEY,
    KEY_LIST_MODEL,
    KEY_MODEL,
    KeyIn,
    parse_app_key,
    render_key,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import tokens
from api.services.access import access_app

ns = Namespace("api_keys", path="/", description="Keys of the public API")
for model in (KEY_MODEL, KEY_LIST_MODEL):
    ns.add_model(model.name, model)


@ns.route("/apps/<app_id>/api-keys")
class AppKeys(Resource):
    """The keys of an app."""

    @ns.response(200, "The keys, masked.", KEY_LIST_MODEL)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, app_id: str) -> Response:
        """List an app's keys, newest first."""
        app = access_app(session, principal, app_id)
        return render({"data": [render_key(key) for key in tokens.load_tokens(session, principal, app.id)]})

    @ns.expect(APP_KEY)
    @ns.response(201, "The key, whole for this once.", KEY_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal, app_id: str) -> Response:
        """Make a key of an app."""
        asked = parse_app_key()
        app = access_app(session, principal, app_id)
        return _create(session, principal, asked.name, app.id, asked.permissions)


@ns.route("/apps/<app_id>/api-keys/<key_id>")
class AppKey(Resource):
    """One key of an app."""

    @ns.response(204, "Revoked; it opens nothing from now on.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, app_id: str, key_id: str) -> Response:
        """Revoke a key of an app."""
        app = access_app(session, principal, app_id)
        tokens.delete_token(session, principal, key_id, app_id=app.id)
        return Response(status=204)


@ns.route("/api-keys")
class Keys(Resource):
    """All keys of the workspace: those of one app, and those that open any."""

    @ns.response(200, "The keys, masked.", KEY_LIST_MODEL)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List all keys, newest first."""
        return render({"data": [render_key(key) for key in tokens.load_tokens(session, principal, None)]})

    @ns.expect(KEY)
    @ns.response(201, "The key, whole for this once.", KEY_MODEL)
    @console(Role.EDITOR)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Make a key of the app named, or of the whole workspace."""
        asked = parse(KEY, KeyIn)
        app_id = access_app(session, principal, asked.app_id).id if asked.app_id else None
        return _create(session, principal, asked.name, app_id, asked.permissions)


@ns.route("/api-keys/<key_id>")
class Key(Resource):
    """One key of the workspace, whatever it opens."""

    @ns.response(204, "Revoked; it opens nothing from now on.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, key_id: str) -> Response:
        """Revoke a key."""
        tokens.delete_token(session, principal, key_id, app_id=None)
        return Response(status=204)


def _create(
    session: Session, principal: Principal, name: str, app_id: str | None, permissions: tuple[str, ...]
) -> Response:
    key, token = tokens.create_token(session, principal, name=name, app_id=app_id, permissions=permissions)
    return render(render_key(key, token), 201)
