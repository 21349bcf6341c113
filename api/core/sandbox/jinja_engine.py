"""Jinja2 templates: sandboxed, and without what makes much out of little.

Time and memory are bounded from outside: nested loops and replaced texts can
still take both.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from api.core.sandbox.engine import Failed, Request, Run, to_text

MAX_TEXT_CHARS = 10_000_000
MAX_DIGITS = 1000
GROWING_METHODS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map"})
GROWING_FILTERS = ("format", "center", "indent", "wordwrap", "xmlattr")
GROWING_GLOBALS = ("lipsum", "cycler", "joiner")
TOO_LONG = f"The template gives more than {MAX_TEXT_CHARS:,} characters."


class Environment(ImmutableSandboxedEnvironment):
    """Also refuses texts, lists and numbers grown by an operator or a method."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        super().__init__()
        for name in GROWING_FILTERS:
            del self.filters[name]
        for name in GROWING_GLOBALS:
            del self.globals[name]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse methods that pad texts, besides what is refused anyway."""
        return attr not in GROWING_METHODS and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Leave ``format`` to :meth:`is_safe_attribute`, which refuses it."""
        del value

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        """Refuse at once what is unsafe; by itself Jinja2 would print nothing in its place."""
        raise SecurityError(f"{attribute!r} of a {type(obj).__name__} is unsafe")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse results that would be large."""
        if operator == "%" and isinstance(left, str):
            raise SecurityError("texts cannot be formatted by %; use ~ to join")
        if operator == "*":
            _check_length(max(_length(left), _length(right)) * _times(left, right))
        elif operator == "+":
            _check_length(_length(left) + _length(right))
        elif operator == "**" and (abs(right) > MAX_DIGITS or abs(left) > 10**MAX_DIGITS):
            raise SecurityError("the power is too large")
        return super().call_binop(context, operator, left, right)


def start(memory_bytes: int) -> Run:
    """Return how to render templates."""
    del memory_bytes  # bounded by the process
    environment = Environment()

    def run(request: Request) -> str:
        return to_text(_told(lambda: _render(environment, request)))

    return run


def _render(environment: Environment, request: Request) -> str:
    pieces: list[str] = []
    left_chars = MAX_TEXT_CHARS
    for piece in environment.from_string(request.source).generate(**request.inputs):
        left_chars -= len(piece)
        if left_chars < 0:
            raise Failed(TOO_LONG)
        pieces.append(piece)
    return "".join(pieces)


def _told(render: Callable[[], str]) -> str:
    """Return a text, or fail with a sentence: a template can raise what any Python can."""
    try:
        return render()
    except (Failed, MemoryError):
        raise
    except TemplateSyntaxError as exc:
        raise Failed(f"The template is wrong in line {exc.lineno}: {exc.message}") from exc
    except TemplateError as exc:
        raise Failed(f"The template fails: {exc.message or type(exc).__name__}") from exc
    except Exception as exc:  # whatever its expressions raise
        raise Failed(f"The template fails: {type(exc).__name__}: {exc}") from exc


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0


def _times(left: object, right: object) -> int:
    return max((abs(value) for value in (left, right) if isinstance(value, int)), default=1)


def _check_length(length: int) -> None:
    if length > MAX_TEXT_CHARS:
        raise SecurityError("the result is too long")
