"""Files of the console: what an upload says besides its file, and what may be uploaded."""

from dataclasses import dataclass

from flask_restx import fields
from werkzeug.datastructures import FileStorage

from api.controllers.http.model import Model
from api.controllers.http.parsing import Choice, Field, form_field, parser, query_field
from api.core.ports import JSONObject
from api.runtime import Limits

MB = 1024 * 1024
SOURCE = Choice(("datasets", ""))
BATCH_COUNT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleUploadIn:
    """What an upload is for: a document of a dataset, or anything; the form or the query says."""

    source: str = ""
    source_in_query: str = ""

    @property
    def is_document(self) -> bool:
        """Whether it is to become a document."""
        return "datasets" in (self.source, self.source_in_query)


CONSOLE_UPLOAD = parser(
    form_field("source", SOURCE, help="datasets: only what can become a document is taken."),
    query_field("source", SOURCE, dest="source_in_query"),
)
CONSOLE_UPLOAD_FORM = parser(
    form_field("source", SOURCE, help="datasets: only what can become a document is taken.")
).add_argument(
    Field("file", type=FileStorage, location="files", required=True, help="The file, exactly one.")
)
LIMIT_NAMES = (
    "file_size_limit",
    "batch_count_limit",
    "file_upload_limit",
    "image_file_size_limit",
    "video_file_size_limit",
    "audio_file_size_limit",
    "workflow_file_upload_limit",
    "image_file_batch_limit",
    "single_chunk_attachment_limit",
    "attachment_image_file_size_limit",
)
UPLOAD_LIMITS = Model("UploadLimits", dict.fromkeys(LIMIT_NAMES, fields.Integer))
SUPPORT_TYPE = Model("SupportedTypes", {"allowed_extensions": fields.List(fields.String)})
FILE_TEXT = Model("FileText", {"content": fields.String(description="The first 3,000 characters.")})


def render_limits(limits: Limits) -> JSONObject:
    """Return how large (MB) and how many files may be."""
    return {
        "file_size_limit": limits.max_file_bytes["document"] // MB,
        "batch_count_limit": BATCH_COUNT,
        "file_upload_limit": BATCH_COUNT,
        "image_file_size_limit": limits.max_file_bytes["image"] // MB,
        "video_file_size_limit": limits.max_file_bytes["video"] // MB,
        "audio_file_size_limit": limits.max_file_bytes["audio"] // MB,
        "workflow_file_upload_limit": 10,
        "image_file_batch_limit": 10,
        "single_chunk_attachment_limit": 10,
        "attachment_image_file_size_limit": limits.max_file_bytes["image"] // MB,
    }
