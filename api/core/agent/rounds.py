"""What an agent tells while it works: what it says, and its rounds as they come to more."""

from dataclasses import dataclass, field
from typing import Literal

from api.core.agent.tool import Observation
from api.core.events import RetrieverResource
from api.core.model_runtime.types import ToolCall, Usage
from api.core.ports import JSONObject

Stage = Literal["begun", "decided", "over"]


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call the model asked for. ``arguments`` is None where ``written`` is no JSON object.

    It has no observation until it was made.
    """

    id: str
    name: str
    written: str
    arguments: JSONObject | None
    label: JSONObject = field(default_factory=dict)
    details: JSONObject = field(default_factory=dict)
    observation: Observation | None = None
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One question to the model and what came of it, numbered from 1.

    Told when it has ``begun``, when the model has ``decided``, and once more
    when its calls are ``over``. ``created_at`` is in Unix seconds.
    """

    id: str
    number: int
    created_at: int
    stage: Stage = "begun"
    thought: str = ""
    calls: tuple[Call, ...] = ()
    usage: Usage | None = None


Told = Said | Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a model chose: calls to make, or none where it has answered.

    ``thought`` is what it wrote besides its calls, ``said`` what of that is part
    of the answer.
    """

    thought: str
    said: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How the work ended: what it took, and the passages it was given to cite, each once."""

    usage: Usage
    is_stopped: bool
    rounds: tuple[Round, ...] = ()
    cited: tuple[RetrieverResource, ...] = ()
