"""How a model is brought to use tools; one file each for the two ways there are."""

from collections.abc import Generator, Iterable, Sequence
from typing import Protocol

from api.core.agent.rounds import Decision, Said
from api.core.model_runtime.types import ChatChunk, Message, ToolSpec


class Strategy(Protocol):
    """One way, made for the tools of one run."""

    @property
    def offered(self) -> tuple[ToolSpec, ...]:
        """The tools that go with a request, besides what its prompt says of them."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """What the model must not write on after."""
        ...

    def prompt(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return the app's messages with what the model must know of tools."""
        ...

    def read(self, chunks: Iterable[ChatChunk], *, is_last: bool) -> Generator[Said, None, Decision]:
        """Yield the answer as it comes; return what the model chose. In the last round it calls nothing."""
        ...

    def follow(self, decision: Decision, observations: Sequence[str]) -> tuple[Message, ...]:
        """Return what calls add to the prompt: what they were, and in their order what they gave."""
        ...

    def finale(self) -> tuple[Message, ...]:
        """Return what the model is told before the round that must answer."""
        ...
