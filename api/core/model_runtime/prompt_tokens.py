"""Counts the tokens of a prompt: its texts and what the chat format adds around them.

Boundary: an estimate made before or instead of a provider's own figure. The
overheads are those OpenAI documents for its chat format; other vendors differ
by a few tokens a message.
"""

from collections.abc import Sequence

from api.core.model_runtime.types import ImagePart, Message, TextPart, TokenCount
from api.core.text.tokens import count_tokens

TOKENS_PER_MESSAGE = 4  # three that frame a message, one for its role
TOKENS_PER_REPLY = 3  # what opens the answer
TOKENS_PER_TOOL_CALL = 3  # what frames a call's name and arguments

# The true cost depends on an image's size, which is not known without decoding
# it; "high" is that of 1024 × 1024 pixels.
TOKENS_PER_IMAGE = {"low": 85, "high": 765}


def count_messages(messages: Sequence[Message], model: str = "") -> int:
    """Return how many tokens a prompt of ``messages`` is for ``model``, opening of the answer included."""
    return TOKENS_PER_REPLY + sum(_count_message(message, model) for message in messages)


def tokens_spent(
    reported: TokenCount | None, messages: Sequence[Message], answer: str, model: str
) -> TokenCount:
    """Return what a call took: as its provider reported it, counted here where it did not.

    A report that is an estimate tells the tokens of the prompt and not yet those of the answer.
    """
    if reported is not None and not reported.is_estimate:
        return reported
    return TokenCount(
        prompt_tokens=reported.prompt_tokens if reported else count_messages(messages, model),
        completion_tokens=count_tokens(answer, model),
        is_estimate=True,
    )


def _count_message(message: Message, model: str) -> int:
    tokens = TOKENS_PER_MESSAGE
    for part in message.parts:
        match part:
            case TextPart():
                tokens += count_tokens(part.text, model)
            case ImagePart():
                tokens += TOKENS_PER_IMAGE[part.detail]
    for call in message.tool_calls:
        tokens += TOKENS_PER_TOOL_CALL + count_tokens(call.name, model) + count_tokens(call.arguments, model)
    return tokens
