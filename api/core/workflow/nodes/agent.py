"""Agent: a strategy that lets a model use tools until it has an answer."""

from collections.abc import Iterable
from dataclasses import replace

from pydantic import Field, JsonValue

from api.core.events import AgentLogged
from api.core.ports import JSONObject
from api.core.workflow import parameters
from api.core.workflow.deps import AgentTask
from api.core.workflow.node import NodeConfig, NodeContext, Types, node
from api.core.workflow.prompt import Memory
from api.core.workflow.variables import Selector, ValueType
from api.core.workflow.work import NodeResult, Work


@node("agent", waits=True)
class Agent:
    """What it says and does is told as it comes."""

    class Config(NodeConfig):
        """Which strategy, and what it works with."""

        agent_strategy_provider_name: str
        agent_strategy_name: str
        agent_parameters: dict[str, JsonValue] = Field(default_factory=dict)
        memory: Memory | None = None

        def gives(self) -> Types:
            """Return the answer, the files its tools made, and what its rounds came to."""
            return {
                "text": ValueType.STRING,
                "usage": ValueType.OBJECT,
                "files": ValueType.ARRAY_FILE,
                "json": ValueType.ARRAY_OBJECT,
            }

        def references(self) -> Iterable[Selector]:
            """Return what the parameters are made of."""
            return parameters.references(self.agent_parameters)

    def run(self, config: Config, ctx: NodeContext) -> Work:
        """Yield what the strategy tells; return what it gave. Raises NodeFailed."""
        ctx.inputs = parameters.fill(config.agent_parameters, ctx.variables)
        task = AgentTask(
            provider=config.agent_strategy_provider_name,
            strategy=config.agent_strategy_name,
            parameters=ctx.inputs,
            memory=None if config.memory is None else config.memory.model_dump(exclude_unset=True),
            node_id=ctx.node.id,
            execution_id=ctx.execution_id,
        )
        return (yield from _masked(ctx.deps.agents.run(task, ctx.facts, ctx.cancel), ctx))


def _masked(working: Work, ctx: NodeContext) -> Work:
    """Yield the work, its steps without the secrets that tools may repeat; return their list so too."""

    def shown(value: JSONObject | None) -> JSONObject:
        masked = ctx.variables.masked(value or {})
        assert isinstance(masked, dict), "an object stays one"
        return masked

    while True:
        try:
            told = next(working)
        except StopIteration as end:
            result: NodeResult = end.value
            return replace(result, metadata=shown(result.metadata))
        if isinstance(told, AgentLogged):
            error = ctx.variables.mask(told.error) if told.error else None
            told = replace(told, told=shown(told.told), error=error)
        yield told
