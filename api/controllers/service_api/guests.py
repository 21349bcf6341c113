"""Doors that only browsers of an app's page use: passports, pinned conversations, files at addresses.

Everything else guests do comes in by the doors of the service API. Only the
mount at /api has these. Wire: docs/wire/web-app.md.
"""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import guest, is_guest, visitor
from api.controllers.http.door import base_url, claim, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.fields import RESULT, render_success
from api.controllers.schemas.file import (
    KEPT_REMOTE,
    REMOTE,
    REMOTE_FILE,
    RemoteIn,
    render_kept_remote,
    render_remote,
)
from api.controllers.schemas.guest import (
    ACCESS_MODE,
    LOGIN_STATUS,
    PASSPORT,
    PASSPORT_HEADERS,
    PASSPORT_QUERY,
    PERMISSION,
    PassportIn,
)
from api.controllers.schemas.system import SYSTEM_FEATURES, render_system_features
from api.errors import Unauthorized
from api.runtime import Session
from api.services import app_info, conversations, files, generation, passports, remote_files
from api.services.tokens import KeyCaller

ns = Namespace("guests", path="/", description="Guests of apps' pages")


@ns.route("/passport")
class Passport(Resource):
    """What lets a browser in."""

    @ns.expect(PASSPORT_QUERY)
    @ns.doc(params=PASSPORT_HEADERS)
    @ns.response(200, "A passport.", PASSPORT)
    @ns.response(401, "The header X-App-Code is missing.")
    @ns.response(404, "There is no such page, or it is closed.")
    @visitor
    def get(self) -> Response:
        """Give a guest a passport for the app whose site's code is in X-App-Code."""
        code = request.headers.get("X-App-Code")
        if not code:
            raise Unauthorized("X-App-Code header is missing.")
        asked = parse(PASSPORT_QUERY, PassportIn)
        return render({"access_token": passports.issue_passport(runtime(), code, asked.user_id or None)})


@ns.route("/system-features")
class WebAppFeatures(Resource):
    """What this installation offers."""

    @ns.response(200, "The same as the console is told.", SYSTEM_FEATURES)
    @visitor
    def get(self) -> Response:
        """Return which ways to sign in and which parts there are."""
        return render(render_system_features(has_mail=runtime().mailer is not None))


@ns.route("/webapp/access-mode")
class WebAppAccessMode(Resource):
    """Who may open a page."""

    @ns.response(200, "Everyone who knows its code.", ACCESS_MODE)
    @visitor
    def get(self) -> Response:
        """Tell who may open a page."""
        return render({"accessMode": "public"})


@ns.route("/webapp/permission")
class WebAppPermission(Resource):
    """Whether the guest may use the app."""

    @ns.response(200, "It may.", PERMISSION)
    @guest()
    def get(self, caller: KeyCaller) -> Response:
        """Tell a guest whether it may use the app, which its passport says."""
        return render({"result": caller.guest is not None})


@ns.route("/login/status")
class WebAppLoginStatus(Resource):
    """Whether the browser is let in."""

    @ns.response(200, "Whether it is.", LOGIN_STATUS)
    @visitor
    def get(self) -> Response:
        """Tell whether a passport was sent that is good; pages ask for no login."""
        return render({"logged_in": True, "app_logged_in": is_guest(request)})


@ns.route("/logout")
class WebAppLogout(Resource):
    """Leaving."""

    @ns.response(200, "The browser may forget its passport.", RESULT)
    @visitor
    def post(self) -> Response:
        """Say goodbye: the server keeps nothing that a passport would have to be taken from."""
        return render(render_success())


@ns.route("/conversations/<string:conversation_id>/<any(pin,unpin):action>")
class ConversationPin(Resource):
    """Whether a conversation stands above the others."""

    @ns.response(200, "Done.", RESULT)
    @ns.response(404, "The guest has no such conversation.")
    @guest()
    @transactional
    def patch(self, session: Session, caller: KeyCaller, conversation_id: str, action: str) -> Response:
        """Pin a conversation of the guest, or let it go."""
        generation.check_chat_mode(caller.app)
        principal = caller.end_user(None)
        conversations.pin_conversation(
            session, principal, caller.app.id, conversation_id, is_pinned=action == "pin"
        )
        return render(render_success())


@ns.route("/remote-files/upload")
class GuestRemoteUpload(Resource):
    """Uploads by address."""

    @ns.expect(REMOTE)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(201, "The file as it is kept.", KEPT_REMOTE)
    @ns.response(400, "The app takes no files.")
    @ns.response(413, "The file is over the limit of its kind: file_too_large.")
    @ns.response(415, "Files of this kind are not taken: unsupported_file_type.")
    @guest()
    def post(self, caller: KeyCaller) -> Response:
        """Fetch the file at an address and keep it as the guest's upload."""
        app_info.check_uploads(runtime(), caller)
        principal = caller.end_user(None)
        once = claim(principal.tenant_id, principal.id)
        file = remote_files.fetch(runtime(), principal, parse(REMOTE, RemoteIn).url, once)
        return render(render_kept_remote(file, files.sign_url(runtime(), file.id, base_url=base_url())), 201)


@ns.route("/remote-files/<path:url>")
class GuestRemoteFile(Resource):
    """The file at an address, which is part of the path."""

    @ns.response(200, "What its server says of it.", REMOTE_FILE)
    @guest()
    def get(self, caller: KeyCaller, url: str) -> Response:
        """Ask for the kind and the size of the file at an address."""
        del caller
        return render(render_remote(remote_files.look_at(runtime(), url)))
