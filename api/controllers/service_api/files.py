"""Doors of files: upload one, fetch one's own."""

from flask import Response, request
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import app_key
from api.controllers.http.door import base_url, claim, render, runtime
from api.controllers.http.downloads import send_file
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas.file import FILE, PREVIEW, UPLOAD, UPLOAD_FORM, PreviewIn, UploadIn, render_file
from api.errors import InvalidRequest
from api.services import app_info, files, uploads
from api.services.tokens import KeyCaller

ns = Namespace("files", path="/", description="Files of end users")


@ns.route("/files/upload")
class FileUpload(Resource):
    """Uploads."""

    @ns.expect(UPLOAD_FORM)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(201, "The file as it is kept.", FILE)
    @ns.response(400, "No file, or, of a guest, an app that takes none.")
    @ns.response(413, "The file is over the limit of its kind: file_too_large.")
    @ns.response(415, "Files of this kind are not taken: unsupported_file_type.")
    @takes_files
    @app_key("file", has_guests=True)
    def post(self, caller: KeyCaller) -> Response:
        """Upload a file, to be attached to messages of the same end user."""
        app_info.check_uploads(runtime(), caller)
        sent = sent_file()
        asked = parse(UPLOAD, UploadIn)
        if asked.user is None and request.blueprint == "seed":
            raise InvalidRequest("Parameter 'user' is required", field="user", fault="required")
        principal = caller.end_user(asked.user)
        once = claim(principal.tenant_id, principal.id, sent.fingerprint)
        file = uploads.create_upload(runtime(), principal, sent, once)
        return render(render_file(file, files.sign_url(runtime(), file.id, base_url=base_url())), 201)


@ns.route("/files/<string:file_id>/preview")
class FilePreview(Resource):
    """An uploaded file's bytes."""

    @ns.expect(PREVIEW)
    @ns.doc(produces=swagger.FILE_ONLY)
    @ns.response(200, "The file.")
    @ns.response(206, "The range of it that was asked for.")
    @ns.response(416, "The file has no such range.")
    @app_key("file", has_guests=True)
    def get(self, caller: KeyCaller, file_id: str) -> Response:
        """Fetch a file the same end user uploaded, whole or in ranges."""
        asked = parse(PREVIEW, PreviewIn)
        download = files.open_own(runtime(), caller.end_user(asked.user), file_id)
        return send_file(download, as_attachment=asked.as_attachment)
