"""What a call of a chat model took: tokens, time and money, the same wherever one is called."""

import time
from collections.abc import Sequence

from api.core.model_runtime.prompt_tokens import tokens_spent
from api.core.model_runtime.types import NO_TOKENS, ChatChunk, Message, Price, TokenCount, Usage

MAX_TOKENS = 2**31 - 1
"""More than any model takes, and what a column holds of a count a provider made up."""


class Meter:
    """Watches one call, from the moment it is made.

    Tokens are the provider's own; where it reports none (a stopped stream, a
    server that never does) they are counted here.
    """

    def __init__(self, model: str, messages: Sequence[Message]) -> None:
        self._model = model
        self._messages = messages
        self._began = time.monotonic()
        self._first_token_s: float | None = None
        self._texts: list[str] = []
        self._tokens: TokenCount | None = None

    def see(self, chunk: ChatChunk) -> None:
        """Take in what came."""
        self._tokens = chunk.tokens or self._tokens
        if chunk.text:
            if self._first_token_s is None:
                self._first_token_s = time.monotonic() - self._began
            self._texts.append(chunk.text)
        self._texts += [f"{call.name} {call.arguments}" for call in chunk.tool_calls]

    def usage(self, price: Price, spent: TokenCount = NO_TOKENS) -> Usage:
        """Return what the call took so far, and what was ``spent`` on the same model before it."""
        tokens = tokens_spent(self._tokens, self._messages, "".join(self._texts), self._model)
        return Usage(
            prompt_tokens=_sane(tokens.prompt_tokens + spent.prompt_tokens),
            completion_tokens=_sane(tokens.completion_tokens + spent.completion_tokens),
            price=price,
            latency_s=time.monotonic() - self._began,
            first_token_s=self._first_token_s,
        )


def _sane(tokens: int) -> int:
    """Return a count a provider reported, within what any model can take."""
    return min(max(tokens, 0), MAX_TOKENS)
