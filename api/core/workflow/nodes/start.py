"""Start: what the run was given, for the nodes after it."""

from pydantic import Field, JsonValue

from api.core.ports import JSONObject
from api.core.workflow.node import NodeConfig, NodeContext, node
from api.core.workflow.variables import SYSTEM
from api.core.workflow.work import NodeResult


@node("start")
class Start:
    """The pool holds the run's inputs under the node's id before it runs."""

    class Config(NodeConfig):
        """``variables`` are the form the inputs were checked against, before the run."""

        variables: list[dict[str, JsonValue]] = Field(default_factory=list)

    def run(self, _config: Config, ctx: NodeContext) -> NodeResult:
        """Return the inputs, and the system variables under their dotted names."""
        system: JSONObject = {f"{SYSTEM}.{name}": value for name, value in ctx.variables.of(SYSTEM).items()}
        ctx.inputs = {**ctx.variables.of(ctx.node.id), **system}
        return NodeResult(outputs=ctx.inputs)
