"""A completion app: one filled template, one answer, no memory."""

from collections.abc import Iterator

from api.core.apps.answer import answer
from api.core.apps.prompting import completion_messages
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import Event


def run(spec: AppSpec, turn: Turn, deps: Deps) -> Iterator[Event]:
    """Yield the completion of one set of inputs."""
    return answer(spec, completion_messages(spec.configured(), turn), deps, user=turn.user)
