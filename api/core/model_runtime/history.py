"""Conversation memory: keeps as many of the latest turns as the model's context has room for; pure."""

from collections.abc import Callable, Mapping

from api.core.model_runtime.types import ModelSchema, PastTurn
from api.core.ports import JSONValue

REPLY_SHARE = 4
"""Where a model states no output limit, a quarter of its context is left for the answer."""


def answer_tokens(parameters: Mapping[str, JSONValue], model: ModelSchema) -> int:
    """Return the limit of an answer: that of the parameters, else the model's, 0 where there is none."""
    asked = parameters.get("max_tokens")
    return asked if isinstance(asked, int) and asked > 0 else model.max_output_tokens


def room_for_history(context_tokens: int, reply_tokens: int, prompt_tokens: int) -> int:
    """Return how many tokens of history fit beside the prompt and the answer; never negative.

    ``reply_tokens`` is the answer's limit, 0 where there is none.
    """
    answer = reply_tokens or context_tokens // REPLY_SHARE
    return max(0, context_tokens - min(answer, context_tokens // 2) - prompt_tokens)


def fit(turns: tuple[PastTurn, ...], budget_tokens: int, count: Callable[[str], int]) -> tuple[PastTurn, ...]:
    """Return the longest run of latest turns within the budget, oldest first.

    Turns are kept whole: half a question misleads more than a missing one.
    """
    kept: list[PastTurn] = []
    for turn in reversed(turns):
        budget_tokens -= count(turn.query) + count(turn.answer)
        if budget_tokens < 0:
            break
        kept.append(turn)
    return tuple(reversed(kept))
