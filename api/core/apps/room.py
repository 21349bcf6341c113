"""How much of the model's context a turn leaves free, for what is put beside its question."""

from collections.abc import Callable
from dataclasses import replace

from api.core.apps.config import ModelConfig
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.model_runtime.history import answer_tokens, fit, room_for_history
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.model_runtime.types import Message
from api.core.text.tokens import count_tokens

Prompt = Callable[[ModelConfig, Turn], tuple[Message, ...]]
"""Makes the messages of a turn, as the app's mode does."""


def room_beside(spec: AppSpec, turn: Turn, deps: Deps, prompt: Prompt) -> int:
    """Return how many tokens are free beside the prompt of a turn without its history, and the answer."""
    config = spec.configured()
    model = deps.models.schema(spec.tenant_id, config.model.ref)
    bare = count_messages(prompt(config, replace(turn, history=())), model.model)
    return room_for_history(model.context_tokens, answer_tokens(config.model.completion_params, model), bare)


def remember(spec: AppSpec, turn: Turn, deps: Deps, prompt: Prompt, *, share: int = 1) -> Turn:
    """Return the turn with only as much history as takes one ``share``-th of the room there is."""
    if not turn.history:
        return turn
    model = deps.models.schema(spec.tenant_id, spec.configured().model.ref).model
    room = room_beside(spec, turn, deps, prompt) // share
    return replace(turn, history=fit(turn.history, room, lambda text: count_tokens(text, model)))
