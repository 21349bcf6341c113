"""Doors of signed file addresses: they work without credentials, for a few minutes."""

from flask import Blueprint, Response

from api.controllers.http.door import public, runtime
from api.controllers.http.downloads import send_file
from api.controllers.http.parsing import parse
from api.controllers.schemas.file import SIGNED, SignedIn
from api.services import files

blueprint = Blueprint("files", __name__, url_prefix="/files")


@blueprint.get("/<string:file_id>/file-preview")
@public
def preview(file_id: str) -> Response:
    """Give the one file the signature is for."""
    asked = parse(SIGNED, SignedIn)
    download = files.open_signed(
        runtime(),
        file_id,
        timestamp=asked.timestamp,
        nonce=asked.nonce,
        sign=asked.sign,
        is_attachment=asked.as_attachment,
    )
    return send_file(download, as_attachment=asked.as_attachment)
