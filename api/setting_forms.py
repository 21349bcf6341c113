"""What settings look like: lines, addresses, keys, and the file that tells of all of them."""

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo


def broken_line(env_file: Path) -> int | None:
    """Return the number of the first line that is neither ``NAME=value`` nor a comment, None without one.

    Raises OSError, or UnicodeError for a file that is no text.
    """
    with env_file.open(encoding="utf-8") as file:
        for found in parse_stream(file):
            if found.error or (found.key is not None and found.value is None):
                text = found.original.string  # with the blank lines before it
                return found.original.line + text[: -len(text.lstrip())].count("\n")
    return None


def is_redis_url(url: str) -> bool:
    """Tell whether it names a Redis."""
    try:
        return url.startswith(("redis://", "rediss://")) and urlsplit(url).port != 0
    except ValueError:  # what stands for the port is none
        return False


def is_http_url(url: str) -> bool:
    """Tell whether it names a host to call over http or https."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # what stands for the port is none
        return False


def is_key(text: str) -> bool:
    """Tell whether it is an Ed25519 key in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def render_env_example(settings: Mapping[str, FieldInfo]) -> str:
    """Return the text of ``.env.example``: every setting with its meaning and default, commented out."""
    lines = ["# Settings of Slipway. Copy to .env and change what you need. Made by `make env`.", ""]
    for name, field in settings.items():
        default = field.default
        if default is None:
            shown = ""
        elif isinstance(default, bool):
            shown = str(default).lower()
        elif isinstance(default, tuple):
            shown = ",".join(default)
        else:
            shown = str(default)
        lines += [f"# {field.description}", f"# {name.upper()}={shown}", ""]
    return "\n".join(lines).rstrip("\n") + "\n"
