"""How apps and nodes say which model they use."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.core.model_runtime.provider import short_id
from api.core.model_runtime.types import ChatRequest, Message, ModelRef, ToolSpec
from api.core.ports import JSONObject


class ModelChoice(BaseModel):
    """Which model answers, and with which parameters. Types are strict, unknown keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, protected_namespaces=())

    provider: str = Field(min_length=1)
    name: str = Field(min_length=1)
    mode: Literal["chat", "completion"] = "chat"
    completion_params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("completion_params")
    @classmethod
    def _check_stop(cls, params: dict[str, Any]) -> dict[str, Any]:
        _stop_of(params)
        return params

    @property
    def ref(self) -> ModelRef:
        """The model by the provider's short id."""
        return ModelRef(short_id(self.provider), self.name)

    def request(
        self,
        messages: tuple[Message, ...],
        *,
        user: str,
        parameters: JSONObject | None = None,
        tools: tuple[ToolSpec, ...] = (),
    ) -> ChatRequest:
        """Return the call of the model with its parameters; ``parameters`` are put over them."""
        own = {key: value for key, value in self.completion_params.items() if key != "stop"}
        return ChatRequest(
            model=self.name,
            messages=messages,
            parameters={**own, **(parameters or {})},
            stop=_stop_of(self.completion_params),
            tools=tools,
            user=user,
        )


def _stop_of(params: dict[str, Any]) -> tuple[str, ...]:
    """Return the texts the answer ends before; one may stand there without a list. Raises ValueError."""
    stop = params.get("stop") or ()
    texts = (stop,) if isinstance(stop, str) else stop
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError("stop must be a text or a list of texts")
    return tuple(texts)
