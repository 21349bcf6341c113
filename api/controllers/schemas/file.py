"""Files: what callers send with an upload or a fetch, and what they get."""

from dataclasses import dataclass

from flask_restx import fields
from werkzeug.datastructures import FileStorage

from api.controllers.http.model import Model
from api.controllers.http.parsing import (
    Boolean,
    Field,
    Text,
    form_field,
    json_field,
    parser,
    query_field,
    user_name,
)
from api.controllers.schemas.fields import to_unix
from api.core.ports import JSONObject
from api.services.remote_files import RemoteFile
from api.services.uploads import StoredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadIn:
    """What an upload says besides its file; None is the shared anonymous end user."""

    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewIn:
    """Whose file is fetched, and whether it is to be saved."""

    user: str | None = None
    as_attachment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """The signed part of a file's address."""

    timestamp: str = ""
    nonce: str = ""
    sign: str = ""
    as_attachment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteIn:
    """Where a file is to be fetched."""

    url: str


_USER = "End user, as the caller names it."
_AS_ATTACHMENT = query_field("as_attachment", Boolean(is_text=True), help="Save it even if it can be shown.")
_SIGNED = Text(max_length=256)

UPLOAD = parser(form_field("user", user_name, help=_USER))
UPLOAD_FORM = UPLOAD.copy().add_argument(
    Field("file", type=FileStorage, location="files", required=True, help="The file, exactly one.")
)
"""The upload as it is documented; the file itself is taken by controllers/http/uploads.py."""
PREVIEW = parser(query_field("user", user_name, help=_USER), _AS_ATTACHMENT)
SIGNED = parser(
    query_field("timestamp", _SIGNED, help="When it was signed."),
    query_field("nonce", _SIGNED, help="What makes it unique."),
    query_field("sign", _SIGNED, help="The signature."),
    _AS_ATTACHMENT,
)
REMOTE = parser(json_field("url", Text(min_length=1, max_length=2048), required=True, help="http(s)."))

FILE = Model(
    "UploadedFile",
    {
        "id": fields.String(description="Send it as upload_file_id."),
        "name": fields.String,
        "size": fields.Integer(description="Bytes."),
        "extension": fields.String(description="In lower case, without the dot."),
        "mime_type": fields.String,
        "created_by": fields.String,
        "created_at": fields.Integer(description="Unix seconds."),
        "preview_url": fields.String(nullable=True),
        "source_url": fields.String(description="A signed address, good for some minutes."),
        "original_url": fields.String(nullable=True),
        "user_id": fields.String(nullable=True),
        "tenant_id": fields.String,
        "conversation_id": fields.String(nullable=True),
        "file_key": fields.String(nullable=True),
        "reference": fields.String(nullable=True),
    },
)
REMOTE_FILE = Model(
    "RemoteFile",
    {
        "file_type": fields.String(description="Its media type."),
        "file_length": fields.Integer(description="Bytes; 0 where the server does not say."),
    },
)
KEPT_REMOTE = FILE.clone("KeptRemoteFile", {"url": fields.String(description="source_url again.")})


def render_remote(file: RemoteFile) -> JSONObject:
    """Return what an address says of its file."""
    return {"file_type": file.mime_type, "file_length": file.size_bytes}


def render_kept_remote(file: StoredFile, source_url: str) -> JSONObject:
    """Return a file that was fetched from its address."""
    return {**render_file(file, source_url), "url": source_url}


def render_file(file: StoredFile, source_url: str) -> JSONObject:
    """Return an uploaded file as JSON; ``source_url`` is its signed address."""
    return {
        "id": file.id,
        "name": file.name,
        "size": file.size_bytes,
        "extension": file.extension,
        "mime_type": file.mime_type,
        "created_by": file.created_by,
        "created_at": to_unix(file.created_at),
        "preview_url": None,
        "source_url": source_url,
        "original_url": None,
        "user_id": None,
        "tenant_id": file.tenant_id,
        "conversation_id": None,
        "file_key": None,
        "reference": None,
    }
