"""What an app's datasets have to say about a question, within the prompt's budget."""

from collections.abc import Callable
from dataclasses import replace

from api.core.apps.config import ModelConfig
from api.core.apps.history import answer_tokens, room_for_history
from api.core.apps.spec import AppSpec, Deps, Turn
from api.core.events import RetrieverResource
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.model_runtime.types import Message
from api.core.text.tokens import count_tokens

Prompt = Callable[[ModelConfig, Turn], tuple[Message, ...]]

CONTEXT_SHARE = 2
"""Passages take at most half of the room that history and they have together."""


def consult(
    spec: AppSpec, turn: Turn, query: str, deps: Deps, prompt: Prompt
) -> tuple[Turn, tuple[RetrieverResource, ...]]:
    """Return the turn with what was found about ``query`` as its context, and the passages that are in it.

    The best passages go in as far as they fit, whole. Does nothing for an app
    without datasets, and for a blank query.
    """
    config = spec.configured()
    if not config.dataset_ids or not query.strip():
        return turn, ()
    found = deps.retrieve(query)
    model = deps.models.schema(spec.tenant_id, config.model.ref)
    bare = count_messages(prompt(config, replace(turn, history=())), model.model)
    room = room_for_history(model.context_tokens, answer_tokens(config, model), bare) // CONTEXT_SHARE
    kept: list[RetrieverResource] = []
    for resource in found:
        room -= count_tokens(resource.content, model.model)
        if room < 0:
            break
        kept.append(resource)
    cited = tuple(kept) if config.retriever_resource.enabled else ()
    return replace(turn, context="\n\n".join(resource.content for resource in kept)), cited
