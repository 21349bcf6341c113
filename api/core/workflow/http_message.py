"""HTTP messages as workflows write them: lines, JSON bodies, what may be shown.

Pure: nothing here opens a connection. What must stay true: a variable's value
never adds a line to a head that the drawing does not have.
"""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from api.core.ports import JSONValue
from api.core.workflow.templates import Reference, render, segments, to_text
from api.core.workflow.variables import MASK, VariablePool, is_file
from api.core.workflow.work import NodeFailed

QUOTES = re.compile(r'\\.|"')

Pair = tuple[str, str]


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


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return the text with secrets masked, in whatever form requests carry them."""
    for secret in secrets:
        written = json.dumps(secret, ensure_ascii=False)[1:-1]
        coded = base64.b64encode(secret.encode()).decode()
        for form in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret), written, coded):
            text = text.replace(form, MASK)
    return text


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
