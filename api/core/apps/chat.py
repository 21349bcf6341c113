"""A chat app: instructions, as much of the conversation as fits, and the question."""

from collections.abc import Iterator
from dataclasses import replace

from api.core.apps.answer import answer
from api.core.apps.documents import fit_documents
from api.core.apps.knowledge import consult
from api.core.apps.prompting import chat_messages
from api.core.apps.room import room_beside
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import Event
from api.core.model_runtime.history import fit
from api.core.text.tokens import count_tokens


def run(spec: AppSpec, turn: Turn, deps: Deps) -> Iterator[Event]:
    """Yield the answer to one message of a conversation."""
    turn = fit_documents(spec, turn, deps, chat_messages)
    consulted = consult(spec, turn, turn.query, deps, chat_messages)
    messages = chat_messages(spec.configured(), _remember(spec, consulted.turn, deps))
    yield from answer(spec, messages, deps, user=turn.user, cited=consulted.cited, spent=consulted.spent)


def _remember(spec: AppSpec, turn: Turn, deps: Deps) -> Turn:
    """Return the turn with only as much history as the model's context has room for."""
    if not turn.history:
        return turn
    model = deps.models.schema(spec.tenant_id, spec.configured().model.ref).model
    room = room_beside(spec, turn, deps, chat_messages)
    return replace(turn, history=fit(turn.history, room, lambda text: count_tokens(text, model)))
