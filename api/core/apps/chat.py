"""A chat app: instructions, as much of the conversation as fits, and the question."""

from collections.abc import Iterator
from dataclasses import replace

from api.core.apps.answer import answer
from api.core.apps.history import fit, room_for_history
from api.core.apps.prompting import chat_messages
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import Event
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.text.tokens import count_tokens


def run(spec: AppSpec, turn: Turn, deps: Deps) -> Iterator[Event]:
    """Yield the answer to one message of a conversation."""
    return answer(spec, chat_messages(spec.configured(), _remember(spec, turn, deps)), deps, user=turn.user)


def _remember(spec: AppSpec, turn: Turn, deps: Deps) -> Turn:
    """Return the turn with only as much history as the model's context has room for."""
    if not turn.history:
        return turn
    config = spec.configured()
    model = deps.models.schema(spec.tenant_id, config.model.ref)
    bare = count_messages(chat_messages(config, replace(turn, history=())), model.model)
    asked = config.model.completion_params.get("max_tokens")
    answer_tokens = asked if isinstance(asked, int) and asked > 0 else model.max_output_tokens
    room = room_for_history(model.context_tokens, answer_tokens, bare)
    return replace(turn, history=fit(turn.history, room, lambda text: count_tokens(text, model.model)))
