"""Which files may be uploaded, by extension: their kind, media type and what their content looks like.

Boundary: pure tables and checks; no row, no storage. What must stay true: media
types come from this table, never from a client, and a file is only accepted
when its first bytes agree with its extension.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from api.errors import BadRequest, InvalidRequest, Unsupported

HEAD_BYTES = 4096
MAX_NAME_CHARS = 200
NOT_IN_NAMES = frozenset('/\\:*?"<>|')
# Marks that turn the direction of text, so that "exe.gpj" is read as "jpg.exe".
BIDI_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Kind(StrEnum):
    """What a file is to a model; each kind has its own size limit. Source code is a document."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"


class FilenameMissing(BadRequest):
    """The uploaded file has no name."""

    code = "filename_not_exists_error"


class FileExtensionBlocked(BadRequest):
    """Files of this extension run programs where they are opened."""

    code = "file_extension_blocked"


@dataclass(frozen=True, slots=True)
class FileType:
    """All files of one extension. ``content`` matches their first 4,096 bytes from the start.

    ``is_shown``: a browser may show it; everything else is only ever saved.
    """

    kind: Kind
    mime_type: str
    content: re.Pattern[bytes]
    is_shown: bool


@dataclass(frozen=True, slots=True)
class AcceptedName:
    """A cleaned name, its extension (lower case, no dot) and what that says of the file."""

    text: str
    extension: str
    type: FileType


# Text is what holds no control characters but white space and ESC (ISO-2022-JP), or says it is UTF-16 or
# UTF-32, or is UTF-16 without saying so: then a character of ASCII is among its first 64, and none is a
# control or for private use. Two document formats look like text and are none.
_CONTROLS = rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]"
_PLAIN = rb"(?:(?!" + _CONTROLS + rb").)*\Z"
_MARK = rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff"
_LITTLE = rb"(?=(?:..){0,63}[\t\n\r -~]\x00)(?:(?!" + _CONTROLS + rb"\x00|.[\xe0-\xf8])..)*\Z"
_BIG = rb"(?=(?:..){0,63}\x00[\t\n\r -~])(?:(?!\x00" + _CONTROLS + rb"|[\xe0-\xf8].)..)*\Z"
TEXT = re.compile(
    rb"(?!%PDF-|%!PS)(?:" + rb"|".join((_MARK, _PLAIN, _LITTLE, _BIG)) + rb")",
    re.DOTALL,
)
ZIP = re.compile(rb"PK\x03\x04")
OLE = re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
# Office opens files of its newer formats, and Word rich text, under the older extensions too.
OLDER_OFFICE = re.compile(OLE.pattern + rb"|" + ZIP.pattern)
OLDER_WORD = re.compile(OLDER_OFFICE.pattern + rb"|\{\\rtf")
JPEG = re.compile(rb"\xff\xd8\xff")
PNG = re.compile(rb"\x89PNG\r\n\x1a\n")
GIF = re.compile(rb"GIF8[79]a")
WEBP = re.compile(rb"RIFF.{4}WEBP", re.DOTALL)
SVG = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:svg\b|[?!][^\x00]*<svg\b)")
PDF = re.compile(rb"\s*%PDF-")
MP3 = re.compile(rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")
WAV = re.compile(rb"RIFF.{4}WAVE", re.DOTALL)
AMR = re.compile(rb"#!AMR")
MP4 = re.compile(rb".{4}ftyp", re.DOTALL)
MOV = re.compile(rb".{4}(?:ftyp|moov|mdat|wide|free|skip)", re.DOTALL)
MPEG = re.compile(rb"\x00\x00\x01[\xb0-\xbf]")
WEBM = re.compile(rb"\x1aE\xdf\xa3")

OFFICE = "application/vnd.openxmlformats-officedocument."
CODE = (
    "py ipynb jsx ts tsx java kt scala groovy gradle c h cc cpp cxx hpp cs go rs rb php swift lua pl r jl "
    "dart vue svelte sql graphql proto sh bash zsh fish scss less toml ini cfg conf log diff patch tex rst "
    "jsonl srt"
)
# Shell scripts are source code here: text that is neither shown nor run. These run at a double click.
BLOCKED = (
    "exe dll com bat cmd msi msp scr pif cpl hta vbs vbe jse wsf wsh ps1 lnk reg sys jar apk app dmg pkg deb "
    "rpm"
)
BLOCKED_EXTENSIONS = frozenset(BLOCKED.split())

Row = tuple[Kind, str, re.Pattern[bytes], str]

SHOWN: tuple[Row, ...] = (
    (Kind.IMAGE, "image/jpeg", JPEG, "jpg jpeg"),
    (Kind.IMAGE, "image/png", PNG, "png"),
    (Kind.IMAGE, "image/gif", GIF, "gif"),
    (Kind.IMAGE, "image/webp", WEBP, "webp"),
    (Kind.DOCUMENT, "application/pdf", PDF, "pdf"),
    (Kind.AUDIO, "audio/mpeg", MP3, "mp3 mpga"),
    (Kind.AUDIO, "audio/mp4", MP4, "m4a"),
    (Kind.AUDIO, "audio/wav", WAV, "wav"),
    (Kind.AUDIO, "audio/amr", AMR, "amr"),
    (Kind.VIDEO, "video/mp4", MP4, "mp4"),
    (Kind.VIDEO, "video/quicktime", MOV, "mov"),
    (Kind.VIDEO, "video/mpeg", MPEG, "mpeg"),
    (Kind.VIDEO, "video/webm", WEBM, "webm"),
)
SAVED: tuple[Row, ...] = (
    (Kind.IMAGE, "image/svg+xml", SVG, "svg"),
    (Kind.DOCUMENT, "text/plain", TEXT, f"txt properties {CODE}"),
    (Kind.DOCUMENT, "text/markdown", TEXT, "md mdx markdown"),
    (Kind.DOCUMENT, "text/html", TEXT, "html htm"),
    (Kind.DOCUMENT, "application/xml", TEXT, "xml"),
    (Kind.DOCUMENT, "text/javascript", TEXT, "js mjs"),
    (Kind.DOCUMENT, "text/css", TEXT, "css"),
    (Kind.DOCUMENT, "application/json", TEXT, "json"),
    (Kind.DOCUMENT, "application/yaml", TEXT, "yaml yml"),
    (Kind.DOCUMENT, "text/csv", TEXT, "csv"),
    (Kind.DOCUMENT, "text/tab-separated-values", TEXT, "tsv"),
    (Kind.DOCUMENT, "text/vtt", TEXT, "vtt"),
    (Kind.DOCUMENT, "message/rfc822", TEXT, "eml"),
    (Kind.DOCUMENT, "application/vnd.ms-outlook", OLE, "msg"),
    (Kind.DOCUMENT, "application/msword", OLDER_WORD, "doc"),
    (Kind.DOCUMENT, "application/vnd.ms-excel", OLDER_OFFICE, "xls"),
    (Kind.DOCUMENT, "application/vnd.ms-powerpoint", OLDER_OFFICE, "ppt"),
    (Kind.DOCUMENT, f"{OFFICE}wordprocessingml.document", ZIP, "docx"),
    (Kind.DOCUMENT, f"{OFFICE}spreadsheetml.sheet", ZIP, "xlsx"),
    (Kind.DOCUMENT, f"{OFFICE}presentationml.presentation", ZIP, "pptx"),
    (Kind.DOCUMENT, "application/epub+zip", ZIP, "epub"),
)
FILE_TYPES: Mapping[str, FileType] = {
    extension: FileType(kind, mime_type, content, is_shown=rows is SHOWN)
    for rows in (SHOWN, SAVED)
    for kind, mime_type, content, extensions in rows
    for extension in extensions.split()
}
RASTER_TYPES = tuple(found for found in FILE_TYPES.values() if found.kind is Kind.IMAGE and found.is_shown)


def accept_name(raw: str) -> AcceptedName:
    """Return a client's file name cleaned and cut to 200 characters, with what its extension says.

    Raises FilenameMissing, InvalidRequest for characters of paths,
    FileExtensionBlocked, and Unsupported for an extension that is not taken.
    """
    if NOT_IN_NAMES & set(raw):
        raise InvalidRequest("Filename contains invalid characters", field="file", fault="invalid_format")
    text = clean_name(raw)
    if not text:
        raise FilenameMissing("The specified filename does not exist.")
    extension = extension_of(text)
    if extension in BLOCKED_EXTENSIONS:
        raise FileExtensionBlocked(f"Files of the extension {extension!r} are not allowed.")
    if extension not in FILE_TYPES:
        raise Unsupported("File type not allowed.")
    stem = text[: -len(extension) - 1]
    shown = f"{stem[: MAX_NAME_CHARS - len(extension) - 1]}.{text[len(stem) + 1 :]}"
    return AcceptedName(shown, extension, FILE_TYPES[extension])


def clean_name(raw: str) -> str:
    """Return a name for display: composed (NFC), no control characters, direction marks or trailing dots."""
    text = "".join(char for char in unicodedata.normalize("NFC", raw) if _is_visible(char))
    return re.sub(r"[\s.]+\Z", "", text).lstrip()


def check_content(name: AcceptedName, head: bytes) -> None:
    """Raise Unsupported unless a file's first 4,096 bytes are those of its extension."""
    if not name.type.content.match(head):
        raise Unsupported(f"The content of the file is not that of a {name.extension!r} file.")


def find_raster_type(head: bytes) -> FileType | None:
    """Return which raster image some bytes begin, None when they begin none."""
    return next((found for found in RASTER_TYPES if found.content.match(head)), None)


def extension_of(name: str) -> str:
    """Return a name's extension in lower case without its dot; ``""`` where it has none."""
    stem, _, extension = name.rpartition(".")
    return extension.lower() if stem else ""


def max_bytes(limits: Mapping[str, int], name: str) -> int:
    """Return how large a file of this name may be; one that will be refused anyway, the largest of all."""
    known = FILE_TYPES.get(extension_of(clean_name(name)))
    return limits[known.kind] if known else max(limits.values())


def _is_visible(char: str) -> bool:
    """Tell whether a character may stay in a name: no control, no separator line, no direction mark."""
    return unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") and char not in BIDI_MARKS
