"""The part every text app shares: one call of a chat model, told as events."""

import time
from collections.abc import Iterator

from api.core.apps.spec import AppSpec, Deps
from api.core.events import Event, MessageEnd, RetrieverResource, TextChunk
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.model_runtime.types import NO_TOKENS, ChatRequest, Message, TokenCount, Usage
from api.core.text.tokens import count_tokens

MAX_TOKENS = 2**31 - 1
"""More than any model takes, and what a column holds of a count a provider made up."""


def answer(
    spec: AppSpec,
    messages: tuple[Message, ...],
    deps: Deps,
    *,
    user: str,
    cited: tuple[RetrieverResource, ...] = (),
    spent: TokenCount = NO_TOKENS,
) -> Iterator[Event]:
    """Yield the model's answer as it comes, then MessageEnd with what it cost and what it was given to cite.

    Tokens are the provider's own; where it reports none (a stopped stream, a
    server that never does) they are counted here. Those ``spent`` on the same
    model before are added. Reasoning is not part of the answer.
    """
    choice = spec.configured().model
    request = ChatRequest(
        model=choice.name,
        messages=messages,
        parameters={key: value for key, value in choice.completion_params.items() if key != "stop"},
        stop=tuple(choice.completion_params.get("stop") or ()),
        user=user,
    )
    started = time.monotonic()
    first: float | None = None
    pieces: list[str] = []
    tokens: TokenCount | None = None
    for chunk in deps.models.chat(spec.tenant_id, choice.ref, request, deps.cancel):
        tokens = chunk.tokens or tokens
        text = chunk.text.replace("\x00", "")  # no database column takes one
        if text:
            if first is None:
                first = time.monotonic() - started
            pieces.append(text)
            yield TextChunk(text=text)
    if deps.cancel.failure is not None:
        raise deps.cancel.failure
    tokens = tokens or TokenCount(
        prompt_tokens=count_messages(messages, choice.name),
        completion_tokens=count_tokens("".join(pieces), choice.name),
        is_estimate=True,
    )
    yield MessageEnd(
        usage=Usage(
            prompt_tokens=_sane(tokens.prompt_tokens + spent.prompt_tokens),
            completion_tokens=_sane(tokens.completion_tokens + spent.completion_tokens),
            price=deps.models.schema(spec.tenant_id, choice.ref).price,
            latency_s=time.monotonic() - started,
            first_token_s=first,
        ),
        retriever_resources=cited,
        outcome="stopped" if deps.cancel.is_set() else "finished",
    )


def _sane(tokens: int) -> int:
    """Return a count a provider reported, within what any model can take."""
    return min(max(tokens, 0), MAX_TOKENS)
