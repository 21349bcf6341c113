"""What calls of models took: tokens, time and money, the same wherever one is called."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from api.core.model_runtime.prompt_tokens import tokens_spent
from api.core.model_runtime.types import NO_TOKENS, ChatChunk, Message, ModelRef, Price, TokenCount, Usage

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

    @property
    def is_reported(self) -> bool:
        """Whether the provider has told any tokens."""
        return self._tokens is not None

    def see(self, chunk: ChatChunk) -> None:
        """Take in what came."""
        self._tokens = chunk.tokens or self._tokens
        if chunk.text:
            if self._first_token_s is None:
                self._first_token_s = time.monotonic() - self._began
            self._texts.append(chunk.text)
        if chunk.reasoning:
            self._texts.append(chunk.reasoning)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the calls of one model took together."""

    ref: ModelRef
    calls: int = 1
    prompt_tokens: int
    completion_tokens: int
    total_price: Decimal
    currency: str


class Book(Protocol):
    """Where a call of a model is written down once it has ended, however that was."""

    def add(self, entries: Iterable[Spent]) -> None:
        """Take in calls; they may come from several threads."""
        ...


class Tab:
    """What calls took, by model, until somebody takes it away: a Book."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: dict[tuple[ModelRef, str], Spent] = {}

    def add(self, entries: Iterable[Spent]) -> None:
        """Put calls on the tab."""
        with self._lock:
            for entry in entries:
                key = (entry.ref, entry.currency)
                known = self._spent.get(key)
                self._spent[key] = entry if known is None else _sum(known, entry)

    def take(self) -> tuple[Spent, ...]:
        """Return what there is, always in the same order of models, and begin anew."""
        with self._lock:
            taken, self._spent = self._spent, {}
        return tuple(
            taken[key] for key in sorted(taken, key=lambda key: (key[0].provider, key[0].model, key[1]))
        )


def spent_on(ref: ModelRef, prompt_tokens: int, completion_tokens: int, price: Price) -> Spent:
    """Return one call of a model."""
    usage = Usage(
        prompt_tokens=_sane(prompt_tokens),
        completion_tokens=_sane(completion_tokens),
        price=price,
        latency_s=0.0,
        first_token_s=None,
    )
    return Spent(
        ref=ref,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_price=usage.total_price,
        currency=price.currency,
    )


def _sum(one: Spent, other: Spent) -> Spent:
    return replace(
        one,
        calls=one.calls + other.calls,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        total_price=one.total_price + other.total_price,
    )
