"""The part every text app shares: one call of a chat model, told as events."""

from collections.abc import Iterator

from api.core.apps.spec import AppSpec, Deps
from api.core.events import Event, MessageEnd, RetrieverResource, TextChunk
from api.core.model_runtime.metering import Meter
from api.core.model_runtime.types import NO_TOKENS, Message, TokenCount


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

    Tokens ``spent`` on the same model before are added. Reasoning is not part of
    the answer.
    """
    choice = spec.configured().model
    meter = Meter(choice.name, messages)
    for chunk in deps.models.chat(
        spec.tenant_id, choice.ref, choice.request(messages, user=user), deps.cancel
    ):
        meter.see(chunk)
        text = chunk.text.replace("\x00", "")  # no database column takes one
        if text:
            yield TextChunk(text=text)
    if deps.cancel.failure is not None:
        raise deps.cancel.failure
    yield MessageEnd(
        usage=meter.usage(deps.models.schema(spec.tenant_id, choice.ref).price, spent),
        retriever_resources=cited,
        outcome="stopped" if deps.cancel.is_set() else "finished",
    )
