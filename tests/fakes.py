"""A model provider that says what a test tells it to, and remembers what it was asked.

It is registered like any other; a test makes a :class:`Script`, and an app uses
it by naming the script's model.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from api.core.model_runtime.provider import ProviderContext, provider
from api.core.model_runtime.types import (
    ChatChunk,
    ChatRequest,
    ModelSchema,
    ModelType,
    Price,
    ProviderSchema,
    TokenCount,
)
from api.core.ports import Cancel, JSONObject

NUMBERS = itertools.count(1)
SCRIPTS: dict[str, "Script"] = {}
Piece = str | ChatChunk | Callable[[], object]
TOKENS = TokenCount(prompt_tokens=7, completion_tokens=5)


@dataclass
class Script:
    """What the model says: pieces of text, chunks, and callables that are run in between (to wait, to fail).

    ``gate``, where given, must be set before each piece after the first. Where
    there are ``turns``, each request is answered by the next of them, the last
    one again and again.
    """

    pieces: list[Piece] = field(default_factory=lambda: ["Hello", " ", "world"])
    tokens: TokenCount | None = TOKENS
    gate: threading.Event | None = None
    turns: list[list[Piece]] = field(default_factory=list)
    requests: list[ChatRequest] = field(default_factory=list)
    model: str = ""
    features: frozenset[str] = frozenset({"vision"})
    context_tokens: int = 8192

    def __post_init__(self) -> None:
        self.model = f"script-{next(NUMBERS)}"
        SCRIPTS[self.model] = self

    @property
    def choice(self) -> JSONObject:
        """The ``model`` part of a configuration that uses this script."""
        return {"provider": "scripted", "name": self.model, "mode": "chat", "completion_params": {}}


@provider
class ScriptedProvider:
    """Speaks the script its model names."""

    schema: ClassVar[ProviderSchema] = ProviderSchema(
        id="scripted",
        plugin_id="tests/scripted",
        label="Scripted",
        label_zh="脚本",
        description="Says what a test tells it to.",
        description_zh="按测试脚本回答。",
        background="#FFFFFF",
        icon_svg='<svg xmlns="http://www.w3.org/2000/svg"/>',
        models=(),
        custom_model_types=frozenset({ModelType.LLM}),
    )

    def __init__(self, context: ProviderContext) -> None:
        self.context = context

    def check_credentials(self) -> None:
        """Accept whatever there is."""

    def model_schema(self, model: str) -> ModelSchema | None:
        """Describe any model that has a script."""
        if model not in SCRIPTS:
            return None
        return ModelSchema(
            model=model,
            type=ModelType.LLM,
            label=model,
            context_tokens=SCRIPTS[model].context_tokens,
            features=SCRIPTS[model].features,
            price=Price(input=Decimal(1), output=Decimal(2)),
        )

    def chat(self, request: ChatRequest, cancel: Cancel) -> Iterator[ChatChunk]:
        """Yield the pieces of the script."""
        script = SCRIPTS[request.model]
        script.requests.append(request)
        turns = script.turns or [script.pieces]
        for number, piece in enumerate(turns[min(len(script.requests), len(turns)) - 1]):
            if number and script.gate is not None:
                wait_for(script.gate, cancel)
            if cancel.is_set():
                return
            if isinstance(piece, ChatChunk):
                yield piece
            elif callable(piece):
                piece()
            else:
                yield ChatChunk(text=piece)
        yield ChatChunk(finish_reason="stop", tokens=script.tokens)


def wait_for(gate: threading.Event, cancel: Cancel) -> None:
    """Wait until the gate opens or the run is stopped, whichever comes first; 10 s at most."""
    forget = cancel.on_cancel(gate.set)
    try:
        assert gate.wait(30), "the test never opened the gate"
    finally:
        forget()


def wait_for_stop(cancel: Cancel, timeout_s: float = 30.0) -> None:
    """Wait as long as nothing is stopped; raises AssertionError where nothing is in time."""
    stopped = threading.Event()
    cancel.on_cancel(stopped.set)
    assert stopped.wait(timeout_s), "nothing was stopped"
