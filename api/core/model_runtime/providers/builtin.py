"""The provider that is always there: a chat model that quotes, and a local embedding model.

Boundary: neither needs a key or the network. ``extractive-qa`` has no weights
and generates nothing (see ``extractive.py``), and its name says so. It calls a
tool only where a question plainly asks for one (see ``extractive_calls.py``),
and quotes what that gave. What it cannot do it refuses: a JSON object filled
with defaults or a guess at an image would look like an answer to whatever reads it.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from api.core.http import Cancelled
from api.core.model_runtime.extractive import compose_answer, question_of
from api.core.model_runtime.extractive_calls import choose_call
from api.core.model_runtime.local_embedding import MAX_TOKENS, Embedded, embed_text
from api.core.model_runtime.prompt_tokens import count_messages
from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.types import (
    ChatChunk,
    ChatRequest,
    Embeddings,
    EmbedKind,
    ImagePart,
    ModelSchema,
    ModelType,
    ParameterRule,
    ProviderSchema,
    TokenCount,
)
from api.core.ports import Cancel, JSONValue
from api.core.text.tokens import count_tokens, split_pieces
from api.errors import CompletionFailed, InvalidRequest, ModelUnavailable

CHAT_MODEL = "extractive-qa"
EMBEDDING_MODEL = "multilingual-e5-small"

# One text of full length takes about a second of one core; the rest is for
# waiting behind others.
EMBED_TIMEOUT_S = 60.0

_CHAT = ModelSchema(
    model=CHAT_MODEL,
    type=ModelType.LLM,
    label="Extractive QA (quotes, does not generate)",
    context_tokens=32_768,
    max_output_tokens=2_048,
    features=frozenset({"tool-call"}),
)
_EMBEDDING = ModelSchema(
    model=EMBEDDING_MODEL,
    type=ModelType.TEXT_EMBEDDING,
    label="multilingual-e5-small (local)",
    context_tokens=MAX_TOKENS,
    max_chunks=32,
    # Each call keeps one native thread busy; searches need the others.
    parallel_calls=1,
    # Measured on English and Chinese: texts that answer lie at 0.80 to 0.93, others at 0.68 to 0.84.
    score_floor=0.70,
    score_ceiling=0.95,
)
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#1f4e5f"'
    ' stroke-width="2">'
    '<path d="M9 7H5v5h4V7zm0 5c0 3-1.5 4.5-4 5"/><path d="M19 7h-4v5h4V7zm0 5c0 3-1.5 4.5-4 5"/></svg>'
)


@provider
class BuiltinProvider:
    """Quotes from the prompt and embeds texts, all in this process."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="builtin",
        plugin_id="slipway/builtin",
        is_generative=False,
        label="Built-in (quotes, does not generate)",
        label_zh="内置（只摘录原文，不生成内容）",
        description="Answers with sentences quoted from the given context, calls a tool where a question "
        "plainly names one, and embeds texts locally; no key.",
        description_zh="从所给上下文中摘录原文作答，在问题明确指向某个工具时调用它，并在本机计算文本向量；无需密钥。",
        background="#E6F1F3",
        icon_svg=_ICON,
        models=(_CHAT, _EMBEDDING),
        parameter_rules=(
            ParameterRule(
                name="max_tokens",
                label="Max tokens",
                label_zh="最大标记数",
                type="int",
                default=512,
                min=1,
                max=_CHAT.max_output_tokens,
            ),
        ),
    )

    def __init__(self, context: ProviderContext) -> None:
        self._context = context

    def check_credentials(self) -> None:
        """Accept: there is nothing to prove."""

    def model_schema(self, model: str) -> ModelSchema | None:
        """Return what is known of one of the two models."""
        return next((known for known in self.schema.models if known.model == model), None)

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the call a question plainly asks for, else the quoted answer token by token.

        ``max_tokens`` and ``stop`` are honoured, the last chunk carries true
        token counts. Raises ModelUnavailable for images and JSON answers,
        CompletionFailed for a prompt longer than the context.
        """
        _check_features(request)
        max_tokens = _read_max_tokens(request.parameters.get("max_tokens"))
        prompt_tokens = count_messages(request.messages, request.model)
        if prompt_tokens > _CHAT.context_tokens:
            raise CompletionFailed(
                f"The prompt has {prompt_tokens} tokens; {CHAT_MODEL} reads at most {_CHAT.context_tokens}."
            )
        if call := choose_call(question_of(request.messages), request.tools):
            written = count_tokens(f"{call.name} {call.arguments}", request.model)
            spent = TokenCount(prompt_tokens=prompt_tokens, completion_tokens=written)
            yield ChatChunk(tool_calls=(call,), tokens=spent, finish_reason="tool_calls")
            return
        answer = _cut_at_stop(compose_answer(request.messages), request.stop)
        completion_tokens = 0
        finish_reason = "stop"
        for piece in split_pieces(answer, request.model):
            if cancel.is_set():
                return
            if completion_tokens + piece.tokens > max_tokens:
                finish_reason = "length"
                break
            completion_tokens += piece.tokens
            yield ChatChunk(text=piece.text)
        tokens = TokenCount(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        yield ChatChunk(tokens=tokens, finish_reason=finish_reason)

    def embed(self, model: str, texts: Sequence[str], kind: EmbedKind, cancel: Cancel) -> Embeddings:
        """Return one vector per text, each of the text's first 512 tokens.

        Raises ModelUnavailable where the engine cannot run, CompletionFailed
        when the machine is too busy, Cancelled when ``cancel`` is set before
        the last text.
        """
        if model != EMBEDDING_MODEL:
            raise ModelUnavailable(f"The built-in provider has no embedding model {model!r}.")
        embedded = [self._embed_one(text, kind, cancel) for text in texts]
        return Embeddings(
            vectors=[one.vector for one in embedded],
            tokens=TokenCount(prompt_tokens=sum(one.tokens for one in embedded)),
        )

    def _embed_one(self, text: str, kind: EmbedKind, cancel: Cancel) -> Embedded:
        if cancel.is_set():
            raise Cancelled("Embedding was stopped.")
        try:
            return self._context.offload.call(embed_text, text, kind, timeout_s=EMBED_TIMEOUT_S)
        except TimeoutError as exc:
            raise CompletionFailed(f"A text was not embedded within {EMBED_TIMEOUT_S:.0f} s.") from exc


def _check_features(request: ChatRequest) -> None:
    if request.model != CHAT_MODEL:
        raise ModelUnavailable(f"The built-in provider has no chat model {request.model!r}.")
    if request.parameters.get("response_format") not in (None, "", "text", {"type": "text"}):
        raise ModelUnavailable(f"{CHAT_MODEL} only quotes and cannot answer in JSON; choose another model.")
    if any(isinstance(part, ImagePart) for message in request.messages for part in message.parts):
        raise ModelUnavailable(f"{CHAT_MODEL} only reads text and cannot see images; choose another model.")


def _read_max_tokens(value: JSONValue) -> float:
    """Return the greatest number of tokens to answer with, infinite where none is set."""
    if value is None:
        return float("inf")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest(
            f"max_tokens must be a whole number above 0, not {value!r}.",
            field="max_tokens",
            fault="invalid_value",
        )
    return value


def _cut_at_stop(answer: str, stop: Sequence[str]) -> str:
    found = [place for word in stop if word and (place := answer.find(word)) >= 0]
    return answer[: min(found, default=len(answer))]
