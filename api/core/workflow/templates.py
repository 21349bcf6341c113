"""Texts with references to variables, ``{{#node.name#}}``, and how values read as text.

There are two ways to read: plain text for prompts, requests and conditions,
Markdown for what people see. What does not look like a reference stays as it
is; what a variable holds is never read as a template again.
Wire: docs/wire/workflows.md#templates.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from api.core.ports import JSONValue
from api.core.workflow.variables import Selector, VariablePool, is_file

REFERENCE = re.compile(r"\{\{#([A-Za-z0-9_]{1,50}(?:\.[A-Za-z_][A-Za-z0-9_]{0,29}){1,10})#\}\}")


@dataclass(frozen=True, slots=True)
class Reference:
    """The place of a variable in a text."""

    selector: Selector

    @property
    def bare(self) -> str:
        """What is shown where there is no such variable."""
        return ".".join(self.selector)


Segment = str | Reference
MAX_KEPT_CHARS = 20_000
"""A longer template is read anew each time: what is kept of many would fill the memory."""


def segments(template: str) -> tuple[Segment, ...]:
    """Return the literal texts and references of a template, in order; no text is empty."""
    return _kept_segments(template) if len(template) <= MAX_KEPT_CHARS else _split(template)


@lru_cache(maxsize=4096)
def _kept_segments(template: str) -> tuple[Segment, ...]:
    return _split(template)


def _split(template: str) -> tuple[Segment, ...]:
    parts: list[Segment] = []
    at = 0
    for match in REFERENCE.finditer(template):
        if match.start() > at:
            parts.append(template[at : match.start()])
        parts.append(Reference(tuple(match.group(1).split("."))))
        at = match.end()
    if at < len(template):
        parts.append(template[at:])
    return tuple(parts)


def references(template: str) -> tuple[Selector, ...]:
    """Return the selectors of a template's references, in order."""
    return tuple(part.selector for part in segments(template) if isinstance(part, Reference))


def render(template: str, variables: VariablePool) -> str:
    """Return the template as plain text."""
    return "".join(_shown(part, variables, to_text) for part in segments(template))


def render_markdown(template: str, variables: VariablePool) -> str:
    """Return the template as people see it."""
    return "".join(_shown(part, variables, to_markdown) for part in segments(template))


def to_text(value: JSONValue) -> str:
    """Return how a value reads in a prompt; files and empty lists are nothing."""
    match value:
        case None:
            return ""
        case str():
            return value
        case dict() if is_file(value):
            return ""
        case list() if not value or all(is_file(item) for item in value):
            return ""
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def to_markdown(value: JSONValue) -> str:
    """Return how a value reads in an answer."""
    match value:
        case dict() if is_file(value):
            return _link(value)
        case dict():
            return json.dumps(value, ensure_ascii=False, indent=2)
        case list() if value and all(is_file(item) for item in value):
            return "\n".join(to_markdown(item) for item in value)
        case list():
            return "\n".join(f"- {to_text(item)}" for item in value)
    return to_text(value)


def _shown(part: Segment, variables: VariablePool, read: Callable[[JSONValue], str]) -> str:
    if isinstance(part, str):
        return part
    return read(variables.get(part.selector)) if variables.has(part.selector) else part.bare


def _link(file: dict[str, JSONValue]) -> str:
    link = f"[{file.get('filename') or ''}]({file.get('url') or file.get('remote_url') or ''})"
    return f"!{link}" if file.get("type") == "image" else link
