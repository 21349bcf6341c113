"""Files on their way out: one answer, with the same headers, for every route that gives a file.

What must stay true: a browser shows only raster images, sound, video and PDF,
believes our media type, and runs nothing of the file (Wire: docs/wire/files.md).
"""

from collections.abc import Iterator
from typing import cast
from urllib.parse import quote

from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import FileWrapper

from api.controllers.http.door import runtime
from api.services.files import Download

CHUNK_BYTES = 64 * 1024
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Accept-Ranges": "bytes",
}
ZIP = "application/zip"


def send_file(download: Download, *, as_attachment: bool) -> Response:
    """Answer with a file in pieces, or the range of it that was asked for.

    ``as_attachment`` has it saved even if it could be shown, as bytes of no type.
    """
    disposition = "inline" if download.is_shown and not as_attachment else "attachment"
    response = Response(
        FileWrapper(download.content, CHUNK_BYTES),
        headers=HEADERS,
        content_type="application/octet-stream" if as_attachment else download.mime_type,
        direct_passthrough=True,
    )
    response.content_length = download.size_bytes
    response.set_etag(download.sha256)
    name = quote(download.name, safe="")
    response.headers["Content-Disposition"] = f"{disposition}; filename*=UTF-8''{name}"
    response.headers["Cache-Control"] = f"private, max-age={runtime().limits.files_url_ttl_s}"
    try:
        answer = response.make_conditional(
            request, accept_ranges=_asks_for_a_piece(), complete_length=download.size_bytes
        )
    except RequestedRangeNotSatisfiable:
        response.close()
        raise
    return cast("Response", answer)


def _asks_for_a_piece() -> bool:
    """Tell whether one range of bytes is asked for: what else a Range says is not understood, so ignored."""
    asked = request.range
    return asked is not None and asked.units == "bytes" and len(asked.ranges) == 1


def send_archive(pieces: Iterator[bytes], name: str) -> Response:
    """Answer with a ZIP that is made while it is sent, to be saved under ``name``."""
    response = Response(pieces, content_type=ZIP)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["Cache-Control"] = "private, no-store"
    return response
