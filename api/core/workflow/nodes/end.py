"""End: what the run gives back."""

from collections.abc import Iterable

from pydantic import Field

from api.core.workflow.node import Named, NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import Selector
from api.core.workflow.work import NodeResult


@node("end")
class End:
    """The outputs of all End nodes a run reaches are the run's."""

    class Config(NodeConfig):
        """Which variables go out."""

        outputs: list[Named] = Field(default_factory=list)

        def references(self) -> Iterable[Selector]:
            """Return what goes out."""
            return (tuple(item.value_selector) for item in self.outputs)

        def gives(self) -> Types:
            """Return what goes out, of whatever type it is."""
            return {item.variable: None for item in self.outputs}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return the outputs; null for what does not exist."""
        ctx.inputs = {item.variable: ctx.variables.get(item.value_selector) for item in config.outputs}
        return NodeResult(outputs=ctx.inputs)
