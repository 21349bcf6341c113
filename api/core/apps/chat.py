"""A chat app: instructions, as much of the conversation as fits, and the question."""

from collections.abc import Iterator
from dataclasses import replace

from api.core.apps.answer import answer
from api.core.apps.history import answer_tokens, fit, room_for_history
from api.core.apps.knowledge import consult
from api.core.apps.prompting import chat_messages
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import Event
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.text.tokens import count_tokens


def run(spec: AppSpec, turn: Turn, deps: Deps) -> Iterator[Event]:
    """Yield the answer to one message of a conversation."""
    config = spec.configured()
    turn, cited = consult(spec, turn, turn.query, deps, chat_messages)
    yield from answer(
        spec, chat_messages(config, _remember(spec, turn, deps)), deps, user=turn.user, cited=cited
    )


def _remember(spec: AppSpec, turn: Turn, deps: Deps) -> Turn:
    """Return the turn with only as much history as the model's context has room for."""
    if not turn.history:
        return turn
    config = spec.configured()
    model = deps.models.schema(spec.tenant_id, config.model.ref)
    bare = count_messages(chat_messages(config, replace(turn, history=())), model.model)
    room = room_for_history(model.context_tokens, answer_tokens(config, model), bare)
    return replace(turn, history=fit(turn.history, room, lambda text: count_tokens(text, model.model)))
