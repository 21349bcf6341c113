"""Files at addresses: looked at, and fetched to be kept as the caller's uploads."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import knowledge
from api.controllers.http.door import base_url, claim, render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.file import (
    KEPT_REMOTE,
    REMOTE,
    REMOTE_FILE,
    RemoteIn,
    render_kept_remote,
    render_remote,
)
from api.principal import Principal
from api.services import files, remote_files

ns = Namespace("remote_files", path="/", description="Files at addresses")
for model in (REMOTE_FILE, KEPT_REMOTE):
    ns.add_model(model.name, model)


@ns.route("/remote-files/upload")
class RemoteUpload(Resource):
    """Uploads by address."""

    @ns.expect(REMOTE)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(201, "The file as it is kept.", KEPT_REMOTE)
    @ns.response(413, "The file is over the limit of its kind: file_too_large.")
    @ns.response(415, "Files of this kind are not taken: unsupported_file_type.")
    @knowledge()
    def post(self, principal: Principal) -> Response:
        """Fetch the file at an address and keep it as an upload."""
        asked = parse(REMOTE, RemoteIn)
        file = remote_files.fetch(runtime(), principal, asked.url, claim(principal.tenant_id, principal.id))
        return render(render_kept_remote(file, files.sign_url(runtime(), file.id, base_url=base_url())), 201)


@ns.route("/remote-files/<path:url>")
class RemoteFile(Resource):
    """The file at an address, which is part of the path."""

    @ns.response(200, "What its server says of it.", REMOTE_FILE)
    @knowledge()
    def get(self, principal: Principal, url: str) -> Response:
        """Tell type and size of the file at an address."""
        del principal
        return render(render_remote(remote_files.look_at(runtime(), url)))
