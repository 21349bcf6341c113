"""Parts of HTTP messages: forms with files, and what an answer's head says of its body.

Pure: nothing here opens a connection. What must stay true: a value never adds a
part to a form, nor a line to a part's head.
"""

import mimetypes
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote, urlsplit

TEXTUAL = re.compile(
    r"text/.*|application/(.*\+)?(json|jsonl|x-ndjson|ndjson|xml|xhtml|javascript|ecmascript|x-javascript"
    r"|yaml|x-yaml|toml|graphql|sql|x-www-form-urlencoded|x-sh)"
)
OCTETS = "application/octet-stream"
MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a form; ``file_name`` is None for a text."""

    name: str
    content: bytes
    file_name: str | None = None
    mime_type: str = OCTETS


def multipart(parts: Sequence[Part]) -> tuple[bytes, str]:
    """Return a form with files, and its content type."""
    boundary = uuid.uuid4().hex
    pieces: list[bytes] = []
    for part in parts:
        named = f'; filename="{_quoted(part.file_name)}"' if part.file_name is not None else ""
        kind = f"Content-Type: {_one_line(part.mime_type)}\r\n" if part.file_name is not None else ""
        head = f'Content-Disposition: form-data; name="{_quoted(part.name)}"{named}\r\n{kind}\r\n'
        pieces += [f"--{boundary}\r\n{head}".encode(), part.content, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def holds_file(headers: Mapping[str, str]) -> bool:
    """Tell by an answer's head whether its body is a file rather than text."""
    disposition = headers.get("content-disposition", "").lower()
    if disposition.startswith("attachment") or "filename" in disposition:
        return True
    kind = mime_type(headers)
    return bool(kind) and not TEXTUAL.fullmatch(kind)


def mime_type(headers: Mapping[str, str]) -> str:
    """Return the type of an answer's body, without parameters; nothing where it has none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def charset(headers: Mapping[str, str]) -> str | None:
    """Return the encoding an answer says its text is in."""
    return _parsed("content-type", headers).get_content_charset()


def name_of_file(headers: Mapping[str, str], url: str) -> str:
    """Return what to call the file of an answer: as it says itself, else as its address ends."""
    try:
        told = _parsed("content-disposition", headers).get_filename()
    except ValueError:  # a charset there is none of, or that cannot be read in it
        told = None
    name = re.split(r"[/\\]", told or unquote(urlsplit(url).path))[-1]
    name = "".join(char for char in name if char.isprintable()).strip() or "file"
    if "." not in name:
        name += mimetypes.guess_extension(mime_type(headers)) or ""
    return name[-MAX_NAME_CHARS:]


def _quoted(name: str) -> str:
    """Return a name as forms carry it: what would end it is written in percent."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _one_line(text: str) -> str:
    return "".join(text.splitlines())


def _parsed(name: str, headers: Mapping[str, str]) -> Message:
    message = Message()
    message[name] = headers.get(name, "")
    return message
