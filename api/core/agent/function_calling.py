"""Function calling: the model is offered tools, and asks for calls on a channel of its own."""

import uuid
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace

from api.core.agent.rounds import Decision, Said
from api.core.model_runtime.types import ChatChunk, Message, Role, TextPart, ToolCall, ToolSpec


@dataclass(frozen=True, slots=True)
class FunctionCalling:
    """Implements Strategy. All that the model writes is part of the answer."""

    offered: tuple[ToolSpec, ...]
    stop: tuple[str, ...] = ()

    def prompt(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return the messages as they are: the tools go with the request."""
        return messages

    def read(self, chunks: Iterable[ChatChunk], *, is_last: bool) -> Generator[Said, None, Decision]:
        """Yield the model's text; return it with the calls it asks for."""
        pieces: list[str] = []
        calls: list[ToolCall] = []
        for chunk in chunks:
            calls += chunk.tool_calls
            # Models like to write blank lines before their calls, and nothing else.
            said = chunk.text if pieces else chunk.text.lstrip()
            if said:
                pieces.append(said)
                yield Said(said)
        text = "".join(pieces)
        return Decision(thought=text, said=text, calls=() if is_last else tuple(map(_identified, calls)))

    def follow(self, decision: Decision, observations: Sequence[str]) -> tuple[Message, ...]:
        """Return the model's turn, and a message for each result."""
        parts = (TextPart(decision.thought),) if decision.thought else ()
        turn = Message(role=Role.ASSISTANT, parts=parts, tool_calls=decision.calls)
        results = (
            Message(role=Role.TOOL, parts=(TextPart(text),), tool_call_id=call.id)
            for call, text in zip(decision.calls, observations, strict=True)
        )
        return (turn, *results)

    def finale(self) -> tuple[Message, ...]:
        """Return nothing: without tools the model can only answer."""
        return ()


def _identified(call: ToolCall) -> ToolCall:
    """Return a call with an id, which some servers leave out."""
    return call if call.id else replace(call, id=f"call_{uuid.uuid4().hex}")
