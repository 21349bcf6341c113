"""What an app's datasets have to say about a question, within the prompt's budget."""

from dataclasses import dataclass, replace

from api.core.apps.room import Prompt, room_beside
from api.core.apps.spec import AppSpec, Deps, Retrieved, Turn
from api.core.events import RetrieverResource
from api.core.http import Cancelled
from api.core.model_runtime.types import NO_TOKENS, TokenCount
from api.core.text.tokens import count_tokens

CONTEXT_SHARE = 2
"""Passages take at most half of the room that history and they have together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consulted:
    """A turn with its context, the passages in it that are cited, and the tokens spent on finding them."""

    turn: Turn
    cited: tuple[RetrieverResource, ...] = ()
    spent: TokenCount = NO_TOKENS


def consult(spec: AppSpec, turn: Turn, query: str, deps: Deps, prompt: Prompt) -> Consulted:
    """Return the turn with what was found about ``query`` as its context.

    The best passages go in as far as they fit, whole. Finds nothing for an app
    without datasets, for a blank query, and in a run that is stopped meanwhile.
    """
    config = spec.configured()
    if not config.dataset_ids or not query.strip():
        return Consulted(turn=turn)
    retrieved = _retrieve(query, deps)
    model = deps.models.schema(spec.tenant_id, config.model.ref).model
    room = room_beside(spec, turn, deps, prompt) // CONTEXT_SHARE
    kept: list[RetrieverResource] = []
    for resource in retrieved.resources:
        room -= count_tokens(resource.content, model)
        if room < 0:
            break
        kept.append(resource)
    return Consulted(
        turn=replace(turn, context="\n\n".join(resource.content for resource in kept)),
        cited=tuple(kept) if config.retriever_resource.enabled else (),
        spent=retrieved.spent,
    )


def _retrieve(query: str, deps: Deps) -> Retrieved:
    """Return what was found; nothing where the run was stopped, which then ends as stopped."""
    try:
        return deps.retrieve(query)
    except Cancelled:
        if not deps.cancel.is_set():
            raise
        return Retrieved()
