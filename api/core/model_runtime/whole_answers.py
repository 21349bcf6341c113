"""Reads answers that come in one piece: first what they cost, which counts also where the rest is of no use.

Boundary: bytes and values only; calls nobody.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from api.core.model_runtime.provider import Unusable
from api.core.model_runtime.types import NO_TOKENS, TokenCount
from api.errors import CompletionFailed


class Reading:
    """An answer that is being read."""

    def __init__(self) -> None:
        self.tokens = NO_TOKENS

    def read(self, content: bytes) -> Any:
        """Return an answer's JSON, and keep the tokens it tells."""
        return self.take(orjson.loads(content))

    def take(self, body: Any) -> Any:
        """Return an answer that is parsed already, and keep the tokens it tells."""
        if isinstance(body, dict):
            self.tokens = read_usage(body.get("usage")) or _read_meta(body.get("meta")) or NO_TOKENS
        return body


@contextmanager
def reading(what: str) -> Iterator[Reading]:
    """Give what an answer is read with, for which ``what`` is the name of what came.

    Raises CompletionFailed for one that cannot be read, Unusable where it told its cost.
    """
    answer = Reading()
    try:
        yield answer
    except (ValueError, TypeError, KeyError, AttributeError, struct.error) as exc:
        raise _failure(f"The provider's answer is no {what}: it is malformed.", answer) from exc
    except CompletionFailed as failure:
        raise _failure(failure.message, answer) from failure


def read_usage(usage: Any) -> TokenCount | None:
    """Return what a ``usage`` tells, by any of the names vendors have for it; None where it tells nothing."""
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    completion = usage.get("completion_tokens", usage.get("output_tokens"))
    if prompt is None and completion is None:
        prompt = usage.get("total_tokens", usage.get("tokens"))
    if prompt is None and completion is None:
        return None
    return TokenCount(prompt_tokens=int(prompt or 0), completion_tokens=int(completion or 0))


def _read_meta(meta: Any) -> TokenCount | None:
    """Return what Cohere tells: the tokens that are paid for, else those that were read."""
    if not isinstance(meta, dict):
        return None
    return read_usage(meta.get("billed_units")) or read_usage(meta.get("tokens"))


def _failure(message: str, answer: Reading) -> CompletionFailed:
    return CompletionFailed(message) if answer.tokens is NO_TOKENS else Unusable(message, answer.tokens)
