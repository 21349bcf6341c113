"""The vendors of models, as far as tests need them: what they say on their wires, and to whom.

Each provider has a line in HARNESSES; the contract suite runs over all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tests.servers import Reply

SECRET = "sk-planted-secret-0123456789"

T = TypeVar("T")

Frame = Mapping[str, object]


class Wire(Protocol):
    """How a vendor says things."""

    def text(self, *pieces: str, end: bool = True) -> list[Frame]: ...
    def tool(self, call_id: str, name: str, arguments: str) -> list[Frame]: ...
    def error(self, message: str) -> Frame: ...
    def nothing(self) -> Frame: ...
    def quota(self) -> Reply: ...
    def vectors(self, *vectors: list[float]) -> Reply: ...
    def ranking(self, *scores: tuple[object, float]) -> Reply: ...


class OpenAIWire:
    def text(self, *pieces: str, end: bool = True) -> list[Frame]:
        frames: list[Frame] = [
            self.nothing(),
            *(self._frame({"content": p}) for p in pieces),
        ]
        return [*frames, *self._end("stop")] if end else frames

    def tool(self, call_id: str, name: str, arguments: str) -> list[Frame]:
        half = len(arguments) // 2
        head = {"index": 0, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        rest = [
            {"index": 0, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:])
        ]
        return [*(self._frame({"tool_calls": [call]}) for call in (head, *rest)), *self._end("tool_calls")]

    def error(self, message: str) -> Frame:
        return {"error": {"message": message, "type": "server_error", "code": None}}

    def nothing(self) -> Frame:
        return self._frame({"role": "assistant", "content": ""})

    def quota(self) -> Reply:
        error = {"message": "You exceeded your current quota.", "type": "insufficient_quota"}
        return Reply.of_json({"error": {**error, "code": "insufficient_quota"}}, 429)

    def vectors(self, *vectors: list[float]) -> Reply:
        """Return embeddings out of order, which only their index tells; five tokens."""
        rows = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        return Reply.of_json(
            {"object": "list", "data": rows[::-1], "usage": {"prompt_tokens": 5, "total_tokens": 5}}
        )

    def ranking(self, *scores: tuple[object, float]) -> Reply:
        rows = [{"index": index, "relevance_score": score} for index, score in scores]
        return Reply.of_json({"id": "r", "results": rows, "usage": {"total_tokens": 5}})

    def _frame(self, delta: Frame, finish: str | None = None) -> Frame:
        return {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    def _end(self, finish: str) -> list[Frame]:
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return [self._frame({}, finish), {"object": "chat.completion.chunk", "choices": [], "usage": usage}]


class CohereWire(OpenAIWire):
    def error(self, message: str) -> Frame:
        return {"id": "e", "message": message}

    def quota(self) -> Reply:
        return Reply.of_json({"message": "Your trial is used up."}, 402)

    def vectors(self, *vectors: list[float]) -> Reply:
        meta = {"billed_units": {"input_tokens": 5}}
        return Reply.of_json({"id": "e", "embeddings": {"float": vectors}, "meta": meta})


class JinaWire(OpenAIWire):
    def error(self, message: str) -> Frame:
        return {"detail": message}

    def quota(self) -> Reply:
        return Reply.of_json({"detail": "Account balance not enough to run this query."}, 402)


class AnthropicWire:
    def text(self, *pieces: str, end: bool = True) -> list[Frame]:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
        events = self._block({"type": "text", "text": ""}, deltas)
        return [*events, *self._end("end_turn")] if end else events

    def tool(self, call_id: str, name: str, arguments: str) -> list[Frame]:
        half = len(arguments) // 2
        parts = (arguments[:half], arguments[half:])
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        return [*self._block(block, deltas), *self._end("tool_use")]

    def error(self, message: str) -> Frame:
        return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}

    def nothing(self) -> Frame:
        return {"type": "ping"}

    def quota(self) -> Reply:
        return Reply.of_json(
            {"type": "error", "error": {"type": "billing_error", "message": "No credit."}}, 403
        )

    def vectors(self, *vectors: list[float]) -> Reply:
        raise NotImplementedError

    def ranking(self, *scores: tuple[object, float]) -> Reply:
        raise NotImplementedError

    def _block(self, block: Frame, deltas: Sequence[Frame]) -> list[Frame]:
        usage = {"input_tokens": 4, "cache_read_input_tokens": 3, "output_tokens": 1}
        return [
            {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            self.nothing(),
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
        ]

    def _end(self, reason: str) -> list[Frame]:
        delta = {"stop_reason": reason, "stop_sequence": None}
        return [
            {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ]


class InlineOffload:
    """Runs the work where it is asked for."""

    def call(self, fn: Callable[..., T], *args: object, timeout_s: float) -> T:
        return fn(*args)


@dataclass(frozen=True)
class Harness:
    """How the suite drives one provider; ``wire`` is None for one that calls nobody."""

    model: str
    wire: Wire | None = None
    credentials: Callable[[str], Mapping[str, str]] = lambda _url: {}


PLUGIN = Harness("chat-1", OpenAIWire(), lambda url: {"base_url": url, "api_key": SECRET})
"""Of the provider that the plugin in tests/packages/vendor brings."""
HARNESSES = {
    "builtin": Harness("extractive-qa"),
    "openai": Harness(
        "gpt-4o",
        OpenAIWire(),
        lambda url: {"openai_api_key": SECRET, "openai_api_base": url, "openai_organization": ""},
    ),
    "anthropic": Harness(
        "claude-opus-5-5",
        AnthropicWire(),
        lambda url: {"anthropic_api_key": SECRET, "anthropic_api_url": url},
    ),
    "azure_openai": Harness(
        "my-deployment",
        OpenAIWire(),
        lambda url: {"openai_api_base": url, "openai_api_key": SECRET, "base_model_name": "gpt-4o"},
    ),
    "openai_api_compatible": Harness(
        "llama",
        OpenAIWire(),
        lambda url: {
            "endpoint_url": url,
            "api_key": SECRET,
            "function_calling_type": "tool_call",
            "vision_support": "support",
        },
    ),
    "cohere": Harness("rerank-v3.5", CohereWire(), lambda url: {"api_key": SECRET, "base_url": f"{url}/v2/"}),
    "jina": Harness("jina-reranker-v3", JinaWire(), lambda url: {"api_key": SECRET, "base_url": url}),
}
