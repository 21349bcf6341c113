"""What the engines that run foreign code have in common; each is a module beside this one.

An engine's ``start(memory_bytes)`` loads and warms up its interpreter and returns
how to run one :class:`Request`. Imports only the standard library.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

MAX_PRINTED_BYTES = 1_000_000
PRINTED_TOO_MUCH = "The code printed more than 1 MB."
KNOWN_NAMES = "import json\nfrom base64 import b64decode"
"""Run after a Python source and before its ``main``: Dify lets code use both names without an import."""


@dataclass(frozen=True, slots=True)
class Request:
    """A source (code or a template), what it is given, and how long it may take."""

    source: str
    inputs: dict[str, Any]
    timeout_s: float


Run: TypeAlias = Callable[[Request], str]
"""Returns what the source gives, as JSON text. Raises Failed, MemoryError."""


class Failed(Exception):
    """The source failed; the message is for its author. A ``is_spent`` process must not be used again."""

    def __init__(self, message: str, *, is_spent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_spent = is_spent


def to_text(value: object) -> str:
    """Return a value as JSON text. Raises Failed where JSON has no word for it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise Failed(f"What main returned cannot be written as JSON: {exc}.") from exc
    return text.encode("utf-8", "replace").decode()
