"""Templates for every sandbox: harmless ones filled right here, all others in the pool's processes.

Harmless is what holds only text and names: ``{{ name }}``, ``{{ name.part }}``.
Those are most, and filling them costs less than asking another process. The
process decides whatever is not plain here: missing names, parts that are
methods, lists and objects as text.
"""

import re
from functools import lru_cache

from api.backends.sandbox.pool import Pool
from api.core.ports import Cancel, CodeFailed, JSONObject, JSONValue
from api.core.workflow.templates import MAX_KEPT_CHARS

MAX_PLAIN_CHARS = 1_000_000
"""Longer texts are the process's to make."""

NAMED = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}", re.ASCII)
# Names that mean something of their own in a template.
LITERALS = ("true", "false", "none", "True", "False", "None")
OPERATORS = ("not", "and", "or", "if", "else", "in", "is")
WORDS = frozenset((*LITERALS, *OPERATORS, "loop", "self", "super", "caller", "varargs", "kwargs"))

Part = str | tuple[str, ...]
"""A text, or the names of a variable and its parts."""


class Templates:
    """Renders Jinja2 templates as CodeSandbox promises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def render(self, template: str, variables: JSONObject, *, timeout_s: float, cancel: Cancel) -> str:
        """Return the filled template. Raises CodeFailed, Unavailable."""
        text = fill(template, variables)
        if text is not None:
            return text
        value = self._pool.ask("jinja", template, variables, timeout_s=timeout_s, cancel=cancel)
        if not isinstance(value, str):
            raise CodeFailed("The template gave no text.")
        return value

    def stop(self) -> None:
        """End the processes that render."""
        self._pool.stop()


def fill(template: str, variables: JSONObject) -> str | None:
    """Return a harmless template with its values, as Jinja2 would; None where it is not harmless."""
    parts = plain_parts(template)
    if parts is None:
        return None
    texts: list[str] = []
    left_chars = MAX_PLAIN_CHARS
    for part in parts:
        text = part if isinstance(part, str) else _shown(part, variables)
        if text is None:
            return None
        left_chars -= len(text)
        if left_chars < 0:
            return None
        texts.append(text)
    return "".join(texts)


def plain_parts(template: str) -> tuple[Part, ...] | None:
    """Return texts and names in their order; None where a template holds more than those."""
    if len(template) > MAX_PLAIN_CHARS:
        return None
    return _kept_parts(template) if len(template) <= MAX_KEPT_CHARS else _split(template)


@lru_cache(maxsize=1024)
def _kept_parts(template: str) -> tuple[Part, ...] | None:
    return _split(template)


def _split(template: str) -> tuple[Part, ...] | None:
    template = re.sub(r"\r\n|\r", "\n", template).removesuffix("\n")
    texts = NAMED.split(template)
    if any(mark in text for text in texts[::2] for mark in ("{{", "{%", "{#")):
        return None
    names = [tuple(name.split(".")) for name in texts[1::2]]
    if any(part in WORDS for name in names for part in name):
        return None
    parts: list[Part] = [texts[0]]
    for name, text in zip(names, texts[2::2], strict=True):
        parts += (name, text)
    return tuple(parts)


def _shown(names: tuple[str, ...], variables: JSONObject) -> str | None:
    """Return how a value reads; None where that is not plain."""
    value: JSONValue = variables
    for place, name in enumerate(names):
        if not isinstance(value, dict) or name not in value or (place and hasattr(dict, name)):
            return None
        value = value[name]
    return None if isinstance(value, dict | list) else str(value)
