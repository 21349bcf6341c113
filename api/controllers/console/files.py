"""Files of members: uploaded for documents and icons, their text looked at."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import knowledge
from api.controllers.http.door import base_url, claim, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.http.uploads import sent_file, takes_files
from api.controllers.schemas.console_file import (
    CONSOLE_UPLOAD,
    CONSOLE_UPLOAD_FORM,
    FILE_TEXT,
    SUPPORT_TYPE,
    UPLOAD_LIMITS,
    ConsoleUploadIn,
    render_limits,
)
from api.controllers.schemas.file import FILE, render_file
from api.principal import Principal
from api.services import document_origins, document_sources, files

ns = Namespace("files", path="/", description="Files of members")
for model in (FILE, UPLOAD_LIMITS, SUPPORT_TYPE, FILE_TEXT):
    ns.add_model(model.name, model)


@ns.route("/files/upload")
class FileUpload(Resource):
    """Uploads."""

    @ns.response(200, "How large (MB) and how many files may be.", UPLOAD_LIMITS)
    @knowledge()
    def get(self, principal: Principal) -> Response:
        """Tell what may be uploaded."""
        del principal
        return render(render_limits(runtime().limits))

    @ns.expect(CONSOLE_UPLOAD_FORM)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(201, "The file as it is kept.", FILE)
    @ns.response(413, "The file is over the limit of its kind: file_too_large.")
    @ns.response(415, "Files of this kind are not taken: unsupported_file_type.")
    @takes_files
    @knowledge()
    def post(self, principal: Principal) -> Response:
        """Upload a file, to become a document or an icon."""
        sent = sent_file()
        asked = parse(CONSOLE_UPLOAD, ConsoleUploadIn)
        once = claim(principal.tenant_id, principal.id, sent.fingerprint)
        file = document_sources.upload(runtime(), principal, sent, is_document=asked.is_document, claim=once)
        return render(render_file(file, files.sign_url(runtime(), file.id, base_url=base_url())), 201)


@ns.route("/files/support-type")
class SupportType(Resource):
    """What can become a document."""

    @ns.response(200, "Their extensions, in small and in large letters.", SUPPORT_TYPE)
    @knowledge()
    def get(self, principal: Principal) -> Response:
        """Tell which files can become documents."""
        del principal
        known = document_origins.INDEXABLE
        return render({"allowed_extensions": [*known, *map(str.upper, known)]})


@ns.route("/files/<string:file_id>/preview")
class FileText(Resource):
    """An upload's text."""

    @ns.response(200, "The beginning of its text.", FILE_TEXT)
    @ns.response(415, "The file has no text that is read: unsupported_file_type.")
    @knowledge()
    def get(self, principal: Principal, file_id: str) -> Response:
        """Show the beginning of the text of a file the caller uploaded."""
        return render({"content": document_sources.read_preview(runtime(), principal, file_id)})
