"""A node's call of a chat model, and what is told of it."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import orjson
from pydantic import Field

from api.core.http import Cancelled
from api.core.model_runtime.choice import ModelChoice
from api.core.model_runtime.metering import Meter
from api.core.model_runtime.runtime import Answer, fold
from api.core.model_runtime.types import ChatChunk, ChatRequest, PastTurn, Role, ToolSpec, Usage
from api.core.ports import JSONObject, JSONValue
from api.core.workflow.node import Demand, NodeConfig, NodeContext
from api.core.workflow.prompt import Draft, Memory, Vision, remembered, to_messages, with_images
from api.core.workflow.variables import ANY_FILE


class AskingConfig(NodeConfig):
    """What nodes have in common that put one question of their own to a model."""

    model: ModelChoice
    memory: Memory | None = None
    vision: Vision = Field(default_factory=Vision)

    def demands(self) -> Iterable[Demand]:
        """Return the files that are shown."""
        return (Demand(selector, ANY_FILE) for selector in self.vision.references())


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole answer, and what it took."""

    answer: Answer
    usage: Usage


def call(choice: ModelChoice, request: ChatRequest, ctx: NodeContext) -> Generator[ChatChunk, None, Reply]:
    """Yield the answer as it comes, and return it whole. Raises a ProviderFailure, or Cancelled."""
    meter = Meter(choice.name, request.messages)
    chunks: list[ChatChunk] = []
    for chunk in ctx.deps.models.chat(ctx.facts.tenant_id, choice.ref, request, ctx.cancel):
        meter.see(chunk)
        chunks.append(chunk)
        yield chunk
    if ctx.cancel.is_set():
        raise Cancelled
    price = ctx.deps.models.schema(ctx.facts.tenant_id, choice.ref).price
    return Reply(fold(chunks), meter.usage(price))


def ask(
    config: AskingConfig, rules: str, asked: JSONObject, ctx: NodeContext, *, tools: tuple[ToolSpec, ...] = ()
) -> Reply:
    """Return what a model answers to an object of data under rules; the conversation is put beside the data.

    The call is shown in the node's process data. Raises NodeFailed, a
    ProviderFailure, or Cancelled.
    """
    drafts = _drafts(config, rules, asked, (), ctx)
    turns = remembered(config.memory, config.model, drafts, config.vision, ctx)
    drafts = _drafts(config, rules, asked, turns, ctx)
    ctx.process_data = shown_call(config.model, drafts)
    messages = to_messages(drafts, config.vision, ctx)
    request = config.model.request(messages, user=ctx.facts.user, tools=tools)
    chunks = call(config.model, request, ctx)
    while True:
        try:
            next(chunks)
        except StopIteration as end:
            reply: Reply = end.value
            ctx.process_data = shown_call(config.model, drafts, reply)
            return reply


def has_feature(choice: ModelChoice, feature: str, ctx: NodeContext) -> bool:
    """Tell whether the model can do something, in the console's word for it. Raises a ProviderFailure."""
    return feature in ctx.deps.models.schema(ctx.facts.tenant_id, choice.ref).features


def shown_call(choice: ModelChoice, drafts: Sequence[Draft], reply: Reply | None = None) -> JSONObject:
    """Return a call, made or about to be, for whoever looks at the run."""
    shown: JSONObject = {
        "model_mode": choice.mode,
        "prompts": [draft.shown() for draft in drafts],
        "model_provider": choice.provider,
        "model_name": choice.name,
    }
    if reply is not None:
        shown |= {"usage": reply.usage.to_json(), "finish_reason": reply.answer.finish_reason}
    return shown


def clean(text: str) -> str:
    """Return the text without NUL, which no database column takes."""
    return text.replace("\x00", "")


def _drafts(
    config: AskingConfig, rules: str, asked: JSONObject, turns: tuple[PastTurn, ...], ctx: NodeContext
) -> list[Draft]:
    history: list[JSONValue] = [{"user": turn.query, "assistant": turn.answer} for turn in turns]
    data = orjson.dumps({**asked, "history": history}).decode()
    drafts = [Draft(Role.SYSTEM, rules), Draft(Role.USER, data)]
    return with_images(drafts, config.vision.files(ctx.variables))
