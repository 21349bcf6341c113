"""What a node's work comes to: what it gave, how it failed, what it tells meanwhile, where it stands."""

from collections.abc import Generator
from dataclasses import dataclass, field

from api.core.events import Event, FormAsked, RetrieverResource
from api.core.model_runtime.types import Usage
from api.core.ports import JSONObject
from api.core.workflow.graph import SOURCE


class NodeFailed(Exception):
    """A node could not do its work; ``message`` is a sentence for the workflow's author.

    ``error_type`` is what a failure branch may tell failures apart by.
    ``outputs`` are shown of a failed node where it has any.
    """

    def __init__(
        self, message: str, *, error_type: str = "NodeError", outputs: JSONObject | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_type = error_type
        self.outputs = outputs


class NodePaused(Exception):
    """The node waits for a person; the run ends here and goes on when ``form`` is answered."""

    def __init__(self, form: FormAsked) -> None:
        super().__init__(form.node_id)
        self.form = form


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What a node gave. ``edge`` is the branch it leaves by.

    ``metadata`` is added to the execution's metadata as it is.
    """

    outputs: JSONObject = field(default_factory=dict)
    edge: str = SOURCE
    usage: Usage | None = None
    metadata: JSONObject = field(default_factory=dict)
    cited: tuple[RetrieverResource, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeText:
    """A piece of one of the node's own text outputs, told as it comes."""

    text: str
    name: str = "text"


Told = NodeText | Event
Work = Generator[Told, None, NodeResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """In which round of which container a node runs; none at the top."""

    iteration_id: str | None = None
    iteration_index: int | None = None
    loop_id: str | None = None
    loop_index: int | None = None
    parallel_mode_run_id: str | None = None


TOP = Place()
