"""HTTP messages as workflows write and read them: lines, bodies, what is a file, what may be shown.

Pure: nothing here opens a connection. What must stay true: a variable's value
never adds a line to a head or a part to a body that the drawing does not have.
"""

import base64
import json
import mimetypes
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote, quote_plus, unquote, urlsplit

from api.core.ports import JSONValue
from api.core.workflow.templates import Reference, render, segments, to_text
from api.core.workflow.variables import MASK, VariablePool, is_file
from api.core.workflow.work import NodeFailed

QUOTES = re.compile(r'\\.|"')
TEXTUAL = re.compile(
    r"text/.*|application/(.*\+)?(json|jsonl|x-ndjson|ndjson|xml|xhtml|javascript|ecmascript|x-javascript"
    r"|yaml|x-yaml|toml|graphql|sql|x-www-form-urlencoded|x-sh)"
)
OCTETS = "application/octet-stream"
MAX_NAME_CHARS = 200

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a form; ``file_name`` is None for a text."""

    name: str
    content: bytes
    file_name: str | None = None
    mime_type: str = OCTETS


def pairs(template: str, variables: VariablePool) -> list[Pair]:
    """Return the ``name:value`` lines of a text, filled in; lines without a name are left out.

    A line that is nothing but variables may hold several such lines.
    """
    lines: list[Pair] = []
    for line in template.splitlines():
        if ":" in line:
            name, _, value = line.partition(":")
            lines.append((render(name, variables), render(value, variables)))
        else:
            held = (whole.partition(":") for whole in render(line, variables).splitlines())
            lines += [(name, value) for name, _, value in held]
    return [(name.strip(), value.strip()) for name, value in lines if name.strip()]


def json_text(template: str, variables: VariablePool) -> str:
    """Return a JSON body, filled in; nothing where there is nothing. Raises NodeFailed if it is no JSON.

    Between quotes a value stays one text, whatever is in it; what has been
    escaped before stays as it is. Elsewhere a text stands for itself, so that it
    may be JSON, and anything else is written as JSON.
    """
    pieces: list[str] = []
    is_quoted = False
    for part in segments(template):
        if isinstance(part, str):
            is_quoted ^= QUOTES.findall(part).count('"') % 2 == 1
            pieces.append(part)
        else:
            pieces.append(_json_piece(part, variables, is_quoted=is_quoted))
    text = "".join(pieces)
    if not text.strip():
        return ""
    try:
        return json.dumps(json.loads(text, strict=False), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as exc:
        raise NodeFailed(f"The body is no JSON: {exc}.", error_type="RequestBodyError") from exc


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


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return the text with secrets masked, in whatever form requests carry them."""
    for secret in secrets:
        written = json.dumps(secret, ensure_ascii=False)[1:-1]
        coded = base64.b64encode(secret.encode()).decode()
        for form in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret), written, coded):
            text = text.replace(form, MASK)
    return text


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
    told = _parsed("content-disposition", headers).get_filename()
    name = re.split(r"[/\\]", told or unquote(urlsplit(url).path))[-1].strip() or "file"
    if "." not in name:
        name += mimetypes.guess_extension(mime_type(headers)) or ""
    return name[-MAX_NAME_CHARS:]


def _json_piece(part: Reference, variables: VariablePool, *, is_quoted: bool) -> str:
    value: JSONValue = variables.get(part.selector) if variables.has(part.selector) else part.bare
    if is_quoted:
        text = to_text(value)
        return text if _fits_in_quotes(text) else json.dumps(text, ensure_ascii=False)[1:-1]
    if isinstance(value, str):
        return value
    return "null" if is_file(value) else json.dumps(value, ensure_ascii=False)


def _fits_in_quotes(text: str) -> bool:
    """Tell whether the text between quotes is one JSON string as it is."""
    try:
        json.loads(f'"{text}"', strict=False)
    except ValueError:
        return False
    return True


def _quoted(name: str) -> str:
    """Return a name as forms carry it: what would end it is written in percent."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _one_line(text: str) -> str:
    return "".join(text.splitlines())


def _parsed(name: str, headers: Mapping[str, str]) -> Message:
    message = Message()
    message[name] = headers.get(name, "")
    return message
