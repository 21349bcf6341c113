"""What this process tells of its work while it goes: spans, for whoever collects them.

Boundary: knows no library and no wire. Doors and jobs begin a trace with the
runtime's tracer; whatever works below them begins spans of its own, found
through the context, which threads of a run copy. Where nothing traces, that
costs the look at a context variable. What must stay true: a span holds ids,
kinds and numbers, never what people wrote, an answer, a key or an error's text.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal, Protocol

Kind = Literal["internal", "server", "client", "consumer"]
Facts = Mapping[str, str | bool | int | float | None]
"""What a span tells, by dotted names; None is not told."""


class Span(Protocol):
    """A piece of work: it has a name, a beginning, an end and what else is told of it."""

    def child(self, name: str, kind: Kind, facts: Facts) -> "Span":
        """Begin a span of work that belongs to this one, which may have ended."""
        ...

    def tell(self, facts: Facts) -> None:
        """Tell more; what was told under the same name is replaced."""
        ...

    def fail(self, reason: str) -> None:
        """Mark the work as failed, by a kind of failure that has a name."""
        ...

    def end(self) -> None:
        """End it; nothing is told of it any more."""
        ...

    def carrier(self) -> Mapping[str, str]:
        """Return the headers by which another process goes on with this trace (W3C Trace Context)."""
        ...


class Tracer(Protocol):
    """Begins traces and brings what they tell to who collects it; never waits, and never raises."""

    def begin(self, name: str, kind: Kind, facts: Facts, carrier: Mapping[str, str]) -> Span:
        """Begin a span under the one the ``carrier`` names, or a trace of its own."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Bring out what was not sent yet, for no longer than this, and end."""
        ...


class NoSpan:
    """Implements Span where nothing traces."""

    def child(self, name: str, kind: Kind, facts: Facts) -> Span:
        """Return itself."""
        del name, kind, facts
        return self

    def tell(self, facts: Facts) -> None:
        """Tell nobody."""

    def fail(self, reason: str) -> None:
        """Tell nobody."""

    def end(self) -> None:
        """Do nothing."""

    def carrier(self) -> Mapping[str, str]:
        """Return no headers."""
        return {}


class NoTracer:
    """Implements Tracer where nothing traces."""

    def begin(self, name: str, kind: Kind, facts: Facts, carrier: Mapping[str, str]) -> Span:
        """Return a span that is none."""
        del name, kind, facts, carrier
        return NO_SPAN

    def stop(self, timeout_s: float) -> None:
        """Do nothing."""


NO_SPAN: Span = NoSpan()
NO_TRACER: Tracer = NoTracer()

# Where nothing traces, blocks cost next to nothing.
_NOTHING = nullcontext()
_NO_END = nullcontext(NO_SPAN)

current: ContextVar[Span] = ContextVar("span", default=NO_SPAN)
"""The span of the work at hand."""


def begin(name: str, facts: Facts, kind: Kind = "internal") -> Span:
    """Begin a span of what the work at hand now does; whoever begins it ends it."""
    return current.get().child(name, kind, facts)


@contextmanager
def span(name: str, facts: Facts, kind: Kind = "internal") -> Iterator[Span]:
    """Have the block told as a span of the work at hand; what it does belongs to that."""
    with ending(begin(name, facts, kind)) as begun, within(begun):
        yield begun


def within(span: Span) -> AbstractContextManager[None]:
    """Make the span the work at hand during the block."""
    return _NOTHING if span is NO_SPAN is current.get() else _within(span)


@contextmanager
def _within(span: Span) -> Iterator[None]:
    outer = current.get()
    current.set(span)
    try:
        yield
    finally:
        if current.get() is span:  # a generator may be closed by someone else, in another context
            current.set(outer)


def ending(span: Span) -> AbstractContextManager[Span]:
    """End the span with the block; an error that leaves it is its failure, by the error's kind."""
    return _NO_END if span is NO_SPAN else _ending(span)


@contextmanager
def _ending(span: Span) -> Iterator[Span]:
    try:
        yield span
    except Exception as exc:
        span.fail(type(exc).__name__)
        raise
    finally:
        span.end()
