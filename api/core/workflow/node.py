"""What a node is, what it is given, and how one is made known.

A node type is one file in ``nodes/``: a class marked with :func:`node`, whose
``Config`` reads the ``data`` of the drawing and whose ``run`` does the work.
``run`` returns a :class:`NodeResult`, or is a generator that yields what can be
told meanwhile and returns one. It fails by raising :class:`NodeFailed`; trying
again, default values and failure branches are the engine's.
"""

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.core.events import Event, RoundStarted
from api.core.ports import Cancel, JSONObject
from api.core.workflow.deps import FlowDeps, FlowFacts
from api.core.workflow.graph import Graph, NodeSpec
from api.core.workflow.variables import SYSTEM, Selector, ValueType, VariablePool
from api.core.workflow.work import TOP, NodeFailed, NodeResult, Place, Work


class Named(BaseModel):
    """A variable under the name that a template, code or the run's outputs know it by."""

    model_config = ConfigDict(extra="ignore")

    variable: str
    value_selector: list[str] = Field(default_factory=list)


class RetryConfig(BaseModel):
    """How often a failed node is tried again, and after which pause."""

    model_config = ConfigDict(extra="ignore")

    retry_enabled: bool = False
    max_retries: int = Field(default=0, ge=0, le=100)
    retry_interval: int = Field(default=0, ge=0, le=600_000, description="ms")


class DefaultValue(BaseModel):
    """One output of a node that failed and whose author gave defaults."""

    model_config = ConfigDict(extra="ignore")

    key: str
    type: str = "string"
    value: JsonValue = None


Types = Mapping[str, ValueType | None]
"""Variables by name; no type where what it is shows only when the node runs."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A variable that a node can only use if it is of one of some types."""

    selector: Selector
    kinds: AbstractSet[ValueType]


class NodeConfig(BaseModel):
    """What every node's ``data`` may hold; each type adds its own. Unknown keys are the canvas's."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    type: str
    title: str = ""
    desc: str | None = None
    version: str = "1"
    error_strategy: Literal["fail-branch", "default-value"] | None = None
    default_value: list[DefaultValue] | None = None
    retry_config: RetryConfig | None = None

    def references(self) -> Iterable[Selector]:
        """Return the variables the node reads, for the check that they exist."""
        return ()

    def demands(self) -> Iterable[Demand]:
        """Return those variables it reads that may not be of any type, for the check that they fit."""
        return ()

    def check(self) -> None:
        """Raise InvalidRequest, naming the field, for what can be read but not be meant."""

    def gives(self) -> Types | None:
        """Return the variables it leaves; None where even their names show only when it runs."""
        return None

    def lends(self) -> Types:
        """Return the variables a container has for what is inside it, and for nothing else."""
        return {}

    def inner_references(self) -> Iterable[Selector]:
        """Return what a container reads of what is inside it."""
        return ()


class Subgraphs(Protocol):
    """Runs what is inside a container."""

    def run(self, start_id: str, variables: VariablePool, place: Place) -> Generator[Event, None, set[str]]:
        """Run one round from the node ``start_id``; return the ids of the nodes that ran.

        What the nodes give goes into ``variables``, a layer of the round's own.
        Raises NodeFailed where a node of it fails for good.
        """
        ...

    def run_side_by_side(
        self, rounds: "Sequence[Round]", *, max_threads: int, stops_at_failure: bool
    ) -> Generator[Event, None, list[Any]]:
        """Run rounds at once, at most ``max_threads``; return what each returned or its NodeFailed, in order.

        Each runs what is inside by the Subgraphs it is given. The first failure
        ends the others and is raised, where that is asked for.
        """
        ...


Round = Callable[[Subgraphs], Generator[Event, None, Any]]
"""One round of a container."""


@dataclass(kw_only=True)
class NodeContext:
    """One execution of a node. It sets ``inputs`` and ``process_data`` for whoever reads the run.

    Set them before what may fail: they are shown of failed nodes too.
    """

    node: NodeSpec
    graph: Graph
    execution_id: str
    variables: VariablePool
    cancel: Cancel
    deps: FlowDeps
    facts: FlowFacts
    subgraphs: Subgraphs
    place: Place = TOP
    inputs: JSONObject = field(default_factory=dict)
    process_data: JSONObject = field(default_factory=dict)

    def round_started(self, index: int, *, previous: JSONObject | None = None) -> RoundStarted:
        """Return the event that says that a round of this container begins, or that one has ended."""
        return RoundStarted(
            node_id=self.node.id,
            node_type=self.node.type,
            title=self.node.title,
            index=index,
            created_at=int(time.time()),
            previous=previous,
        )


class Node(Protocol):
    """One type of node. Instances hold nothing.

    ``run`` gets what ``Config`` has read.
    """

    @property
    def Config(self) -> type[NodeConfig]:  # noqa: N802  # the class inside the node
        """What its ``data`` is read by."""
        ...

    def run(self, config: Any, ctx: NodeContext, /) -> NodeResult | Work:
        """Do the node's work. Raises NodeFailed, NodePaused, or an AppError of what it called."""
        ...


class SizedNode(Node, Protocol):
    """A node that runs others, in rounds."""

    def size(self, config: Any, ctx: NodeContext, /) -> int:
        """Return how many rounds there are to be. Raises NodeFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKind:
    """A node type as the registry knows it.

    ``waits`` says that it waits for something outside this process, so that what
    has happened before it is written down first. ``defaults`` is the config a
    new one on the canvas begins with, ``defaults_by_language`` where that
    depends on the language of code.
    """

    type: str
    version: str
    node: Node
    waits: bool
    defaults: JSONObject | None
    defaults_by_language: Mapping[str, JSONObject] = field(default_factory=dict)

    def configured(self, data: JSONObject) -> NodeConfig:
        """Return the settings of a node. Raises pydantic's ValidationError where they are not complete."""
        return self.node.Config.model_validate(data)

    def size(self, config: NodeConfig, ctx: NodeContext) -> int | None:
        """Return how many rounds a container is to have; None for all others. Raises NodeFailed."""
        sized: SizedNode | None = self.node if hasattr(self.node, "size") else None  # type: ignore[assignment]  # seen to have it
        return None if sized is None else sized.size(config, ctx)


NODES: dict[tuple[str, str], NodeKind] = {}
"""Every node type by type and version; filled by importing ``api.core.workflow.nodes``."""

Made = TypeVar("Made", bound=Callable[[], Node])


def node(
    node_type: str,
    version: str = "1",
    *,
    waits: bool = False,
    defaults: JSONObject | None = None,
    defaults_by_language: Mapping[str, JSONObject] | None = None,
) -> Callable[[Made], Made]:
    """Make a class known as a node type."""

    def register(cls: Made) -> Made:
        key = (node_type, version)
        assert key not in NODES, f"two nodes say they are {key}"
        NODES[key] = NodeKind(
            type=node_type,
            version=version,
            node=cls(),
            waits=waits,
            defaults=defaults,
            defaults_by_language=defaults_by_language or {},
        )
        return cls

    return register


def kind_of(spec: NodeSpec) -> NodeKind:
    """Return the kind of a node: of its version, else of version 1. Raises NodeFailed for an unknown type."""
    version = str(spec.data.get("version") or "1")
    kind = NODES.get((spec.type, version)) or NODES.get((spec.type, "1"))
    if kind is None:
        raise NodeFailed(f"Nodes of type {spec.type!r} are not known here.", error_type="UnknownNode")
    return kind


def given(ctx: NodeContext) -> NodeResult:
    """Return what a run was begun with, as its root gives it: with system variables under dotted names."""
    system: JSONObject = {f"{SYSTEM}.{name}": value for name, value in ctx.variables.of(SYSTEM).items()}
    ctx.inputs = {**ctx.variables.of(ctx.node.id), **system}
    return NodeResult(outputs=ctx.inputs)
